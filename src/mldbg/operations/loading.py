"""Data loaders and samplers of torch: what they are built with, and what becomes of the order of the rows."""

from __future__ import annotations

from mldbg.operations.effect import Effect, NoEffect, Special

_DATA = "torch.utils.data."

LOADER = f"{_DATA}DataLoader"

_LOADER_PARAMETERS = (
    "dataset",
    "batch_size",
    "shuffle",
    "sampler",
    "batch_sampler",
    "num_workers",
    "collate_fn",
    "pin_memory",
    "drop_last",
    "timeout",
    "worker_init_fn",
)

DISTRIBUTED_SAMPLER = f"{_DATA}DistributedSampler"
"""Deals the rows out to the processes; their order is that of epoch 0 until `set_epoch` says otherwise."""

BATCH_SAMPLER = f"{_DATA}BatchSampler"
"""Puts the rows of another sampler together to batches."""

SAMPLERS: frozenset[object] = frozenset({DISTRIBUTED_SAMPLER, BATCH_SAMPLER})
"""Samplers that are followed into loops."""

SET_EPOCH = f"{DISTRIBUTED_SAMPLER}.set_epoch"

CONSTRUCTOR_PARAMETERS: dict[str, tuple[str, ...]] = {
    LOADER: _LOADER_PARAMETERS,
    DISTRIBUTED_SAMPLER: ("dataset", "num_replicas", "rank", "shuffle", "seed", "drop_last"),
    BATCH_SAMPLER: ("sampler", "batch_size", "drop_last"),
}

ROWS: dict[str, Effect] = {
    LOADER: Special("loader", _LOADER_PARAMETERS),
    SET_EPOCH: NoEffect(),
}

ATTRIBUTES: frozenset[str] = frozenset({"sampler", "batch_sampler"})
"""Attributes of a loader that hold what it was built with."""
