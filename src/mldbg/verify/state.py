"""Leave the user's process as it was: random generators, gradient mode, default dtype, modes, buffers, parameters."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # user code draws from the global generator
    torch.manual_seed(seed)


@contextmanager
def preserved() -> Iterator[None]:
    """Restore generators, gradient mode, default dtype and determinism settings at the end, whatever happens inside."""
    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  # see above
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    grad, dtype, tf32 = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_float32_matmul_precision()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002  # see above
        torch.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(tf32)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with a seed, then go on as if nothing had been drawn."""
    with preserved():
        seed_all(seed)
        yield


@contextmanager
def modes_preserved(model: nn.Module) -> Iterator[None]:
    """Restore which modules are in training mode, and the buffers (running statistics)."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers and buffers[name].shape == buffer.shape:
                    buffer.copy_(buffers[name])
