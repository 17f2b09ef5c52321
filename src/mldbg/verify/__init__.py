"""The calibrated bench: test a model by experiment, name the cause, draw what was seen."""

from __future__ import annotations

from mldbg.verify.experiment import Experiment, ExperimentError
from mldbg.verify.outcome import Figure, Outcome, Verdict
from mldbg.verify.run import Report, run, verify

__all__ = ["Experiment", "ExperimentError", "Figure", "Outcome", "Report", "Verdict", "run", "verify"]
