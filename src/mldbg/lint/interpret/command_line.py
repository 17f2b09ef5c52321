"""What a command's options are when nobody sets them: `parser.add_argument("--loss", default="bce")`."""

from __future__ import annotations

from collections.abc import Sequence

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import UNKNOWN, Constant, File, Object, Value

FLAGS = {"store_true": False, "store_false": True}
"""What an option that takes no value is by default, by its action."""


OPTIONS = "options"
"""The object that holds the options."""


class CommandLine:
    """Options of argparse: their values are not known, but what they usually are is."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def add(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`add_argument`: remember the default on the parser, under the name by which the parsed options have it."""
        parser = arguments[0].value.thing
        default = _default(arguments)
        name = _name(arguments)
        if isinstance(parser, Object) and name and default is not None:
            self.machine.state.set(parser.ref, _KEY + name, Value(default))
        return UNKNOWN

    def set(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`set_defaults(loss="bce")`."""
        parser = arguments[0].value.thing
        for argument in arguments[1:]:
            if isinstance(parser, Object) and argument.keyword is not None and isinstance(argument.value.thing, Constant):
                self.machine.state.set(parser.ref, _KEY + argument.keyword, argument.value)
        return UNKNOWN

    def parse(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`parse_args`: an object of unknown attributes, of which some are known to have a default."""
        machine = self.machine
        ref = machine.new_ref(site, Made.OBJECT, OPTIONS)
        machine.state.open(ref)
        parser = arguments[0].value.thing
        if isinstance(parser, Object):
            for key, value in list(machine.state.record(parser.ref).items()):
                if isinstance(key, str) and key.startswith(_KEY) and isinstance(value.thing, Constant):
                    machine.usual[ref.inside(Made.ATTRIBUTE, key.removeprefix(_KEY))] = value.thing
        return Value(Object(ref), origin=ref)


_KEY = "--"
"""In front of an option's name, so that no attribute of the parser is called like it."""


def _name(arguments: Sequence[Argument]) -> str:
    """The attribute that holds an option: `dest`, or the first long name, with underscores."""
    keyed = {argument.keyword: argument.value.constant for argument in arguments if argument.keyword is not None}
    if isinstance(keyed.get("dest"), str):
        return str(keyed["dest"])
    names = [argument.value.constant for argument in arguments[1:] if argument.keyword is None]
    said = [name for name in names if isinstance(name, str)]
    long = next((name for name in said if name.startswith("--")), said[0] if said else "")
    return long.lstrip("-").replace("-", "_")


def _default(arguments: Sequence[Argument]) -> Constant | None:
    keyed = {argument.keyword: argument.value for argument in arguments if argument.keyword is not None}
    if "default" in keyed:
        thing = keyed["default"].thing
        if isinstance(thing, File):
            return Constant("str", thing.path)
        return thing if isinstance(thing, Constant) else None
    action = keyed["action"].constant if "action" in keyed else None
    flag = FLAGS.get(action) if isinstance(action, str) else None
    return Constant("bool", flag) if flag is not None else None
