"""Records which tensors go into and come out of each module while a block runs, by hooks that change nothing."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mldbg.contracts import ledger
from mldbg.contracts.ledger import RESULT
from mldbg.contracts.names import signature_of
from mldbg.contracts.propose.attributes import sizes_of
from mldbg.contracts.propose.forms import Entries, Form, Items, form_of
from mldbg.contracts.propose.uses import Knowledge, Uses
from mldbg.contracts.sanitize.mode import RULES
from mldbg.contracts.sanitize.surroundings import followed
from mldbg.contracts.sanitize.watch import Watch


@dataclass(eq=False, slots=True)
class Call:
    """One call of one module.

    path: its first name in `named_modules()`. passing: number of the forward pass. outer: whether no other module was running.
    arguments: parameter of `forward` -> form; `*args` as a tuple, `**kwargs` as a dict.
    result: None until the call has come to its end. sizes: attributes of the module that are whole numbers.
    """

    path: str
    module: nn.Module
    passing: int
    number: int
    outer: bool
    arguments: dict[str, Form]
    sizes: Mapping[str, int]
    result: Form | None = None

    def slots(self) -> Iterator[tuple[str, Form]]:
        """The parameters, and the result under `return`."""
        yield from self.arguments.items()
        if self.result is not None:
            yield RESULT, self.result


@dataclass
class Recording:
    """What a block has shown.

    calls: in the order in which they began. passes: forward passes that began. knowledge: what the numbers of tensors are.
    uncalled: path -> why it could not be hooked. bypassed: modules whose weights were used while they were not called.
    failed: whether the block was left by an exception.
    """

    model: nn.Module
    knowledge: Knowledge
    calls: list[Call] = field(default_factory=list)
    uncalled: dict[str, str] = field(default_factory=dict)
    bypassed: list[str] = field(default_factory=list)
    passes: int = 0
    failed: bool = False

    @property
    def batches(self) -> int:
        """How often the model was called from outside; the forward passes of its parts where it never was."""
        outer = [call.path for call in self.calls if call.outer]
        return outer.count(min(outer, key=len)) if outer else 0


class _Hook:
    """The hooks of one module. A copy of the model gets the same object, which is deaf once the block has ended."""

    def __init__(self, recorder: Recorder, path: str) -> None:
        self.recorder: Recorder | None = recorder
        self.path = path

    def __deepcopy__(self, memo: object) -> _Hook:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _Deaf, ()

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.recorder is not None and torch._C._get_tracing_state() is None:  # noqa: SLF001
            self.recorder.begins(self, module, args, kwargs)

    def after(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        if self.recorder is not None:
            self.recorder.gives(self, result)

    def close(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        if self.recorder is not None:
            self.recorder.ends(self)


class _Deaf:
    """What a pickled model keeps of a hook."""

    def before(self, *_: object) -> None:
        """Nothing is recorded."""

    after = close = before


class Recorder:
    """Hooks on all modules of a model, and the calls that they see."""

    def __init__(self, model: nn.Module) -> None:
        self.watch = Watch(collect=True, silent=RULES)
        self.recording = Recording(model, Knowledge(self.watch))
        self._hooks: list[_Hook] = []
        self._handles: list[Any] = []
        self._sizes: dict[str, Mapping[str, int]] = {}
        self._here = threading.local()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record until the block ends, however it ends."""
        recording = self.recording
        with ExitStack() as stack:
            stack.callback(self._remove)
            weights = self._install()
            stack.enter_context(followed(self.watch))
            stack.enter_context(Uses(recording.knowledge, weights, self._uses))
            try:
                yield
            except BaseException:
                recording.failed = True
                raise

    def _install(self) -> dict[int, str]:
        """Puts the hooks on; the ids of all weights."""
        weights: dict[int, str] = {}
        for path, module in self.recording.model.named_modules():
            for _, weight in module.named_parameters(recurse=False):
                weights.setdefault(id(weight), path)
            reason = why_not(module)
            if reason is not None:
                self.recording.uncalled[path] = reason
                continue
            hook = _Hook(self, path)
            self._hooks.append(hook)
            self._handles += [
                module.register_forward_pre_hook(hook.before, with_kwargs=True),
                module.register_forward_hook(hook.after),
                module.register_forward_hook(hook.close, always_call=True),
            ]
        return weights

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        for hook in self._hooks:
            hook.recorder = None
        self._handles.clear()
        self._hooks.clear()

    def _uses(self, path: str) -> None:
        if all(path != call.path for call, _ in self._open()) and path not in self.recording.bypassed:
            self.recording.bypassed.append(path)

    def _open(self) -> list[tuple[Call, _Hook]]:
        """The calls under way in this thread."""
        if not hasattr(self._here, "open"):
            self._here.open = []
        found: list[tuple[Call, _Hook]] = self._here.open
        return found

    def begins(self, hook: _Hook, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module is called."""
        under_way, recording = self._open(), self.recording
        if not under_way:
            recording.passes += 1
        if hook.path not in self._sizes:
            self._sizes[hook.path] = sizes_of(module)
        with torch._C.DisableTorchFunction():  # noqa: SLF001
            arguments = {name: self._form(value) for name, value in _bound(module, args, kwargs).items()}
        call = Call(hook.path, module, recording.passes, len(recording.calls), not under_way, arguments, self._sizes[hook.path])
        recording.calls.append(call)
        under_way.append((call, hook))

    def gives(self, hook: _Hook, result: Any) -> None:
        """A call has a result."""
        for call, which in reversed(self._open()):
            if which is hook:
                with torch._C.DisableTorchFunction():  # noqa: SLF001
                    call.result = self._form(result)
                return

    def ends(self, hook: _Hook) -> None:
        """A call ends, with or without a result."""
        under_way = self._open()
        while any(which is hook for _, which in under_way) and under_way.pop()[1] is not hook:
            pass

    def _form(self, value: Any) -> Form:
        return form_of(value, self._array)

    def _array(self, tensor: Tensor) -> Any:
        return self.recording.knowledge.array(tensor)


def _bound(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Parameter -> what the call gives to it; nothing for a call that cannot be made."""
    try:
        return dict(signature_of(module.forward).bind(*args, **kwargs).arguments)
    except TypeError:
        return {}


def elements(parameter: inspect.Parameter, form: Form) -> list[Form]:
    """What an annotation of the parameter is about: the value, or each one that `*args` or `**kwargs` holds."""
    if parameter.kind is parameter.VAR_POSITIONAL and isinstance(form, Items):
        return list(form.parts)
    if parameter.kind is parameter.VAR_KEYWORD and isinstance(form, Entries):
        return list(form.parts.values())
    return [form]


_WRAPPERS = {"OptimizedModule", "DistributedDataParallel", "DataParallel", "FullyShardedDataParallel"}


def is_wrapper(module: nn.Module) -> bool:
    """Whether it only hands its arguments to a model inside: of torch.compile, or for several devices."""
    cls = type(module)
    return cls.__name__ in _WRAPPERS and cls.__module__.startswith("torch.")


def why_not(module: nn.Module) -> str | None:
    """Why the hooks of a module cannot run, or say nothing; empty for what needs no word; None where they can."""
    cls = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript runs without hooks"
    if is_wrapper(module):
        return ""
    if cls.forward is nn.Module.forward and "forward" not in vars(module):
        return ""  # a container
    if ledger.passes_hooks_by(cls):
        return f"{cls.__name__}.__call__ passes hooks by"
    try:
        signature_of(module.forward)
    except (TypeError, ValueError):
        return "the parameters of its forward cannot be read"
    return None


NUMBERED = re.compile(r"(?:(?<=\.)|^)\d+(?=\.|$)")
"""A segment of a path that is a number: the place in a list of modules."""
