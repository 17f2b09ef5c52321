"""A run as a page, as data, or for a terminal: one module each. `Record` is what all three are made from."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from mldbg import __version__
from mldbg.verify.catalogue import Entry, entries
from mldbg.verify.outcome import Outcome, Verdict
from mldbg.verify.run import Report

ORDER = (Verdict.FAIL, Verdict.WARN, Verdict.CANNOT_TELL, Verdict.PASS, Verdict.SKIP)
"""What needs a reader's attention first."""

INCOMPLETE = "INCOMPLETE"
"""The verdict on a run in which nothing failed, but something could not be measured."""


def versions() -> dict[str, str]:
    """Of everything that a number may depend on."""
    found = {"mldebug-lint": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # on the path without having been installed
            continue
    return found


@dataclass(frozen=True, slots=True)
class Record:
    """A run and what it was about.

    Attributes:
        subject: the experiment, as the user named it.
        report: what was measured.
        catalogue: what is known of the checks, by name.
        versions: of the packages involved.
    """

    subject: str
    report: Report
    catalogue: Mapping[str, Entry] = field(default_factory=entries)
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def counts(self) -> dict[Verdict, int]:
        """How often each verdict was given, in order of attention."""
        seen = Counter(outcome.verdict for outcome in self.report.outcomes)
        return {verdict: seen[verdict] for verdict in ORDER}

    @property
    def verdict(self) -> str:
        """On the whole run: the verdict that needs most attention, where INCOMPLETE comes right after FAIL."""
        counts = self.counts
        if counts[Verdict.FAIL]:
            return Verdict.FAIL
        if self.report.problems:
            return INCOMPLETE
        return next((verdict for verdict in ORDER if counts[verdict]), Verdict.SKIP)

    def of(self, *verdicts: Verdict) -> list[Outcome]:
        """The outcomes with these verdicts, in order of attention, then in gate order."""
        wanted = [outcome for outcome in self.report.outcomes if outcome.verdict in verdicts]
        return sorted(wanted, key=lambda outcome: ORDER.index(outcome.verdict))

    @property
    def floor(self) -> str:
        """The noise floor in one line."""
        floor = self.report.floor
        if floor is None:
            return "not measured"
        rounding = f"{floor.rounding:.1g}" if math.isfinite(floor.rounding) else "not measurable (no float64)"
        return f"repeatability {floor.repeatability:.1g}, rounding {rounding}, over seeds {floor.reproducibility:.1g}"


def counted(number: int, one: str, several: str | None = None) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else several or one + 's'}"
