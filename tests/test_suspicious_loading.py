"""What the rules about data and language models only suspect: shown to those who ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

import mldbg.lint.rules
from mldbg.lint import registry, run
from mldbg.lint.config import Config
from mldbg.lint.files import Source
from mldbg.lint.finding import Group
from mldbg.lint.run import Task

RULES = tuple(registry.built_in(mldbg.lint.rules))

LOOP = """
def train(model, optimizer, loader):
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
"""

SUSPECTED = {
    "unshuffled-train-loader": [
        f"""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
{LOOP}
def main(model, optimizer):
    xs = torch.cat([torch.randn(500, 2) - 1, torch.randn(500, 2) + 1])
    ys = torch.cat([torch.zeros(500), torch.ones(500)]).long()
    train(model, optimizer, DataLoader(TensorDataset(xs, ys), batch_size=50))
""",
        f"""
import pandas as pd
from torch import nn
from torch.utils.data import DataLoader, Dataset
{LOOP}
class Table(Dataset):
    def __init__(self, path):
        self.frame = pd.read_csv(path)

    def __len__(self):
        return len(self.frame)

    def __getitem__(self, index):
        return self.frame.iloc[index, 1:], self.frame.iloc[index, 0]

def main(model, optimizer):
    train(model, optimizer, DataLoader(Table("train.csv"), 64))
""",
    ],
    "right-padded-generation": [
        """
from transformers import AutoModelForCausalLM, AutoTokenizer

def answers(name, prompts):
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModelForCausalLM.from_pretrained(name)
    return model.generate(**tokenizer(prompts, padding=True, return_tensors="pt"))
"""
    ],
    "discarded-result": [
        """
import torch

def predictions(model, loader, device):
    for x, y in loader:
        x.to(device)
        yield model(x), y
"""
    ],
    "padding-masks-eos": [
        """
from transformers import AutoTokenizer, DataCollatorForLanguageModeling

def collator(name):
    tokenizer = AutoTokenizer.from_pretrained(name)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return DataCollatorForLanguageModeling(tokenizer, mlm=False)
"""
    ],
}


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in SUSPECTED.items() for code in codes])
def test_suspected(rule: str, code: str) -> None:
    asked = [found for found in _found(code, "ALL") if found.rule == rule]
    assert [found.group for found in asked] == [Group.SUSPICIOUS]
    assert not [found for found in _found(code) if found.rule == rule]


def _found(code: str, *select: str) -> tuple[mldbg.lint.finding.Finding, ...]:
    task = Task(Config(root=Path("missing")), registry.selected(RULES, select, ()), RULES, (), select)
    return run.check_source(Source("example.py", None, code.encode()), task).findings
