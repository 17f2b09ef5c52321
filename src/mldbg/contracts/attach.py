"""`attach`: contracts for the modules of a model whose code is not one's own."""

from __future__ import annotations

import fnmatch
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import nn

from mldbg.contracts import annotation, counting, dynamo, flags, ledger, tracing
from mldbg.contracts.annotation import Plan
from mldbg.contracts.counting import Coverage
from mldbg.contracts.error import ContractError, Violation
from mldbg.contracts.ledger import RESULT, FirstPass, Ledger, NeverChecked, Row
from mldbg.contracts.matching import Failure, Scope, Seen, explained, judge, number
from mldbg.contracts.modes import SETTING, Mode
from mldbg.contracts.names import signature_of
from mldbg.contracts.observing import has_law, known, leave_out_seen, observe_seen
from mldbg.contracts.promises import place_of, violation
from mldbg.contracts.scope import EAGER, TRACED
from mldbg.contracts.tracing import scope_can_be_set

_PROMISED = "{parameter or 'return': annotation}"


class Attachment:
    """What `attach` put on a model. `remove` takes it off again."""

    def __init__(self, handles: list[Any], ledger: Ledger, end: Callable[[], object]) -> None:
        self._handles = handles
        self._ledger = ledger
        self._end = end

    def report(self) -> Coverage:
        """What the promises have checked since `attach`, and what no call has met, parameters left to their default among it.

        Calls in compiled code are counted inside `contracts.coverage()` only.
        """
        rows = self._ledger.rows
        lines = [
            line
            for row in rows
            for line in counting.lines_of(row, row.calls, row.unchecked, [(site.parameter, site.tally) for site in row.sites])
        ]
        return Coverage(tuple(lines), tuple(name for row in rows for name in counting.never_met(row, row.calls)))

    def remove(self) -> None:
        """Check no longer; a second call does nothing.

        Warns (`NeverChecked`) of promises that nothing could check, unless the first forward pass of the model has said so.
        """
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._end()


def attach(model: nn.Module, promises: Mapping[str, Mapping[str, Any]]) -> Attachment:
    """Hold the modules of a model to annotations given from outside.

    promises: pattern -> {parameter of forward, or "return": annotation}. A pattern is a module's path in `model.named_modules()`,
        where `*` stands for one segment (or for a part of one) and `**` for any number; `""` is the model itself.

    Axis names mean the same size in all modules during one forward pass of `model`, and `{self.d}` reads the module at hand.
    The checks follow the module through `deepcopy`, pickling and data-parallel replicas. They run where a module is called, and
    not for `module.forward(x)`. A promise about `*args` or `**kwargs` of `forward` is one about each of what they hold.

    Warns (`NeverChecked`) after the first forward pass of `model` of promises that it has not met: modules that were not called,
    and, where `forward` takes any keyword, names that were not passed. `report()` of what is returned has the rest.

    Raises TypeError for what is no module or no such mapping; ValueError where nothing is promised, for a pattern that matches no
    module that can be called and checked, a parameter that forward does not have, or an annotation that makes no sense.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"attach: a model must be a torch.nn.Module, not {model!r}")
    if not isinstance(promises, Mapping):
        raise TypeError(f"attach: promises must be {{pattern: {_PROMISED}}}, not {promises!r}")
    if not promises:
        raise ValueError(f"attach: no promises; pass {{pattern: {_PROMISED}}}")
    modules = dict(model.named_modules())
    caller = sys._getframe(1)  # noqa: SLF001 (what is never checked is said of the line that promises it)
    known = Ledger(type(model).__name__, (caller.f_code.co_filename, caller.f_lineno))
    found: dict[str, dict[str, Any]] = {}
    matched: dict[str, list[str]] = {}
    for pattern, promised in promises.items():
        if not isinstance(promised, Mapping):
            raise TypeError(f"attach: {pattern!r} needs {_PROMISED}, not {promised!r}")
        if not promised:
            raise ValueError(f"attach: {pattern!r} promises nothing; pass {_PROMISED}")
        matched[pattern] = _checkable(pattern, modules, known)
        for path in matched[pattern]:
            _check_parameters(path, modules[path], promised)
            found.setdefault(path, {}).update(promised)
    found.setdefault("", {})  # the model itself begins and ends the pass, promised or not
    handles: list[Any] = []
    rows: dict[str, Row] = {}
    for path, promised in found.items():
        module = modules[path]
        guard = Guard(type(model).__name__, path, module, promised)
        rows[path] = guard.row
        handles += [
            module.register_forward_pre_hook(guard.open),
            module.register_forward_pre_hook(guard.before, with_kwargs=True),
            module.register_forward_hook(guard.after),
            module.register_forward_hook(guard.close, always_call=True),
        ]
    for pattern, paths in matched.items():
        known.patterns[pattern] = tuple(promises[pattern]), [rows[path] for path in paths]
    known.root = rows[""]
    if "" not in matched and ledger.passes_hooks_by(type(model)):
        text = f"attach: {_never_checked(model)}; nor do its modules share the sizes of axes"
        warnings.warn_explicit(text, NeverChecked, *known.place)
    handles.append(model.register_forward_hook(FirstPass(known)))
    return Attachment(handles, known, ledger.ends_with(model, known))


def _checkable(pattern: str, modules: Mapping[str, nn.Module], known: Ledger) -> list[str]:
    """The paths that a pattern matches, without modules that are never called through hooks.

    Raises ValueError where none is left; warns where a pattern loses modules that do something.
    """
    paths = [path for path in modules if _matches(_segments(path), _segments(pattern))]
    if not paths:
        raise ValueError(_no_match(pattern, modules))
    reasons = {path: _never_checked(modules[path]) for path in paths}
    left = [path for path in paths if not reasons[path]]
    if not left:
        raise ValueError(f"attach: {pattern!r}: {reasons[paths[0]]}")
    for reason in dict.fromkeys(reasons[path] for path in paths if reasons[path] and not _is_container(modules[path])):
        warnings.warn_explicit(f"attach: {pattern!r}: {reason}", NeverChecked, *known.place)
    return left


def _is_container(module: nn.Module) -> bool:
    """Whether it only holds other modules or parameters, as ModuleList and ParameterList do."""
    cls = type(module)
    return cls.forward is nn.Module.forward and cls.__call__.__module__.partition(".")[0] == "torch"


def _never_checked(module: nn.Module) -> str:
    """Why the hooks of a module can never run; empty where they can."""
    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        return f"{name} is TorchScript, which runs without hooks; promise something about the model it was made from"
    if _is_container(module) and "forward" not in vars(module):
        return f"{name} has no forward, so it is never called; promise something about the modules in it"
    if ledger.passes_hooks_by(type(module)):
        return f"{name} has its own __call__, which passes hooks by: promises about it cannot be checked; rename it to forward"
    return ""


def _segments(path: str) -> list[str]:
    return path.split(".") if path else []  # the model itself has none, so `*` does not match it


def _matches(path: list[str], pattern: list[str]) -> bool:
    """Whether a path fits, segment by segment: `*` of fnmatch alone would run across dots."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or (bool(path) and _matches(path[1:], pattern))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _no_match(pattern: str, modules: Mapping[str, nn.Module]) -> str:
    import difflib

    near = difflib.get_close_matches(pattern, [path for path in modules if path], n=3, cutoff=0.4)
    hint = f"; similar: {', '.join(near)}" if near else ""
    return f"attach: no module matches {pattern!r}{hint}"


