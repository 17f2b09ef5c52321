"""What calibration works on: healthy hosts, and faults that are injected into them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from mldbg.verify import faults as package
from mldbg.verify.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Host:
    """A healthy experiment.

    Attributes:
        name: the kind of model.
        experiment: makes it, with all data drawn from a seed.
        traits: what it is, for faults that need it: "classification" or "regression", "images", "sequence", "causal", "dropout",
            "batchnorm", "loader", "arrays" (train and test), "groups", ...
    """

    name: str
    experiment: Callable[[int], Experiment]
    traits: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong in practice.

    Attributes:
        name: what was done, like "softmax in the model".
        check: the check that must catch it.
        causes: the names of causes that count as right, the check's own first.
        inject: makes the faulty experiment from a healthy one (`dataclasses.replace`).
        needs: traits that a host must have.
    """

    name: str
    check: str
    causes: tuple[str, ...]
    inject: Callable[[Experiment], Experiment]
    needs: frozenset[str] = frozenset()

    def fits(self, host: Host) -> bool:
        """Whether the fault can be injected into a host."""
        return self.needs <= host.traits


@cache
def faults() -> tuple[Fault, ...]:
    """All faults: every module in `faults/` holds some in its tuple FAULTS."""
    modules = (importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__))
    return tuple(fault for module in modules for fault in module.FAULTS)
