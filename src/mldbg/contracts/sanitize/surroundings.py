"""What a `sanitize` block changes around it: compiled code runs eagerly, vmap and new threads are followed, optimizers are not.

These change the state of the process. Blocks may overlap in several threads, so they are counted: the first one installs, the
last one takes away.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._functorch import vmap as mapping
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from mldbg.contracts.observing import LISTENERS
from mldbg.contracts.sanitize import masks
from mldbg.contracts.sanitize.carrying import whole_or_part
from mldbg.contracts.sanitize.follow import FollowMeanings, after_optimizer, before_optimizer
from mldbg.contracts.sanitize.watch import Watch

_lock = threading.Lock()
_blocks = 0
_installed = ExitStack()
_here = threading.local()


class _Block:
    """One block: makes a mode for each of its threads."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._modes: list[FollowMeanings] = []

    def new_mode(self) -> FollowMeanings:
        mode = FollowMeanings(self.watch)
        self._modes.append(mode)
        return mode

    def retire(self) -> None:
        for mode in self._modes:
            mode.retire()


@contextmanager
def followed(watch: Watch) -> Iterator[None]:
    """Follows what this thread, and the threads that it starts meanwhile, do with tensors."""
    block = _Block(watch)
    outer = _blocks_here()
    _install()
    _here.blocks = (*outer, block)
    heard = partial(masks.declared, watch)
    LISTENERS.append(heard)
    try:
        with block.new_mode():
            yield
    finally:
        LISTENERS.remove(heard)
        block.retire()
        _here.blocks = outer
        _uninstall()


def _blocks_here() -> tuple[_Block, ...]:
    blocks: tuple[_Block, ...] = getattr(_here, "blocks", ())
    return blocks


def _install() -> None:
    global _blocks  # noqa: PLW0603 (a count over the whole process)
    with _lock:
        if not _blocks:
            with ExitStack() as stack:
                stack.enter_context(_compiled_runs_eagerly())
                stack.enter_context(_vmap_is_followed())
                stack.enter_context(_threads_are_followed())
                stack.callback(register_optimizer_step_pre_hook(before_optimizer).remove)
                stack.callback(register_optimizer_step_post_hook(after_optimizer).remove)
                _installed.push(stack.pop_all())
        _blocks += 1


def _uninstall() -> None:
    global _blocks  # noqa: PLW0603 (a count over the whole process)
    with _lock:
        _blocks -= 1
        if not _blocks:
            _installed.close()


def _compiled_runs_eagerly() -> AbstractContextManager[Any]:
    """Compiled code calls kernels, not torch functions: nothing can be followed there."""
    set_stance = getattr(torch.compiler, "set_stance", None)  # since torch 2.6
    return ExitStack() if set_stance is None else set_stance("force_eager")


@contextmanager
def _vmap_is_followed() -> Iterator[None]:
    """Vmap takes an axis away from each tensor that goes in, and puts one into each that comes out, by no torch function."""
    add, remove = (getattr(mapping, name, None) for name in ("_add_batch_dim", "_remove_batch_dim"))
    if add is None or remove is None:  # private names, of which some release of torch may know nothing
        yield
        return

    @functools.wraps(add)
    def add_followed(tensor: Tensor, axis: int, level: int) -> Tensor:
        result: Tensor = add(tensor, axis, level)
        _carry(tensor, result, lambda old: None if old == axis else old - (old > axis))
        return result

    @functools.wraps(remove)
    def remove_followed(tensor: Tensor, level: int, size: int, axis: int) -> Tensor:
        result: Tensor = remove(tensor, level, size, axis)
        _carry(tensor, result, lambda old: old + (old >= axis % result.dim()))
        return result

    setattr(mapping, "_add_batch_dim", add_followed)  # noqa: B010 (an assignment would be a type error)
    setattr(mapping, "_remove_batch_dim", remove_followed)  # noqa: B010
    try:
        yield
    finally:
        setattr(mapping, "_add_batch_dim", add)  # noqa: B010
        setattr(mapping, "_remove_batch_dim", remove)  # noqa: B010


def _carry(source: Tensor, result: Tensor, place: Callable[[int], int | None]) -> None:
    """Gives a tensor the meaning of another, in every block of this thread. place: where an axis is now."""
    for block in _blocks_here():
        tags = block.watch.tags
        tag = tags.of(source)
        if tag is not None:
            tags.put(result, whole_or_part(tag, tag.moved(source.dim(), place)))


@contextmanager
def _threads_are_followed() -> Iterator[None]:
    """A function mode belongs to one thread. A thread started inside a block gets modes of its own before it runs."""
    start = threading.Thread.start

    @functools.wraps(start)
    def start_followed(thread: threading.Thread) -> None:
        blocks = _blocks_here()
        if blocks:
            _follow(thread, blocks)
        start(thread)

    setattr(threading.Thread, "start", start_followed)  # noqa: B010 (an assignment would be a type error)
    try:
        yield
    finally:
        if threading.Thread.start is start_followed:  # else somebody wrapped it meanwhile; outside a block it does nothing more
            setattr(threading.Thread, "start", start)  # noqa: B010


def _follow(thread: threading.Thread, blocks: tuple[_Block, ...]) -> None:
    run = thread.run

    def run_followed() -> None:
        vars(thread).pop("run", None)
        _here.blocks = blocks
        with ExitStack() as stack:
            for block in blocks:
                stack.enter_context(block.new_mode())
            run()

    setattr(thread, "run", run_followed)  # noqa: B010