def _check_parameters(path: str, module: nn.Module, annotations: Mapping[str, Any]) -> None:
    parameters = signature_of(module.forward).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name, promised in annotations.items():
        label = f"attach: {path or type(module).__name__}: {name}"
        if name != RESULT and name not in parameters and not takes_any:
            raise ValueError(f"{label} is not a parameter of {type(module).__name__}.forward({', '.join(parameters)})")
        try:
            plan = annotation.read(promised)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{label}: {error}") from None
        if not annotation.holds_arrays(plan):
            raise ValueError(f"{label}: {promised!r} says nothing about a tensor")


class _Shared:
    """Opens and leaves the scope that all modules of one forward pass share.

    Attributes of `EAGER` and `TRACED` say how deep the pass is and what the scope is, so that the outermost module with a
    promise, whichever it is, begins the pass.
    """

    @staticmethod
    def open(module: nn.Module) -> None:
        if torch.compiler.is_dynamo_compiling():
            if scope_can_be_set():
                if TRACED.depth == 0:
                    TRACED.shared, TRACED.before = {}, TRACED.top
                    TRACED.top = TRACED.shared
                TRACED.depth += 1
            return
        if EAGER.open and EAGER.is_stale():
            _Shared._end()
        if not EAGER.open:
            EAGER.shared, EAGER.before, EAGER.frame = {}, EAGER.top, sys._getframe(2)  # noqa: SLF001 (torch's, which calls the hooks)
            EAGER.top = EAGER.shared
        EAGER.open.append(id(module))

    @staticmethod
    def close(module: nn.Module) -> None:
        if torch.compiler.is_dynamo_compiling():
            if scope_can_be_set():
                TRACED.depth -= 1
                if TRACED.depth == 0:
                    TRACED.top = TRACED.before
                    TRACED.shared = TRACED.before = None
            return
        if TRACED.depth and id(module) not in EAGER.open:  # the compiler has failed behind the hook that opened it
            TRACED.top, TRACED.depth = TRACED.before, 0
            TRACED.shared = TRACED.before = None
            return
        while id(module) in EAGER.open and EAGER.open.pop() != id(module):
            pass  # somebody else's hook has raised before a module inside was opened, or its end was passed over
        if not EAGER.open and EAGER.shared is not None:
            _Shared._end()

    @staticmethod
    def _end() -> None:
        EAGER.end_pass()
        if EAGER.top is None and not flags.PENDING.here().steps:
            flags.PENDING.take()  # something is left only after an exception

    @staticmethod
    def names() -> Scope:
        """The scope of the pass; one of its own where the trace cannot keep one."""
        place: Any = TRACED if torch.compiler.is_dynamo_compiling() else EAGER
        return {} if place.shared is None else place.shared


