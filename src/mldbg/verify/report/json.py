"""A run as data: every statistic, null, threshold and seed, in the form that `schema.json` beside this module states."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import torch

from mldbg.verify.outcome import Outcome
from mldbg.verify.report import Record

VERSION = 1
"""Raised when a field changes its meaning or goes away; new fields do not raise it."""

MOST_NUMBERS = 1000
"""An array in the details with more elements is described, not listed."""


def schema() -> dict[str, Any]:
    """The JSON schema of the report."""
    text = files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def render(record: Record) -> str:
    """The report as text."""
    return json.dumps(data(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def data(record: Record) -> dict[str, Any]:
    """The report as nested dictionaries, lists, texts and numbers."""
    report = record.report
    floor = report.floor
    return {
        "version": VERSION,
        "experiment": record.subject,
        "verdict": str(record.verdict),
        "counts": {str(verdict): count for verdict, count in record.counts.items()},
        "device": report.device,
        "dtype": report.dtype,
        "seed": report.seed,
        "seconds": round(report.seconds, 3),
        "versions": dict(record.versions),
        "floor": floor
        and {
            "repeatability": plain(floor.repeatability),
            "rounding": plain(floor.rounding),
            "reproducibility": plain(floor.reproducibility),
        },
        "outcomes": [_outcome(outcome, record) for outcome in report.outcomes],
        "problems": [{"check": problem.check, "message": problem.message} for problem in report.problems],
    }


def _outcome(outcome: Outcome, record: Record) -> dict[str, Any]:
    entry = record.catalogue.get(outcome.check)
    return {
        "check": outcome.check,
        "id": entry.id if entry else None,
        "stage": entry.stage.title if entry else None,
        "kind": entry.kind.value if entry else None,
        "verdict": str(outcome.verdict),
        "cause": outcome.cause,
        "statistic": plain(outcome.statistic),
        "null": outcome.null,
        "threshold": plain(outcome.threshold),
        "p_value": plain(outcome.p_value),
        "seed": record.report.seed,
        "why": outcome.why,
        "next_step": outcome.next_step,
        "figure": {"title": outcome.figure.title, "caption": outcome.figure.caption} if outcome.figure else None,
        "details": plain(outcome.details),
        "seconds": round(record.report.spent.get(outcome.check, 0.0), 3),
    }


def plain(value: Any) -> Any:
    """The value in JSON's own types; the numbers that JSON does not have are the texts NaN, Infinity and -Infinity."""
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, torch.Tensor):
        return plain(value.detach().cpu().double().numpy() if value.is_floating_point() else value.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        return plain(value.tolist()) if value.size <= MOST_NUMBERS else f"array of shape {value.shape}"
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=str)
    return str(value)
