"""What a training loop does to gradients and modes: backward, step, zero_grad, train, eval, and running a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import libcst as cst

from mldbg.lint.interpret.address import GRADIENTS, Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.estimators import Estimators
from mldbg.lint.interpret.facts import (
    Backward,
    Gradients,
    GradientsCleared,
    GradientUse,
    ModelCall,
    ModeSet,
    RandomPart,
    ScalerUse,
)
from mldbg.lint.interpret.join import is_loss
from mldbg.lint.interpret.lineage import Lineage
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Part
from mldbg.lint.interpret.reads import reached
from mldbg.lint.interpret.registered import Registered
from mldbg.lint.interpret.rounds import chosen_by, comprehensions, loops_under_way, reads_labels
from mldbg.lint.interpret.schedules import step_scheduler
from mldbg.lint.interpret.slots import ArgumentOf, Key, Slot, argument_of
from mldbg.lint.interpret.source_text import code, last_name
from mldbg.lint.interpret.state import State
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ClassThing,
    Constant,
    Data,
    Function,
    Items,
    Lazy,
    Object,
    Unknown,
    Value,
    first_step,
    literal,
)
from mldbg.lint.library import bystanders
from mldbg.lint.library.names import OPTIMIZER_NAME, says_beginning
from mldbg.operations import tables, torch
from mldbg.operations.python import HARMLESS_PACKAGES

ABSTRACT_BASES = frozenset({"builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"})

_READS_MODE = re.compile(r"self\.training\b(?<!\wself\.training)(?!\s*=[^=])")  # plain text in front is found fast
_OWNERS = re.compile(
    r"(^|_)(accelerator|fabric|engine|model_engine|booster|strategy|dist_autograd|amp|trainer|runner|plugin)$", re.IGNORECASE
)
_CLEARS = re.compile(r"(zero|clear|reset|clean|null|drop)[a-z]*_?(all_|out_|model_)?(the_)?grad", re.IGNORECASE)
_TRAINS = re.compile(r"(^|_)(train|step|update|backward|optimi[sz]e|closure|fit)(_|$)", re.IGNORECASE)
_SCALER = re.compile(r"(^|_)scaler$", re.IGNORECASE)
"""What a gradient scaler is called, in code that does not say where it comes from."""

_DOES_TRAIN = re.compile(r"(^|_)(train_?step|step|update|backward|optimi[sz]e|closure|fit)(_|$)|^train$", re.IGNORECASE)
"""The same of something that is not known and called: a loader or a transform may be called `train_...`, too."""


class Training:
    """Gradients and modes in the interpreter's state."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents, lineage: Lineage, estimators: Estimators) -> None:
        self.machine = machine
        self.classes = classes
        self.contents = contents
        self.lineage = lineage
        self.estimators = estimators
        self.registered = Registered(machine, classes, contents, self._attributes_read)
        self._with_mode: set[Ref] = set()
        self._reads: dict[ClassThing, frozenset[str] | None] = {}
        self._running = 0
        self._kept_elsewhere: dict[Ref, Object] = {}
        """Objects of the project that unknown code was given, and may have kept."""

    @contextmanager
    def inside_model(self, model: bool = True) -> Iterator[None]:
        """Where a model runs: a layer inside it is no model call of its own."""
        self._running += model
        try:
            yield
        finally:
            self._running -= model

    # --------------------------------------------------------------------------------------------------------------- methods
    def method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value | None:
        """The result of a method that trains, or None when it is not one."""
        node = site.node.func.value if isinstance(site.node, cst.Call) and isinstance(site.node.func, cst.Attribute) else None
        if name in torch.SCALER_METHODS and self._is_scaler(base, node):
            self.machine.facts.append(ScalerUse(self.machine.place(site), base, name))
        if name == "backward":
            return self._backward(base, node, arguments, site)
        if name == "step":
            return self._step(base, node, arguments, site)
        if name == "zero_grad":
            known = self.is_optimizer(base, node)
            self.clear_gradients(base if known else None, site, None if known else base)
            return UNKNOWN
        if (
            name == "scale"
            and len(arguments) == 1
            and isinstance(base.thing, Unknown | Object)
            and _SCALER.search(last_name(node))
        ):
            return arguments[0].value
        if name == "parameters":
            if isinstance(base.thing, Object) and self._is_of_unknown_class(base.thing):
                self.note_module(base.thing)
            return Value(data=Data(rows=base.rows), origin=self.machine.new_ref(site, Made.PARAMETERS))
        if name in ("zero_", "detach_", "fill_") and isinstance(node, cst.Attribute) and _holds_grad(node):
            self.clear_gradients(None, site)
            return UNKNOWN
        if name == "state_dict" and isinstance(base.thing, Object) and self._can_be_module(base.thing):
            return Value(origin=self.machine.new_ref(site, Made.WEIGHTS, base.thing.ref))
        if name == "copy" and refers_to_weights(base):
            return base  # a dict of the same tensors
        if name in ("eval", "train") and isinstance(base.thing, Object) and self._can_be_module(base.thing):
            return self._set_mode(base, base.thing, name, arguments, site, node)
        if name == "load_state_dict" and isinstance(base.thing, Object) and self._can_be_module(base.thing):
            of_model = any(argument.node is not None and "state_dict(" in code(argument.node) for argument in arguments)
            if not of_model:  # a target network copies another one, and goes with it
                self.machine.state.set(base.thing.ref, Slot.LOADED, literal(True))
        if name == "train" and isinstance(base.thing, Unknown) and len(arguments) <= 1:
            self.machine.facts.append(ModeSet(self.machine.place(site), None, True, node))
        if _CLEARS.search(name):
            self.clear_gradients(None, site)
        return None

    def _is_scaler(self, base: Value, node: cst.BaseExpression | None) -> bool:
        """Whether a value scales gradients: by its class, or where that is not known, by its conventional name."""
        thing = base.thing
        if isinstance(thing, Object) and thing.cls is not None:
            return thing.cls == torch.SCALER
        return isinstance(thing, Unknown | Object) and bool(_SCALER.search(last_name(node)))

    def special(self, name: str, receiver: Value | None, arguments: Sequence[Argument], site: Site) -> Value:
        """Functions with an effect on gradients."""
        machine = self.machine
        values = [argument.value for argument in arguments]
        if name == "clip":
            optimizer, cleared = self._gradients_of(None)
            machine.facts.append(GradientUse(machine.place(site), UNKNOWN, None, optimizer, cleared, frozenset(), clip=True))
        elif (name == "backward" and receiver is None) or name == "manual_backward":
            items = self.contents.items_of(values[0]) if values else None
            for loss in items.all if items is not None else values[:1] or [UNKNOWN]:
                self._note_backward(loss, arguments, site, owned=False)
        elif name == "owned_backward":
            self._note_backward(values[0] if values else UNKNOWN, arguments, site, owned=True)
        elif name == "scaler_step" and arguments:
            self._use(values[0], arguments[0].node, site)
        return self.lineage.unknown_result(site)

    # ------------------------------------------------------------------------------------------------------------- gradients
    def _backward(self, base: Value, node: cst.BaseExpression | None, arguments: Sequence[Argument], site: Site) -> Value | None:
        name = last_name(node)
        base = self._before_reduction(base, node)
        positional = [argument for argument in arguments if argument.keyword is None]
        if name == "dist_autograd" or (isinstance(base.thing, Object) and isinstance(base.thing.cls, ClassThing)):
            return None
        owner = bool(_OWNERS.search(name)) or (bool(positional) and name in ("self", "model"))
        if owner or (positional and is_loss(positional[0].value) and not is_loss(base)):
            self._note_backward(positional[0].value if positional else UNKNOWN, arguments, site, owned=True)
        else:
            self._note_backward(base, arguments, site, owned=False)
        return UNKNOWN

    def _before_reduction(self, base: Value, node: cst.BaseExpression | None) -> Value:
        """Of `loss.mean().backward()` the loss: the mean over the devices or the rows, the same graph."""
        function = node.func if isinstance(node, cst.Call) else None
        if not isinstance(function, cst.Attribute) or function.attr.value not in ("mean", "sum"):
            return base
        if not isinstance(function.value, cst.Name | cst.Attribute):
            return base
        reduced = self.machine.now(function.value)
        return reduced if is_loss(reduced) else base

    def _note_backward(self, loss: Value, arguments: Sequence[Argument], site: Site, *, owned: bool) -> None:
        machine = self.machine
        keeps = any(
            argument.keyword in ("retain_graph", "create_graph") and argument.value.constant is not False
            for argument in arguments
        )
        machine.facts.append(Backward(machine.place(site), loss, owned, keeps))
        machine.state.ensure(GRADIENTS)
        for key in list(machine.state.record(GRADIENTS)):
            machine.state.set(GRADIENTS, key, literal(Gradients.FRESH.value))
        machine.state.set(GRADIENTS, Slot.ANY_OPTIMIZER, literal(Gradients.FRESH.value))

    def _step(self, base: Value, node: cst.BaseExpression | None, arguments: Sequence[Argument], site: Site) -> Value | None:
        step_scheduler(self.machine, self.classes, self.contents, base, arguments, site)
        first = arguments[0] if arguments else None
        if first is not None and first.value.thing != Unknown() and self.is_optimizer(first.value, first.node):
            self._use(first.value, first.node, site)  # scaler.step(optimizer)
            return UNKNOWN
        if first is not None and self.is_optimizer(first.value, first.node) and not self.is_optimizer(base, node):
            self._use(first.value, first.node, site)
            return UNKNOWN
        if not self.is_optimizer(base, node):
            return None
        if first is not None and not isinstance(first.value.thing, Unknown | Constant):
            self.machine.call(first.value, [], site)  # the closure computes the gradients itself
            return UNKNOWN
        if first is None or first.keyword is not None:
            self._use(base, node, site)
        return UNKNOWN

    def _use(self, optimizer: Value, node: cst.BaseExpression | None, site: Site) -> None:
        machine = self.machine
        gradients, cleared = self._gradients_of(optimizer)
        machine.facts.append(
            GradientUse(
                machine.place(site),
                optimizer,
                node,
                gradients,
                cleared,
                self.parameters_of(optimizer),
                clip=False,
                chosen_by=chosen_by(node, loops_under_way(machine.frames)),
                identity=self._key(optimizer),
            )
        )

    def parameters_of(self, optimizer: Value) -> frozenset[Ref]:
        """The models whose parameters an optimizer was given, where it is known."""
        thing = optimizer.thing
        given = self.machine.state.get(thing.ref, argument_of("0")) if isinstance(thing, Object) else None
        given = given or (self.machine.state.get(thing.ref, argument_of("params")) if isinstance(thing, Object) else None)
        plain = given is not None and given.origin is not None and given.origin.kind is Made.PARAMETERS
        return given.rows if given is not None and plain else frozenset()

    def clear_gradients(self, optimizer: Value | None, site: Site, model: Value | None = None) -> None:
        """Gradients become zero: of one optimizer's parameters, of one model's, or (both None) of unknown ones."""
        machine = self.machine
        known = self.parameters_of(optimizer) if optimizer is not None else model.rows if model is not None else frozenset()
        identity = self._key(optimizer) if optimizer is not None else None
        machine.facts.append(GradientsCleared(machine.place(site), known, identity))
        machine.state.ensure(GRADIENTS)
        if optimizer is None:
            self.forget_gradients()
            if model is not None and isinstance(model.thing, Object):
                cleared = replace(literal(Gradients.CLEARED.value), trail=first_step(site, "gradients are cleared here"))
                machine.state.set(GRADIENTS, self._key(model), cleared)
            return
        cleared = replace(literal(Gradients.CLEARED.value), trail=first_step(site, "gradients are cleared here"))
        machine.state.set(GRADIENTS, self._key(optimizer), cleared)
        others = [key for key in machine.state.record(GRADIENTS) if key not in (Slot.ANY_OPTIMIZER, self._key(optimizer))]
        machine.state.set(GRADIENTS, Slot.ANY_OPTIMIZER, literal(Gradients.UNKNOWN.value) if others else cleared)

    def clear_all(self, models: frozenset[Ref], site: Site) -> None:
        """A loop over all parameters of models has cleared the gradients of each."""
        machine = self.machine
        machine.facts.append(GradientsCleared(machine.place(site), models))
        machine.state.ensure(GRADIENTS)
        cleared = replace(literal(Gradients.CLEARED.value), trail=first_step(site, "gradients are cleared here"))
        for model in models:
            machine.state.set(GRADIENTS, model, cleared)

    def cleared(self, state: State) -> dict[Key, Site | None]:
        """Whose gradients are cleared, and where that was done."""
        return {
            key: held.trail.site if held.trail is not None else None
            for key, held in state.record(GRADIENTS).items()
            if held.constant == Gradients.CLEARED.value
        }

    def forget_gradients(self) -> None:
        """Unknown code may have changed them."""
        machine = self.machine
        machine.state.ensure(GRADIENTS)
        for key in list(machine.state.record(GRADIENTS)):
            machine.state.set(GRADIENTS, key, literal(Gradients.UNKNOWN.value))

    def _gradients_of(self, optimizer: Value | None) -> tuple[Gradients, Site | None]:
        key = Slot.ANY_OPTIMIZER if optimizer is None else self._key(optimizer)
        held = self.machine.state.get(GRADIENTS, key)
        if optimizer is not None and (held is None or held.constant in (None, Gradients.UNKNOWN.value)):
            models = self.parameters_of(optimizer)
            of_model = self.machine.state.get(GRADIENTS, next(iter(models))) if len(models) == 1 else None
            if of_model is not None and of_model.constant == Gradients.CLEARED.value:
                held = of_model
        if held is None or not isinstance(held.constant, str):
            return Gradients.UNKNOWN, None
        return Gradients(held.constant), held.trail.site if held.trail is not None else None

    def _key(self, optimizer: Value) -> Key:
        identity = optimizer.thing.ref if isinstance(optimizer.thing, Object) else optimizer.origin
        return Slot.UNNAMED if identity is None else identity

    def is_optimizer(self, value: Value, node: cst.BaseExpression | None) -> bool:
        """Whether a value is a torch optimizer: by its class, or where that is not known, by its conventional name."""
        thing = value.thing
        if isinstance(thing, Object) and thing.cls is not None:
            if isinstance(thing.cls, str):
                return tables.is_optimizer_class(thing.cls)
            return any(isinstance(base, str) and tables.is_optimizer_class(base) for base in self.classes.ancestors(thing.cls))
        if not isinstance(thing, Unknown | Object):
            return False
        return self.machine.frame.module.uses_torch and bool(OPTIMIZER_NAME.search(last_name(node)))

    def may_clear(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> bool:
        """Whether unknown code (a method of `base`, or a function) that gets these arguments may clear gradients or step."""
        function = site.node.func if isinstance(site.node, cst.Call) else None
        if any(
            self.is_optimizer(argument.value, argument.node) or self.holds_optimizer(argument.value) for argument in arguments
        ):
            return not bystanders.only_sets_or_reports(name or last_name(function))
        if _CLEARS.search(name or last_name(function)):
            return True
        if not _TRAINS.search(name) and (name or not _DOES_TRAIN.search(last_name(function))):
            return False
        if self._is_called_optimizer(base):
            return True
        receiver = last_name(function.value) if isinstance(function, cst.Attribute) else ""
        gets_model = self._was_given_model(base) or any(self._may_be_model(argument) for argument in arguments)
        return not bystanders.leaves_gradients_alone(receiver, name or last_name(function), gets_model=gets_model)

    def _is_called_optimizer(self, value: Value) -> bool:
        """Whether an object's class is called an optimizer: `ScheduledOptim`."""
        cls = value.thing.cls if isinstance(value.thing, Object) else None
        name = cls.name if isinstance(cls, ClassThing) else (cls or "").rpartition(".")[2]
        return bool(OPTIMIZER_NAME.search(bystanders.snake(name)))

    def _was_given_model(self, value: Value) -> bool:
        """Whether an object was built with a model or an optimizer, or is one."""
        if not isinstance(value.thing, Object) or value.thing.cls is None:
            return False
        held = [value, *self.machine.state.record(value.thing.ref).values()]
        classes = [one.thing.cls for one in held if isinstance(one.thing, Object) and one.thing.cls is not None]
        return any(self.classes.is_module(cls) for cls in classes) or any(self.is_optimizer(one, None) for one in held[1:])

    def _may_be_model(self, argument: Argument) -> bool:
        thing = argument.value.thing
        if isinstance(thing, Object) and thing.cls is not None:
            return self.classes.is_module(thing.cls)
        return bystanders.may_be_model(last_name(argument.node))

    def holds_optimizer(self, value: Value) -> bool:
        """Whether an object has an optimizer among its attributes."""
        if not isinstance(value.thing, Object) or not isinstance(value.thing.cls, ClassThing):
            return False
        return any(
            isinstance(held.thing, Object) and held.thing.cls is not None and self.is_optimizer(held, None)
            for held in self.machine.state.record(value.thing.ref).values()
        )

    # ----------------------------------------------------------------------------------------------------------------- modes
    def _can_be_module(self, thing: Object) -> bool:
        if thing.cls is None or isinstance(thing.cls, ClassThing):
            return True
        return self.classes.is_module(thing.cls) or self._is_of_unknown_class(thing)

    def _is_of_unknown_class(self, thing: Object) -> bool:
        """Whether an object's class belongs to a library that the tables do not know."""
        cls = thing.cls
        return isinstance(cls, str) and not cls.startswith(HARMLESS_PACKAGES) and not tables.is_known(cls)

    def note_module(self, thing: Object) -> None:
        """An object of an unknown class has parameters, and so modes, of which nothing is known yet."""
        if self.machine.state.get(thing.ref, Slot.MODE) is None:
            self.machine.state.set(thing.ref, Slot.MODE, UNKNOWN)

    def is_taken_for_module(self, thing: Object) -> bool:
        """Whether an object of an unknown class has been used as only models are."""
        return self.machine.state.get(thing.ref, Slot.MODE) is not None and self._is_of_unknown_class(thing)

    def _set_mode(
        self, base: Value, thing: Object, name: str, arguments: Sequence[Argument], site: Site, node: cst.BaseExpression | None
    ) -> Value | None:
        if name == "eval" and arguments:
            return None  # df.eval("...")
        training: bool | None = name == "train"
        if name == "train" and arguments:
            given = arguments[0].value.constant
            training = given if isinstance(given, bool) else None
        if training is None:
            mode = UNKNOWN
        else:
            mode = replace(
                literal(training),
                trail=first_step(site, "switched to training mode" if training else "switched to evaluation mode"),
            )
        self._spread(thing, mode)
        self.machine.state.drop(thing.ref, Slot.LOADED)
        self.machine.facts.append(ModeSet(self.machine.place(site), thing, training, node))
        return base

    def handed_on(self, name: str, values: Sequence[Value], site: Site) -> bool:
        """Unknown code is called: what it may do to the models that it can reach.

        Listeners, whose call says that something begins or ends, or names no function, may set modes and clear gradients. They
        reach what they are given, and what unknown code was given before and may have kept: `listener.set_trainer(self)`.

        Returns:
            whether they reach one that trains.
        """
        callee = site.node.func if isinstance(site.node, cst.Call) else None
        called = name or (last_name(callee) if isinstance(callee, cst.Name | cst.Attribute) else "")
        given = {value.thing.ref: value.thing for value in values if isinstance(value.thing, Object)}
        tells = not called or says_beginning(called)
        reached = {**self._kept_elsewhere, **given} if tells else {}
        if isinstance(callee, cst.Call):  # getattr(listener, event)(...): listeners know the object that tells them
            reached |= {thing.ref: thing for thing in self._receivers()}
        self._kept_elsewhere |= {ref: thing for ref, thing in given.items() if isinstance(thing.cls, ClassThing)}
        for thing in reached.values():
            for model in (thing, *self._inside(thing)):
                if self._can_be_module(model):
                    self.machine.facts.append(ModeSet(self.machine.place(site), model, None, None))
        return any(self._trains(thing) for ref, thing in reached.items() if ref not in given)

    def _receivers(self) -> Iterator[Object]:
        """The objects whose methods are under way."""
        for frame in self.machine.frames:
            function = frame.function
            if function is not None and function.owner is not None and function.node.params.params:
                held = self.machine.state.get(frame.ref, function.node.params.params[0].name.value)
                if held is not None and isinstance(held.thing, Object):
                    yield held.thing

    def _trains(self, thing: Object) -> bool:
        """Whether an object holds an optimizer, or what is called one."""
        names = self.machine.state.record(thing.ref)
        return self.holds_optimizer(Value(thing)) or any(isinstance(name, str) and OPTIMIZER_NAME.search(name) for name in names)

    def _spread(self, thing: Object, mode: Value) -> None:
        """A mode reaches all modules inside."""
        todo, seen = [thing], {thing.ref}
        while todo:
            here = todo.pop()
            self.machine.state.set(here.ref, Slot.MODE, mode)
            self.note(here.ref)
            if self.machine.state.get(here.ref, Slot.UNBUILT) is not None:
                self.machine.state.set(here.ref, Slot.MODE_SET, mode)
                continue
            inside = [inner for inner in self._inside(here) if inner.ref not in seen]
            seen.update(inner.ref for inner in inside)
            todo += inside

    def _inside(self, thing: Object) -> list[Object]:
        found: list[Object] = []
        for key, value in list(self.machine.state.record(thing.ref).items()):
            if not isinstance(key, str) and key is not Slot.ITEMS:
                continue
            items = value.thing if isinstance(value.thing, Items) else None
            several = (value,) if items is None else items.all
            for item in (each for one in several for each in members(one)):
                inner = item.thing
                if (
                    isinstance(inner, Object)
                    and inner.ref != thing.ref
                    and (inner.cls is None or self.classes.is_module(inner.cls))
                ):
                    found.append(inner)
        return found

    def spread_inside(self, thing: Object) -> None:
        """Modules that were built after somebody set the mode of the one around them take it over; a new module sets none."""
        mode = self.machine.state.get(thing.ref, Slot.MODE)
        if mode is not None and self.machine.state.get(thing.ref, Slot.MODE_SET) is not None:
            for inner in self._inside(thing):
                self._spread(inner, mode)

    def note(self, ref: Ref) -> None:
        """Remember that this object may have a mode."""
        self._with_mode.add(ref)

    def modes(self, state: State) -> dict[Ref, bool | None]:
        """The mode of every object that has one."""
        found: dict[Ref, bool | None] = {}
        for ref in self._with_mode:
            mode = state.get(ref, Slot.MODE)
            if mode is not None:
                found[ref] = mode.constant if isinstance(mode.constant, bool) else None
        return found

    def start_in_training_mode(self, value: Value, site: Site) -> None:
        """A module just built is in training mode; inside an object whose further life is not known, nothing is known."""
        if isinstance(value.thing, Object) and not any(frame.assumed and frame.is_init for frame in self.machine.frames):
            name = value.thing.cls.name if isinstance(value.thing.cls, ClassThing) else str(value.thing.cls).rpartition(".")[2]
            self.machine.state.set(
                value.thing.ref,
                Slot.MODE,
                replace(literal(True), trail=first_step(site, f"`{name}` is created; new modules start in training mode")),
            )
            self.note(value.thing.ref)
            if self.machine.state.get(value.thing.ref, Slot.UNBUILT) is None:
                self.registered.tell(value)

    def volatile(self, value: Value, arguments: Sequence[Argument], site: Site) -> Value:
        """A tensor, or where it is made volatile, one of which nothing computed records a graph."""
        if not any(argument.keyword == "volatile" and argument.value.constant is True for argument in arguments):
            return value
        return replace(value, origin=self.machine.new_ref(site, Made.VOLATILE), attached=False)

    def model_called(self, model: Value, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """A module, or something that may be one, is run; what it gives is of the rows that it was given."""
        machine = self.machine
        node = site.node
        if self._running or not isinstance(node, cst.Call) or not isinstance(model.thing, Object):
            return result
        if isinstance(model.thing.cls, ClassThing) and not self.classes.is_module(model.thing.cls):
            return result
        mode = machine.state.get(model.thing.ref, Slot.MODE)
        training = mode.constant if mode is not None and isinstance(mode.constant, bool) else None
        data = next((argument.value for argument in arguments if argument.value.data is not None), UNKNOWN)
        data = machine.force(data)
        machine.facts.append(
            ModelCall(
                machine.place(site),
                model,
                node.func,
                training,
                mode,
                self.mode_dependent(model.thing) if self._matters(mode) else None,
                self.dependent_in_training(model.thing) if training is True else None,
                machine.state.grad and not any(_is_volatile(argument.value) for argument in arguments),
                data,
                machine.feeding(),
                result,
                self._only_runs(model.thing),
            )
        )
        result = self.estimators.evaluations.choosing.predicted(data, result)
        if data.role is not None and data.role.held_out and (not machine.state.grad or training is False):
            behind = self.estimators.evaluations.augmenting.behind(data.data)
            if behind is not None:
                transform, name, made = behind
                place = replace(machine.place(site), site=made)
                machine.facts.append(RandomPart(place, data, transform, name, runs=True))
        if data.role is not None:
            rounds: list[tuple[cst.CSTNode, Part]] = [(loop.node, frame.part) for frame in machine.frames for loop in frame.loops]
            scored = any(reads_labels(loop, part) for loop, part in (*rounds, *comprehensions(site)))
            self.estimators.evaluations.used(data, "is run through the model", site, scored=scored)
        return result

    def _only_runs(self, thing: Object) -> bool:
        """Whether a model was loaded from a file, nobody has set its mode, and nothing around trains."""
        if self.machine.state.get(thing.ref, Slot.LOADED) is None:
            return False
        # a target network or a teacher runs in the loop that trains another: in which mode is for its method to say
        return not any("backward" in frame.part.words for frame in self.machine.frames)

    def _matters(self, mode: Value | None) -> bool:
        """Whether some rule may ask for mode-dependent layers: an evaluation in training mode, or a training that has a mode."""
        return mode is not None or bool(self.machine.feeding())

    def mode_dependent(self, thing: Object) -> str | bool | None:
        """The name of a layer inside that behaves differently in the two modes; False: none; None: not known."""
        names = [name for name, _ in self._dependences(thing, set())]
        return next((name for name in names if name is not None), None if names else False)

    def dependent_in_training(self, thing: Object) -> str | None:
        """The name of such a layer that is itself known to be in training mode: a container's mode may be another."""
        for name, ref in self._dependences(thing, set()):
            mode = self.machine.state.get(ref, Slot.MODE)
            if name is not None and (mode is None or mode.constant is True):
                return name
        return None

    def _dependences(self, thing: Object, seen: set[Ref]) -> Iterator[tuple[str | None, Ref]]:
        """Layers inside that a call runs and that behave differently in the two modes, by name; None: a layer that may."""
        if thing.ref in seen:
            return
        seen.add(thing.ref)
        self.machine.built(thing.ref)
        cls = thing.cls
        if cls is None:
            yield None, thing.ref
            return
        if isinstance(cls, str):
            own = self._own_dependence(thing, cls)
            if own is not False:
                yield own, thing.ref
                return
        elif self._asks_for_its_mode(cls):
            yield "self.training", thing.ref
            return
        for inner in self._run_inside(thing):
            yield from self._dependences(inner, seen)
        if isinstance(cls, ClassThing) and self.classes.has_unknown_base(cls):
            yield None, thing.ref

    def _run_inside(self, thing: Object) -> Iterator[Object]:
        """Modules in a module, without those that its forward never reaches."""
        machine = self.machine
        for key, value in list(machine.state.record(thing.ref).items()):
            if isinstance(value.thing, Lazy) or not (isinstance(key, str | ArgumentOf) or key is Slot.ITEMS):
                continue
            items = self.contents.items_of(value)
            several = items.all if items is not None else (value,)
            each = [item.thing for one in several for item in members(one)]
            found = [inner for inner in each if isinstance(inner, Object) and inner.ref != thing.ref]
            modules = [inner for inner in found if inner.cls is None or self.classes.is_module(inner.cls)]
            if modules and (not isinstance(key, str) or not isinstance(thing.cls, ClassThing) or self._is_run(thing.cls, key)):
                yield from modules

    def _is_run(self, cls: ClassThing, attribute: str) -> bool:
        """Whether running an object of a class may read an attribute."""
        read = self._attributes_read(cls)
        return read is None or attribute in read

    def _asks_for_its_mode(self, cls: ClassThing) -> bool:
        bases = [base for base in self.classes.ancestors(cls) if isinstance(base, ClassThing)]
        if not any(_READS_MODE.search(base.part.module.outline.text(base.part.statement)) for base in bases):
            return False
        return self._is_run(cls, "training")

    def _attributes_read(self, cls: ClassThing) -> frozenset[str] | None:
        """Names of the attributes that running an object of a class reads; None: it may be any."""
        if cls not in self._reads:
            self._reads[cls] = self._read_by_forward(cls)
        return self._reads[cls]

    def _read_by_forward(self, cls: ClassThing) -> frozenset[str] | None:
        functions: dict[str, list[Function]] = {}
        for ancestor in self.classes.ancestors(cls):
            if isinstance(ancestor, str):
                if ancestor not in torch.MODULE_BASES and ancestor not in ABSTRACT_BASES:
                    return None  # its forward may run what its subclasses hold
                continue
            for name, function in self.classes.functions(ancestor):
                functions.setdefault(name, []).append(function)
        return None if self.classes.has_unknown_base(cls) else reached(functions, ("forward", "__call__"))

    def _own_dependence(self, thing: Object, cls: str) -> str | Literal[False] | None:
        machine = self.machine
        if cls in torch.MODE_DEPENDENT:
            keyword = torch.DROPOUT_KEYWORD.get(cls)
            rate = (
                (machine.state.get(thing.ref, keyword) or machine.state.get(thing.ref, argument_of(keyword))) if keyword else None
            )
            off = rate is not None and rate.constant in (0, 0.0)
            if cls in torch.NORMALISES:  # without running statistics it uses those of the batch in both modes
                kept = machine.state.get(thing.ref, argument_of("track_running_stats"))
                off = kept is not None and kept.constant is False
            return False if off else f"nn.{cls.rpartition('.')[2]}"
        if cls in torch.RECURRENT:
            layers = machine.state.get(thing.ref, argument_of("num_layers"))
            if layers is None or layers.constant == 1:
                return False  # dropout acts between layers
            rate = machine.state.get(thing.ref, argument_of("dropout"))
            return f"nn.{cls.rpartition('.')[2]} with dropout" if rate is not None and rate.constant not in (0, 0.0) else False
        if cls.startswith(torch.MODE_DEPENDENT_MODELS):
            return f"{cls.partition('.from_')[0].rpartition('.')[2]}'s batch normalisation or dropout"
        if cls.startswith("torch.nn."):
            return False
        return None


def refers_to_weights(value: Value) -> bool:
    """Whether a value is a state dict, whose tensors are those of the model."""
    return value.origin is not None and value.origin.kind is Made.WEIGHTS


def _is_volatile(value: Value) -> bool:
    return value.origin is not None and value.origin.kind is Made.VOLATILE


def _holds_grad(node: cst.BaseExpression) -> bool:
    """`p.grad`, `p.grad.data`"""
    while isinstance(node, cst.Attribute):
        if node.attr.value == "grad":
            return True
        node = node.value
    return False
