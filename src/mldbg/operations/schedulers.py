"""Learning-rate schedulers: what builds them, and under which parameter they get their optimizer."""

from __future__ import annotations

import re

from mldbg.operations.effect import Effect, NoEffect, Returns

SCHEDULER_PACKAGE = "torch.optim.lr_scheduler."

PLATEAU = f"{SCHEDULER_PACKAGE}ReduceLROnPlateau"
"""The scheduler whose step takes a metric."""

_PARAMETERS: dict[str, tuple[str, ...]] = {
    f"{SCHEDULER_PACKAGE}{name}": parameters
    for name, parameters in (
        ("ChainedScheduler", ("schedulers", "optimizer")),
        ("SequentialLR", ("optimizer", "schedulers", "milestones")),
        ("LambdaLR", ("optimizer", "lr_lambda")),
        ("StepLR", ("optimizer", "step_size", "gamma")),
        ("MultiStepLR", ("optimizer", "milestones", "gamma")),
        ("ConstantLR", ("optimizer", "factor", "total_iters")),
        ("LinearLR", ("optimizer", "start_factor", "end_factor", "total_iters")),
        ("PolynomialLR", ("optimizer", "total_iters", "power")),
        ("ExponentialLR", ("optimizer", "gamma")),
        ("CosineAnnealingLR", ("optimizer", "T_max", "eta_min")),
        ("CosineAnnealingWarmRestarts", ("optimizer", "T_0", "T_mult", "eta_min")),
        ("OneCycleLR", ("optimizer", "max_lr", "total_steps", "epochs", "steps_per_epoch", "pct_start")),
        ("ReduceLROnPlateau", ("optimizer", "mode", "factor", "patience")),
    )
}
"""The leading parameters of constructors, as torch 2.9 has them."""

COUNTING = ("T_max", "T_0", "step_size", "milestones", "total_iters", "total_steps", "lr_lambda", "num_training_steps")
"""Parameters that count in steps of the scheduler, whatever these are."""

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


_WITH_LENGTH = ("optimizer", "num_warmup_steps", "num_training_steps")

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


def parameters_of_call(name: str) -> tuple[str, ...]:
    """The leading parameters of what builds a scheduler, by its last name; empty where that is not known."""
    if name == "get_scheduler":
        return ("name", *_WITH_LENGTH)
    if name.startswith("get_") and name.removeprefix("get_") in _TRANSFORMERS:
        return _WITH_LENGTH
    return _PARAMETERS.get(f"{SCHEDULER_PACKAGE}{name}", ())


_PACKAGES = ("transformers", "transformers.optimization", "diffusers.optimization")

ROWS: dict[str, Effect] = {
    **{
        f"{SCHEDULER_PACKAGE}LRScheduler.{method}": NoEffect()
        for method in ("step", "get_last_lr", "state_dict", "load_state_dict")
    },
    **{f"{package}.get_{name}": _made_for("optimizer") for package in _PACKAGES for name in _TRANSFORMERS},
    **{f"{package}.get_scheduler": _made_for("name", "optimizer") for package in _PACKAGES},
}
