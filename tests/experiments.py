"""What the tests of mldebug-verify run: the installed command, and files of users."""

import sys
from pathlib import Path

COMMAND = Path(sys.executable).parent / "mldebug-verify"

HEAD = """
import torch
from torch import nn
from mldbg.verify import Experiment

def model():
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))

def batch():
    return torch.randn(32, 20), torch.randint(0, 4, (32,))

def broadcast(output, target):
    return ((output - target) ** 2).mean()
"""
HEALTHY = HEAD + "experiment = Experiment(model, batch, nn.functional.cross_entropy)\n"
FAULTY = HEAD + (
    "def column_and_row():\n    return torch.randn(32, 20), torch.randn(32)\n\n"
    "experiment = Experiment(lambda: nn.Linear(20, 1), column_and_row, broadcast)\n"
)
