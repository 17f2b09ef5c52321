"""What the rules about training loops report in the group suspicious only: it is likely, and another reading is possible."""

from __future__ import annotations

from pathlib import Path

import pytest

import mldbg.lint.rules
from mldbg.lint import registry, run
from mldbg.lint.config import Config
from mldbg.lint.files import Source
from mldbg.lint.finding import Finding, Group
from mldbg.lint.run import Task

RULES = tuple(registry.built_in(mldbg.lint.rules))


def found(code: str, *select: str) -> tuple[Finding, ...]:
    task = Task(Config(root=Path("missing")), registry.selected(RULES, select, ()), RULES, (), select)
    return run.check_source(Source("example.py", None, code.encode()), task).findings


ACCUMULATED = """
import torch
from torch import nn

def train(model, loader, every):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    criterion = nn.CrossEntropyLoss({options})
    for i, (x, y) in enumerate(loader):
        {loss}
        loss.backward()
        if (i + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()
"""
"""A loop that steps every few batches, with the options of the loss and the statement that computes it."""


@pytest.mark.parametrize("loss", ["loss = criterion(model(x), y)", "loss = model(x, labels=y).loss"])
def test_a_mean_that_is_not_divided(loss: str) -> None:
    code = ACCUMULATED.format(options="", loss=loss)
    [finding] = found(code, "suspicious")
    assert (finding.rule, finding.span.line, finding.group) == ("unscaled-accumulation", 10, Group.SUSPICIOUS)
    assert found(code, "correctness") == ()


STEPPED = """
import torch
from torch.optim.lr_scheduler import MultiStepLR, ReduceLROnPlateau, StepLR

def train(model, loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scheduler = {scheduler}
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            {step}
"""


@pytest.mark.parametrize(
    ("scheduler", "step"),
    [
        ("StepLR(optimizer, 30)", "scheduler.step()"),
        ("MultiStepLR(optimizer, milestones=[30, 60, 80])", "scheduler.step()"),
        ("ReduceLROnPlateau(optimizer, patience=3)", "scheduler.step(loss)"),
    ],
)
def test_a_length_that_looks_like_epochs(scheduler: str, step: str) -> None:
    code = STEPPED.format(scheduler=scheduler, step=step)
    [finding] = found(code, "suspicious")
    assert (finding.rule, finding.span.line, finding.group) == ("scheduler-in-batch-loop", 14, Group.SUSPICIOUS)
    assert found(code, "correctness") == ()


@pytest.mark.parametrize(
    ("scheduler", "step"),
    [
        ("StepLR(optimizer, 3000)", "scheduler.step()"),
        ("MultiStepLR(optimizer, milestones=[30_000, 60_000])", "scheduler.step()"),
        ("ReduceLROnPlateau(optimizer, patience=3)", "pass\n        scheduler.step(loss)"),
    ],
)
def test_a_length_in_batches(scheduler: str, step: str) -> None:
    assert found(STEPPED.format(scheduler=scheduler, step=step), "suspicious", "correctness") == ()


def test_something_called_a_scheduler_that_steps_first() -> None:
    code = """
import torch

def train(model, loader, optimizer, scheduler, epochs):
    for epoch in range(epochs):
        scheduler.step()
        for x, y in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
"""
    [finding] = found(code, "suspicious")
    assert (finding.rule, finding.span.line) == ("scheduler-before-optimizer", 6)
    assert found(code, "correctness") == ()


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ("", "loss = criterion(model(x), y) / every"),
        ("", "loss = criterion(model(x), y) * (1 / every)"),
        ("", "loss = criterion(model(x), y).div(every)"),
        ("reduction='sum'", "loss = criterion(model(x), y)"),
        ("", "loss = criterion(model(x), y).sum() / len(y)"),
    ],
)
def test_a_loss_that_is_divided_or_a_sum(options: str, loss: str) -> None:
    assert found(ACCUMULATED.format(options=options, loss=loss), "suspicious", "correctness") == ()
