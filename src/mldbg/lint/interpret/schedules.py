"""Learning-rate schedulers: which optimizer each has, and how long its schedule is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libcst as cst

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Schedule, SchedulerStep
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import argument_of
from mldbg.lint.interpret.source_text import last_name
from mldbg.lint.interpret.value import UNKNOWN, Object, Unknown, Value
from mldbg.operations import schedulers


def step_scheduler(
    machine: Machine, classes: Classes, contents: Contents, base: Value, arguments: Sequence[Argument], site: Site
) -> None:
    """Tell of a scheduler's step: of one that is known to be one, or of something unknown that is called so.

    A scheduler of torch takes at most a metric; a noise scheduler, which is called so too, takes more.
    """
    thing = base.thing
    cls = classes.outside_base(thing.cls) if isinstance(thing, Object) else None
    known = cls is not None and schedulers.is_scheduler_class(cls)
    may_be = isinstance(thing, Unknown) or (isinstance(thing, Object) and thing.cls is None)
    if not known and not (may_be and len(arguments) <= 1 and schedulers.SCHEDULER_NAME.search(_called(site))):
        return
    inside = list(_inside(machine, contents, base))
    held = (_argument(machine, one, "optimizer") for one in inside)
    optimizer = next((one for one in held if one is not None and not one.is_none), UNKNOWN)
    lengths = tuple(length for one in inside for length in _lengths(machine, one))
    machine.facts.append(SchedulerStep(machine.place(site), base, optimizer, len(arguments), lengths))


def _called(site: Site) -> str:
    function = site.node.func if isinstance(site.node, cst.Call) else None
    return last_name(function.value) if isinstance(function, cst.Attribute) else ""


def _argument(machine: Machine, scheduler: Object, name: str) -> Value | None:
    return machine.state.get(scheduler.ref, argument_of(name))


def _inside(machine: Machine, contents: Contents, scheduler: Value) -> Iterator[Object]:
    """A scheduler, and those that it runs in turn."""
    seen: set[Ref] = set()
    todo = [scheduler]
    while todo:
        thing = todo.pop(0).thing
        if isinstance(thing, Object) and thing.ref not in seen:
            seen.add(thing.ref)
            yield thing
            chained = contents.items_of(_argument(machine, thing, "schedulers") or UNKNOWN)
            todo += chained.tail if chained is not None else ()


def _lengths(machine: Machine, scheduler: Object) -> Iterator[Schedule]:
    """What the call that built a scheduler says of its length."""
    site = scheduler.ref.site
    node = site.node if site is not None else None
    if site is None or not isinstance(node, cst.Call) or any(arg.star for arg in node.args):
        return
    names = schedulers.parameters_of_call(last_name(node.func))
    positional = [arg.value for arg in node.args if arg.keyword is None]
    given = dict(zip(names, positional, strict=False)) | {
        arg.keyword.value: arg.value for arg in node.args if arg.keyword is not None
    }
    for name in schedulers.COUNTING if names else ():
        if name in given:
            yield Schedule(site, name, given[name], _argument(machine, scheduler, name) or UNKNOWN)
    if "steps_per_epoch" in given:
        yield Schedule(site, "steps_per_epoch", given["steps_per_epoch"], UNKNOWN)
