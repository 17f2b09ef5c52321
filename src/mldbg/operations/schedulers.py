"""Learning-rate schedulers: what builds them, and under which parameter they get their optimizer."""

from __future__ import annotations

import re

from mldbg.operations.effect import Effect, NoEffect, Returns

SCHEDULER_PACKAGE = "torch.optim.lr_scheduler."

_PARAMETERS: dict[str, tuple[str, ...]] = {
    f"{SCHEDULER_PACKAGE}ChainedScheduler": ("schedulers", "optimizer"),
}
"""Of classes whose first parameter is not the optimizer."""

SCHEDULER_NAME = re.compile(r"(^|_)(lr_?|learning_rate_)?sched(uler)?s?(_[a-z0-9_]+)?$", re.IGNORECASE)
"""What a scheduler is called, in code that does not say where it comes from."""


def is_scheduler_class(name: str) -> bool:
    """Whether a class outside the project is a learning-rate scheduler of torch."""
    return name.startswith(SCHEDULER_PACKAGE)


def scheduler_parameters(name: str) -> tuple[str, ...]:
    """The leading parameters of a scheduler's constructor."""
    return _PARAMETERS.get(name, ("optimizer",))


def _made_for(*parameters: str) -> Returns:
    return Returns(f"{SCHEDULER_PACKAGE}LambdaLR", parameters, holds="optimizer")


_TRANSFORMERS = (
    "constant_schedule",
    "constant_schedule_with_warmup",
    "linear_schedule_with_warmup",
    "cosine_schedule_with_warmup",
    "cosine_with_hard_restarts_schedule_with_warmup",
    "cosine_with_min_lr_schedule_with_warmup",
    "polynomial_decay_schedule_with_warmup",
    "inverse_sqrt_schedule",
    "wsd_schedule",
)

_PACKAGES = ("transformers", "transformers.optimization", "diffusers.optimization")

ROWS: dict[str, Effect] = {
    **{
        f"{SCHEDULER_PACKAGE}LRScheduler.{method}": NoEffect()
        for method in ("step", "get_last_lr", "state_dict", "load_state_dict")
    },
    **{f"{package}.get_{name}": _made_for("optimizer") for package in _PACKAGES for name in _TRANSFORMERS},
    **{f"{package}.get_scheduler": _made_for("name", "optimizer") for package in _PACKAGES},
}
