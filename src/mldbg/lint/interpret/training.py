"""What a training loop does to gradients and modes: backward, step, zero_grad, train, eval, and running a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import libcst as cst

from mldbg.lint.interpret.facts import Backward, Gradients, GradientsCleared, GradientUse, ModelCall, ModeSet, SchedulerStep
from mldbg.lint.interpret.frames import Argument
from mldbg.lint.interpret.module import Site
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ClassThing,
    Constant,
    Data,
    Items,
    Lazy,
    Object,
    Ref,
    Unknown,
    Value,
    literal,
    onward,
)
from mldbg.lint.library.names import OPTIMIZER_NAME
from mldbg.operations import schedulers, tables, torch
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.interpret.interpreter import Interpreter

GRADIENTS = Ref(None, None, "gradients")
MODE = "#mode"
PARAMETERS = "parameters"

_OWNERS = re.compile(
    r"(^|_)(accelerator|fabric|engine|model_engine|booster|strategy|dist_autograd|amp|trainer|runner|plugin)$", re.IGNORECASE
)
_CLEARS = re.compile(r"zero_?grad|clear_?grad|reset_?grad|zero_?gradients|clean_?grad", re.IGNORECASE)
_TRAINS = re.compile(r"(^|_)(train|step|update|backward|optimi[sz]e|closure|fit)(_|$)", re.IGNORECASE)


class Training:
    """Gradients and modes in the interpreter's state."""

    def __init__(self, run: Interpreter) -> None:
        self.run = run
        self._with_mode: set[Ref] = set()
        self._numbers: dict[object, str] = {}
        self.running = 0
        """Modules that are being run: a layer inside a model is no model call of its own."""

    # --------------------------------------------------------------------------------------------------------------- methods
    def method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value | None:
        """The result of a method that trains, or None when it is not one."""
        node = site.node.func.value if isinstance(site.node, cst.Call) and isinstance(site.node.func, cst.Attribute) else None
        if name == "backward":
            return self._backward(base, node, arguments, site)
        if name == "step":
            return self._step(base, node, arguments, site)
        if name == "zero_grad":
            known = self.is_optimizer(base, node)
            self.clear_gradients(base if known else None, site, None if known else base)
            return UNKNOWN
        if name == "parameters":
            return Value(data=Data(rows=base.rows), origin=Ref(site, self.run.frame.context, PARAMETERS))
        if name in ("zero_", "detach_", "fill_") and isinstance(node, cst.Attribute) and _holds_grad(node):
            self.clear_gradients(None, site)
            return UNKNOWN
        if name in ("eval", "train") and isinstance(base.thing, Object) and self._can_be_module(base.thing):
            return self._set_mode(base, base.thing, name, arguments, site, node)
        if _CLEARS.search(name):
            self.clear_gradients(None, site)
        return None

    def special(self, name: str, receiver: Value | None, arguments: Sequence[Argument], site: Site) -> Value:
        """Functions with an effect on gradients."""
        run = self.run
        values = [argument.value for argument in arguments]
        if name == "clip":
            optimizer, cleared = self._gradients_of(None)
            run.facts.append(GradientUse(run.place(site), UNKNOWN, None, optimizer, cleared, frozenset(), clip=True))
        elif (name == "backward" and receiver is None) or name == "manual_backward":
            self._note_backward(values[0] if values else UNKNOWN, arguments, site, owned=False)
        elif name == "owned_backward":
            self._note_backward(values[0] if values else UNKNOWN, arguments, site, owned=True)
        elif name == "scaler_step" and arguments:
            self._use(values[0], arguments[0].node, site)
        return run.library.unknown_result(site)

    # ------------------------------------------------------------------------------------------------------------- gradients
    def _backward(self, base: Value, node: cst.BaseExpression | None, arguments: Sequence[Argument], site: Site) -> Value | None:
        name = _last_name(node)
        positional = [argument for argument in arguments if argument.keyword is None]
        if name == "dist_autograd" or (isinstance(base.thing, Object) and isinstance(base.thing.cls, ClassThing)):
            return None
        owner = bool(_OWNERS.search(name)) or (bool(positional) and name in ("self", "model"))
        if owner or (positional and positional[0].value.meaning is Semantic.SCALAR_LOSS):
            self._note_backward(positional[0].value if positional else UNKNOWN, arguments, site, owned=True)
        else:
            self._note_backward(base, arguments, site, owned=False)
        return UNKNOWN

    def _note_backward(self, loss: Value, arguments: Sequence[Argument], site: Site, *, owned: bool) -> None:
        run = self.run
        keeps = any(
            argument.keyword in ("retain_graph", "create_graph") and argument.value.constant is not False
            for argument in arguments
        )
        run.facts.append(Backward(run.place(site), loss, owned, keeps))
        run.state.ensure(GRADIENTS)
        for key in list(run.state.record(GRADIENTS)):
            run.state.set(GRADIENTS, key, literal(Gradients.FRESH.value))
        run.state.set(GRADIENTS, "#any", literal(Gradients.FRESH.value))

    def _step(self, base: Value, node: cst.BaseExpression | None, arguments: Sequence[Argument], site: Site) -> Value | None:
        self._step_scheduler(base, node, arguments, site)
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
            self.run.call(first.value, [], site)  # the closure computes the gradients itself
            return UNKNOWN
        if first is None or first.keyword is not None:
            self._use(base, node, site)
        return UNKNOWN

    def _step_scheduler(self, base: Value, node: cst.BaseExpression | None, arguments: Sequence[Argument], site: Site) -> None:
        """Tell of a scheduler's step: of one that is known to be one, or of something unknown that is called so.

        A scheduler of torch takes at most a metric; a noise scheduler, which is called so too, takes more.
        """
        thing = base.thing
        cls = self.run.outside_base(thing.cls) if isinstance(thing, Object) else None
        known = cls is not None and schedulers.is_scheduler_class(cls)
        may_be = isinstance(thing, Unknown) or (isinstance(thing, Object) and thing.cls is None)
        if known or (may_be and len(arguments) <= 1 and schedulers.SCHEDULER_NAME.search(_last_name(node))):
            self.run.facts.append(SchedulerStep(self.run.place(site), base, self.optimizer_of(base)))

    def optimizer_of(self, scheduler: Value) -> Value:
        """The optimizer that a scheduler was built with; of chained schedulers the first one's."""
        if not isinstance(scheduler.thing, Object):
            return UNKNOWN
        record = self.run.state.record(scheduler.thing.ref)
        held = record.get("#argument optimizer")
        if held is not None and not held.is_none:
            return held
        chained = self.run.items_of(record.get("#argument schedulers", UNKNOWN))
        return self.optimizer_of(chained.tail[0]) if chained is not None and chained.tail else UNKNOWN

    def _use(self, optimizer: Value, node: cst.BaseExpression | None, site: Site) -> None:
        run = self.run
        gradients, cleared = self._gradients_of(optimizer)
        run.facts.append(
            GradientUse(run.place(site), optimizer, node, gradients, cleared, self.parameters_of(optimizer), clip=False)
        )

    def parameters_of(self, optimizer: Value) -> frozenset[Ref]:
        """The models whose parameters an optimizer was given, where it is known."""
        thing = optimizer.thing
        given = self.run.state.get(thing.ref, "#argument 0") if isinstance(thing, Object) else None
        given = given or (self.run.state.get(thing.ref, "#argument params") if isinstance(thing, Object) else None)
        plain = given is not None and given.origin is not None and given.origin.label == PARAMETERS
        return given.rows if given is not None and plain else frozenset()

    def clear_gradients(self, optimizer: Value | None, site: Site, model: Value | None = None) -> None:
        """Gradients become zero: of one optimizer's parameters, of one model's, or (both None) of unknown ones."""
        run = self.run
        known = self.parameters_of(optimizer) if optimizer is not None else model.rows if model is not None else frozenset()
        run.facts.append(GradientsCleared(run.place(site), known))
        run.state.ensure(GRADIENTS)
        if optimizer is None:
            self.forget_gradients()
            if model is not None and isinstance(model.thing, Object):
                cleared = literal(Gradients.CLEARED.value).step(site, "gradients are cleared here")
                run.state.set(GRADIENTS, self._key(model), cleared)
            return
        cleared = literal(Gradients.CLEARED.value).step(site, "gradients are cleared here")
        run.state.set(GRADIENTS, self._key(optimizer), cleared)
        others = [key for key in run.state.record(GRADIENTS) if key not in ("#any", self._key(optimizer))]
        run.state.set(GRADIENTS, "#any", literal(Gradients.UNKNOWN.value) if others else cleared)

    def forget_gradients(self) -> None:
        """Unknown code may have changed them."""
        run = self.run
        run.state.ensure(GRADIENTS)
        for key in list(run.state.record(GRADIENTS)):
            run.state.set(GRADIENTS, key, literal(Gradients.UNKNOWN.value))

    def _gradients_of(self, optimizer: Value | None) -> tuple[Gradients, Site | None]:
        key = "#any" if optimizer is None else self._key(optimizer)
        held = self.run.state.get(GRADIENTS, key)
        if optimizer is not None and (held is None or held.constant == Gradients.UNKNOWN.value):
            models = self.parameters_of(optimizer)
            if len(models) == 1:
                held = self.run.state.get(GRADIENTS, self._numbers.get(next(iter(models)), ""))
        if held is None or not isinstance(held.constant, str):
            return Gradients.UNKNOWN, None
        return Gradients(held.constant), held.trail.site if held.trail is not None else None

    def _key(self, optimizer: Value) -> str:
        identity = optimizer.thing.ref if isinstance(optimizer.thing, Object) else optimizer.origin
        return self._numbers.setdefault(identity, f"#{len(self._numbers)}")

    def is_optimizer(self, value: Value, node: cst.BaseExpression | None) -> bool:
        """Whether a value is a torch optimizer: by its class, or where that is not known, by its conventional name."""
        thing = value.thing
        if isinstance(thing, Object) and thing.cls is not None:
            if isinstance(thing.cls, str):
                return tables.is_optimizer_class(thing.cls)
            return any(isinstance(base, str) and tables.is_optimizer_class(base) for base in self.run.ancestors(thing.cls))
        if not isinstance(thing, Unknown | Object):
            return False
        return self.run.frame.module.uses_torch and bool(OPTIMIZER_NAME.search(_last_name(node)))

    def may_clear(self, name: str, arguments: Sequence[Argument]) -> bool:
        """Whether unknown code that gets these arguments may clear gradients or step an optimizer."""
        if _TRAINS.search(name):
            return True
        return any(
            self.is_optimizer(argument.value, argument.node) or self.holds_optimizer(argument.value) for argument in arguments
        )

    def holds_optimizer(self, value: Value) -> bool:
        """Whether an object has an optimizer among its attributes."""
        if not isinstance(value.thing, Object) or not isinstance(value.thing.cls, ClassThing):
            return False
        return any(
            isinstance(held.thing, Object) and held.thing.cls is not None and self.is_optimizer(held, None)
            for held in self.run.state.record(value.thing.ref).values()
        )

    # ----------------------------------------------------------------------------------------------------------------- modes
    def _can_be_module(self, thing: Object) -> bool:
        return thing.cls is None or self.run.is_module(thing.cls) or isinstance(thing.cls, ClassThing)

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
                literal(training), trail=onward(None, site, "put into training mode" if training else "put into evaluation mode")
            )
        self._spread(thing, mode, 0)
        self.run.facts.append(ModeSet(self.run.place(site), thing, training, node))
        return base

    def _spread(self, thing: Object, mode: Value, depth: int) -> None:
        """A mode reaches all modules inside."""
        self.run.state.set(thing.ref, MODE, mode)
        self.note(thing.ref)
        if depth < 6 and self.run.state.get(thing.ref, "#unbuilt") is None:
            for inner in self._inside(thing):
                self._spread(inner, mode, depth + 1)

    def _inside(self, thing: Object) -> list[Object]:
        found: list[Object] = []
        for name, value in list(self.run.state.record(thing.ref).items()):
            if name.startswith("#") and name != "#items":
                continue
            several = value.thing.tail if isinstance(value.thing, Items) else (value,)
            for item in several:
                inner = item.thing
                if isinstance(inner, Object) and inner.ref != thing.ref and (inner.cls is None or self.run.is_module(inner.cls)):
                    found.append(inner)
        return found

    def spread_inside(self, thing: Object) -> None:
        """Modules that were built after the mode of the one around them was set take it over."""
        mode = self.run.state.get(thing.ref, MODE)
        if mode is not None:
            for inner in self._inside(thing):
                self._spread(inner, mode, 1)

    def note(self, ref: Ref) -> None:
        """Remember that this object may have a mode."""
        self._with_mode.add(ref)

    def modes(self) -> dict[Ref, bool | None]:
        """The mode of every object that has one."""
        found: dict[Ref, bool | None] = {}
        for ref in self._with_mode:
            mode = self.run.state.get(ref, MODE)
            if mode is not None:
                found[ref] = mode.constant if isinstance(mode.constant, bool) else None
        return found

    def start_in_training_mode(self, value: Value, site: Site) -> None:
        """A module just built is in training mode; inside an object whose further life is not known, nothing is known."""
        if isinstance(value.thing, Object) and not any(frame.assumed and frame.is_init for frame in self.run.frames):
            name = value.thing.cls.name if isinstance(value.thing.cls, ClassThing) else str(value.thing.cls).rpartition(".")[2]
            self.run.state.set(
                value.thing.ref,
                MODE,
                replace(literal(True), trail=onward(None, site, f"`{name}` is built; a new module is in training mode")),
            )
            self.note(value.thing.ref)

    def model_called(self, model: Value, arguments: Sequence[Argument], site: Site, result: Value) -> None:
        """A module, or something that may be one, is run."""
        run = self.run
        node = site.node
        if self.running or not isinstance(node, cst.Call) or not isinstance(model.thing, Object):
            return
        if isinstance(model.thing.cls, ClassThing) and not run.is_module(model.thing.cls):
            return
        mode = run.state.get(model.thing.ref, MODE)
        training = mode.constant if mode is not None and isinstance(mode.constant, bool) else None
        data = next((argument.value for argument in arguments if argument.value.data is not None), UNKNOWN)
        data = run.force(data)
        run.facts.append(
            ModelCall(
                run.place(site),
                model,
                node.func,
                training,
                mode,
                self.mode_dependent(model.thing) if self._matters(mode) else None,
                run.state.grad,
                data,
                run.feeding(),
                result,
            )
        )
        if data.role is not None:
            run.estimators.used(data, "run through the model", site)

    def _matters(self, mode: Value | None) -> bool:
        """Whether some rule may ask for mode-dependent layers: an evaluation in training mode, or a training that has a mode."""
        return mode is not None or bool(self.run.feeding())

    def mode_dependent(self, thing: Object, depth: int = 0) -> str | bool | None:
        """The name of a layer inside that behaves differently in the two modes; False: none; None: not known."""
        run = self.run
        run.built(thing.ref)
        cls = thing.cls
        if cls is None or depth > 8:
            return None
        if isinstance(cls, str):
            own = self._own_dependence(thing, cls)
            if own is not False:
                return own
        elif any(
            isinstance(base, ClassThing) and "self.training" in base.part.module.outline.text(base.part.statement)
            for base in run.ancestors(cls)
        ):
            return "self.training"
        unknown = False
        for name, value in list(run.state.record(thing.ref).items()):
            if isinstance(value.thing, Lazy) or (name.startswith("#") and name != "#items" and not name.startswith("#argument")):
                continue
            items = run.items_of(value)
            several = [*items.tail, *([items.lead] if items.lead is not None else [])] if items is not None else [value]
            for item in several:
                if (
                    isinstance(item.thing, Object)
                    and item.thing.ref != thing.ref
                    and (item.thing.cls is None or run.is_module(item.thing.cls))
                ):
                    found = self.mode_dependent(item.thing, depth + 1)
                    if isinstance(found, str):
                        return found
                    unknown = unknown or found is None
        if isinstance(cls, ClassThing) and run.has_unknown_base(cls):
            unknown = True
        return None if unknown else False

    def _own_dependence(self, thing: Object, cls: str) -> str | bool | None:
        run = self.run
        if cls in torch.MODE_DEPENDENT:
            keyword = torch.DROPOUT_KEYWORD.get(cls)
            rate = run.state.get(thing.ref, f"#argument {keyword}") if keyword else None
            return False if rate is not None and rate.constant in (0, 0.0) else f"nn.{cls.rpartition('.')[2]}"
        if cls in torch.RECURRENT:
            rate = run.state.get(thing.ref, "#argument dropout")
            return f"nn.{cls.rpartition('.')[2]} with dropout" if rate is not None and rate.constant not in (0, 0.0) else False
        if cls.startswith(torch.MODE_DEPENDENT_MODELS):
            return f"{cls.rpartition('.')[2]}'s batch normalisation or dropout"
        if cls.startswith("torch.nn."):
            return False
        return None


def _holds_grad(node: cst.BaseExpression) -> bool:
    """`p.grad`, `p.grad.data`"""
    while isinstance(node, cst.Attribute):
        if node.attr.value == "grad":
            return True
        node = node.value
    return False


def _last_name(node: cst.BaseExpression | None) -> str:
    """The last name in an expression: `self.optimizer` -> optimizer, `optimizers["g"]` -> optimizers."""
    while isinstance(node, cst.Subscript | cst.Call):
        node = node.value if isinstance(node, cst.Subscript) else node.func
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""
