"""Ranks that agree about violations: if one raises alone, the others wait for its gradients for ever.

Ranks may only meet where all of them come by. Two places are known to be such: the end of the forward pass of a module that
DistributedDataParallel wraps, in training, and the end of a `step()`, which the user promises to run on every rank.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import torch
from torch import distributed

from mldbg.contracts.error import Violation


def several_ranks() -> bool:
    """Whether this process is one of several of a distributed run."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def everyone() -> Any:
    """The group of all ranks."""
    return distributed.group.WORLD


def group_of(owner: object) -> Any:
    """The ranks that will all come to the end of this forward pass; None where that is not known.

    That is: `owner` is the very module that a DistributedDataParallel wrapper is calling, for training, outside `join()`, where
    ranks may have different numbers of batches.
    """
    if owner is None or "torch.nn.parallel.distributed" not in sys.modules or not several_ranks():
        return None
    wrapper = torch.nn.parallel.DistributedDataParallel._get_active_ddp_module()  # type: ignore[no-untyped-call]  # noqa: SLF001
    if wrapper is None or wrapper.module is not owner or not wrapper.training or not torch.is_grad_enabled():
        return None
    joining = getattr(wrapper, "_join_config", None)
    return None if joining is not None and joining.enable else wrapper.process_group


def shared(group: Any, mine: tuple[Violation, ...]) -> tuple[Violation, ...]:
    """The violations of all ranks of a group, each with the ranks on which it happened; every rank has to call this."""
    on_gpu = "nccl" in str(distributed.get_backend(group))
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    any_broken = torch.tensor(int(bool(mine)), device=device)
    distributed.all_reduce(any_broken, op=distributed.ReduceOp.MAX, group=group)
    if not any_broken.item():
        return ()
    gathered: list[tuple[Violation, ...]] = [()] * distributed.get_world_size(group)
    distributed.all_gather_object(gathered, mine, group=group)
    merged: dict[tuple[str, str], Violation] = {}
    for rank, violations in enumerate(gathered):
        for violation in violations:
            known = merged.setdefault((violation.contract, violation.parameter), violation)
            merged[violation.contract, violation.parameter] = replace(known, ranks=(*known.ranks, rank))
    return tuple(merged.values())
