import torch
import torch.nn.functional as F
from torch import nn

x = torch.randn(2, 3)


def logged(function):
    def wrapper(*args, **kwargs):
        print(function)
        return function(*args, **kwargs)

    return wrapper


def softened(function):
    return lambda *args: F.softmax(function(*args), 1)


class Net(nn.Module):
    @logged
    def forward(self, x, *, scale=1.0, return_probs=False):
        y = F.linear(x, x) * scale
        return F.softmax(y, 1) if return_probs else y


class Soft(nn.Module):
    @softened
    def forward(self, x):
        return x


class Hooked(Net):
    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs).softmax(1)


class Context:
    def __enter__(self):
        return Net()

    def __exit__(self, *error):
        return None


class Inner:
    def __init__(self):
        self.net = Net()

    def __getattr__(self, name):
        return getattr(self.net, name)


class Lists(nn.Module):
    def forward(self, xs):
        return [F.softmax(x, 1) for x in xs]


class Early(nn.Module):
    def forward(self, x, target=None):
        y = F.linear(x, x)
        if target is not None:
            return F.cross_entropy(y, target)
        return y.softmax(1)


a = Net()(x)  # reveal a: logits
b = Net()(x, return_probs=True)  # reveal b: probs
c = Soft()(x)  # reveal c: probs
d = Hooked()(x)  # reveal d: probs
with Context() as net:
    e = net(x)  # reveal e: logits
f = Inner().net(x)  # reveal f: logits
g, h = Lists()([x, x])  # reveal g: probs; h: probs
i = Early()(x)  # reveal i: probs
j = Early()(x, x)  # reveal j: scalar-loss?
k = Early()(x, target=x if x.sum() > 0 else None)  # reveal k: no-meaning
m = (lambda: F.softmax(x, 1))()  # reveal m: probs
n = [F.softmax, torch.sigmoid]
o = n[1](x)  # reveal o: unit-interval
p, q = (f(x, 1) for f in (F.softmax, F.log_softmax))  # reveal p: probs; q: log-probs
r = (y := F.softmax(x, 1)).log()  # reveal r: log-probs; y: probs
x2 = x
x2 = F.softmax(x2, 1)  # reveal x2: probs
x2 = F.linear(x2, x2)  # reveal x2: logits
x3 = F.softmax(x, 1)
x3 += x  # reveal x3: no-meaning
x4 = F.linear(x, x)
x4 /= 3  # reveal x4: logits
x5 = F.softmax(x, 1)
x5[0] = 5  # reveal x5: no-meaning
x6 = F.softmax(x, 1)
x6.mul_(2)  # reveal x6: probs scaled=yes
x7 = F.linear(x, x)
x7.sigmoid_()  # reveal x7: unit-interval
x8 = F.linear(x, x)
F.relu_(x8)  # reveal x8: non-negative
x9 = F.softmax(x, 1)
F.relu(x, inplace=True)  # reveal x: non-negative?
s = max([F.softmax(x, 1)])  # reveal s: no-meaning
t = dict(out=F.softmax(x, 1))  # reveal t["out"]: probs
u = torch.cat([F.softmax(x, 1), F.softmax(x, 1)])  # reveal u: probs
v = next(F.softmax(x, 1) for _ in range(2))  # reveal v: probs
w = list(map(lambda z: F.softmax(z, 1), [x]))[0]  # reveal w: probs
aa = torch.tensor(0.5) * F.linear(x, x)  # reveal aa: no-meaning
cc = F.softmax(x, 0)  # reveal cc: probs
dd = F.softmax(x, 0).sum(0)  # reveal dd: no-meaning
x10 = F.softmax(x, 1)
x11 = x10
x10.mul_(2)  # reveal x10: probs scaled=yes; x11: scaled=none (python: scaled=yes)
x10.copy_(x).sigmoid_()  # reveal x10: unit-interval
