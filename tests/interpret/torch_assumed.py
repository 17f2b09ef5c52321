"""Functions that nothing calls: nothing is known of their arguments but names, defaults and annotations."""

import torch
import torch.nn.functional as F
from torch import nn


def plain(x, size=3, *rest, flag=False, **options):
    a = x  # reveal a: unknown; size: unknown; flag: unknown; rest: unknown; options: dict len=none
    b = F.softmax(x, 1)  # reveal b: probs
    return b


def annotated(layer: nn.Linear, criterion: nn.CrossEntropyLoss, optimizer: torch.optim.Adam, net: nn.Module):
    a = layer(1)  # reveal a: logits; layer: Linear; optimizer: Adam; net: unknown
    return criterion(a, 1)  # reveal criterion(a, 1): scalar-loss


def defaults(loss=F.cross_entropy, act=torch.sigmoid, layer=nn.Softmax(1)):
    a = loss(1, 2)  # reveal a: scalar-loss
    b = act(1)  # reveal b: unit-interval
    c = layer(1)  # reveal c: probs


def parts(x_train, x_test, loader_val, training):
    a = x_train  # reveal a: role=train; x_test: role=test; loader_val: role=validation
    for batch, label in loader_val:
        b = batch  # reveal b: role=validation


class Net(nn.Module):
    def __init__(self, kind, size=4):
        super().__init__()
        self.layer = nn.Linear(2, size)
        self.act = nn.Softmax(1) if kind == "soft" else nn.Sigmoid()

    def forward(self, x):
        a = self.layer(x)  # reveal a: logits last=none
        b = self.act(a)  # reveal b: unit-interval
        return self.other(a)  # reveal self.other: unknown; self.helper(a): probs

    def helper(self, x):
        return x.softmax(1)

    @staticmethod
    def alone(x):
        return x.sigmoid()  # reveal x: unknown; x.sigmoid(): unit-interval

    @classmethod
    def build(cls, kind):
        return cls(kind)  # reveal cls(kind): Net?

    @property
    def device(self):
        return self.layer.weight.device  # reveal self.layer: Linear


class NoInit:
    def method(self):
        return self.missing  # reveal self.missing: unknown; self: NoInit


def mutated(x, into):
    if x.training:
        into["a"] = F.softmax(x, 1)
        return into["a"]  # reveal into["a"]: unknown
    return None


async def awaited(session):
    a = await session.get()  # reveal a: unknown


def generator(loader):
    for batch in loader:
        yield batch  # reveal batch: unknown


def nested(x):
    def inner(y):
        return y.softmax(1)

    return inner(x)  # reveal inner(x): probs


def unpacks(batch):
    a, (b, c) = batch  # reveal a: unknown; c: unknown
    d, *e = batch  # reveal d: unknown; e: unknown
    x = batch["x"]  # reveal x: unknown
    return a
