"""The calibrated bench: test a model by experiment, name the cause, draw what was seen.

The names load on first use, so that the command can show its help and its list of checks without torch.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mldbg.verify.experiment import Experiment, ExperimentError
    from mldbg.verify.outcome import Figure, Outcome, Verdict
    from mldbg.verify.run import Report, run, verify

__all__ = ["Experiment", "ExperimentError", "Figure", "Outcome", "Report", "Verdict", "run", "verify"]

_HOMES = {
    "Experiment": "experiment",
    "ExperimentError": "experiment",
    "Figure": "outcome",
    "Outcome": "outcome",
    "Report": "run",
    "Verdict": "outcome",
    "run": "run",
    "verify": "run",
}


def __getattr__(name: str) -> Any:
    """A public name.

    Raises ImportError, saying what to install, where torch, numpy, scipy or matplotlib is missing.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in {"torch", "numpy", "scipy", "matplotlib"}:
            raise ImportError(f"mldbg.verify needs {error.name}: pip install 'mldebug-lint[verify]'") from error
        raise


class _Package(ModuleType):
    """The name `run` is the function, also once the module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value.run if name == "run" and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Package
