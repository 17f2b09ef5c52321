"""Modules that another library trains: it calls the module, and then the loss on what the module gave."""

from __future__ import annotations

from collections.abc import Sequence

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import UNKNOWN, Bound, ClassThing, Function, Object, Partial, Symbol, Value
from mldbg.operations import tables
from mldbg.operations.effect import Loss, Trains


def run(machine: Machine, effect: Trains, given: dict[str, Value], arguments: Sequence[Argument], site: Site) -> None:
    """Execute what such an object does with its module and its loss, where both are known."""
    if effect.changed_by in given or any(argument.star for argument in arguments):
        return
    usual = Value(Symbol(effect.usual)) if effect.usual is not None else UNKNOWN
    loss = _made(machine, effect.loss, given.get(effect.loss, usual), arguments, site)
    if loss is None or _function_of(machine, loss) in effect.prepared_for:
        return
    mark = len(machine.facts)  # where the module is trained, and in which mode, is not known: the rules hear of the loss only
    module = _made(machine, effect.module, given.get(effect.module, UNKNOWN), arguments, site)
    output = machine.call(module, [Argument(UNKNOWN)], site) if module is not None else UNKNOWN
    del machine.facts[mark:]
    named = next(
        (argument.node for argument in arguments if argument.node is not None and argument.value is given.get(effect.loss)), None
    )
    machine.call(loss, [Argument(output), Argument(UNKNOWN)], machine.site(named) if named is not None else site)


def _made(machine: Machine, name: str, value: Value, arguments: Sequence[Argument], site: Site) -> Value | None:
    """The object itself, or one of the class that is given; `module__hidden=8` is an argument for it. None: it is not known."""
    thing = machine.force(value).thing
    if isinstance(thing, Object | Bound) or (isinstance(thing, Symbol) and isinstance(machine.effect_of(thing.name), Loss)):
        return value
    if isinstance(thing, ClassThing | Partial) or (isinstance(thing, Symbol) and tables.is_class(thing.name)):
        own = [(argument, (argument.keyword or "").removeprefix(f"{name}__")) for argument in arguments]
        return machine.call(value, [Argument(each.value, key) for each, key in own if key not in ("", each.keyword)], site)
    return value if isinstance(thing, Function) else None


def _function_of(machine: Machine, loss: Value) -> str | None:
    """The name of the function of torch that a loss computes."""
    thing = loss.thing
    name = thing.name if isinstance(thing, Symbol) else thing.cls if isinstance(thing, Object) else None
    effect = machine.effect_of(name) or machine.effect_of(f"{name}.__call__") if isinstance(name, str) else None
    return effect.name if isinstance(effect, Loss) else None
