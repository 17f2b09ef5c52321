import copy

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        if self.training:
            return self.head(self.inner(x))
        return self.head(x).softmax(1)


class Frozen(Net):
    def train(self, mode=True):
        super().train(mode)
        self.inner.eval()
        return self


def make():
    return Net()


x = torch.randn(1, 2)
model = make()  # reveal model: Net mode=train; model.training: True; model.inner: mode=train
model.eval()  # reveal model: mode=eval; model.inner: mode=eval; model.inner[1]: mode=eval
a = model(x)  # reveal a: probs
model.train()  # reveal model: mode=train; model.inner[1]: mode=train; model.training: True
b = model(x)  # reveal b: logits
model.train(False)  # reveal model: mode=eval
model.train(x.sum() > 0)  # reveal model: mode=none
c = model(x)  # reveal c: no-meaning
model.train(mode=False)  # reveal model: mode=eval
model.inner.train()  # reveal model: mode=eval; model.inner: mode=train; model.inner[1]: mode=train

twin = copy.deepcopy(model)
twin.train()  # reveal twin: mode=train; model: mode=eval
model.train()
twin.eval()  # reveal model: mode=train; twin: mode=eval; twin.head: mode=eval; model.head: mode=train

first, second = make(), make()
first.eval()  # reveal first: mode=eval; second: mode=train; second.inner: mode=train
same = second
same.eval()  # reveal second: mode=eval
d = make().eval()  # reveal d: Net mode=eval
e = nn.Dropout(0.1)  # reveal e: mode=train
if x.sum() > 0:
    second.train()
f = second  # reveal f: mode=none

g = Net()
if x.sum() > 0:
    g.eval()
else:
    g.train(False)
h = g  # reveal h: mode=eval

for epoch in range(3):
    g.train()  # reveal g: mode=train
    for batch in x:
        y = g(batch)  # reveal y: logits
    g.eval()
    z = g(x)  # reveal z: probs
i = g  # reveal i: mode=eval?

k = Net()
for epoch in range(3):
    w = k(x)  # reveal w: no-meaning
    k.eval()


def switch(net):
    net.eval()


m = Net()
switch(m)  # reveal m: mode=eval


def evaluate(net):
    was = net.training
    net.eval()
    net.train(was)


n = Net()
evaluate(n)  # reveal n: mode=train
n.eval()
evaluate(n)  # reveal n: mode=eval

o = Frozen()
o.train()  # reveal o: mode=train; o.inner: mode=eval
models = [Net(), Net()]
for each in models:
    each.eval()
p = models[0]  # reveal p: mode=eval
q = nn.ModuleList([Net(), Net()])
q.eval()  # reveal q[0]: mode=eval; q[1].inner: mode=eval
r = nn.DataParallel(n)
r.train()  # reveal n: mode=train
n.inner.eval()  # reveal n: mode=train; n.inner[1]: mode=eval; n.head: mode=train
s = Net()
s.apply(print)  # reveal s: mode=train
t = Net()
t.requires_grad_(False)  # reveal t: mode=train
u = Net()
unknown_function(u)  # noqa: F821  # reveal u: Net
