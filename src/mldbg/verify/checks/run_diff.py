from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure as Canvas

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome

NESTED = "config"
"""The entry whose keys count one by one."""

ABSENT = "(absent)"


class RunDiff(Check):
    """two compared runs differ in only one thing

    ## Why
    If two runs differ in both the learning rate and the seed, the difference in score cannot be attributed to either.

    ## Measures
    The entries of both run records, compared exactly: code, data, seed and env (usually hashes) count as one thing each, config
    counts key by key, nested keys by their path. More than one difference, and nothing can be attributed.

    ## Causes
    - `confounded-comparison`: more than one thing differs.

    ## Limits
    It trusts the records. What they do not hold (the machine, the order of the data) it cannot compare; two records without
    any difference measure the noise floor.
    """

    id = "T10"
    stage = Stage.LEARNING
    kind = Kind.EXACT
    needs = ("runs",)
    cost = 0.01

    def run(self, bench: Bench) -> Outcome:
        records = bench.experiment.runs
        assert records is not None  # needs
        given: Any = records  # what the user gave may be anything
        if len(given) != 2 or not all(isinstance(record, Mapping) for record in given):
            return self.skipped("runs must be two mappings", 'set runs=({"config": ..., "seed": ...}, {...})')
        first, second = (_flat(record) for record in records)
        names = sorted(first.keys() | second.keys())
        if not names:
            return self.skipped("both records are empty", "provide code, data, config, seed or env for both runs")
        different = [name for name in names if not _same(first.get(name, ABSENT), second.get(name, ABSENT))]
        numbers: dict[str, Any] = {
            "figure": Figure(
                "What two runs have in common, and what differs",
                lambda canvas: _drawn(canvas, names, first, second, different),
                "Red rows differ. With more than one of them, a difference in score cannot be attributed.",
            ),
            "statistic": float(len(different)),
            "null": "at most 1 difference",
            "threshold": 1.0,
            "different": {name: (repr(first.get(name, ABSENT)), repr(second.get(name, ABSENT))) for name in different},
        }
        if len(different) > 1:
            return self.failed(
                "confounded-comparison",
                f"{len(different)} things differ: {', '.join(different[:6])}{', ...' if len(different) > 6 else ''}",
                "repeat one of the runs so that only the thing in question differs",
                **numbers,
            )
        if different:
            return self.passed(
                f"only {different[0]} differs: a score difference beyond the spread of seeds is due to it", **numbers
            )
        return self.passed("nothing differs: the difference between their scores is the noise floor", **numbers)


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Entries by name; those of the configuration by path."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat.update(_paths(str(name), value) if name == NESTED else {str(name): value})
    return flat


def _paths(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, each in value.items():
        found.update(_paths(f"{prefix}.{name}", each))
    return found


def _same(first: Any, second: Any) -> bool:
    """Equality that survives arrays and NaN."""
    return repr(first) == repr(second) if type(first) is type(second) else first is second


def _drawn(canvas: Canvas, names: list[str], first: dict[str, Any], second: dict[str, Any], different: list[str]) -> None:
    ax = draw.axes(canvas, "", "")
    ax.set_axis_off()
    cells = [[name, *(str(record.get(name, ABSENT))[:24] for record in (first, second))] for name in names]
    table = ax.table(cellText=cells, colLabels=["", "first run", "second run"], loc="center", cellLoc="left", edges="horizontal")
    for row, name in enumerate(names, 1):
        for column in range(3):
            table[row, column].get_text().set_color(draw.BAD if name in different else draw.INK)
