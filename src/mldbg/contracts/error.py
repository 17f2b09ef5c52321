"""`ContractError`: what was promised, what came, where each axis got its size, why, and what to do."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import FrameType
from typing import Any


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
        return f"{self.name} = {self.size} from {self.where}"


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

    @property
    def subject(self) -> str:
        """The contract and the part of it that was broken, as one phrase."""
        match self.parameter:
            case "":
                return self.contract
            case "return":
                return f"{self.contract}: the result"
            case _:
                return f"{self.contract}: {self.parameter}"

    def __str__(self) -> str:
        rows = [
            ("expected", self.expected),
            ("actual", self.actual),
            ("axis", self.axis),
            ("bound", ", ".join(map(str, self.bindings))),
            ("values", ", ".join(f"{name} {number:.6g}" for name, number in self.statistics.items())),
            ("produced", self.producer),
            ("consumed", self.consumer),
            ("cause", self.cause),
            ("do", self.advice),
            ("ranks", ", ".join(map(str, self.ranks))),
            ("contract", self.place),
            ("rule", self.rule),
        ]
        return "\n".join([self.subject, *(f"  {title:<9} {text}" for title, text in rows if text)])


class ContractError(Exception):
    """A value is not what a contract promises.

    The fields of `Violation` can be read on the error itself. `others` holds further violations of the same step: deferred
    checks find several at once.
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

    def __init__(self, violation: Violation, others: tuple[Violation, ...] = ()) -> None:
        self.violation = violation
        self.others = others
        for item in fields(Violation):
            setattr(self, item.name, getattr(violation, item.name))
        super().__init__(self._text())

    def _text(self) -> str:
        texts = [str(self.violation)]
        if self.others:
            texts.append(f"and {len(self.others)} more in this step:")
            texts.extend("  " + str(other).replace("\n", "\n  ") for other in self.others)
        return "\n".join(texts)

    def __reduce__(self) -> tuple[Any, ...]:
        return ContractError, (self.violation, self.others)
