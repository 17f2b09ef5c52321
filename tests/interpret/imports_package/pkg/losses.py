import torch
from torch import nn

from .layers import WIDTH
from . import layers

LOSSES = {"ce": nn.CrossEntropyLoss()}


def star_loss(a, b):
    width = WIDTH  # reveal width: 7
    return LOSSES["ce"](a, b)


def helper(x):
    return torch.sigmoid(x)


def _private(x):
    return torch.sigmoid(x)
