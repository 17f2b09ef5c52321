"""All tables together: the effect of a qualified name, and facts about classes outside the project."""

from __future__ import annotations

from functools import lru_cache

from mldbg.operations import (
    arrays,
    configuration,
    distributions,
    graphs,
    keras,
    loading,
    metrics,
    pictures,
    python,
    schedulers,
    sklearn,
    torch,
    trainers,
)
from mldbg.operations.effect import Effect, Special
from mldbg.operations.spelling import canonical

ROWS: dict[str, Effect] = {
    **python.ROWS,
    **configuration.ROWS,
    **arrays.ROWS,
    **torch.ROWS,
    **schedulers.ROWS,
    **sklearn.ROWS,
    **metrics.ROWS,
    **trainers.ROWS,
    **graphs.ROWS,
    **keras.ROWS,
}

LOSS_CLASSES: frozenset[str] = frozenset(torch.LOSS_CLASSES)

CONTAINERS: frozenset[str] = torch.CONTAINERS | {keras.CHAIN}
"""Classes whose objects hold layers in order."""


BASES: dict[str, str] = {
    schedulers.SCHEDULER_PACKAGE: f"{schedulers.SCHEDULER_PACKAGE}LRScheduler",
    "torch.optim.": "torch.optim.Optimizer",
}
"""Packages whose classes share a base, whose rows they inherit."""


@lru_cache(maxsize=8192)
def effect_of(name: str) -> Effect | None:
    """The row for a function, a class's construction or its `__call__`, or a method; a class without one has its base's."""
    name = canonical(name)
    return ROWS.get(name) or _inherited(name) or (_RECORD if _is_record_class(name) else None)


_RECORD = Special("namespace")


def _is_record_class(name: str) -> bool:
    """Whether a class outside the project only holds what a model returns: the output classes of transformers and diffusers."""
    return name.startswith(("transformers.", "diffusers.")) and "Output" in name.rpartition(".")[2] and is_class(name)


def _inherited(name: str) -> Effect | None:
    cls, _, method = name.rpartition(".")
    base = next(
        (base for package, base in BASES.items() if cls.startswith(package) and cls.count(".") == package.count(".")), None
    )
    if cls.startswith(keras.CLASSIFIERS):
        return keras.CLASSIFIER if method == "__call__" else ROWS.get(f"{keras.MODEL}.{method}")
    return ROWS.get(f"{base}.{method}") if base is not None else None


def is_class(name: str) -> bool:
    """Whether a qualified name outside the project is, by its spelling, a class."""
    return name.rpartition(".")[2][:1].isupper()


def is_known(name: str) -> bool:
    """Whether the tables hold anything about a function or class of this name."""
    return effect_of(name) is not None or effect_of(f"{name}.__call__") is not None or _is_known_class(name)


def _is_known_class(name: str) -> bool:
    known = (
        sklearn.TARGET_ENCODERS,
        sklearn.TRANSFORMERS,
        sklearn.SELECTORS,
        sklearn.RESAMPLERS,
        sklearn.SPLITTERS,
        sklearn.SEARCHES,
        LOSS_CLASSES,
    )
    if name.startswith("keras.") and is_class(name):
        return True
    return any(name in names for names in known) or is_module_class(name) or is_optimizer_class(name) or is_predictor_class(name)


def is_loss(name: str) -> bool:
    """Whether a class is one of torch's losses."""
    return name in LOSS_CLASSES


def is_module_class(name: str) -> bool:
    """Whether a class outside the project is a torch module."""
    if name in torch.MODULE_BASES:
        return True
    if name.startswith("torch.nn.") and name.count(".") == 2:
        return is_class(name) and name not in {"torch.nn.Parameter", "torch.nn.Buffer"}
    return name.startswith(torch.MODEL_FACTORIES)


def is_optimizer_class(name: str) -> bool:
    """Whether a class outside the project is a torch optimizer."""
    return (name.startswith("torch.optim.") and name.count(".") == 2) or name in {
        "transformers.AdamW",
        "transformers.optimization.AdamW",
        "transformers.Adafactor",
        "transformers.optimization.Adafactor",
        "apex.optimizers.FusedAdam",
        "bitsandbytes.optim.Adam8bit",
        "bitsandbytes.optim.AdamW8bit",
    }


_CONSTRUCTORS = (
    torch.CONSTRUCTOR_PARAMETERS,
    loading.CONSTRUCTOR_PARAMETERS,
    python.CONSTRUCTOR_PARAMETERS,
    distributions.CONSTRUCTOR_PARAMETERS,
    pictures.PARAMETERS,
    keras.CONSTRUCTOR_PARAMETERS,
)


def constructor_parameters(name: str, count: int) -> tuple[str, ...]:
    """Names for the positional arguments of a class's constructor; where none are known, their numbers."""
    if schedulers.is_scheduler_class(name):
        return schedulers.scheduler_parameters(name)
    for table in _CONSTRUCTORS:
        if name in table:
            return table[name]
    return tuple(str(index) for index in range(count))


def is_predictor_class(name: str) -> bool:
    """Whether a class outside the project is an estimator that predicts."""
    return (name.startswith(sklearn.PREDICTOR_PACKAGES) and is_class(name)) or name in sklearn.SEARCHES
