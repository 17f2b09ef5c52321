import functools

import torch
import torch.nn.functional as F
from torch import nn

x, y = torch.randn(2, 3), torch.tensor([0, 1])
criterion = nn.CrossEntropyLoss()  # reveal criterion: CrossEntropyLoss
losses = {"ce": nn.CrossEntropyLoss(), "bce": nn.BCELoss()}
functions = [F.cross_entropy, F.mse_loss]


def get_loss(name):
    if name == "ce":
        return nn.CrossEntropyLoss()
    return nn.MSELoss()


class Holder:
    loss = nn.NLLLoss()

    def __init__(self, criterion):
        self.criterion = criterion
        self.weights = {"a": 1.0}

    def compute(self, a, b):
        return self.criterion(a, b)


def run(model, criterion, x):
    return criterion(model(x), y)


a = criterion(x, y)  # reveal a: scalar-loss
b = losses["ce"](x, y)  # reveal b: scalar-loss
c = functions[0](x, y)  # reveal c: scalar-loss
d = get_loss("ce")  # reveal d: CrossEntropyLoss
e = get_loss("mse")  # reveal e: MSELoss
f = Holder(criterion).compute(x, y)  # reveal f: scalar-loss
g = Holder(None).loss  # reveal g: NLLLoss
h = run(nn.Linear(3, 2), nn.CrossEntropyLoss(), x)  # reveal h: scalar-loss
i = functools.partial(F.cross_entropy, reduction="sum")(x, y)  # reveal i: scalar-loss
j = get_loss(input())  # reveal j: unknown
k = (lambda p: F.nll_loss(p, y))(x)  # reveal k: scalar-loss
m = a + 0.1 * b  # reveal m: scalar-loss
n = sum([a, b])  # reveal n: scalar-loss
o = a.mean()  # reveal o: scalar-loss?
p = losses[input()]  # reveal p: unknown
table = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
q = table["adam"]([x])  # reveal q: Adam
r = getattr(torch.optim, "SGD")([x])  # reveal r: SGD
s = nn.__dict__["CrossEntropyLoss"]()  # reveal s: unknown
total = 0
for _ in range(3):
    total = total + criterion(x, y)
t = total  # reveal t: scalar-loss?
u = -a  # reveal u: scalar-loss
v = a.backward()  # reveal v: unknown
w = [f(x, y) for f in functions]  # reveal w[0]: scalar-loss
z = criterion.to("cuda")  # reveal z: CrossEntropyLoss


class Weighted(nn.CrossEntropyLoss):
    def forward(self, a, b):
        return 2 * super().forward(a, b)


class Own(nn.Module):
    def forward(self, a, b):
        return ((a - b) ** 2).mean()


aa = Weighted()(x, y)  # reveal aa: scalar-loss
bb = Own()(x, y)  # reveal bb: no-meaning
