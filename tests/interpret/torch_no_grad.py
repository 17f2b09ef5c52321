import contextlib

import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(2, 2)
x = torch.randn(3, 2)

a = model(x)  # reveal a: logits attached=none
with torch.no_grad():
    b = model(x)  # reveal b: logits attached=no
c = model(x)  # reveal c: attached=none
with torch.inference_mode(), torch.enable_grad():
    d = model(x)  # reveal d: attached=none
e = a.detach()  # reveal e: logits attached=no
f = F.cross_entropy(a, x).item()  # reveal f: attached=no


@torch.no_grad()
def evaluate(net, x):
    return net(x)


@torch.inference_mode
def infer(net, x):
    return net(x)


g = evaluate(model, x)  # reveal g: logits attached=no
h = infer(model, x)  # reveal h: attached=no
i = model(x)  # reveal i: attached=none


@contextlib.contextmanager
def evaluating(net):
    net.eval()
    with torch.no_grad():
        yield net
    net.train()


with evaluating(model) as inside:
    j = inside(x)  # reveal j: attached=no; model: mode=eval
k = model(x)  # reveal k: attached=none; model: mode=train

with torch.set_grad_enabled(False):
    m = model(x)  # reveal m: logits
with torch.set_grad_enabled(True):
    n = model(x)  # reveal n: attached=none
o = a.data  # reveal o: attached=no


class Evaluator:
    def __init__(self, net):
        self.net = net

    def __enter__(self):
        self.net.eval()
        return self.net

    def __exit__(self, *error):
        self.net.train()

    @torch.no_grad()
    def run(self, x):
        return self.net(x)

    @classmethod
    @torch.no_grad()
    def of(cls, net, x):
        return net(x)


with Evaluator(model) as net:
    p = net(x)  # reveal p: logits attached=none; model: mode=eval
q = Evaluator(model).run(x)  # reveal q: attached=no; model: mode=train
r = Evaluator.of(model, x)  # reveal r: attached=no


def gives():
    with torch.no_grad():
        if x.sum() > 0:
            return model(x)
        return model(x)  # reveal model(x): attached=no


s = gives()  # reveal s: attached=no
t = model(x)  # reveal t: attached=none
with torch.no_grad():
    for _ in range(2):
        if x.sum() > 0:
            break
u = model(x)  # reveal u: attached=none
guard = torch.no_grad()
with guard:
    v = model(x)  # reveal v: attached=no
for _ in range(2):
    with torch.no_grad():
        if x.sum() > 0:
            continue
    w = model(x)  # reveal w: attached=none
y = model(x)  # reveal y: attached=none
with torch.no_grad() if x.sum() > 0 else contextlib.nullcontext():
    z = model(x)  # reveal z: attached=none
