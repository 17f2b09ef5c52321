"""What the author of a check subclasses."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING, ClassVar

from mldbg.verify.outcome import Figure, Outcome, Verdict

if TYPE_CHECKING:
    from mldbg.verify.bench import Bench


class Stage(IntEnum):
    """The gate order: calibrate before you collect."""

    APPARATUS = 1
    LOSS = 2
    WIRING = 3
    LEARNING = 4

    @property
    def title(self) -> str:
        return {1: "apparatus", 2: "loss", 3: "wiring", 4: "learning"}[self.value]


class Kind(Enum):
    """How a verdict is reached.

    EXACT: an identity must hold to rounding. STATISTICAL: a permutation or bootstrap null, Holm within a stage.
    HEURISTIC: may warn, never fails a run.
    """

    EXACT = "exact"
    STATISTICAL = "statistical"
    HEURISTIC = "heuristic"


def gate_order(stage: Stage, kind: Kind, name: str) -> tuple[int, int, str, int]:
    """Sorts checks by stage, then by how firm their verdicts are, then by id (U1): what must hold to rounding is asked first."""
    return stage, list(Kind).index(kind), name[0], int(name[1:])


class Check:
    """One measurement. A subclass in a module `loss_at_init` is the check loss-at-init; an instance lives for one run.

    Its docstring is its page: a summary line and the sections Why, Measures, Causes, Limits. Causes lists every cause that the
    check can name, one to a line, as `cause-name`: what it means.

    Attributes:
        id: as in the list of checks, like U1.
        stage: its place in the gate order.
        kind: see `Kind`.
        needs: fields of the experiment without which the check is skipped.
        after: checks whose failure greys this one out; stages stand for all their checks.
        cost: expected seconds on a small network, two cores; what a budget is divided by.
    """

    name: ClassVar[str]
    id: ClassVar[str]
    stage: ClassVar[Stage]
    kind: ClassVar[Kind]
    needs: ClassVar[tuple[str, ...]] = ()
    after: ClassVar[tuple[str | Stage, ...]] = ()
    cost: ClassVar[float] = 0.1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = cls.__module__.rpartition(".")[2].replace("_", "-")

    def run(self, bench: Bench) -> Outcome:
        """Measure and judge.

        Raises:
            ExperimentError: the experiment cannot be run.
            OutOfTimeError: the check's time is over.
        """
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------------------------- the verdicts
    def passed(self, why: str, figure: Figure | None = None, **numbers: object) -> Outcome:
        """Nothing is wrong, as far as this check sees."""
        return self._outcome(Verdict.PASS, why, figure, **numbers)

    def failed(self, cause: str, why: str, next_step: str, figure: Figure | None = None, **numbers: object) -> Outcome:
        """Something is wrong; of a heuristic check a warning, as it never fails a run."""
        verdict = Verdict.WARN if self.kind is Kind.HEURISTIC else Verdict.FAIL
        return self._outcome(verdict, why, figure, cause=cause, next_step=next_step, **numbers)

    def warned(self, cause: str, why: str, next_step: str, figure: Figure | None = None, **numbers: object) -> Outcome:
        """Something is worth a look."""
        return self._outcome(Verdict.WARN, why, figure, cause=cause, next_step=next_step, **numbers)

    def cannot_tell(self, why: str, next_step: str, figure: Figure | None = None, **numbers: object) -> Outcome:
        """The power is too low; `why` names the smallest effect that would have been seen."""
        return self._outcome(Verdict.CANNOT_TELL, why, figure, next_step=next_step, **numbers)

    def skipped(self, why: str, next_step: str) -> Outcome:
        """The check was not done."""
        return self._outcome(Verdict.SKIP, why, None, next_step=next_step)

    def _outcome(self, verdict: Verdict, why: str, figure: Figure | None, **numbers: object) -> Outcome:
        """Numbers that `Outcome` has a field for go there, the others into its details."""
        own = {name: numbers.pop(name) for name in tuple(numbers) if name in Outcome.__dataclass_fields__}
        return Outcome(check=self.name, verdict=verdict, why=why, figure=figure, details=numbers, **own)  # type: ignore[arg-type]
