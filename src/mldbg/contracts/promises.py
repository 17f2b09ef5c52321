"""`Contract`: what one function promises, and the explanation when it does not hold."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from mldbg.contracts import annotation, dynamo, flags, foreign, generate, scope, tracing
from mldbg.contracts.annotation import Plan
from mldbg.contracts.error import Binding, ContractError, Violation
from mldbg.contracts.matching import UNSET, Failure, Scope, Seen, explained, judge, shape_of
from mldbg.contracts.modes import SETTING, SHAPES_ONLY, Mode
from mldbg.contracts.names import signature_of
from mldbg.contracts.observing import Known, has_law, known, observe, observe_seen, observe_traced
from mldbg.operations import dims

_files = itertools.count(1)
_YIELDING = ("generator", "asyncgen")


def kind_of(function: Callable[..., Any]) -> str:
    """Which kind of function it is: `function`, `coroutine`, `generator` or `asyncgen`."""
    if inspect.isasyncgenfunction(function):
        return "asyncgen"
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    return "generator" if inspect.isgeneratorfunction(function) else "function"


def name_of(function: Callable[..., Any]) -> str:
    """How messages call a function."""
    return function.__qualname__.replace("<locals>.", "")


def read(
    hint: Any, *, contract: str, parameter: str, optional: bool = False, names: Mapping[str, Any] | None, final: bool
) -> Plan:
    """The plan of the annotation of a parameter, or of `return`. As `annotation.read`; errors say whose annotation it is."""
    try:
        return annotation.read(hint, optional=optional, names=names, final=final, of=f"{contract}: {parameter}")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{contract}: annotation of {parameter}: {error}") from None


def given_by(kind: str, hint: Any) -> Any:
    """What the annotation of a result says of each thing that a function of a kind returns or yields."""
    if kind not in _YIELDING:
        return hint
    arguments = getattr(hint, "__args__", ())
    return arguments[0] if arguments else Any


def place_of(function: Callable[..., Any]) -> str:
    """`path:line` of a function's definition."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""


