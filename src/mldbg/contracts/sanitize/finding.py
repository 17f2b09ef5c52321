"""A misuse that was seen, and the report that gathers them."""

from __future__ import annotations

from dataclasses import dataclass, field

from mldbg.contracts.error import ContractError, Violation


@dataclass(frozen=True, slots=True)
class Finding:
    """One misuse of a tensor's meaning.

    rule: the linter's name for it, where the linter has the rule.
    producer: `path:line` of the user's code that gave the tensor its meaning.
    consumer: `path:line` of the user's code that misused it.
    message: what happens, in one line.
    violation: all that is known, as `ContractError` shows it.
    """

    rule: str
    producer: str
    consumer: str
    message: str
    violation: Violation = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.consumer}: {self.message} (made at {self.producer}) [{self.rule}]"

    def error(self) -> ContractError:
        """The finding as an exception."""
        return ContractError(self.violation)


@dataclass(slots=True)
class Report:
    """What `sanitize` has seen so far. Each finding is listed once, however often its lines run."""

    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "no findings"
