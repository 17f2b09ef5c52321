"""Calls of code outside the project: the library tables applied to abstract values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret import carried, heads, loading, paths, provenance, scaling, texts, trained
from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.applied import applied
from mldbg.lint.interpret.arguments import Argument, axis_of, bound
from mldbg.lint.interpret.builtin_calls import HOLDING, BuiltinCalls
from mldbg.lint.interpret.choices import Choices, members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.columns import Columns, of_attribute
from mldbg.lint.interpret.configuration import Configuration
from mldbg.lint.interpret.construction import Construction
from mldbg.lint.interpret.containers import Containers
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.estimators import Estimators
from mldbg.lint.interpret.facts import Call, Escape, HandedOver
from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.hits import Hits
from mldbg.lint.interpret.join import is_loss, join, rows_of_first, scored_as, tuple_of
from mldbg.lint.interpret.keras import Keras
from mldbg.lint.interpret.lineage import Lineage, derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.marks import Marks
from mldbg.lint.interpret.meters import Meters
from mldbg.lint.interpret.parts import made_of, parts_of
from mldbg.lint.interpret.predictions import Predictions
from mldbg.lint.interpret.shaping import Shaping
from mldbg.lint.interpret.sightings import Seen
from mldbg.lint.interpret.splits import whole_of
from mldbg.lint.interpret.steps import Steps
from mldbg.lint.interpret.sums import note_emptied
from mldbg.lint.interpret.tensors import Tensors
from mldbg.lint.interpret.training import Training
from mldbg.lint.interpret.value import (
    UNKNOWN,
    VALUES_AND_INDICES,
    ClassThing,
    Constant,
    Data,
    Entries,
    File,
    Items,
    Lazy,
    Method,
    Object,
    Opaque,
    Unknown,
    Value,
)
from mldbg.lint.interpret.workers import Workers
from mldbg.operations import keras, rows, tables, torch
from mldbg.operations.configuration import ATTRIBUTE_DICTS, SAME_FILE
from mldbg.operations.effect import (
    Activates,
    Affine,
    Attends,
    CrossValidates,
    Derives,
    Effect,
    FlaggedLoss,
    Gives,
    Keeps,
    Loss,
    Maps,
    Measures,
    Move,
    Moves,
    NoEffect,
    RandomSplits,
    Resamples,
    Returns,
    Scales,
    Selects,
    Special,
    SplitsArrays,
    Tests,
    Trains,
    Wraps,
    WrapsAll,
    Writes,
)
from mldbg.operations.python import (
    CHANGES_CONTENT,
    DERIVING_PACKAGES,
    HARMLESS_PACKAGES,
    INSPECTING_ATTRIBUTES,
    INSPECTING_METHODS,
    LOSES_CONTENT,
    READERS,
    TORCH_CLASS_PACKAGES,
    WRITING_METHODS,
)
from mldbg.operations.sklearn import ABOUT_FIT, BEST_FOUND, PIPELINES, SEARCHES
from mldbg.operations.spelling import canonical
from mldbg.semantics import Semantic

TENSOR_ATTRIBUTES = {name: effect for names, effect in torch.ATTRIBUTES.items() for name in names.split()}


_REDUCTIONS = frozenset({"mean", "sum", "abs"})
"""Methods of a loss, over devices or rows, whose result has the loss as its part."""


class LibraryCalls:
    """Applies the tables. `wanted`: names of calls that some rule listens to."""

    def __init__(
        self,
        machine: Machine,
        classes: Classes,
        contents: Contents,
        lineage: Lineage,
        estimators: Estimators,
        training: Training,
        construction: Construction,
        configuration: Configuration,
        shaping: Shaping,
    ) -> None:
        self.machine = machine
        self.classes = classes
        self.contents = contents
        self.lineage = lineage
        self.estimators = estimators
        self.training = training
        self.construction = construction
        self.configuration = configuration
        self.shaping = shaping
        self.tables = estimators.tables
        self.wanted: frozenset[str] = frozenset()
        self._choices = Choices(machine)
        self._columns = Columns(contents)
        self._containers = Containers(machine, contents, lineage)
        self._tensors = Tensors(machine, contents, lineage)
        self._marks = Marks(machine, contents)
        self._keras = Keras(machine, classes, contents, lineage, self._tensors)
        self._workers = Workers(machine, classes)
        self.predictions = Predictions(machine, classes, contents)
        self.hits = Hits(machine, contents)
        self.meters = Meters(machine, classes, contents)
        self.steps = Steps(machine, contents)
        self._builtins = BuiltinCalls(machine, classes, contents, lineage, construction, self._workers)

    def attribute(self, base: Value, name: str, site: Site) -> Value:
        """An attribute of a value that is not an object of the project."""
        found = self.tables.attribute(base, name, self._attribute(base, name, site), site)
        return self.shaping.attribute(base, name, site, found)

    def _attribute(self, base: Value, name: str, site: Site) -> Value:
        thing = base.thing
        if name in INSPECTING_ATTRIBUTES:
            return UNKNOWN
        if isinstance(thing, File):
            return paths.attribute(base, name) or replace(base, thing=Unknown())
        if name in BEST_FOUND and isinstance(thing, Object) and thing.cls in SEARCHES:
            return base
        if isinstance(thing, Object) and isinstance(thing.cls, str):
            return self.estimators.about_fit(thing, site) if name in ABOUT_FIT else Value(Method(base, name))
        if isinstance(thing, Items) and thing.cls == VALUES_AND_INDICES and name in ("values", "indices"):
            return thing.tail[name == "indices"]
        if isinstance(thing, Constant | Items | Entries):
            return Value(Method(base, name))
        if name == "data" and isinstance(thing, Unknown | Opaque):
            return replace(base, attached=False)
        effect = TENSOR_ATTRIBUTES.get(name) if base.meaning is not None and isinstance(thing, Unknown) else None
        if isinstance(effect, Moves):
            return self._tensors.moved(effect, {"input": base}, [base], site)
        data = of_attribute(derived_data(base), name)
        if name == "dataset" and data is not None and data.split is not None:
            data = whole_of(data)  # `subset.dataset` is what it is a subset of
        trail = base.trail if data is not None and data.fits else None
        return Value(data=data, origin=base.origin.attribute(name) if base.origin is not None else None, trail=trail)

    def call_symbol(self, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of a function or class outside the project."""
        self._workers.hear(canonical(name), None, arguments, site)
        result = self.shaping.function(canonical(name), arguments, site, self._symbol_called(name, arguments, site))
        result = provenance.known_part(self.machine, canonical(name), arguments, site, result)
        self.estimators.evaluations.watching.called(canonical(name), arguments, site)
        self.meters.built(canonical(name), result, site)
        self.steps.built(canonical(name), result, site)
        result = self.predictions.of_function(name, arguments, result, site)
        result = self.hits.of_function(canonical(name), arguments, result, site)
        self.estimators.evaluations.augmenting.made(arguments, site, result)
        if name == "numpy.where":
            result = scaling.noted_choice([each.value for each in arguments], result, self.machine.new_ref(site))
        if name.startswith(DERIVING_PACKAGES):
            result = self._with_rows_held(result, name.rpartition(".")[2], arguments, site)
        return self.tables.of_function(name, arguments, result, site)

    def _symbol_called(self, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        effect = self.machine.effect_of(name)
        if self._can_wait(effect, name, arguments):
            return self.machine.defer(site.node, lambda: self.call_symbol(name, self._forced(arguments), site))
        if effect is not None:
            if canonical(name) in self.wanted or not _needs_no_value(effect):
                arguments = self._forced(arguments)
            result = self.apply(effect, name, arguments, site, None)
            return self._scored(name, arguments, result, site) if isinstance(effect, Measures) else result
        if name in torch.NO_GRAD or name in torch.ENABLE_GRAD:
            return Value(Opaque(name))
        values = [argument.value for argument in arguments]
        if name.startswith(DERIVING_PACKAGES) and not name.startswith(TORCH_CLASS_PACKAGES):
            result = self.lineage.derived(values, site)
            if name.startswith(READERS):
                result = replace(result, data=replace(result.data or Data(), rows=frozenset({self.machine.new_ref(site)})))
        elif tables.is_class(name) or name in PIPELINES or name.startswith(torch.MODEL_FACTORIES):
            result = self.construction.construct(name, arguments, site)
            if self.shaping.on and name == torch.CHAIN and not any(frame.is_init for frame in self.machine.frames):
                self.machine.outstanding.chained(result)
        elif name.startswith(HARMLESS_PACKAGES):
            result = (
                self.lineage.derived(values, site) if name.startswith(DERIVING_PACKAGES) else self.lineage.unknown_result(site)
            )
            result = self._scored(name, arguments, result, site)
        else:
            return self.unknown_call(UNKNOWN, name.rpartition(".")[2], arguments, site)
        if canonical(name) in self.wanted:
            arguments = self._forced(arguments)
        self._tell(name, (), arguments, site, None, result)
        return result

    def _scored(self, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """The result of a function that may be a metric, with the rows of which it is a score."""
        self.estimators.evaluations.choosing.measured(name, arguments, site)
        return scored_as(result, *(argument.value for argument in arguments))

    def _can_wait(self, effect: Effect | None, name: str, arguments: Sequence[Argument]) -> bool:
        """Whether a call changes nothing, no rule listens to it, and it needs a value that is not computed yet."""
        lazy = not self.shaping.on and any(isinstance(argument.value.thing, Lazy) for argument in arguments)
        waits = isinstance(effect, Gives | Keeps | Maps | Derives | carried.Carrying)
        return lazy and waits and canonical(name) not in self.wanted

    def _forced(self, arguments: Sequence[Argument]) -> list[Argument]:
        return [
            replace(argument, value=self.machine.force(argument.value)) if isinstance(argument.value.thing, Lazy) else argument
            for argument in arguments
        ]

    def call_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of a method that the project does not define."""
        base = self.machine.force(base)
        self._workers.hear(f".{name}", base, arguments, site)
        self.estimators.evaluations.augmenting.flows(base, name, arguments, site)
        if name == "set_params":
            self.steps.set(base, arguments, site)
        if provenance.keeps_parts(base, name):
            return base
        meter = self.meters.method(base, name, site)
        if meter is not None:
            return meter
        if name == "align" and arguments:  # each of two tables gets the columns of both
            return tuple_of(base, arguments[0].value)
        result = applied(self.machine, base, name, arguments, site) or self._method_called(base, name, arguments, site)
        result = self.shaping.method(base, name, arguments, site, result)
        result = self.predictions.of_method(base, name, arguments, result, site)
        result = self.hits.of_method(base, name, arguments, result, site)
        if name in _REDUCTIONS and is_loss(base) and result.origin is not None:
            return replace(result, origin=made_of(result.origin, parts_of(base.origin)), attached=base.attached)
        result = scaling.noted_method(name, base, arguments, result, self.machine.new_ref(site))
        result = scaling.noted_statistic(name, base, self._with_entries(arguments), result, self.machine.new_ref(site))
        if name == "groupby" and result.data is not None:
            result = replace(result, data=replace(result.data, one_row=True))  # what is done then is done to each group by itself
        chosen = self._columns.chosen(base, name, arguments) if result.data is not None else None
        if chosen is not None:
            result = replace(result, data=chosen)
        else:
            result = self._with_rows_held(result, name, [Argument(base), *arguments], site)
        return self.tables.of_method(base, name, arguments, result, site)

    def _with_entries(self, arguments: Sequence[Argument]) -> list[Argument]:
        """Arguments, and what stands in a dict among them: `fillna({"age": mean})`."""
        found = list(arguments)
        for argument in arguments:
            mapping = self.contents.mapping_of(argument.value) if isinstance(argument.node, cst.Dict | cst.Name) else None
            found += [Argument(value) for _, value in mapping.items] if mapping is not None else []
        return found

    def _method_called(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        machine = self.machine
        thing = base.thing
        if isinstance(thing, File):
            found = self.configuration.method(base, name, arguments, site)
            if found is not None:
                return found
            if name in SAME_FILE:
                return base
            base = replace(base, thing=Unknown())
            thing = base.thing
        if name in ("forward", "__call__") and isinstance(thing, Object) and self.classes.is_module(thing.cls):
            return machine.call(base, arguments, site)
        for family in (self.training, self.estimators):
            handled = family.method(base, name, arguments, site)
            if handled is not None:
                return self._keras.predicted(base, name, handled, site)
        outside = self.classes.outside_base(thing.cls) if isinstance(thing, Object) else None
        if outside is not None:
            qualified = canonical(f"{outside}.{name}")
            effect = machine.effect_of(qualified)
            if effect is not None:
                return self.apply(effect, qualified, self._forced(arguments), site, base)
        if self.contents.mapping_of(base) is not None:
            known = self.configuration.method_of_settings(base, name, arguments, site) if outside in ATTRIBUTE_DICTS else None
            if known is not None:
                return known
            return self._containers.mapping_method(base, name, arguments, site)
        if self.contents.items_of(base) is not None:
            return self._containers.sequence_method(base, name, arguments, site)
        if isinstance(thing, Constant):
            return texts.called(machine, base, name, arguments) or UNKNOWN
        if isinstance(thing, Object) and self.classes.is_module(thing.cls) and name in torch.RETURNS_SELF:
            return base
        if isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls in tables.CONTAINERS and name == "append":
            self.contents.extend(base, Items("", tuple(argument.value for argument in arguments)))
            return base
        if outside is None:
            effect = machine.effect_of(f"torch.Tensor.{name}")
            if effect is None and name.endswith("_"):
                name = name.removesuffix("_")
                effect = machine.effect_of(f"torch.Tensor.{name}")
            if effect is not None and not (isinstance(effect, carried.Carrying) and carried.means_nothing(effect, base)):
                return self.apply(effect, f"torch.Tensor.{name}", arguments, site, base)
        result = self._unknown_method(base, name, arguments, site)
        return texts.called(machine, base, name, arguments, result) or result

    def _with_rows_held(self, result: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """The result of an operation, with a lineage that names only rows that it holds; the array is the first argument."""
        data = result.data
        if data is None or not arguments:
            return result
        if data.columns and name not in rows.KEEPING_COLUMN_NAMES:
            data = data.without_names()
            result = replace(result, data=data)
        if name not in rows.CONDENSING and name not in rows.OF_THE_FIRST:
            return result
        first = arguments[0].value
        if name in rows.OF_THE_FIRST:
            return replace(result, data=rows_of_first(derived_data(first), data))
        several = self.contents.items_of(first) is not None  # the mean of several arrays is one for each row
        if several or _follows_window(site.node) or not rows.runs_over_rows(axis_of(arguments, rows.CONDENSING[name])):
            return result
        return replace(result, data=replace(data, condensed=True))

    def _unknown_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A method of something that is not known: its result is taken to be made from the receiver and the arguments."""
        thing = base.thing
        if name in ("append", "extend") and arguments:
            self._containers.tell_appended(base, arguments, site)
        if name in LOSES_CONTENT:
            note_emptied(self.machine, base, site)
        if name in CHANGES_CONTENT:
            self.contents.some_changed(base)
        if isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls.startswith(HARMLESS_PACKAGES):
            return self.lineage.derived([argument.value for argument in arguments], site)
        if name in WRITING_METHODS:
            self.estimators.evaluations.used(base, "is written to a file", site)
            return self.lineage.unknown_result(site)
        if name in INSPECTING_METHODS:
            return self.lineage.unknown_result(site)
        self._escape(name, [argument.value for argument in arguments], arguments, site, base)
        self.meters.given_away(arguments, site)
        if isinstance(thing, Object) or (isinstance(thing, Unknown) and base.data is None):
            self.estimators.evaluations.passed_on(name, arguments, site)
        return self.lineage.derived([base, *(argument.value for argument in arguments)], site)

    def unknown_call(self, callee: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of something that is not known: anything may happen to what it is given."""
        self.configuration.given_away(arguments)
        self.meters.given_away(arguments, site)
        self._escape(name, [argument.value for argument in arguments], arguments, site)
        self.estimators.evaluations.passed_on(name, arguments, site)
        return scored_as(self.lineage.unknown_result(site), *(argument.value for argument in arguments))

    def _escape(self, name: str, values: list[Value], arguments: Sequence[Argument], site: Site, base: Value = UNKNOWN) -> None:
        machine = self.machine
        reaches_optimizer = self.training.handed_on(name, values, site)
        refs = loading.refs_in(values)
        if refs:
            machine.facts.append(HandedOver(machine.place(site), refs))
        if reaches_optimizer or self.training.may_clear(base, name, arguments, site):
            machine.facts.append(Escape(machine.place(site), name, tuple(values)))
            self.training.forget_gradients()

    def call_super(self, receiver: Value, outside: str | None, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """super().name(...) that ends outside the project."""
        if isinstance(receiver.thing, Object) and name == "__init__":
            self.construction.construct_base(receiver.thing.ref, outside, arguments)
            return UNKNOWN
        if isinstance(receiver.thing, Object) and name in ("train", "eval", "to"):
            return self.training.method(receiver, name, arguments, site) or receiver
        if name == "forward" and outside in tables.CONTAINERS:
            return self.run_container(receiver, arguments, site)
        if outside is not None:
            effect = self.machine.effect_of(f"{outside}.__call__" if name in ("forward", "__call__") else f"{outside}.{name}")
            if effect is not None:
                return self.apply(
                    effect, f"{outside}.__call__" if name == "forward" else f"{outside}.{name}", arguments, site, None
                )
        return self.lineage.unknown_result(site)

    def call_library_object(self, callee: Value, thing: Object, arguments: Sequence[Argument], site: Site) -> Value:
        """A call of an object whose class the project does not define: a layer, a loss, a container."""
        cls = thing.cls
        machine = self.machine
        self.meters.called(thing, site)
        if not isinstance(cls, str):
            result = self.unknown_call(callee, "", arguments, site) if cls is None else self.lineage.unknown_result(site)
            return self.training.model_called(callee, arguments, site, result)
        if cls in tables.CONTAINERS:
            result = self.run_container(callee, arguments, site)
        else:
            effect = machine.effect_of(f"{cls}.__call__")
            lazy = any(isinstance(argument.value.thing, Lazy) for argument in arguments)
            if lazy and isinstance(effect, Affine):
                arguments = [Argument(UNKNOWN), *self._forced(arguments[1:])]  # whatever goes in, any real number comes out
            elif lazy and isinstance(effect, Attends):  # masks are asked for, and what attends may wait for ever
                arguments = [one if one.keyword in effect.masks else replace(one, value=UNKNOWN) for one in arguments]
            elif lazy and f"{cls}.__call__" not in _ACTIVATIONS and not tables.is_loss(cls) and cls.startswith("torch.nn."):
                return machine.defer(site.node, lambda: self.call_library_object(callee, thing, self._forced(arguments), site))
            arguments = self._forced(arguments)
            if cls == "torch.nn.Embedding":
                self._marks.embedded(self.construction.constructor_arguments(callee), arguments)
            if effect is not None:
                result = self.apply(effect, f"{cls}.__call__", arguments, site, callee)
            else:
                result = heads.run(machine, thing, site) or self.lineage.derived([a.value for a in arguments], site)
            result = self.shaping.layer(cls, callee, arguments, site, result)
            if machine.watcher is not None and arguments:
                machine.watcher(Seen.APPLIED, site, cls, arguments[0].value)
                machine.watcher(Seen.GIVEN, site, cls, result)
        if (tables.is_module_class(cls) and cls not in tables.LOSS_CLASSES) or self.training.is_taken_for_module(thing):
            return self.training.model_called(callee, arguments, site, result)
        return result

    def run_container(self, callee: Value, arguments: Sequence[Argument], site: Site) -> Value:
        """nn.Sequential: layer after layer; what precedes the known tail gives an unknown value.

        Each layer counts as a statement that is executed, for containers that hold others twice would otherwise take for ever.
        """
        account = self.machine.budget.now
        self.machine.outstanding.has_use(callee)
        with account.call(site.node):
            account.executed += 1
            return self._run_layers(callee, arguments, site)

    def _run_layers(self, callee: Value, arguments: Sequence[Argument], site: Site) -> Value:
        items = self.contents.items_of(callee)
        value = arguments[0].value if arguments else UNKNOWN
        if isinstance(value.thing, Lazy):
            return self.machine.defer(site.node, lambda: self.run_container(callee, self._forced(arguments), site))
        if items is None or self.machine.budget.now.exhausted or self._holds_itself(callee):
            return self.lineage.derived([value], site)
        if not items.exact:
            value = self.lineage.derived([value], site)
        entered = value.shaped
        with self.training.inside_model():
            for layer in items.tail:
                at = layer.thing.ref.site if isinstance(layer.thing, Object) and isinstance(layer.thing.cls, str) else None
                if self.shaping.on and value.shaped == entered:
                    at = None  # what does not fit the first layer was not right when it came in
                given = self.machine.call(layer, [Argument(value)], at or site)
                value = join(value, given) if layer.or_none else given  # an entry that a dict may lack
        if value.meaning is not None:
            value = value.step(site, f"returned by this {_title(callee)}")
        return value

    def _holds_itself(self, container: Value) -> bool:
        """Whether a container is, at any depth, among its own layers: `layers.append(layers)`."""
        seen: set[Ref] = set()
        todo = [container]
        while todo:
            items = self.contents.items_of(todo.pop())
            inner = [layer for one in (items.all if items is not None else ()) for layer in members(one) if _is_container(layer)]
            refs = {layer.thing.ref: layer for layer in inner if isinstance(layer.thing, Object)}
            if isinstance(container.thing, Object) and container.thing.ref in refs:
                return True
            todo += [layer for ref, layer in refs.items() if ref not in seen]
            seen |= refs.keys()
        return False

    def apply(self, effect: Effect, name: str, arguments: Sequence[Argument], site: Site, receiver: Value | None) -> Value:
        """The result of a call that the tables know; tells the rules that listen to it."""
        if isinstance(effect, _OF_TENSORS):
            whichever = self._choices.of_arguments(arguments, lambda given: self.apply(effect, name, given, site, receiver), site)
            if whichever is not None:
                return whichever
        is_method = receiver is not None and not name.endswith(".__call__")
        params = getattr(effect, "params", ())
        given, nodes = bound(params, arguments, receiver if is_method else None)
        if receiver is not None and not is_method:
            given = {**self.construction.constructor_arguments(receiver), **given}
        values = [*([receiver] if is_method and receiver is not None else []), *(argument.value for argument in arguments)]
        result = self._result(effect, name, given, values, arguments, site, receiver)
        if isinstance(effect, Measures):
            given = {key: self.predictions.as_array(value) for key, value in given.items()}
        if isinstance(effect, Attends):
            given = {key: self._marks.proved(value) for key, value in given.items()}
        result = self._marks.after(effect, name, given, values, arguments, result, site)
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
        if name not in self.wanted or not isinstance(site.node, cst.BaseExpression) or self.shaping.tells(name):
            return
        if given is None or nodes is None:
            given, nodes = bound(params, arguments, None)
        machine = self.machine
        unpacking = machine.frame.unpacking
        targets = unpacking[1] if unpacking is not None and unpacking[0] is site.node else ()
        module = next((owner for frame in reversed(machine.frames) if (owner := self._module_of(frame)) is not None), None)
        place = machine.place(site)
        machine.facts.append(Call(place, name, given, nodes, receiver, result, machine.state.grad, targets, module=module))

    def _module_of(self, frame: Frame) -> ClassThing | None:
        """The class of modules to which the method in a frame belongs."""
        owner = frame.function.owner if frame.function is not None else None
        return owner if owner is not None and self.classes.is_module(owner) else None

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
        machine = self.machine
        first = given.get("input", values[0] if values else UNKNOWN)
        match effect:
            case Gives():
                return self._tensors.gives(effect, first, given.get("dim", given.get("axis")), site)
            case Affine():
                return self._tensors.affine(effect, first, receiver, site)
            case Activates():
                return self._keras.activated(effect, given, first, receiver, site)
            case Maps():
                return self._tensors.maps(effect, first, site)
            case Keeps():
                return self.training.volatile(self._tensors.keeps(effect, values, site), arguments, site)
            case Moves(Move.FLATTEN):
                return self._tensors.flattened(given, first, site, is_layer=name.endswith("__call__"))
            case Moves():
                return self._tensors.moved(effect, given, values, site)
            case Selects():
                return self._tensors.selected(effect, given, values, site)
            case FlaggedLoss():
                return Value(meaning=Semantic.SCALAR_LOSS, origin=machine.new_ref(site))
            case Loss():
                reduced = given.get("reduction", UNKNOWN).constant != "none"
                loss = Value(
                    meaning=Semantic.SCALAR_LOSS if reduced else None,
                    origin=machine.new_ref(site),
                    attached=None if machine.state.grad else False,
                )
                return scored_as(loss, *values)
            case Derives() | Tests() | Attends():
                return self.lineage.derived(values, site)
            case Returns():
                kept = [Argument(given[effect.holds], effect.holds)] if effect.holds in given else []
                return self.construction.construct(effect.cls, kept, site)
            case Trains():
                trained.run(machine, effect, given, arguments, site)
                return self.construction.construct(name, arguments, site)
            case Wraps():
                keyword = next((argument.value for argument in arguments if argument.keyword == effect.keyword), None)
                return keyword or (values[effect.of] if effect.of < len(values) else UNKNOWN)
            case WrapsAll():
                wrapped = [argument.value for argument in arguments if argument.keyword is None]
                return wrapped[0] if len(wrapped) == 1 else tuple_of(*wrapped)
            case SplitsArrays():
                return self.estimators.split_arrays(arguments, site)
            case RandomSplits():
                return self.estimators.random_split(arguments, site)
            case CrossValidates():
                return self.estimators.cross_validate(name, arguments, site)
            case Scales():
                return self.estimators.scaled(effect, name, arguments, site)
            case Writes():
                self.estimators.evaluations.written(effect, arguments, site)
                return self.lineage.unknown_result(site)
            case Resamples():
                return self.estimators.resample(effect, arguments, site)
            case NoEffect() | Measures():
                return self.lineage.unknown_result(site)
            case Special():
                special = self._builtins.named(effect.name) or self.configuration.by_name.get(effect.name)
                if special is not None:
                    of_method = receiver is not None and not name.endswith(".__call__")
                    return special([Argument(receiver), *arguments] if receiver is not None and of_method else arguments, site)
                if effect.name in ("filled", "waiting"):
                    return (self._tensors.filled if effect.name == "filled" else self._tensors.waiting)(values, site)
                if effect.name in ("recurrent", "recurrent with cells"):
                    return self._tensors.recurrent(given, values, site, cell=effect.name != "recurrent")
                if effect.name == "compiled" and receiver is not None:
                    return self._keras.compiled(receiver, given, arguments, site)
                if effect.name == "added" and receiver is not None:
                    return self._keras.added(receiver, arguments)
                if effect.name == "functional":
                    return self._keras.functional(given, values, site)
                if effect.name == "copied":
                    return self._tensors.copied(given, values, site)
                if effect.name == "scattered":
                    return self._tensors.scattered(given, values, site)
                return self.training.special(effect.name, receiver, arguments, site)
            case _:
                return self._tensors.carried(effect, given, values, site)


_ACTIVATIONS = torch.NORMALIZERS | torch.SIGMOIDS
"""Calls that may get what went through such a one already."""

_OF_TENSORS = (
    Gives | Affine | Activates | FlaggedLoss | Maps | Keeps | Moves | Selects | Tests | Attends | Loss | carried.Carrying
)
"""Effects of which the result depends on what the tensors mean that they get."""


def _needs_no_value(effect: Effect) -> bool:
    """Whether a call does without the values of its arguments: what waits to be computed goes on waiting."""
    return isinstance(effect, NoEffect) or (isinstance(effect, Special) and effect.name in HOLDING)


def _follows_window(node: cst.CSTNode) -> bool:
    """Whether a method is called on a window: `closes.rolling(20).mean()`."""
    function = node.func if isinstance(node, cst.Call) else None
    before = function.value if isinstance(function, cst.Attribute) else None
    while isinstance(before, cst.Subscript):
        before = before.value
    made = before.func if isinstance(before, cst.Call) else None
    return isinstance(made, cst.Attribute) and made.attr.value in rows.WINDOWS


def _is_container(value: Value) -> bool:
    return isinstance(value.thing, Object) and isinstance(value.thing.cls, str) and value.thing.cls in tables.CONTAINERS


def _title(container: Value) -> str:
    """What a report calls a chain of layers."""
    of_keras = isinstance(container.thing, Object) and container.thing.cls == keras.CHAIN
    return "Sequential model" if of_keras else "nn.Sequential"
