"""Models of other libraries whose last layers the program has replaced: `model.fc = nn.Linear(512, 10)`."""

from __future__ import annotations

from collections.abc import Mapping

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import UNKNOWN, Method, Object, Value
from mldbg.operations import torch


def heads_of(cls: object) -> Mapping[str, int]:
    """The attributes that may hold a model's last layers, each with the index of the last of these, by its factory."""
    if not isinstance(cls, str):
        return {}
    return next((heads for prefix, heads in torch.MODEL_HEADS.items() if cls.startswith(prefix)), {})


def replace_last(machine: Machine, part: Method, index: Value, value: Value) -> None:
    """Execute `model.classifier[6] = value`."""
    model = part.receiver.thing
    if not isinstance(model, Object):
        return
    last = heads_of(model.cls).get(part.name)
    if last is not None:
        machine.state.set(model.ref, part.name, value if index.constant in (-1, last) else UNKNOWN)


def run(machine: Machine, model: Object, site: Site) -> Value | None:
    """What a model gives that ends with layers of the program's own; None for another."""
    held = (machine.state.get(model.ref, name) for name in heads_of(model.cls))
    head = next((value for value in held if value is not None and isinstance(value.thing, Object)), None)
    return machine.call(head, [Argument(UNKNOWN)], site) if head is not None else None