class Contract:
    """The promises of one function.

    name: how messages call it. plans: parameter -> what is checked of it. result: the same for what it returns or yields.
    source: the text of its checker for eager code.
    number: what counts the calls of its checker in code that is compiled.
    refused: makes the error of a broken promise, in eager code.
    implied: nobody wrote it down at the function; it is there because of `install`.
    """

    number: int
    refused: Callable[..., Exception]
    implied = False

    def __init__(
        self,
        function: Callable[..., Any],
        hints: Mapping[str, Any],
        *,
        name: str = "",
        level: Mode | None = None,
        names: Mapping[str, Any] | None = None,
        final: bool = True,
    ) -> None:
        """names, final: as for `annotation.read`.

        Raises ValueError or TypeError for annotations that make no sense; NameError for a name that may yet be defined.
        """
        self.function = function
        self._names = names
        self._final = final
        self.name = name or name_of(function)
        self.place = place_of(function)
        self.kind = kind_of(function)
        self.signature = signature_of(function)
        self.plans = self._plans_of_parameters(hints)
        self.result = self._plan_of_result(hints)
        self.places_of_result: list[Known] = []
        self._check_names()
        self._announce()
        self.level = level
        self.source = ""
        self.sites: list[flags.Site] = []
        self.calls = self.unchecked = 0
        self._doors: list[tuple[dict[str, Any], str, Callable[..., Any]]] = []

    def _plans_of_parameters(self, hints: Mapping[str, Any]) -> dict[str, Plan]:
        plans = {}
        for name, parameter in self.signature.parameters.items():
            if name not in hints:
                continue
            whole = annotation.unpacked(hints[name])
            plan = self._read(name, hints[name] if whole is None else whole, optional=parameter.default is None)
            if annotation.holds_arrays(plan):
                if whole is not None:
                    pass  # `**kwargs: Unpack[Inputs]` speaks of all of them
                elif parameter.kind is parameter.VAR_POSITIONAL:
                    plan = annotation.Many(tuple, plan)
                elif parameter.kind is parameter.VAR_KEYWORD:
                    plan = annotation.Table(dict, plan)
                plans[name] = plan
        return plans

    def _plan_of_result(self, hints: Mapping[str, Any]) -> Plan | None:
        if "return" not in hints:
            return None
        plan = self._read("return", given_by(self.kind, hints["return"]))
        return plan if annotation.holds_arrays(plan) else None

    def _read(self, parameter: str, hint: Any, *, optional: bool = False) -> Plan:
        return read(hint, contract=self.name, parameter=parameter, optional=optional, names=self._names, final=self._final)

    def _check_names(self) -> None:
        """Raises ValueError where an expression names a parameter or an axis that the contract does not have."""
        arrays = [(name, array) for name, plan in self._all_plans() for array in annotation.arrays(plan)]
        axes = {name for _, plan in self._all_plans() for name in annotation.axis_names(plan)}
        for name, array in arrays:
            bound = array.meaning.bound if array.meaning is not None else None
            bounds = [bound] if isinstance(bound, dims.Symbolic) else []
            for dim in (*(one for one in array.dims if isinstance(one, dims.Symbolic)), *bounds):
                for argument in dim.arguments:
                    if argument not in self.signature.parameters and not dims.is_builtin(argument):
                        raise ValueError(f"{self.name}: annotation of {name}: {{{argument}}} in {dim.text!r} is not a parameter")
            for missing in [one for dim in bounds for one in dim.names if one not in axes]:
                raise ValueError(f"{self.name}: annotation of {name}: below({bounds[0].text!r}): no axis is called {missing!r}")

    def _announce(self) -> None:
        for _, plan in self._all_plans():
            for unknown in _foreign(plan):
                foreign.announce(unknown.text, self.name, shallow=unknown.shallow)

    def _all_plans(self) -> list[tuple[str, Plan]]:
        return [*self.plans.items(), *([("return", self.result)] if self.result is not None else [])]

    def is_empty(self) -> bool:
        """Whether nothing is promised about any tensor."""
        return not self._all_plans()

    def checked(self, *, joins: bool) -> Callable[..., Any]:
        """The function with its checks.

        joins: whether its body may call `check`.
        Raises ValueError for a symbolic axis whose names nothing binds.
        """
        self.number = tracing.number_for(self)  # what promises nothing is never counted
        self.refused = dynamo.untraced(tracing.BREAK)(self.broken)
        promises = tuple(generate.Promise(name, plan, number) for number, (name, plan) in enumerate(self.plans.items()))
        result = None if self.result is None else generate.Promise("return", self.result, len(promises))
        parameters = list(self.signature.parameters)
        order = generate.Order(
            name=generate.identifier(self.function),
            signature=self.signature,
            promises=promises,
            result=result,
            kind=self.kind,
            joins=joins,
            level=None if self.level is None else int(self.level),
            owner=parameters[0] if parameters and parameters[0] == "self" else "None",
        )
        number = next(_files)
        places = self._places((*promises, *([result] if result is not None else [])))
        self.places_of_result = [] if result is None else places[result.number]
        self.sites = [known.site for group in places.values() for known in group]
        try:
            # where the graph breaks inside of it, torch.compile runs the traced version as it is, and compiles what that calls
            unseen = self._compiled(order, number, places, is_traced=False, other=None)
            plain = dynamo.untraced(tracing.BREAK, recursive=False)(unseen)
            traced = self._compiled(order, number, places, is_traced=True, other=plain)
            self.entry = self._compiled(order, number, places, is_traced=False, other=traced)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        self.count_calls(on=SETTING.counting)
        return self.entry

    def _compiled(
        self, order: generate.Order, number: int, places: dict[int, list[Known]], *, is_traced: bool, other: Any
    ) -> Callable[..., Any]:
        """The version for eager code, which hands over to the `other` one when it is traced; or that one, which hands back."""
        source = generate.write(order, traced=is_traced)
        environment = {
            "inner": self.function,
            "contract": self,
            "broken": self.broken_in_trace if is_traced else self.refused,
            "setting": SETTING,
            "is_compiling": torch.compiler.is_dynamo_compiling,
            "judge": judge,
            "unset": UNSET,
            "each": self.each,
            "observe_all": _observe_all(places),
            "merged": dims.merged,
            "plain" if is_traced else "traced": other,
        }
        if is_traced:
            environment |= {
                "active": scope.TRACED,
                "observe": _observe_traced_at(places),
                "enter": tracing.enter,
                "leave": tracing.leave,
                "scope_can_be_set": tracing.scope_can_be_set,
                "settle": tracing.settle,
                "count": _count_at(self.number),
            }
        else:
            self.source = source.text
            environment |= {
                "active": scope.EAGER,
                "observe": _observe_at(places),
                "settle": self._settle,
                "abandon": flags.abandon,
                "aside": tracing.StandAside,
                "meets": DistributedDataParallel,
                "awaiting": scope.Stepwise,
                "stepwise": scope.stepwise,
                "stepwise_async": scope.stepwise_async,
            }
        suffix = " in compiled code" if is_traced else ""
        checker = generate.compiled(source, f"<contract {number}{suffix} of {self.name}>", environment)
        if not is_traced:
            # only the version without `other` runs where torch.compile is not looking, and must not be compiled piece by piece
            counted = self._counted if other is not None else dynamo.untraced(tracing.BREAK, recursive=False)(self._counted)
            self._doors.append((checker.__globals__, source.prefix + "inner", counted))
        return checker  # type: ignore[no-any-return]

    def count_calls(self, *, on: bool) -> None:
        """Count calls from now on, or no longer: the checkers call another function in place of the one they check."""
        for names, inner, counted in self._doors:
            names[inner] = counted if on else self.function

    def _counted(self, /, *args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_dynamo_compiling():
            level = SETTING.level if self.level is None else self.level
            self.calls += level > Mode.OFF
            self.unchecked += level == Mode.OFF
            if level == Mode.SHAPES:
                why = SETTING.why_no_values() if self.level is None else SHAPES_ONLY
                for site in self.sites:
                    site.tally.leave_out(why)
        return self.function(*args, **kwargs)

    def _settle(self, level: int, owner: object, /, *args: Any, **kwargs: Any) -> None:
        repeatable = self.kind == "function" and level > Mode.SHAPES
        flags.settle(flags.Call(self.entry, args, kwargs) if repeatable else None, owner)

    def _places(self, promises: Iterable[generate.Promise]) -> dict[int, list[Known]]:
        return {
            promise.number: [
                known(self.name, promise.name, array, self.place) for array in annotation.arrays(promise.plan) if has_law(array)
            ]
            for promise in promises
        }

    def each(self, names: Scope, level: int, outermost: bool) -> Callable[[Any], None] | None:
        """What is done with every value that a generator yields."""
        if self.result is None:
            return None
        count = itertools.count(1)

        def checked(value: Any) -> None:
            assert self.result is not None
            path = f"yield {next(count)}"
            seen: Seen = []
            failure = judge(self.result, value, names, path, seen)
            if failure is not None:
                if tracing.is_symbolic(value):
                    return
                raise ContractError(self._violation(failure, names))
            if level > Mode.SHAPES:
                observe_seen(seen, self.places_of_result, names, level)
                if outermost:
                    flags.settle(None)

        return checked

    def broken(self, parameter: str, arguments: dict[str, Any], result: Any = None, names: Scope | None = None) -> Exception:
        """The error for a check that failed: everything is matched once more, now with an account of each step.

        In a symbolic trace of torch.fx it is one upon which the checker stands aside.
        """
        if tracing.is_symbolic(arguments, result):
            return tracing.StandAside()
        error = ContractError(self.violation(parameter, arguments, result, names))
        if scope.EAGER.top is None:
            flags.abandon(error, arguments.get("self"))
        return error

    def broken_in_trace(
        self, parameter: str, arguments: dict[str, Any], result: Any = None, names: Scope | None = None
    ) -> Exception:
        """The same in code that is being traced: the graph ends here, for the reason that the error will give in eager code."""
        tracing.break_graph(self.violation(parameter, arguments, result, names))
        return self.refused(parameter, arguments, result, names)

    def violation(self, parameter: str, arguments: dict[str, Any], result: Any, names: Scope | None) -> Violation:
        """What is broken, found by matching all parameters in order, then the result."""
        known = explained({"{" + name + "}": value for name, value in arguments.items()})
        for name, plan in self.plans.items():
            failure = judge(plan, arguments[name], known, name)
            if failure is not None:
                return self._violation(failure, known)
        for name, size in explained(names or {}).items():
            known.setdefault(name, size)
        if self.result is not None:
            failure = judge(self.result, result, known, "return")
            if failure is not None:
                return self._violation(failure, known)
        raise AssertionError(f"{self.name}: {parameter} was rejected by the generated checker alone:\n{self.source}")

    def where(self, names: Scope) -> None:
        """Add to a scope of this contract the places where its parameters gave the axes their sizes."""
        known: Scope = {name: value for name, value in names.items() if name[0] == "{"}
        for name, plan in self.plans.items():
            judge(plan, known["{" + name + "}"], known, name)
        for name, value in known.items():
            names.setdefault(name, value)

    def _violation(self, failure: Failure, known: Scope) -> Violation:
        return violation(self.name, failure, known, self.place)


def count_calls(*, on: bool) -> None:
    """Have all contracts count their calls, or no longer."""
    for one in list(tracing.COUNTED.values()):
        if isinstance(one, Contract):
            one.count_calls(on=on)


def violation(contract: str, failure: Failure, known: Scope, place: str) -> Violation:
    """A failure as a violation of a contract. known: the scope in which it was found."""
    return Violation(
        contract=contract,
        parameter=failure.path,
        expected=failure.expected,
        actual=failure.actual,
        axis=failure.axis,
        bindings=bindings(known),
        arguments=_shapes(known) if failure.axis else "",
        cause=failure.cause,
        advice=failure.advice,
        place=place,
    )


def _shapes(known: Scope) -> str:
    """The shapes of all tensors among the arguments of a scope, if there are several."""
    given = {name[1:-1]: value for name, value in known.items() if name[0] == "{"}
    parts: dict[str, Any] = {}
    for name, value in given.items():
        match value:
            case torch.Tensor():
                parts[name] = value
            case list() | tuple():
                parts |= {f"{name}[{index}]": one for index, one in enumerate(value)}
            case Mapping():
                parts |= {f"{name}[{key!r}]": one for key, one in value.items()}
            case _:
                pass
    shapes = [f"{name} {shape_of(value)}" for name, value in parts.items() if isinstance(value, torch.Tensor)]
    more = f" and {len(shapes) - MOST_SHAPES} more" if len(shapes) > MOST_SHAPES else ""
    return ", ".join(shapes[:MOST_SHAPES]) + more if len(shapes) > 1 else ""


MOST_SHAPES = 8
"""Shapes of arguments that a message lists."""


def bindings(known: Scope) -> tuple[Binding, ...]:
    """The axes of a scope that have a size."""
    found = []
    for name, size in known.items():
        if name[0] not in "@{#!":
            value = tuple(size[1]) if name.startswith("*") else size
            found.append(Binding(name, value, str(known.get("@" + name, "an enclosing contract"))))
    return tuple(found)


def _foreign(plan: Plan) -> list[annotation.Foreign]:
    match plan:
        case annotation.Foreign():
            return [plan]
        case annotation.Either(parts) | annotation.Row(parts):
            return [one for part in parts for one in _foreign(part)]
        case annotation.Many(_, inner) | annotation.Table(_, inner):
            return _foreign(inner)
        case annotation.Record(_, fields):
            return [one for _, part in fields for one in _foreign(part)]
        case _:
            return []


def _observe_at(places: Mapping[int, list[Known]]) -> Callable[..., None]:
    """Observes a tensor at the place of a numbered promise, in eager code."""
    sites = {number: known[0].site for number, known in places.items() if known}

    def observe_at(tensor: torch.Tensor, number: int, level: int, bound: Any) -> None:
        observe(tensor, sites[number], level, bound)

    return observe_at


def _observe_all(places: Mapping[int, list[Known]]) -> Callable[..., None]:
    """Observes the tensors with a meaning that were found inside the union or container of a numbered promise."""

    def observe_all(number: int, seen: Seen, names: Scope, level: int) -> None:
        observe_seen(seen, places[number], names, level)

    return observe_all


def _count_at(number: int) -> Callable[[], None]:
    """Counts a call of a numbered contract, in code that is being compiled."""

    def count_at() -> None:
        tracing.count(number)

    return count_at


def _observe_traced_at(places: Mapping[int, list[Known]]) -> Callable[..., None]:
    """The same in code that is being compiled."""
    first = {number: known[0] for number, known in places.items() if known}

    def observe_at(tensor: torch.Tensor, number: int, level: int, bound: Any) -> None:
        observe_traced(tensor, first[number].site, first[number].number, level, bound)

    return observe_at
