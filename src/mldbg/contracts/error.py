"""`ContractError`: what was promised, what came, where each axis got its size, why, and what to do."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import FrameType


class ContractWarning(UserWarning):
    """A promise is not checked, or not everywhere."""


_announced: set[str] = set()


def announce_once(key: str, text: str, category: type[ContractWarning] = ContractWarning) -> None:
    """Warn at the first line outside this package, unless something with the same key has been said before."""
    if key in _announced:
        return
    _announced.add(key)
    package, depth = __name__.rpartition(".")[0], 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    while frame is not None and frame.f_globals.get("__name__", "").startswith(package):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(text, category, stacklevel=depth)


_RESULT, _IN_WORDS = "return", "the result"


def in_words(path: str) -> str:
    """A path as it reads in a sentence: `the result[1]` of `return[1]`."""
    return _IN_WORDS + path.removeprefix(_RESULT) if re.match(rf"{_RESULT}\b", path) else path


def _path(words: str) -> str:
    return _RESULT + words.removeprefix(_IN_WORDS) if re.match(rf"{_IN_WORDS}\b", words) else words


@dataclass(frozen=True, slots=True)
class Binding:
    """An axis name that has a size.

    name: the axis as written in the annotation (`batch`, `*lead`).
    size: what it stands for: one size, or a tuple of sizes for `*name`.
    where: the first place that gave it this size (`x, axis 0`).
    """

    name: str
    size: int | tuple[int, ...]
    where: str

    def __str__(self) -> str:
        return f"{self.name} = {self.size} from {in_words(self.where)}"


_TITLES = {
    "expected": "expected",
    "actual": "actual",
    "axis": "axis",
    "bound": "bindings",
    "given": "arguments",
    "values": "statistics",
    "produced": "producer",
    "consumed": "consumer",
    "cause": "cause",
    "do": "advice",
    "ranks": "ranks",
    "contract": "place",
    "rule": "rule",
}
"""What a line of the text begins with -> the field of a violation."""


@dataclass(frozen=True, slots=True)
class Violation:
    """All that is known about one broken contract. Plain data, so that it travels between processes.

    contract: the function, module or operation that made the promise (`Classifier.forward`).
    parameter: what broke it: a parameter, `return`, `yield 2`, `check`; with the place inside a container (`xs[3].mask`).
    expected: what was promised, in words.
    actual: what came, in words.
    axis: the axis at fault (`axis 1 (classes)`), empty where no single one is.
    bindings: every axis that had a size, and where it got it.
    statistics: name -> number, of the values that came (`min`, `max`, `lowest row sum`, `NaN count`).
    arguments: the shape of each argument (`a (2, 3), b (2, 3)`), where several have to agree about an axis.
    cause: what probably went wrong.
    advice: what to do about it.
    place: `path:line` of the promise.
    rule: name of the linter's rule for this mistake, where there is one.
    producer: `path:line` of the code that made the value, where it is known.
    consumer: `path:line` of the code that misused it, where it is known.
    ranks: the ranks of a distributed run on which it happened.
    """

    contract: str
    parameter: str
    expected: str
    actual: str
    axis: str = ""
    bindings: tuple[Binding, ...] = ()
    statistics: Mapping[str, float] = field(default_factory=dict)
    cause: str = ""
    advice: str = ""
    place: str = ""
    rule: str = ""
    producer: str = ""
    consumer: str = ""
    ranks: tuple[int, ...] = ()
    arguments: str = ""

    @property
    def subject(self) -> str:
        """The contract and the part of it that was broken, as one phrase."""
        return f"{self.contract}: {in_words(self.parameter)}" if self.parameter else self.contract

    def __str__(self) -> str:
        lists = {
            "bindings": ", ".join(map(str, self.bindings)),
            "statistics": ", ".join(f"{name} {number:.6g}" for name, number in self.statistics.items()),
            "ranks": ", ".join(map(str, self.ranks)),
        }
        rows = [(title, lists[name] if name in lists else getattr(self, name)) for title, name in _TITLES.items()]
        return "\n".join([self.subject, *(f"  {title:<9} {_continued(text)}" for title, text in rows if text)])


def _continued(text: str) -> str:
    """Further lines of a text below its first one, where no title stands."""
    return text.replace("\n", "\n" + " " * 12)


class ContractError(Exception):
    """A value is not what a contract promises.

    The fields of `Violation` can be read on the error itself. `others` holds further violations of the same step: deferred
    checks find several at once.

    It can be made from its own text, also where that stands in a traceback: torch carries the exceptions of DataLoader workers,
    DataParallel threads and remote calls in this form. Numbers then have the digits of the text, and a text of any other kind is
    the whole message.
    """

    contract: str
    parameter: str
    expected: str
    actual: str
    axis: str
    bindings: tuple[Binding, ...]
    statistics: Mapping[str, float]
    cause: str
    advice: str
    place: str
    rule: str
    producer: str
    consumer: str
    ranks: tuple[int, ...]
    arguments: str

    def __init__(self, violation: Violation | str, others: tuple[Violation, ...] = ()) -> None:
        if isinstance(violation, str):
            text = violation
            violation, others = _read(text, type(self).__name__)
        else:
            text = _told(violation, others)
        self.violation = violation
        self.others = others
        for item in fields(Violation):
            setattr(self, item.name, getattr(violation, item.name))
        super().__init__(text)  # pickle makes the error from its text, then gives it back these attributes as they are


def _told(violation: Violation, others: tuple[Violation, ...]) -> str:
    texts = [str(violation)]
    if others:
        texts.append(f"and {len(others)} more in this step:")
        texts.extend("  " + str(other).replace("\n", "\n  ") for other in others)
    return "\n".join(texts)


_ROW = rf"  (?:{'|'.join(f'{title:<9}' for title in _TITLES)}) .*(?:\n {{12}}.*)*"
_BLOCK = re.compile(rf"^(?P<subject>\S.*)\n(?P<rows>{_ROW}(?:\n{_ROW})*)", re.MULTILINE)
_OTHERS = re.compile(r"\nand \d+ more in this step:((?:\n  .*)+)")
_SIZE = r"(?:\d+|\([\d, ]*\))"
_BINDING = re.compile(rf"(\S+) = ({_SIZE}) from (.*?)(?=, \S+ = {_SIZE} from |$)", re.DOTALL)


def _read(text: str, name: str) -> tuple[Violation, tuple[Violation, ...]]:
    """The violations that the text of an error tells, or the traceback that ends with it.

    name: of the class, which stands before the subject in a traceback.
    """
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        return Violation(text, "", "", ""), ()
    last = blocks[-1]
    others = _OTHERS.match(text, last.end())
    try:
        return _read_block(re.sub(rf"^(?:[\w.]+\.)?{name}: ", "", last["subject"]), last["rows"]), tuple(
            _read_block(block["subject"], block["rows"])
            for block in _BLOCK.finditer(others[1].replace("\n  ", "\n") if others else "")
        )
    except ValueError:  # somebody else's text, which only looks like one
        return Violation(text, "", "", ""), ()


def _read_block(subject: str, rows: str) -> Violation:
    contract, _, parameter = subject.partition(": ")
    found = {}
    for row in re.split(r"\n(?! {12})", rows):
        found[_TITLES[row[2:11].rstrip()]] = row[12:].replace("\n" + " " * 12, "\n")
    sizes = _BINDING.findall(found.pop("bindings", ""))
    bindings = [Binding(name, ast.literal_eval(size), _path(where)) for name, size, where in sizes]
    numbers = [item.rpartition(" ") for item in filter(None, found.pop("statistics", "").split(", "))]
    return Violation(
        contract,
        _path(parameter),
        found.pop("expected", ""),
        found.pop("actual", ""),
        bindings=tuple(bindings),
        statistics={name: float(number) for name, _, number in numbers},
        ranks=tuple(int(rank) for rank in filter(None, found.pop("ranks", "").split(", "))),
        **found,
    )
