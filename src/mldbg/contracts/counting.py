"""`coverage`: what the contracts of a block have checked, what they have not, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from mldbg.contracts import promises, tracing
from mldbg.contracts.ledger import Row
from mldbg.contracts.modes import SETTING
from mldbg.contracts.promises import Contract
from mldbg.contracts.tally import Tally

SHOWN = 10
"""Names of what was never called that the table shows."""


@dataclass(frozen=True, slots=True)
class Line:
    """One contract, or the values of one of its parameters.

    contract: as in `ContractError.contract`; `check` for values of `check`.
    parameter: a parameter or `return`; for attached promises with the path of the module; empty for the contract itself.
    calls: calls under the contract, for a line about the contract or an attached module; else 0.
    judged: tensors whose values were judged. sampled: those of them of which 32 rows were looked at.
    left_out: reason -> tensors whose values were not judged for it; for a contract, calls that were not checked at all.
    """

    contract: str
    parameter: str = ""
    calls: int = 0
    judged: int = 0
    sampled: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Coverage:
    """What was checked. Its text is a table; inside the block of `coverage()` it is empty.

    lines: contracts that were called, with the parameters whose values mean something.
    never: promises that no call has met: contracts that were not called, and attached `path.parameter`s.
    """

    lines: tuple[Line, ...] = ()
    never: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("contract", "calls", "judged", "sampled", "not judged")]
        rows += [_cells(line, below) for line, below in _grouped(self.lines)] or [("nothing was called", "", "", "", "")]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join([name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:4]), reasons]).rstrip()
            for name, *numbers, reasons in rows
        ]
        if self.never:
            more = f" and {len(self.never) - SHOWN} more" if len(self.never) > SHOWN else ""
            table.append(f"never met: {', '.join(self.never[:SHOWN])}{more}")
        return "\n".join(table)


def _grouped(lines: Iterable[Line]) -> Iterator[tuple[Line, bool]]:
    """Each line, and whether it belongs to the one before."""
    contract = None
    for line in lines:
        yield line, line.contract == contract and bool(line.parameter)
        contract = line.contract


def _cells(line: Line, below: bool) -> tuple[str, ...]:
    name = f"  {line.parameter}" if below else ": ".join(filter(None, (line.contract, line.parameter)))
    reasons = "; ".join(f"{count} ({reason})" for reason, count in line.left_out.items())
    return name, *(str(number) if number else "" for number in (line.calls, line.judged, line.sampled)), reasons


@contextmanager
def coverage(*, show: bool = False) -> Iterator[Coverage]:
    """Count what contracts check until the block ends; then the object that the block got says so.

    show: print the table at the end.

    Calls of `@contract` functions and of modules with attached promises are counted, and each tensor whose annotation has a
    meaning. Where checks or their values are left out, the reason is counted: `off` and `shapes`, tensor subclasses, vmap, code
    compiled for an export, calls that failed first. Contracts in compiled code are compiled anew inside the block, to be counted.
    Outside such a block no calls are counted, at no cost.
    """
    found = Coverage()
    start = _Count()
    outside, SETTING.counting = SETTING.counting, True
    promises.count_calls(on=True)
    try:
        yield found
    finally:
        SETTING.counting = outside
        promises.count_calls(on=outside)
        found.lines, found.never = start.since()
        if show:
            print(found)  # noqa: T201 (asked for)


class _Count:
    """The numbers of all contracts at one moment."""

    def __init__(self) -> None:
        self.calls = {number: (one.calls, one.unchecked) for number, one in _counted()}
        self.tallies = {id(site.tally): site.tally.copy() for site in tracing.SITES}

    def since(self) -> tuple[tuple[Line, ...], tuple[str, ...]]:
        """The lines and the promises never met since then."""
        tallies = {
            (site.contract, site.parameter, id(site.tally)): site.tally.since(self.tallies.get(id(site.tally), Tally()))
            for site in tracing.SITES
        }
        lines: list[Line] = []
        never: list[str] = []
        for number, one in _counted():
            before = self.calls.get(number, (0, 0))
            calls, unchecked = one.calls - before[0], one.unchecked - before[1]
            mine = [(site.parameter, tallies.pop((site.contract, site.parameter, id(site.tally)), Tally())) for site in one.sites]
            lines += lines_of(one, calls, unchecked, mine)
            never += never_met(one, calls + unchecked)
        lines += [_valued(contract, parameter, tally) for (contract, parameter, _), tally in tallies.items() if tally]
        return tuple(lines), tuple(never)


def lines_of(one: Contract | Row, calls: int, unchecked: int, tallies: Iterable[tuple[str, Tally]]) -> Iterator[Line]:
    """The line of a contract or module that was called, and one for each place with values."""
    valued = [(parameter, tally) for parameter, tally in tallies if tally]
    if calls or unchecked or valued:
        path = one.path if isinstance(one, Row) else ""
        yield Line(one.name, path, calls, left_out={"mode off": unchecked} if unchecked else {})
    for parameter, tally in valued:
        yield _valued(one.name, parameter, tally)


def never_met(one: Contract | Row, calls: int) -> Iterator[str]:
    """What of a contract or of a module's promises no call has met."""
    if isinstance(one, Row):
        for name in one.names:
            if name in one.unmet or not (calls or one.traced):
                yield f"{one.name}: {f'{one.path}.{name}' if one.path else name}"
    elif not calls:
        yield one.name


def _valued(contract: str, parameter: str, tally: Tally) -> Line:
    return Line(contract, parameter, 0, tally.judged, tally.sampled, dict(tally.left_out))


def _counted() -> list[tuple[int, Contract | Row]]:
    return [(number, one) for number, one in sorted(tracing.COUNTED.items()) if isinstance(one, (Contract, Row))]
