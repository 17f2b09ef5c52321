import functools

import torch
from torch import nn

REGISTRY = {}


def register(name):
    def add(cls):
        REGISTRY[name] = cls
        return cls

    return add


@register("soft")
class Soft(nn.Module):
    def forward(self, x):
        return x.softmax(1)


@register("hard")
class Hard(nn.Module):
    def forward(self, x):
        return x


def make(name, **options):
    if name == "soft":
        return Soft(**options)
    if name == "linear":
        return nn.Linear(**options)
    raise ValueError(name)


def with_head(body, head=nn.Softmax):
    return nn.Sequential(body, head(dim=1))


def make_all(count):
    return [nn.Linear(3, n + 1) for n in range(count)]


class Builder:
    def __init__(self):
        self.parts = []

    def add(self, part):
        self.parts.append(part)
        return self

    def build(self):
        return nn.Sequential(*self.parts)


x = torch.randn(2, 3)
a = make("soft")  # reveal a: Soft
b = make("linear", in_features=3, out_features=4)(x)  # reveal b: logits last=4
c = with_head(nn.Linear(3, 2))(x)  # reveal c: probs
d = with_head(nn.Linear(3, 2), nn.LogSoftmax)(x)  # reveal d: log-probs
e = make_all(3)  # reveal e: list
f = Builder().add(nn.Linear(3, 3)).add(nn.Sigmoid()).build()(x)  # reveal f: unit-interval
Layer = functools.partial(nn.Linear, 3)
g = Layer(7)(x)  # reveal g: logits last=7
Act = nn.Softmax if x.sum() > 0 else nn.Sigmoid
h = Act()(x)  # reveal h: unit-interval
Same = nn.Softmax if x.sum() > 0 else nn.Softmax
i = Same(1)(x)  # reveal i: probs
j = {"a": Soft, "b": Hard}["a"]()(x)  # reveal j: probs
k = [Soft, Hard][0]()(x)  # reveal k: probs
m = type(a)()(x)  # reveal m: probs?
n = REGISTRY["soft"]()(x)  # reveal n: probs?
models = {name: make("linear", in_features=3, out_features=size) for name, size in (("s", 1), ("l", 2))}
o = models["s"](x)  # reveal o: last=1?
p = models["l"](x)  # reveal p: last=2?
q = make("soft") if make else None
r = q(x)  # reveal r: probs
s = eval("nn.Softmax(1)")(x)  # reveal s: unknown