class Guard:
    """The promises about one module. Plain data, which pickles and copies with the module's hooks."""

    def __init__(self, model: str, path: str, module: nn.Module, annotations: Mapping[str, Any]) -> None:
        self.model = model
        self.path = path
        self.place = place_of(type(module).forward)
        parameters = signature_of(module.forward).parameters.values()
        self.parameters = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        self.plans: dict[str, Plan] = {name: annotation.read(promised) for name, promised in annotations.items()}
        self.rest = self.keywords = ""
        for one in parameters:
            if one.name in self.plans and one.kind is one.VAR_POSITIONAL:
                self.rest, self.plans[one.name] = one.name, annotation.Many(tuple, self.plans[one.name])
            if one.name in self.plans and one.kind is one.VAR_KEYWORD:
                self.keywords, self.plans[one.name] = one.name, annotation.Table(dict, self.plans[one.name])
        self.declared = tuple(one.name for one in parameters)
        self.sites = [
            known(f"{model} (attached)", self._label(name), array, self.place)
            for name, plan in self.plans.items()
            for array in annotation.arrays(plan)
            if has_law(array)
        ]
        sites = [one.site for one in self.sites]
        self.row = Row(f"{model} (attached)", path, type(module).__name__, tuple(annotations), self.declared, sites)

    def open(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """The forward pass of the module begins."""
        if SETTING.level:
            _Shared.open(module)
            if torch.compiler.is_dynamo_compiling():
                ledger.called_in_trace(number(self.row.number))
                if SETTING.counting:
                    tracing.count(self.row.number)
            else:
                self.row.calls += 1

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check the arguments of a call.

        Raises ContractError.
        """
        if not SETTING.level:
            return
        given = dict(zip(self.parameters, args, strict=False)) | kwargs
        if self.rest:
            given[self.rest] = args[len(self.parameters) :]
        if self.keywords:
            given[self.keywords] = {name: value for name, value in kwargs.items() if name not in self.declared}
        self._note(given)
        names = _Shared.names()
        names["{self}"] = module
        for name, value in given.items():
            names["{" + name + "}"] = value
        for name, plan in self.plans.items():
            if name in given:
                self._check(plan, given[name], names, name)

    def after(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        """Check the result of a call, and read what waits at the end of the outermost one.

        Raises ContractError.
        """
        level = SETTING.level
        if not level:
            return
        if RESULT in self.plans:
            self._note((RESULT,))
            names = _Shared.names()
            names["{self}"] = module
            self._check(self.plans[RESULT], result, names, RESULT)
        if torch.compiler.is_dynamo_compiling():
            if TRACED.depth == 1 and (level > Mode.SHAPES or SETTING.budget is not None):
                tracing.settle()
        elif EAGER.depth == 1 and EAGER.before is None:
            flags.settle(None, module)

    def close(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        """The forward pass of the module ends, with or without a result."""
        if SETTING.level:
            _Shared.close(module)

    def _note(self, given: Collection[str]) -> None:
        """What is given meets the promises about it."""
        row = self.row
        if torch.compiler.is_dynamo_compiling():
            for name in self.plans:
                if name in given:
                    ledger.met_in_trace(number(row.number), name)
        elif row.unmet:
            row.unmet.difference_update(given)

    def _check(self, plan: Plan, value: Any, names: Scope, name: str) -> None:
        seen: Seen = []
        if judge(plan, value, names, self._label(name), seen) is not None:
            if torch.compiler.is_dynamo_compiling() and tracing.is_one_graph():
                known = explained(names)
                failure = judge(plan, value, known, self._label(name))
                assert failure is not None
                tracing.break_graph(self._violation(failure, known))
            self._refuse(plan, value, names, name)
            return
        if SETTING.level > Mode.SHAPES:
            observe_seen(seen, self.sites, names, SETTING.level)
        elif seen and SETTING.counting:
            leave_out_seen(seen, self.sites, SETTING.why_no_values())

    def _label(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    @dynamo.untraced(tracing.BREAK)
    def _refuse(self, plan: Plan, value: Any, names: Scope, name: str) -> None:
        """Raises ContractError with an account of what is wrong, unless the value is one of torch.fx's symbolic trace."""
        if tracing.is_symbolic(value):
            return
        failure = judge(plan, value, names, self._label(name))
        assert failure is not None, "rejected in compiled code only"
        raise ContractError(self._violation(failure, names))

    def _violation(self, failure: Failure, names: Scope) -> Violation:
        return violation(f"{self.model} (attached)", failure, names, self.place)
