from collections import OrderedDict

import torch
from torch import nn

x = torch.randn(2, 4)
a = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))  # reveal a: Sequential len=2
b = a(x)  # reveal b: probs
layers = [nn.Linear(4, 3)]
layers.append(nn.ReLU())
c = nn.Sequential(*layers)(x)  # reveal c: non-negative
layers = []
for width in (8, 16):
    layers.append(nn.Linear(4, width))
    layers.append(nn.ReLU())
layers += [nn.Linear(16, 2)]  # reveal layers: len=5
d = nn.Sequential(*layers)(x)  # reveal d: logits last=2
layers = []
for width in range(int(x[0, 0])):
    layers.append(nn.Linear(4, 4))
    layers.append(nn.ReLU())
e = nn.Sequential(*layers)(x)  # reveal e: non-negative
layers.append(nn.Softmax(1))
f = nn.Sequential(*layers)(x)  # reveal f: probs
g = nn.Sequential(OrderedDict([("fc", nn.Linear(4, 2)), ("act", nn.Sigmoid())]))  # reveal g: len=2
h = g(x)  # reveal h: unit-interval
i = a[0](x)  # reveal i: logits last=3
j = a[-1](x)  # reveal j: probs
k = a[:1](x)  # reveal k: logits
m = a[:-1]  # reveal m: len=1
n = nn.Sequential(a, nn.LogSoftmax(1))(x)  # reveal n: log-probs
o = nn.Sequential()(x)  # reveal o: unknown
p = nn.Sequential(nn.Linear(4, 3))
p.append(nn.Softmax(1))
q = p(x)  # reveal q: probs
p[1] = nn.Identity()
r = p(x)  # reveal r: logits?
s = nn.Sequential(nn.Linear(3, 3), *[nn.Sigmoid()])(x)  # reveal s: unit-interval
t = nn.Sequential(*[nn.Linear(3, 3) for _ in range(3)], nn.Softmax(1))(x)  # reveal t: probs
p.add_module("act", nn.Tanh())
u = p(x)  # reveal u: no-meaning
v = nn.Sequential(nn.Softmax(1), nn.Dropout(0.1))(x)  # reveal v: no-meaning
w = g.act(x)  # reveal w: unit-interval?
y = len(a)  # reveal y: unknown
z = nn.Sequential(nn.Linear(4, 3), UnknownLayer())(x)  # noqa: F821  # reveal z: unknown
z = nn.Sequential(UnknownLayer(), nn.Softmax(1))(x)  # noqa: F821  # reveal z: probs


class Extended(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.Softmax(1))


class Softened(nn.Sequential):
    def forward(self, x):
        return super().forward(x).softmax(1)


aa = Extended()(x)  # reveal aa: probs
bb = Softened(nn.Linear(4, 3))(x)  # reveal bb: probs
for layer in a:  # reveal layer: Linear | Softmax
    cc = layer(x)  # reveal cc: logits | probs


def block(last):
    layers = [nn.Linear(4, 4)]
    if last is not None:
        layers.append(last)
    return nn.Sequential(*layers)


dd = block(nn.Softmax(1))(x)  # reveal dd: probs
ee = block(None)(x)  # reveal ee: logits
ff = block(nn.Softmax(1) if x.sum() > 0 else None)(x)  # reveal ff: no-meaning
a.extend([nn.ReLU()])
gg = a(x)  # reveal gg: probs?
p.pop(-1)
del a[1]
hh = a(x)  # reveal hh: non-negative?
p.insert(0, nn.Sigmoid())
