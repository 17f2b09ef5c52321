"""What a check says: a verdict with its cause, its numbers and its picture. Frozen data; nothing here computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


class Verdict(StrEnum):
    """The four verdicts, and SKIP for a check that was not done."""

    PASS = "PASS"  # noqa: S105  # no password
    FAIL = "FAIL"
    WARN = "WARN"
    CANNOT_TELL = "CANNOT-TELL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture that is drawn only when a report wants it.

    Attributes:
        title: what the picture shows, as a sentence.
        draw: draws on an empty matplotlib figure (`mldbg.verify.draw` holds the house style).
        caption: how to read it: what the band, the line and the marks are.
    """

    title: str
    draw: Callable[[Canvas], None] = field(compare=False, repr=False)
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found.

    Attributes:
        check: the check's name.
        verdict: see `Verdict`.
        cause: a short documented name of what is wrong (the linter's rule name where one exists); None unless FAIL or WARN.
        statistic: the measured number, without a unit: it does not change when the loss or the inputs are rescaled.
        null: what the statistic is when nothing is wrong, in words.
        threshold: the value of the statistic beyond which the verdict is not PASS.
        why: one sentence for the verdict, with the numbers in it.
        next_step: what to do now; of SKIP what to give so that the check can run.
        figure: the picture.
        p_value: of a statistical check the probability, under the null, of a statistic as extreme.
        details: further named numbers and texts, for the JSON report.
    """

    check: str
    verdict: Verdict
    cause: str | None = None
    statistic: float | None = None
    null: str = ""
    threshold: float | None = None
    why: str = ""
    next_step: str = ""
    figure: Figure | None = None
    p_value: float | None = None
    details: Mapping[str, object] = field(default_factory=dict)
