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

CHAINS: frozenset[object] = frozenset({"torchvision.transforms.Compose", "torchvision.transforms.v2.Compose"})
"""Classes whose objects apply several transforms, one behind the other."""

ATTRIBUTES: frozenset[str] = frozenset({"sampler", "batch_sampler"})
"""Attributes of a loader that hold what it was built with."""

_NUMPY = "numpy.random."
_DRAWS = (
    "rand randn randint random random_sample ranf sample random_integers choice shuffle permutation permuted integers bytes beta "
    "binomial chisquare dirichlet exponential gamma geometric gumbel laplace logistic lognormal logseries multinomial "
    "multivariate_normal negative_binomial normal pareto poisson power rayleigh standard_cauchy standard_exponential "
    "standard_gamma standard_normal standard_t triangular uniform vonmises wald weibull zipf"
)

NUMPY_DRAWS: frozenset[str] = frozenset(f"{_NUMPY}{name}" for name in _DRAWS.split())
"""Functions that draw from numpy's global generator, of which every process has a copy."""

GENERATOR_DRAWS: frozenset[str] = frozenset(f".{name}" for name in _DRAWS.split())
"""Methods of a generator of numpy that draw."""

GENERATORS: frozenset[str] = frozenset({f"{_NUMPY}default_rng", f"{_NUMPY}RandomState", f"{_NUMPY}Generator"})
"""What makes a generator of numpy."""

NUMPY_SEED = f"{_NUMPY}seed"

SEEDS_NUMPY_IN_WORKERS = (1, 9)
"""The version of torch from which a worker seeds numpy's global generator by its number and the epoch."""
