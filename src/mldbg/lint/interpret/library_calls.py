"""Calls of code outside the project: the library tables applied to abstract values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import libcst as cst

from mldbg.lint.interpret import carried
from mldbg.lint.interpret.expressions import derived_data
from mldbg.lint.interpret.facts import Accumulated, Call, Escape
from mldbg.lint.interpret.frames import Argument
from mldbg.lint.interpret.module import Site
from mldbg.lint.interpret.value import (
    UNKNOWN,
    Axes,
    ClassThing,
    Constant,
    Data,
    Items,
    Lazy,
    Mapping,
    Method,
    Object,
    Opaque,
    Partial,
    Ref,
    Super,
    Symbol,
    Unknown,
    Value,
    join_data,
    joined,
    literal,
    onward,
    tuple_of,
)
from mldbg.operations import tables, torch
from mldbg.operations.effect import (
    Affine,
    Choice,
    Clamps,
    CrossValidates,
    Derives,
    Drops,
    Effect,
    Fills,
    Gives,
    Keeps,
    Loss,
    Maps,
    Moves,
    NoEffect,
    RandomSplits,
    Resamples,
    Returns,
    Selects,
    Special,
    SplitsArrays,
    Wraps,
    WrapsAll,
)
from mldbg.operations.python import (
    DERIVING_PACKAGES,
    HARMLESS_PACKAGES,
    INSPECTING_ATTRIBUTES,
    INSPECTING_METHODS,
    TORCH_CLASS_PACKAGES,
)
from mldbg.operations.spelling import canonical
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.interpret.interpreter import Interpreter

MOST_COPIED = 200
"""Objects inside one that deepcopy is followed into."""

MOST_ROWS = 8
"""More sources than this in one value say nothing any more."""


class LibraryCalls:
    """Applies the tables. `wanted`: names of calls that some rule listens to."""

    def __init__(self, run: Interpreter) -> None:
        self.run = run
        self.wanted: frozenset[str] = frozenset()
        self.unpacking: tuple[cst.Call, tuple[str, ...]] | None = None
        self._special: dict[str, Callable[[Sequence[Argument], Site], Value]] = {
            "list": lambda arguments, site: self._sequence("builtins.list", arguments, site),
            "tuple": lambda arguments, site: self._sequence("builtins.tuple", arguments, site),
            "dict": self._dict,
            "enumerate": self._enumerate,
            "zip": self._zip,
            "reversed": self._reversed,
            "next": self._next,
            "getattr": self._getattr,
            "setattr": self._setattr,
            "isinstance": self._isinstance,
            "super": self._super,
            "sum": self._sum,
            "map": self._map,
            "field": self._field,
            "partial": self._partial,
            "clone": self._clone,
            "shuffle": self._each_derived,
            "tensor_dataset": self._tensor_dataset,
            "subset": self._subset,
        }

    # ---------------------------------------------------------------------------------------------------------- plain results
    def unknown_result(self, site: Site, data: Data | None = None, trail: Value | None = None) -> Value:
        """Something of which only its place of birth is known, and perhaps the data it was made from."""
        kept = trail.trail if trail is not None and data is not None and data.fits else None
        return Value(data=data, origin=Ref(site, self.run.frame.context), trail=kept)

    def derived(self, values: Sequence[Value], site: Site) -> Value:
        """Something made from the data of several values."""
        data: Data | None = None
        carrier: Value | None = None
        for value in values:
            items = self.run.items_of(value) if not isinstance(value.thing, Lazy) else None
            every = (*items.tail, *((items.lead,) if items.lead is not None else ())) if items is not None else (value,)
            for one in every:
                data = join_data(data, derived_data(one))
                if one.fits and carrier is None:
                    carrier = one
        if data is not None and len(data.rows) > MOST_ROWS:
            data = None
        return self.unknown_result(site, data, carrier)

    def attribute(self, base: Value, name: str, site: Site) -> Value:
        """An attribute of a value that is not an object of the project."""
        thing = base.thing
        if name in INSPECTING_ATTRIBUTES:
            return UNKNOWN
        if isinstance(thing, Object | Opaque) and isinstance(thing.cls, str) and not isinstance(thing, Opaque):
            return Value(Method(base, name))
        if isinstance(thing, Constant | Items | Mapping):
            return Value(Method(base, name))
        if name == "data" and isinstance(thing, Unknown | Opaque):
            return replace(base, attached=False)
        data = derived_data(base)
        trail = base.trail if data is not None and data.fits else None
        return Value(
            data=data, origin=base.origin and replace(base.origin, label=f"{base.origin.label[:60]}.{name}"), trail=trail
        )

    # ----------------------------------------------------------------------------------------------------------------- calls
    def call_symbol(self, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of a function or class outside the project."""
        effect = self.run.effect_of(name)
        if self._can_wait(effect, name, arguments):
            return self.run.defer(site.node, lambda: self.call_symbol(name, self._forced(arguments), site))
        if effect is not None:
            arguments = self._forced(arguments)
            return self.apply(effect, name, arguments, site, None)
        if name in torch.NO_GRAD or name in torch.ENABLE_GRAD:
            return Value(Opaque(name))
        values = [argument.value for argument in arguments]
        if name.startswith(DERIVING_PACKAGES) and not name.startswith(TORCH_CLASS_PACKAGES):
            result = self.derived(values, site)
        elif tables.is_class(name) or name.startswith(torch.MODE_DEPENDENT_MODELS):
            result = self.construct(name, arguments, site)
        elif name.startswith(HARMLESS_PACKAGES):
            result = self.derived(values, site) if name.startswith(DERIVING_PACKAGES) else self.unknown_result(site)
        else:
            return self.unknown_call(UNKNOWN, name.rpartition(".")[2], arguments, site)
        self._tell(name, (), arguments, site, None, result)
        return result

    def _can_wait(self, effect: Effect | None, name: str, arguments: Sequence[Argument]) -> bool:
        """Whether a call changes nothing, no rule listens to it, and it needs a value that is not computed yet."""
        lazy = any(isinstance(argument.value.thing, Lazy) for argument in arguments)
        waits = isinstance(effect, Gives | Keeps | Maps | Derives | carried.Carrying)
        return lazy and waits and canonical(name) not in self.wanted

    def _forced(self, arguments: Sequence[Argument]) -> list[Argument]:
        return [replace(argument, value=self.run.force(argument.value)) for argument in arguments]

    def call_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of a method that the project does not define."""
        run = self.run
        base = run.force(base)
        thing = base.thing
        for family in (run.training, run.estimators):
            handled = family.method(base, name, arguments, site)
            if handled is not None:
                return handled
        if run.mapping_of(base) is not None:
            return self._mapping_method(base, name, arguments, site)
        if run.items_of(base) is not None:
            return self._sequence_method(base, name, arguments, site)
        if isinstance(thing, Constant):
            return UNKNOWN
        outside = run.outside_base(thing.cls) if isinstance(thing, Object) else None
        if outside is not None:
            qualified = canonical(f"{outside}.{name}")
            effect = run.effect_of(qualified)
            if effect is not None:
                arguments = self._forced(arguments)
                return self.apply(effect, qualified, arguments, site, base)
            if run.is_module(thing.cls if isinstance(thing, Object) else None) and name in _RETURNS_SELF:
                return base
        if isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls in torch.CONTAINERS and name == "append":
            run.statements.extend(base, Items("", tuple(argument.value for argument in arguments)))
            return base
        if outside is None:
            effect = run.effect_of(f"torch.Tensor.{name}")
            if effect is None and name.endswith("_"):
                name = name.removesuffix("_")
                effect = run.effect_of(f"torch.Tensor.{name}")
            if effect is not None and not (isinstance(effect, carried.Carrying) and _means_nothing(effect, base)):
                return self.apply(effect, f"torch.Tensor.{name}", arguments, site, base)
        return self._unknown_method(base, name, arguments, site)

    def _unknown_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A method of something that is not known: its result is taken to be made from the receiver and the arguments."""
        thing = base.thing
        if name == "append" and arguments:
            self._tell_appended(base, arguments, site)
        if name in _CHANGES_CONTENT:
            self.some_changed(base)
        if isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls.startswith(HARMLESS_PACKAGES):
            return self.derived([argument.value for argument in arguments], site)
        if name in INSPECTING_METHODS:
            return self.unknown_result(site)
        self._escape(name, [argument.value for argument in arguments], arguments, site)
        if isinstance(thing, Object):
            self.run.estimators.passed_on(name, arguments, site)
        return self.derived([base, *(argument.value for argument in arguments)], site)

    def some_changed(self, value: Value) -> None:
        """A list or dict was changed of which only the class is known: it may be any of those there are."""
        cls = value.thing.cls if isinstance(value.thing, Opaque) else None
        if cls not in ("builtins.list", "builtins.dict"):
            return
        left = Value(Items(cls, (), UNKNOWN) if cls == "builtins.list" else Mapping((), exact=False))
        for ref in self.run.state.refs():
            if ref.label == cls:
                self.run.state.set(ref, "#items", left)

    def unknown_call(self, callee: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of something that is not known: anything may happen to what it is given."""
        self._escape(name, [argument.value for argument in arguments], arguments, site)
        self.run.estimators.passed_on(name, arguments, site)
        return self.unknown_result(site)

    def _escape(self, name: str, values: list[Value], arguments: Sequence[Argument], site: Site) -> None:
        run = self.run
        if run.training.may_clear(name, arguments):
            run.facts.append(Escape(run.place(site), name, tuple(values)))
            run.training.forget_gradients()

    def call_super(self, receiver: Value, outside: str | None, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """super().name(...) that ends outside the project."""
        if isinstance(receiver.thing, Object) and name == "__init__":
            self.construct_base(receiver.thing.ref, outside, arguments)
            return UNKNOWN
        if isinstance(receiver.thing, Object) and name in ("train", "eval", "to"):
            return self.run.training.method(receiver, name, arguments, site) or receiver
        if name == "forward" and outside in torch.CONTAINERS:
            return self.run_container(receiver, arguments, site)
        if outside is not None:
            effect = self.run.effect_of(f"{outside}.__call__" if name in ("forward", "__call__") else f"{outside}.{name}")
            if effect is not None:
                return self.apply(
                    effect, f"{outside}.__call__" if name == "forward" else f"{outside}.{name}", arguments, site, None
                )
        return self.unknown_result(site)

    def call_library_object(self, callee: Value, thing: Object, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of an object whose class the project does not define: a layer, a loss, a container."""
        cls = thing.cls
        run = self.run
        if not isinstance(cls, str):
            result = self.unknown_call(callee, "", arguments, site) if cls is None else self.unknown_result(site)
            run.training.model_called(callee, arguments, site, result)
            return result
        if cls in torch.CONTAINERS:
            result = self.run_container(callee, arguments, site)
        else:
            effect = run.effect_of(f"{cls}.__call__")
            lazy = any(isinstance(argument.value.thing, Lazy) for argument in arguments)
            if lazy and isinstance(effect, Affine):
                arguments = [Argument(UNKNOWN), *self._forced(arguments[1:])]  # whatever goes in, any real number comes out
            elif lazy and not tables.is_loss(cls) and cls.startswith("torch.nn."):
                return run.defer(site.node, lambda: self.call_library_object(callee, thing, self._forced(arguments), site))
            arguments = self._forced(arguments)
            result = (
                self.apply(effect, f"{cls}.__call__", arguments, site, callee)
                if effect is not None
                else self.derived([a.value for a in arguments], site)
            )
        if tables.is_module_class(cls) and cls not in tables.LOSS_CLASSES:
            run.training.model_called(callee, arguments, site, result)
        return result

    def run_container(self, callee: Value, arguments: Sequence[Argument], site: Site) -> Value:
        """nn.Sequential: layer after layer; what precedes the known tail gives an unknown value."""
        items = self.run.items_of(callee)
        value = arguments[0].value if arguments else UNKNOWN
        if isinstance(value.thing, Lazy):
            return self.run.defer(site.node, lambda: self.run_container(callee, self._forced(arguments), site))
        if items is None:
            return self.derived([value], site)
        if not items.exact:
            value = self.derived([value], site)
        self.run.training.running += 1
        for layer in items.tail:
            at = layer.thing.ref.site if isinstance(layer.thing, Object) and isinstance(layer.thing.cls, str) else None
            value = self.run.call(layer, [Argument(value)], at or site)
        self.run.training.running -= 1
        if value.meaning is not None and value.trail is not None:
            value = value.step(site, "comes out of the nn.Sequential here")
        return value

    # ---------------------------------------------------------------------------------------------------------- construction
    def construct(self, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A new object of a class outside the project."""
        ref = Ref(site, self.run.frame.context, f"new {name}")
        self.run.state.open(ref)
        value = Value(Object(ref, name), data=self.data_of_arguments(arguments), origin=ref)
        self.construct_base(ref, name, arguments)
        if tables.is_module_class(name) and name not in tables.LOSS_CLASSES:
            self.run.training.start_in_training_mode(value, site)
        return value

    def data_of_arguments(self, arguments: Sequence[Argument]) -> Data | None:
        """The lineage of an object that is built from data."""
        data: Data | None = None
        for argument in arguments:
            if argument.value.role is not None or argument.value.fits:
                data = join_data(data, argument.value.data)
        return data

    def construct_base(self, ref: Ref, name: str | None, arguments: Sequence[Argument]) -> None:
        """Keep the constructor's arguments in the object's record; fill containers."""
        if name in torch.CONTAINERS:
            self._fill_container(ref, arguments)
            return
        if name is None:
            return
        given, _ = bound(tables.constructor_parameters(name, len(arguments)), arguments, None)
        for key, value in given.items():
            self.run.state.set(ref, f"{_ARGUMENT}{key}", value)

    def _constructor_arguments(self, receiver: Value) -> dict[str, Value]:
        """What a layer or loss object was built with."""
        if not isinstance(receiver.thing, Object):
            return {}
        record = self.run.state.record(receiver.thing.ref)
        return {name.removeprefix(_ARGUMENT): value for name, value in record.items() if name.startswith(_ARGUMENT)}

    def _fill_container(self, ref: Ref, arguments: Sequence[Argument]) -> None:
        run = self.run
        first = arguments[0].value if arguments else None
        mapping = run.mapping_of(first) if first is not None and len(arguments) == 1 else None
        if mapping is not None:
            content = Value(
                Items("builtins.list", tuple(value for _, value in mapping.items), None if mapping.exact else UNKNOWN)
            )
            run.state.set(ref, "#items", content)
            run.state.set(ref, "#names", Value(mapping))
            return
        inner = run.items_of(first) if first is not None and len(arguments) == 1 else None
        is_layer = first is not None and isinstance(first.thing, Object) and first.thing.cls not in ("builtins.list", None)
        if inner is not None and not is_layer:
            items = replace(inner, cls="builtins.list")
        else:
            items = Items("builtins.list", ())
            for argument in arguments:
                if argument.star == "*":
                    more = run.items_of(argument.value)
                    lead = joined([*items.tail, *(more.tail if more and more.exact else ())]) if items.tail else UNKNOWN
                    items = Items("builtins.list", more.tail if more is not None and not more.exact else (), lead)
                else:
                    items = replace(items, tail=(*items.tail, argument.value))
        run.state.set(ref, "#items", Value(items))

    # --------------------------------------------------------------------------------------------------------------- effects
    def apply(self, effect: Effect, name: str, arguments: Sequence[Argument], site: Site, receiver: Value | None) -> Value:
        """The result of a call that the tables know; tells the rules that listen to it."""
        is_method = receiver is not None and not name.endswith(".__call__")
        params = getattr(effect, "params", ())
        given, nodes = bound(params, arguments, receiver if is_method else None)
        if receiver is not None and not is_method:
            given = {**self._constructor_arguments(receiver), **given}
        values = [*([receiver] if is_method and receiver is not None else []), *(argument.value for argument in arguments)]
        result = self._result(effect, name, given, values, arguments, site, receiver)
        self._tell(name, params, arguments, site, receiver, result, given, nodes)
        return result

    def _tell(
        self,
        name: str,
        params: tuple[str, ...],
        arguments: Sequence[Argument],
        site: Site,
        receiver: Value | None,
        result: Value,
        given: dict[str, Value] | None = None,
        nodes: dict[str, cst.BaseExpression] | None = None,
    ) -> None:
        name = canonical(name)
        if name not in self.wanted or not isinstance(site.node, cst.Call):
            return
        if given is None or nodes is None:
            given, nodes = bound(params, arguments, None)
        targets = self.unpacking[1] if self.unpacking is not None and self.unpacking[0] is site.node else ()
        run = self.run
        run.facts.append(Call(run.place(site), name, given, nodes, receiver, result, run.state.grad, targets))

    def _result(
        self,
        effect: Effect,
        name: str,
        given: dict[str, Value],
        values: list[Value],
        arguments: Sequence[Argument],
        site: Site,
        receiver: Value | None,
    ) -> Value:
        run = self.run
        first = given.get("input", values[0] if values else UNKNOWN)
        match effect:
            case Gives():
                return self._gives(effect, first, given.get("dim"), site)
            case Affine():
                return self._affine(effect, first, receiver, site)
            case Maps():
                return self._maps(effect, first, site)
            case Keeps():
                return self._keeps(effect, values, site)
            case Moves():
                return self._moved(effect, given, values, site)
            case Selects():
                return self._selected(effect, given, values, site)
            case Loss():
                reduced = given.get("reduction", UNKNOWN).constant != "none"
                return Value(
                    meaning=Semantic.SCALAR_LOSS if reduced else None,
                    origin=Ref(site, run.frame.context),
                    attached=None if run.state.grad else False,
                )
            case Derives():
                return self.derived(values, site)
            case Returns():
                kept = [Argument(given[effect.holds], effect.holds)] if effect.holds in given else []
                return self.construct(effect.cls, kept, site)
            case Wraps():
                keyword = next((argument.value for argument in arguments if argument.keyword == effect.keyword), None)
                return keyword or (values[effect.of] if effect.of < len(values) else UNKNOWN)
            case WrapsAll():
                wrapped = values[1:] if receiver is not None else values
                return wrapped[0] if len(wrapped) == 1 else tuple_of(*wrapped)
            case SplitsArrays():
                return run.estimators.split_arrays(arguments, site)
            case RandomSplits():
                return run.estimators.random_split(arguments, site)
            case CrossValidates():
                return run.estimators.cross_validate(name, arguments, site)
            case Resamples():
                return run.estimators.resample(effect, arguments, site)
            case NoEffect():
                return self.unknown_result(site)
            case Special():
                special = self._special.get(effect.name)
                if special is not None:
                    return special(arguments, site)
                if effect.name == "flatten":
                    return self._flattened(given, first, site, is_layer=name.endswith("__call__"))
                if effect.name == "filled":
                    return self._filled(values, site)
                return run.training.special(effect.name, receiver, arguments, site)
            case _:
                return self._carried(effect, given, values, site)

    def _gives(self, effect: Gives, value: Value, dim: Value | None, site: Site) -> Value:
        along = dim.constant if dim is not None and isinstance(dim.constant, int) and not dim.is_none else None
        kept = value.meaning in effect.keeps_meanings
        meaning = value.meaning if kept else effect.meaning
        text = f"{effect.verb} gives {meaning.words}" if meaning is not None else effect.verb
        data = derived_data(value)
        start = value.trail if value.fits else None
        return Value(
            meaning=meaning,
            data=data,
            origin=value.origin if kept else Ref(site, self.run.frame.context),
            axes=value.axes if kept else replace(value.axes, along=along),
            attached=value.attached if self.run.state.grad else False,
            trail=value.trail if kept else onward(start, site, text),
            scaled=kept and value.scaled,
        )

    def _affine(self, effect: Affine, value: Value, layer: Value | None, site: Site) -> Value:
        last = None
        if effect.out is not None and layer is not None and isinstance(layer.thing, Object):
            out = self.run.state.get(layer.thing.ref, f"#argument {effect.out}")
            size = out.constant if out is not None else None
            last = size if isinstance(size, int) else None
        start = value.trail if value.fits else None
        return Value(
            meaning=Semantic.LOGITS,
            data=derived_data(value),
            origin=Ref(site, self.run.frame.context),
            axes=Axes(value.axes.rank, last, effect.features),
            attached=None if self.run.state.grad else False,
            trail=onward(start, site, f"{effect.verb} gives any real number"),
        )

    def _maps(self, effect: Maps, value: Value, site: Site) -> Value:
        meaning = effect.meanings.get(value.meaning) if value.meaning is not None and not value.scaled else None
        return Value(
            meaning=meaning,
            data=derived_data(value),
            origin=Ref(site, self.run.frame.context),
            axes=value.axes,
            attached=value.attached,
            trail=onward(value.trail, site, f"{effect.verb} gives {meaning.words}") if meaning is not None else None,
        )

    def _keeps(self, effect: Keeps, values: list[Value], site: Site) -> Value:
        value = values[effect.of] if effect.of < len(values) else UNKNOWN
        if isinstance(value.thing, Constant | Items | Mapping | Symbol) or self.run.items_of(value) is not None:
            return self.derived([value], site)
        if effect.attached is False:
            value = replace(value, attached=False)
        if value.origin is None:
            value = replace(value, origin=Ref(site, self.run.frame.context))
        return value

    def _moved(self, effect: Moves, given: dict[str, Value], values: list[Value], site: Site) -> Value:
        """The same tensor with other axes."""
        kept = self._keeps(Keeps(), values, site)
        return self._with(kept, carried.left(effect, given, values)) if isinstance(kept.thing, Unknown) else kept

    def _selected(self, effect: Selects, given: dict[str, Value], values: list[Value], site: Site) -> Value:
        """Part of a tensor, or a tuple of parts."""
        if not values or values[0].meaning is None:
            return self.derived(values, site)
        one = self._carried(effect, given, values, site)
        several = effect.what in (Choice.PARTS, Choice.ENTRIES)
        return Value(Items("builtins.tuple", (), one)) if several else one

    def _carried(self, effect: carried.Carrying, given: dict[str, Value], values: list[Value], site: Site) -> Value:
        """What is made from tensors, and what is left of their meaning."""
        made = self.derived(values, site)
        values = [self._known_elements(value) for value in values]
        means = next((value for one in values for value in carried.elements_of(one) if value.meaning is not None), None)
        left = carried.left(effect, given, values) if means is not None else carried.LOST
        if means is None or left.meaning is None:
            return made
        origin = means.origin if isinstance(effect, Clamps | Drops | Fills) else made.origin
        return replace(self._with(made, left), origin=origin, attached=means.attached, trail=means.trail)

    def _known_elements(self, value: Value) -> Value:
        """A list as its elements, all of them computed."""
        items = self.run.items_of(value)
        if items is None:
            return value
        lead = self.run.force(items.lead) if items.lead is not None else None
        return Value(Items(items.cls, tuple(self.run.force(one) for one in items.tail), lead))

    @staticmethod
    def _with(value: Value, left: carried.Left) -> Value:
        return replace(value, meaning=left.meaning, axes=left.axes, scaled=left.scaled)

    def _flattened(self, given: dict[str, Value], value: Value, site: Site, *, is_layer: bool) -> Value:
        """torch.flatten and nn.Flatten: the axes from `start_dim` on become one."""
        start = given.get("start_dim", literal(1 if is_layer else 0)).constant
        kept = replace(self._keeps(Keeps(), [value], site), axes=Axes())
        whole = "end_dim" not in given
        return replace(kept, axes=Axes(rank=start + 1)) if isinstance(start, int) and start >= 0 and whole else kept

    def _filled(self, values: list[Value], site: Site) -> Value:
        """torch.randn(2, 3): a new tensor with as many axes as sizes."""
        sizes = [value for value in values if isinstance(value.constant, int)]
        rank = len(values) if len(values) > 1 and len(sizes) == len(values) else None
        return replace(self.unknown_result(site), axes=Axes(rank=rank), attached=False)

    # -------------------------------------------------------------------------------------------------- python's own functions
    def _sequence(self, cls: str, arguments: Sequence[Argument], site: Site) -> Value:
        known = self.run.items_of(arguments[0].value) if arguments else Items(cls, ())
        items = replace(known, cls=cls) if known is not None else Items(cls, (), self.run.element_of(arguments[0].value, site))
        return self.run.new_sequence(site.node, items) if cls == "builtins.list" else Value(items)

    def _dict(self, arguments: Sequence[Argument], site: Site) -> Value:
        found: dict[object, Value] = {}
        exact = True
        for argument in arguments:
            if argument.keyword is not None:
                found[argument.keyword] = argument.value
                continue
            mapping = self.run.mapping_of(argument.value)
            items = self.run.items_of(argument.value)
            if mapping is not None:
                found.update(mapping.items)
                exact = exact and mapping.exact
            elif items is not None and items.exact:
                for pair in items.tail:
                    inner = self.run.items_of(pair)
                    if inner is not None and len(inner.tail) == 2 and isinstance(inner.tail[0].thing, Constant):
                        found[inner.tail[0].constant] = inner.tail[1]
                    else:
                        exact = False
            else:
                exact = False
        return self.run.new_mapping(site.node, Mapping(tuple(found.items()), exact))

    def _enumerate(self, arguments: Sequence[Argument], site: Site) -> Value:
        if not arguments:
            return UNKNOWN
        items = self.run.items_of(arguments[0].value)
        if items is not None and items.exact:
            return Value(
                Items("builtins.generator", tuple(tuple_of(literal(index), value) for index, value in enumerate(items.tail)))
            )
        element = self.run.element_of(arguments[0].value, site)
        return Value(Items("builtins.generator", (), tuple_of(UNKNOWN, element)), data=arguments[0].value.data)

    def _zip(self, arguments: Sequence[Argument], site: Site) -> Value:
        contents = [self.run.items_of(argument.value) for argument in arguments]
        exact = [items.tail for items in contents if items is not None and items.exact]
        if len(exact) == len(contents) and exact:
            return Value(Items("builtins.generator", tuple(tuple_of(*row) for row in zip(*exact, strict=False))))
        elements = [self.run.element_of(argument.value, site) for argument in arguments]
        return Value(Items("builtins.generator", (), tuple_of(*elements)))

    def _reversed(self, arguments: Sequence[Argument], site: Site) -> Value:
        items = self.run.items_of(arguments[0].value) if arguments else None
        return Value(replace(items, tail=items.tail[::-1])) if items is not None and items.exact else UNKNOWN

    def _next(self, arguments: Sequence[Argument], site: Site) -> Value:
        return self.run.element_of(arguments[0].value, site) if arguments else UNKNOWN

    def _getattr(self, arguments: Sequence[Argument], site: Site) -> Value:
        if len(arguments) >= 2 and isinstance(arguments[1].value.constant, str):
            return self.run.attribute(arguments[0].value, arguments[1].value.constant, site)
        return UNKNOWN

    def _setattr(self, arguments: Sequence[Argument], site: Site) -> Value:
        if len(arguments) == 3 and isinstance(arguments[0].value.thing, Object) and isinstance(arguments[1].value.constant, str):
            self.run.state.set(arguments[0].value.thing.ref, arguments[1].value.constant, arguments[2].value)
        return literal(None)

    def _isinstance(self, arguments: Sequence[Argument], site: Site) -> Value:
        """Decided for objects of a known class against a single known class."""
        if len(arguments) != 2:
            return UNKNOWN
        thing, cls = arguments[0].value.thing, arguments[1].value.thing
        if not isinstance(thing, Object) or thing.cls is None or not isinstance(cls, ClassThing | Symbol):
            return UNKNOWN
        wanted = cls.name if isinstance(cls, Symbol) else cls
        if isinstance(thing.cls, str):
            if thing.cls == wanted:
                return literal(True)
            return UNKNOWN
        if self.run.has_unknown_base(thing.cls):
            return UNKNOWN
        return literal(True) if wanted in list(self.run.ancestors(thing.cls)) else UNKNOWN

    def _super(self, arguments: Sequence[Argument], site: Site) -> Value:
        frame = next(
            (frame for frame in reversed(self.run.frames) if frame.function is not None and frame.function.owner is not None),
            None,
        )
        if frame is None or frame.function is None or frame.function.owner is None:
            return UNKNOWN
        parameters = [*frame.function.node.params.posonly_params, *frame.function.node.params.params]
        receiver = self.run.state.get(frame.ref, parameters[0].name.value) if parameters else None
        owner = frame.function.owner
        if arguments and isinstance(arguments[0].value.thing, ClassThing):
            owner = arguments[0].value.thing
        return Value(Super(owner, receiver)) if receiver is not None else UNKNOWN

    def _sum(self, arguments: Sequence[Argument], site: Site) -> Value:
        if not arguments:
            return UNKNOWN
        element = self.run.element_of(arguments[0].value, site)
        kept = element.meaning if element.meaning is Semantic.SCALAR_LOSS else None
        return replace(self.derived([arguments[0].value], site), meaning=kept, attached=element.attached)

    def _map(self, arguments: Sequence[Argument], site: Site) -> Value:
        if len(arguments) != 2:
            return UNKNOWN
        element = self.run.element_of(arguments[1].value, site)
        return Value(Items("builtins.generator", (), self.run.call(arguments[0].value, [Argument(element)], site)))

    def _field(self, arguments: Sequence[Argument], site: Site) -> Value:
        factory = next((argument.value for argument in arguments if argument.keyword == "default_factory"), None)
        default = next((argument.value for argument in arguments if argument.keyword == "default"), None)
        if factory is not None:
            return self.run.call(factory, [], site)
        return default or UNKNOWN

    def _partial(self, arguments: Sequence[Argument], site: Site) -> Value:
        if not arguments:
            return UNKNOWN
        given = tuple((argument.keyword, argument.value) for argument in arguments[1:] if not argument.star)
        return Value(Partial(arguments[0].value, given))

    def _clone(self, arguments: Sequence[Argument], site: Site) -> Value:
        """A copy: an object of its own with the same content."""
        if not arguments:
            return UNKNOWN
        value = arguments[0].value
        if not isinstance(value.thing, Object):
            return value
        copied = self._copied(value, site, {})
        if isinstance(copied.thing, Object):
            for argument in arguments:
                if argument.keyword is not None:  # dataclasses.replace(config, size=7)
                    self.run.state.set(copied.thing.ref, argument.keyword, argument.value)
        return copied

    def _copied(self, value: Value, site: Site, done: dict[Ref, Ref]) -> Value:
        """A copy of an object and of the objects in it."""
        if not isinstance(value.thing, Object):
            return value
        old = value.thing.ref
        if old not in done and len(done) < MOST_COPIED:
            new = Ref(site, self.run.frame.context, f"copy {len(done)}")
            done[old] = new
            self.run.built(old)
            self.run.state.open(new)
            for name, held in dict(self.run.state.record(old)).items():
                if not name.startswith("#fit"):
                    self.run.state.set(new, name, self._copied_content(held, site, done))
            self.run.training.note(new)
        ref = done.get(old)
        return replace(value, thing=replace(value.thing, ref=ref), origin=ref) if ref is not None else UNKNOWN

    def _copied_content(self, value: Value, site: Site, done: dict[Ref, Ref]) -> Value:
        if isinstance(value.thing, Items):
            tail = tuple(self._copied(item, site, done) for item in value.thing.tail)
            return replace(value, thing=replace(value.thing, tail=tail))
        return self._copied(value, site, done)

    def _each_derived(self, arguments: Sequence[Argument], site: Site) -> Value:
        values = [self.derived([argument.value], site) for argument in arguments if argument.keyword is None]
        return values[0] if len(values) == 1 else tuple_of(*values)

    def _tensor_dataset(self, arguments: Sequence[Argument], site: Site) -> Value:
        """A dataset of tensors: its lineage is that of the first, the features."""
        return self.derived([arguments[0].value], site) if arguments else UNKNOWN

    def _subset(self, arguments: Sequence[Argument], site: Site) -> Value:
        values = [argument.value for argument in arguments]
        if len(values) < 2:
            return UNKNOWN
        return self.run.expressions.item(self.derived(values[:1], site), [values[1]], site.node, site)

    # -------------------------------------------------------------------------------------------------- methods of containers
    def _sequence_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        run = self.run
        items = run.items_of(base)
        assert items is not None
        values = [argument.value for argument in arguments]
        if name == "append" and values:
            self._tell_appended(base, arguments, site)
            run.statements.extend(base, Items("", (values[0],)))
            return literal(None)
        if name in ("extend", "__iadd__") and values:
            more = run.items_of(values[0]) or Items("", (), run.element_of(values[0], site))
            run.statements.extend(base, more)
            return literal(None)
        if name == "insert" and len(values) == 2 and isinstance(base.thing, Object):
            run.state.set(
                base.thing.ref,
                "#items",
                Value(Items(items.cls, (), joined([*items.tail, values[1], *((items.lead,) if items.lead else ())]))),
            )
            return literal(None)
        if name == "add_module" and len(values) == 2:
            run.statements.extend(base, Items("", (values[1],)))
            return literal(None)
        if name == "clear" and isinstance(base.thing, Object):
            run.state.set(base.thing.ref, "#items", Value(Items(items.cls, ())))
            return literal(None)
        if name in _REARRANGES and isinstance(base.thing, Object):
            every = [
                *items.tail,
                *((items.lead,) if items.lead else ()),
                *(values if name.startswith(("append", "extend")) else ()),
            ]
            run.state.set(base.thing.ref, "#items", Value(Items(items.cls, (), joined(every) if every else None)))
            return literal(None)
        if name == "pop":
            element = run.element_of(base, site)
            if isinstance(base.thing, Object) and items.tail:
                run.state.set(
                    base.thing.ref,
                    "#items",
                    Value(Items(items.cls, (), joined([*items.tail, *((items.lead,) if items.lead else ())]))),
                )
            return element
        if name == "copy":
            return run.new_sequence(site.node, items)
        if name in _RETURNS_SELF:
            return base
        mapping = run.state.get(base.thing.ref, "#names") if isinstance(base.thing, Object) else None
        if mapping is not None and isinstance(mapping.thing, Mapping):
            return self._mapping_method(Value(mapping.thing), name, arguments, site)
        return self.unknown_result(site)

    def _mapping_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        run = self.run
        mapping = run.mapping_of(base)
        assert mapping is not None
        values = [argument.value for argument in arguments]
        every = joined([value for _, value in mapping.items]) if mapping.items else UNKNOWN
        if name in ("get", "pop", "setdefault") and values:
            key = values[0]
            if isinstance(key.thing, Constant):
                held = mapping.get(key.constant)
                if name == "pop" and isinstance(base.thing, Object):
                    rest = tuple((one, value) for one, value in mapping.items if one != key.constant)
                    run.state.set(base.thing.ref, "#items", Value(replace(mapping, items=rest)))
                if held is not None:
                    return held
                if name == "setdefault" and len(values) > 1 and isinstance(base.thing, Object):
                    run.state.set(
                        base.thing.ref, "#items", Value(replace(mapping, items=(*mapping.items, (key.constant, values[1]))))
                    )
                if mapping.exact and len(values) > 1:
                    return values[1]
            return UNKNOWN
        if name == "items":
            pairs = tuple(tuple_of(literal(key), value) for key, value in mapping.items)
            return Value(Items("builtins.generator", pairs, None if mapping.exact else tuple_of(UNKNOWN, every)))
        if name == "values":
            return Value(
                Items("builtins.generator", tuple(value for _, value in mapping.items), None if mapping.exact else every)
            )
        if name == "keys":
            return Value(
                Items("builtins.generator", tuple(literal(key) for key, _ in mapping.items), None if mapping.exact else UNKNOWN)
            )
        if name == "update" and isinstance(base.thing, Object):
            found = dict(mapping.items)
            exact = mapping.exact
            for argument in arguments:
                more = run.mapping_of(argument.value)
                if argument.keyword is not None:
                    found[argument.keyword] = argument.value
                elif more is not None:
                    found.update(more.items)
                    exact = exact and more.exact
                else:
                    exact = False
            run.state.set(base.thing.ref, "#items", Value(Mapping(tuple(found.items()), exact)))
            return literal(None)
        if name in ("clear", "popitem") and isinstance(base.thing, Object):
            left = Mapping((), exact=name == "clear")
            run.state.set(base.thing.ref, "#items", Value(left))
            return UNKNOWN
        if name == "copy":
            return run.new_mapping(site.node, mapping)
        return self.unknown_result(site)

    def _tell_appended(self, base: Value, arguments: Sequence[Argument], site: Site) -> None:
        node = site.node
        if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute) or arguments[0].node is None:
            return
        run = self.run
        ref = base.thing.ref if isinstance(base.thing, Object) else None
        into = cst.Module([]).code_for_node(node.func.value)
        run.facts.append(Accumulated(run.place(site), into, ref, arguments[0].value, arguments[0].node, base, run.state.grad))


_ARGUMENT = "#argument "
_REARRANGES = frozenset({"sort", "reverse", "remove", "appendleft", "extendleft", "rotate"})
_CHANGES_CONTENT = _REARRANGES | {"append", "extend", "insert", "pop", "clear", "update", "setdefault", "popitem"}
_RETURNS_SELF = frozenset(
    {"to", "cuda", "cpu", "float", "half", "double", "bfloat16", "requires_grad_", "share_memory", "apply", "xpu", "type"}
)


def _means_nothing(effect: carried.Carrying, value: Value) -> bool:
    """Whether an effect has no meaning to carry: what is not known to be a tensor may have a method of that name of its own."""
    return value.meaning in (None, Semantic.SCALAR_LOSS) and not isinstance(effect, Moves | Clamps | Drops)


def bound(
    params: tuple[str, ...], arguments: Sequence[Argument], receiver: Value | None
) -> tuple[dict[str, Value], dict[str, cst.BaseExpression]]:
    """Arguments by parameter name; a method's receiver is the first parameter. Positional ones beyond `params` are left out."""
    values: dict[str, Value] = {}
    nodes: dict[str, cst.BaseExpression] = {}
    position = 0
    if receiver is not None and params:
        values[params[0]] = receiver
        position = 1
    for argument in arguments:
        name = argument.keyword
        if name is None:
            if argument.star:
                break
            if position >= len(params):
                continue
            name = params[position]
            position += 1
        values[name] = argument.value
        if argument.node is not None:
            nodes[name] = argument.node
    return values, nodes
