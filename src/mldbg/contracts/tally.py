"""How often the values of one place of a contract were judged, and why they were not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Numbers of tensors.

    judged: of their values. sampled: those among them of which only some rows were looked at. left_out: reason -> not judged.
    """

    judged: int = 0
    sampled: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def judge(self, *, sampled: bool) -> None:
        """The values of one tensor have been judged."""
        self.judged += 1
        self.sampled += sampled

    def leave_out(self, reason: str) -> None:
        """The values of one tensor are not judged."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def copy(self) -> Tally:
        """The tally as it stands."""
        return Tally(self.judged, self.sampled, dict(self.left_out))

    def since(self, before: Tally) -> Tally:
        """What has come since `before`."""
        return Tally(self.judged - before.judged, self.sampled - before.sampled, _more(self.left_out, before.left_out))

    def __bool__(self) -> bool:
        return bool(self.judged or self.left_out)

    def __deepcopy__(self, memo: object) -> Tally:
        return self  # a copy of a model is checked at the same places


def _more(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    differences = {reason: count - before.get(reason, 0) for reason, count in now.items()}
    return {reason: count for reason, count in differences.items() if count}
