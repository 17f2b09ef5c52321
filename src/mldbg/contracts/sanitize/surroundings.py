"""What a `sanitize` block changes around it: compiled functions run eagerly, new threads are followed, optimizers are not.

These change the state of the process. Blocks may overlap in several threads, so they are counted: the first one installs, the
last one takes away.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from mldbg.contracts.sanitize.follow import FollowMeanings, after_optimizer, before_optimizer
from mldbg.contracts.sanitize.watch import Watch

_lock = threading.Lock()
_blocks = 0
_installed = ExitStack()
_here = threading.local()


class _Block:
    """One block: makes a mode for each of its threads."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._modes: list[FollowMeanings] = []

    def new_mode(self) -> FollowMeanings:
        mode = FollowMeanings(self._watch)
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
    try:
        with block.new_mode():
            yield
    finally:
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
