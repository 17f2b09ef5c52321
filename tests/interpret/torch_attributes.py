import torch
import torch.nn.functional as F
from torch import nn


class Config:
    activation = "softmax"
    loss = F.cross_entropy


class Base(nn.Module):
    final = nn.Softmax

    def __init__(self, config=None):
        super().__init__()
        self.config = config
        self.build()

    def build(self):
        self.layer = nn.Linear(3, 2)
        self.last = self.final(dim=1)

    def forward(self, x):
        return self.last(self.layer(x))


class Sigmoids(Base):
    final = nn.Sigmoid


class Lazy(Base):
    def build(self):
        super().build()
        self.cache = {}
        setattr(self, "extra", nn.LogSoftmax(1))

    def forward(self, x):
        self.cache["last"] = self.layer(x)
        return self.extra(self.cache["last"])


class Functional(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act
        self.choose = {"relu": F.relu, "soft": lambda x: F.softmax(x, 1)}

    def forward(self, x):
        return self.act(x)

    def chosen(self, x, name):
        return self.choose[name](x)


x = torch.randn(2, 3)
a = Base()(x)  # reveal a: probs
b = Sigmoids()(x)  # reveal b: unit-interval
c = Lazy()(x)  # reveal c: log-probs
d = Functional(torch.sigmoid)(x)  # reveal d: unit-interval
e = Functional(nn.Softmax(1))(x)  # reveal e: probs
f = Functional(lambda y: y)(x)  # reveal f: unknown
g = Functional(None).chosen(x, "soft")  # reveal g: probs
h = Functional(None).chosen(x, "relu")  # reveal h: non-negative
i = Config.loss(x, x)  # reveal i: scalar-loss
j = F.softmax(x, 1) if Config.activation == "softmax" else x  # reveal j: probs
k = getattr(F, Config.activation)(x, 1)  # reveal k: probs
m = getattr(torch, input())(x)  # reveal m: unknown
net = Base()
net.last = nn.Identity()
n = net(x)  # reveal n: logits
net.forward = lambda x: x.sigmoid()
o = net.forward(x)  # reveal o: unit-interval
first, second = Base(), Sigmoids()
for net in (first, second):
    p = net(x)  # reveal p: probs | unit-interval
q = (first if x.sum() > 0 else second)(x)  # reveal q: unit-interval
r = Base(Config()).config.activation  # reveal r: 'softmax'
net = Base()
net.results = []
net.results.append(net(x))
s = net.results[0]  # reveal s: probs
del net.last
t = net.layer(x)  # reveal t: logits
net = Base()
twin = net
twin.last = nn.Sigmoid()
u = net(x)  # reveal u: unit-interval
