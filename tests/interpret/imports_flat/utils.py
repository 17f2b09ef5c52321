import json
from dataclasses import dataclass

from torch import nn

DEFAULT = "cpu" if not json else "cpu"
count = 0


@dataclass
class Config:
    size: int


def make_model(config):
    return nn.Linear(2, config.size)  # reveal config.size: 4


def counter():
    global count
    count = count + 1
    return count


if __name__ == "__main__":
    DEFAULT = "never"
