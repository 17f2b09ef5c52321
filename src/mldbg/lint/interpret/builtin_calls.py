"""Functions of Python itself, and others that are like none else: each has a way of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.carried import summed
from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.command_line import CommandLine
from mldbg.lint.interpret.construction import Construction
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.datasets import held_fits
from mldbg.lint.interpret.join import is_loss, joined, tuple_of
from mldbg.lint.interpret.lineage import Lineage, derived_data, made_of_element
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.parts import made_of, parts_of
from mldbg.lint.interpret.slots import Slot, argument_of
from mldbg.lint.interpret.training import refers_to_weights
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ClassThing,
    Constant,
    Entries,
    Function,
    Items,
    ModuleThing,
    Object,
    Partial,
    Super,
    Symbol,
    Value,
    literal,
)
from mldbg.lint.interpret.workers import Workers
from mldbg.operations import tables
from mldbg.operations.loading import LOADER, REST
from mldbg.semantics import Semantic

NAMESPACE = "types.SimpleNamespace"
"""The class of objects that only hold attributes."""

HOLDING = frozenset({"namespace", "partial", "of_named_tuple", "filled", "waiting"})
"""Rows that only hold what they are given, or ask for no more than constants."""

_BUILTIN_CLASSES = frozenset(f"builtins.{cls.__name__}" for cls in (str, bytes, int, float, bool, list, tuple, dict, set, type))
_SEQUENCES = frozenset({"builtins.list", "builtins.tuple"})

_OF_CHECKPOINT = ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop")


class BuiltinCalls:
    """The functions that rows `Special(name)` of the library tables name."""

    def __init__(
        self,
        machine: Machine,
        classes: Classes,
        contents: Contents,
        lineage: Lineage,
        construction: Construction,
        workers: Workers,
    ) -> None:
        self.workers = workers
        self.machine = machine
        self.classes = classes
        self.contents = contents
        self.lineage = lineage
        self.construction = construction
        command_line = CommandLine(machine)
        self._by_name: dict[str, Callable[[Sequence[Argument], Site], Value]] = {
            "list": lambda arguments, site: self._sequence("builtins.list", arguments, site),
            "deque": self._deque,
            "tuple": lambda arguments, site: self._sequence("builtins.tuple", arguments, site),
            "dict": self._dict,
            "enumerate": self._enumerate,
            "zip": self._zip,
            "reversed": self._reversed,
            "next": self._next,
            "getattr": self._getattr,
            "globals": self._globals,
            "setattr": self._setattr,
            "isinstance": self._isinstance,
            "is_class": self._is_class,
            "default_dict": self._default_dict,
            "super": self._super,
            "sum": self._sum,
            "map": self._map,
            "field": self._field,
            "partial": self._partial,
            "clone": construction.clone,
            "shallow": construction.shallow,
            "replaced": construction.replaced,
            "shuffle": self._each_derived,
            "tensor_dataset": self._tensor_dataset,
            "loader": self._loader,
            "subset": self._subset,
            "called": self._called,
            "called_in_turn": self._called_in_turn,
            "namespace": self._namespace,
            "add_option": command_line.add,
            "set_options": command_line.set,
            "parse_options": command_line.parse,
            "named_tuple": self._named_tuple,
            "of_named_tuple": self._of_named_tuple,
        }

    def named(self, name: str) -> Callable[[Sequence[Argument], Site], Value] | None:
        """The function for the name in a row."""
        return self._by_name.get(name)

    def _sequence(self, cls: str, arguments: Sequence[Argument], site: Site) -> Value:
        known = self.contents.items_of(arguments[0].value) if arguments else Items(cls, ())
        items = (
            replace(known, cls=cls) if known is not None else Items(cls, (), self.contents.element_of(arguments[0].value, site))
        )
        made = self.contents.new_sequence(site.node, items) if cls == "builtins.list" else Value(items)
        return made if known is not None else replace(made, data=derived_data(arguments[0].value))  # all rows of an array

    def _deque(self, arguments: Sequence[Argument], site: Site) -> Value:
        given = [argument for argument in arguments if argument.keyword in (None, "iterable")]
        made = self._sequence("builtins.list", given[:1], site)
        named = (argument.value for argument in arguments if argument.keyword == "maxlen")
        limit = next(named, given[1].value if len(given) > 1 else None)
        if limit is not None and not limit.is_none and isinstance(made.thing, Object):
            self.machine.state.set(made.thing.ref, Slot.BOUNDED, limit)
        return made

    def _dict(self, arguments: Sequence[Argument], site: Site) -> Value:
        if len(arguments) == 1 and refers_to_weights(arguments[0].value):
            return arguments[0].value  # another dict of the same tensors
        return self.contents.new_mapping(site.node, self.contents.merged(arguments, Entries(())))

    def _default_dict(self, arguments: Sequence[Argument], site: Site) -> Value:
        """A dict that makes objects of a class of the project; one of lists or numbers is followed by where these stand."""
        makes_objects = bool(arguments) and isinstance(arguments[0].value.thing, ClassThing)
        if makes_objects:
            return self.construction.construct("collections.defaultdict", arguments, site)
        return self.lineage.unknown_result(site)

    def _enumerate(self, arguments: Sequence[Argument], site: Site) -> Value:
        if not arguments:
            return UNKNOWN
        items = self.contents.items_of(arguments[0].value)
        start = self.machine.force(arguments[1].value).constant if len(arguments) > 1 else 0
        if items is not None and items.exact:
            numbers = [literal(start + place) if isinstance(start, int) else UNKNOWN for place in range(len(items.tail))]
            pairs = tuple(tuple_of(number, value) for number, value in zip(numbers, items.tail, strict=True))
            return Value(Items("builtins.generator", pairs))
        element = self.contents.element_of(arguments[0].value, site)
        data, loaders = arguments[0].value.data, arguments[0].value.loaders
        return Value(Items("builtins.generator", (), tuple_of(UNKNOWN, element)), data=data, loaders=loaders)

    def _zip(self, arguments: Sequence[Argument], site: Site) -> Value:
        contents = [self.contents.items_of(argument.value) for argument in arguments]
        exact = [items.tail for items in contents if items is not None and items.exact]
        if len(exact) == len(contents) and exact:
            return Value(Items("builtins.generator", tuple(tuple_of(*row) for row in zip(*exact, strict=False))))
        elements = [self.contents.element_of(argument.value, site) for argument in arguments]
        loaders = frozenset[Ref]().union(*(argument.value.loaders for argument in arguments))
        return Value(Items("builtins.generator", (), tuple_of(*elements)), loaders=loaders)

    def _reversed(self, arguments: Sequence[Argument], site: Site) -> Value:
        items = self.contents.items_of(arguments[0].value) if arguments else None
        if items is None:
            return UNKNOWN
        return Value(replace(items, tail=items.tail[::-1]) if items.exact else Items(items.cls, (), joined(items.all)))

    def _next(self, arguments: Sequence[Argument], site: Site) -> Value:
        return self.contents.element_of(arguments[0].value, site) if arguments else UNKNOWN

    def _getattr(self, arguments: Sequence[Argument], site: Site) -> Value:
        if len(arguments) >= 2 and isinstance(arguments[1].value.constant, str):
            return self.machine.attribute(arguments[0].value, arguments[1].value.constant, site)
        if len(arguments) >= 2 and isinstance(arguments[0].value.thing, ModuleThing):
            return self.contents.member_of(arguments[0].value.thing.module, arguments[1].value, site)
        return UNKNOWN

    def _globals(self, arguments: Sequence[Argument], site: Site) -> Value:
        return Value(ModuleThing(self.machine.frame.module))

    def _setattr(self, arguments: Sequence[Argument], site: Site) -> Value:
        name = arguments[1].value.constant if len(arguments) == 3 else None
        for target in members(arguments[0].value) if isinstance(name, str) else ():
            if isinstance(target.thing, Object) and isinstance(name, str):
                self.contents.set_attribute(target.thing, name, arguments[2].value)
        return literal(None)

    def _isinstance(self, arguments: Sequence[Argument], site: Site) -> Value:
        """Decided for constants, containers and classes, and for objects of a known class."""
        if len(arguments) != 2:
            return UNKNOWN
        several = arguments[1].value.thing
        classes = several.tail if isinstance(several, Items) and several.exact else (arguments[1].value,)
        outcomes = [self._is_instance(arguments[0].value, cls) for cls in classes]
        if True in outcomes:
            return literal(True)
        return literal(False) if outcomes and None not in outcomes else UNKNOWN

    def _is_instance(self, value: Value, of: Value) -> bool | None:
        thing, cls = value.thing, of.thing
        if not isinstance(cls, ClassThing | Symbol):
            return None
        wanted = cls.name if isinstance(cls, Symbol) else cls
        known = _builtin_class(value)
        if known is not None and wanted in _BUILTIN_CLASSES:
            if known != wanted and {known, str(wanted)} <= _SEQUENCES:
                return None  # a loader may make lists of tuples
            return wanted == known or (known, wanted) == ("builtins.bool", "builtins.int")
        if not isinstance(thing, Object) or thing.cls is None:
            return None
        if isinstance(thing.cls, str):
            return True if thing.cls == wanted else None
        if self.classes.has_unknown_base(thing.cls):
            return None
        return True if wanted in list(self.classes.ancestors(thing.cls)) else None

    def _is_class(self, arguments: Sequence[Argument], site: Site) -> Value:
        thing = arguments[0].value.thing if arguments else UNKNOWN.thing
        if isinstance(thing, ClassThing) or (isinstance(thing, Symbol) and tables.is_class(thing.name)):
            return literal(True)
        return literal(False) if isinstance(thing, Constant | Function | Object | Items | Entries) else UNKNOWN

    def _super(self, arguments: Sequence[Argument], site: Site) -> Value:
        frame = next(
            (frame for frame in reversed(self.machine.frames) if frame.function is not None and frame.function.owner is not None),
            None,
        )
        if frame is None or frame.function is None or frame.function.owner is None:
            return UNKNOWN
        parameters = [*frame.function.node.params.posonly_params, *frame.function.node.params.params]
        receiver = self.machine.state.get(frame.ref, parameters[0].name.value) if parameters else None
        owner = frame.function.owner
        if arguments and isinstance(arguments[0].value.thing, ClassThing):
            owner = arguments[0].value.thing
        return Value(Super(owner, receiver)) if receiver is not None else UNKNOWN

    def _sum(self, arguments: Sequence[Argument], site: Site) -> Value:
        if not arguments:
            return UNKNOWN
        element = self.contents.element_of(arguments[0].value, site)
        rest = summed(element)
        total = replace(self.lineage.derived([arguments[0].value], site), meaning=rest.meaning, attached=element.attached)
        if rest.meaning not in (None, Semantic.SCALAR_LOSS):
            total = replace(total, axes=rest.axes, scaled=rest.scaled, trail=element.trail)
        total = replace(total, origin=self._origin_of_sum(arguments[0].value, total.origin))
        if total.data is None or self.contents.items_of(arguments[0].value) is not None:
            return total
        return replace(total, data=replace(total.data, condensed=True))

    def _origin_of_sum(self, summed: Value, made: Ref | None) -> Ref | None:
        """A sum of losses is made of them, and of the list that collects them."""
        items = self.contents.items_of(summed)
        losses = [value.origin for value in items.all if is_loss(value)] if items is not None else []
        if made is None or not losses:
            return made
        held = {summed.thing.ref} if isinstance(summed.thing, Object) else set()
        return made_of(made, frozenset(part for origin in losses for part in parts_of(origin)) | held)

    def _map(self, arguments: Sequence[Argument], site: Site) -> Value:
        if len(arguments) != 2:
            return UNKNOWN
        element = self.contents.element_of(arguments[1].value, site)
        made = made_of_element(self.machine.call(arguments[0].value, [Argument(element)], site), element)
        return Value(Items("builtins.generator", (), made))

    def _called(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`checkpoint(function, x, use_reentrant=False)`: the function gets the rest."""
        if not arguments:
            return UNKNOWN
        rest = [argument for argument in arguments[1:] if argument.keyword not in _OF_CHECKPOINT]
        return self.machine.call(arguments[0].value, rest, site)

    def _called_in_turn(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`checkpoint_sequential(layers, segments, x)`: layer after layer."""
        layers = self.contents.items_of(arguments[0].value) if arguments else None
        given = next((argument.value for argument in arguments if argument.keyword == "input"), None)
        value = given if given is not None else arguments[2].value if len(arguments) > 2 else UNKNOWN
        if layers is None or not layers.exact:
            return self.lineage.derived([value], site)
        for layer in layers.tail:
            value = self.machine.call(layer, [Argument(value)], site)
        return value

    def _namespace(self, arguments: Sequence[Argument], site: Site) -> Value:
        """An object whose attributes are the keyword arguments: SimpleNamespace, the output classes of transformers."""
        ref = self.machine.new_ref(site, Made.OBJECT, "namespace")
        self.machine.state.open(ref)
        for argument in arguments:
            if argument.keyword is not None:
                self.machine.state.set(ref, argument.keyword, argument.value)
        return Value(Object(ref, NAMESPACE), origin=ref)

    def _named_tuple(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`namedtuple("Output", "logits hidden")`: a class, known by the names of its fields."""
        named = next((argument.value for argument in arguments if argument.keyword == "field_names"), None)
        fields = named if named is not None else arguments[1].value if len(arguments) > 1 else UNKNOWN
        text = fields.constant
        if isinstance(text, str):
            names = text.replace(",", " ").split()
        else:
            items = self.contents.items_of(fields)
            if items is None or not items.exact:
                return UNKNOWN
            names = [str(item.constant) for item in items.tail if isinstance(item.constant, str)]
            if len(names) != len(items.tail):
                return UNKNOWN
        maker = Value(Symbol("collections.namedtuple.__new__"))
        return Value(Partial(maker, ((None, tuple_of(*map(literal, names))),)))

    def _of_named_tuple(self, arguments: Sequence[Argument], site: Site) -> Value:
        """An instance: its fields have names, and it unpacks like a tuple."""
        held = self.contents.items_of(arguments[0].value) if arguments else None
        names = [str(item.constant) for item in held.tail] if held is not None else []
        given = {argument.keyword: argument.value for argument in arguments[1:] if argument.keyword is not None}
        positional = [argument.value for argument in arguments[1:] if argument.keyword is None and not argument.star]
        given = dict(zip(names, positional, strict=False)) | given
        if any(argument.star for argument in arguments) or not names:
            return self.lineage.unknown_result(site)
        made = self._namespace([Argument(given.get(name, UNKNOWN), name) for name in names], site)
        assert isinstance(made.thing, Object)
        fields = Items("builtins.tuple", tuple(given.get(name, UNKNOWN) for name in names))
        self.machine.state.set(made.thing.ref, Slot.ITEMS, Value(fields))
        return made

    def _field(self, arguments: Sequence[Argument], site: Site) -> Value:
        factory = next((argument.value for argument in arguments if argument.keyword == "default_factory"), None)
        default = next((argument.value for argument in arguments if argument.keyword == "default"), None)
        if factory is not None:
            return self.machine.call(factory, [], site)
        return default or UNKNOWN

    def _partial(self, arguments: Sequence[Argument], site: Site) -> Value:
        if not arguments:
            return UNKNOWN
        given = tuple((argument.keyword, argument.value) for argument in arguments[1:] if not argument.star)
        return Value(Partial(arguments[0].value, given))

    def _each_derived(self, arguments: Sequence[Argument], site: Site) -> Value:
        values = [self.lineage.derived([argument.value], site) for argument in arguments if argument.keyword is None]
        return values[0] if len(values) == 1 else tuple_of(*values)

    def _tensor_dataset(self, arguments: Sequence[Argument], site: Site) -> Value:
        """A dataset of tensors: its lineage is that of the first, the features."""
        return self.lineage.derived([arguments[0].value], site) if arguments else UNKNOWN

    def _loader(self, arguments: Sequence[Argument], site: Site) -> Value:
        """A data loader: of its rows all is known that is known of the dataset."""
        ref = self.machine.new_ref(site, Made.OBJECT, LOADER)
        self.machine.state.open(ref)
        self.construction.construct_base(ref, LOADER, arguments)
        if any(argument.star for argument in arguments):
            self.machine.state.set(ref, argument_of(REST), UNKNOWN)
        self.workers.built(ref, site)
        dataset = self.machine.state.get(ref, argument_of("dataset")) or UNKNOWN
        return replace(dataset, loaders=frozenset({ref}))

    def _subset(self, arguments: Sequence[Argument], site: Site) -> Value:
        values = [argument.value for argument in arguments]
        if len(values) < 2:
            return UNKNOWN
        values[0] = held_fits(self.machine, values[0]) or values[0]
        return self.machine.item(self.lineage.derived(values[:1], site), [values[1]], site.node, site)


def _builtin_class(value: Value) -> str | None:
    """The class of a value that is one of Python's own; "" of one that certainly is none of them."""
    thing = value.thing
    if value.or_none or value.among is not None:
        return None
    if isinstance(thing, Constant):
        return f"builtins.{type(thing.value).__name__}"
    if isinstance(thing, Items | Entries):
        return thing.cls if isinstance(thing, Items) else "builtins.dict"
    if isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls in _BUILTIN_CLASSES:
        return thing.cls
    if isinstance(thing, ClassThing):
        return "builtins.type"
    return "" if isinstance(thing, Function) else None
