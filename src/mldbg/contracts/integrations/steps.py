"""What the callbacks put around a training step: `contracts.step()`, and `sanitize()` around the first ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mldbg.contracts.error import ContractError
from mldbg.contracts.flags import step
from mldbg.contracts.sanitize import sanitize

SANITIZED = 3
"""Steps under `sanitize` unless said otherwise: what a training step does with meanings, the next one does again."""


class Steps:
    """The surroundings of one training step after the other.

    count: how many of them are sanitized. Raises ValueError for a negative number.
    """

    def __init__(self, count: int) -> None:
        if count < 0:
            raise ValueError(f"sanitize_steps is a number of steps, at least 0, not {count}")
        self._count = self._left = count
        self._open: ExitStack | None = None

    def restart(self) -> None:
        """A training begins: its first steps are sanitized again, also where it resumes an earlier one."""
        self._left = self._count

    @contextmanager
    def around(self) -> Iterator[None]:
        """The surroundings of one step, as a block. Raises ContractError at its end, or instead of what failed because of it."""
        with step():
            if self._left:
                self._left -= 1
                with sanitize():
                    yield
            else:
                yield

    def begin(self) -> None:
        """The same where a step begins in one call and ends in another. A step that was never ended ends now."""
        self.end()
        with ExitStack() as stack:
            stack.enter_context(self.around())
            self._open = stack.pop_all()

    def end(self) -> None:
        """A step has come to its end, unless none is open. Raises ContractError where a contract was broken in it."""
        stack, self._open = self._open, None
        if stack is not None:
            stack.close()

    def fail(self, error: BaseException) -> None:
        """A step ends with an error. If a broken contract is behind it, it gets a note that says so."""
        stack, self._open = self._open, None
        if stack is None:
            return
        try:
            stack.__exit__(type(error), error, error.__traceback__)
        except ContractError as cause:
            if cause is not error:
                error.add_note(f"before that, a contract was broken: {cause}")
