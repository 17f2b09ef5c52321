"""What a record holds beside attributes: slots of its own, which no name in a program can reach."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import cache

from mldbg.lint.interpret.address import Ref


class Slot(Enum):
    """One thing that the interpreter keeps in a record. Members are compared and hashed by identity: records are read often."""

    CLOSURE = auto()
    """Of a frame: the frame around it."""
    ITEMS = auto()
    """Of a list, dict or container of layers: its content."""
    NAMES = auto()
    """Of an nn.ModuleDict: its content by name, as it was made."""
    BOUNDED = auto()
    """Of a deque: it has a greatest length."""
    BASES = auto()
    """Of a class: its bases."""
    FIELDS = auto()
    """Of a class: the names that its body annotates."""
    DATACLASS = auto()
    """Of a class: a decorator makes its __init__ from its fields."""
    UNBUILT = auto()
    """Of an object: its __init__ waits until somebody looks into it."""
    MODE = auto()
    """Of a torch module: whether it is in training mode."""
    MODE_SET = auto()
    """Of a module that is not built yet: somebody has set its mode, so that what it holds takes it over once it is built."""
    LOADED = auto()
    """Of a torch module: it was given the weights of a file, and nobody has set its mode since."""
    FITS = auto()
    """Of an estimator: what it was fitted on last, as a fit."""
    TRAINED = auto()
    """Of an estimator: the data that it was fitted on last."""
    PROMISED = auto()
    """Of a torch module: what was attached to it, by its number."""
    ANY_OPTIMIZER = auto()
    """In the record of gradients: those of all optimizers together."""
    UNNAMED = auto()
    """In the record of gradients: those of an optimizer of which nothing is known."""

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True, eq=False)
class ArgumentOf:
    """Of an object: an argument of the constructor that made it. `argument_of` makes each only once."""

    name: str


@cache
def argument_of(name: str) -> ArgumentOf:
    """The slot of a constructor's argument: by the parameter's name, or by the position where that is all that is known."""
    return ArgumentOf(name)


Key = str | Slot | ArgumentOf | Ref
"""In a record: an attribute or variable, a slot; in the record of gradients an optimizer or model."""
