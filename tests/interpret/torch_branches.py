import torch
import torch.nn.functional as F
from torch import nn

x = torch.randn(2, 3)
flag = x.sum() > 0

if flag:
    head = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
else:
    head = nn.Sequential(nn.Linear(3, 2))
a = head(x)  # reveal a: no-meaning?

layer = nn.Linear(3, 2) if flag else nn.Linear(3, 4)
b = layer(x)  # reveal b: logits last=none?


class Net(nn.Module):
    def __init__(self, soft):
        super().__init__()
        self.soft = soft

    def forward(self, x):
        if self.soft:
            return F.softmax(x, 1)
        return x


net = Net(True) if flag else Net(False)
c = net(x)  # reveal c: no-meaning
criterion = nn.CrossEntropyLoss() if flag else nn.CrossEntropyLoss(reduction="none")
d = criterion  # reveal d: CrossEntropyLoss?
optimizer = torch.optim.Adam([x]) if flag else torch.optim.Adam([x], lr=1)  # reveal optimizer: Adam?


def choose(soft):
    if soft:
        return nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
    return nn.Sequential(nn.Linear(3, 2))


e = choose(True)(x)  # reveal e: probs
f = choose(False)(x)  # reveal f: logits
g = choose(flag)(x)  # reveal g: no-meaning?

y = x
if flag:
    y = F.softmax(y, 1)
h = y  # reveal h: no-meaning
z = F.softmax(x, 1)
if flag:
    z = F.softmax(x * 2, 1)
i = z  # reveal i: probs
layers = [nn.Linear(3, 2)]
if flag:
    layers.append(nn.Softmax(1))
j = nn.Sequential(*layers)(x)  # reveal j: no-meaning
k = F.log_softmax(x, 1)
try:
    k = F.softmax(x, 1)
except RuntimeError:
    pass
m = k  # reveal m: no-meaning
n = F.softmax(x, 1)
for _ in range(int(flag)):
    n = F.linear(n, n)
o = n  # reveal o: no-meaning
act = {"soft": nn.Softmax(1)}.get(input(), nn.Identity())
p = act(x)  # reveal p: no-meaning?
first, second = Net(True), Net(False)
for net in [first, second]:
    q = net(x)  # reveal q: probs | unknown
r = [first, second][int(flag)](x)  # reveal r: no-meaning?
s = None
if flag:
    s = F.softmax(x, 1)
t = s  # reveal t: probs
model = Net(flag)
u = model(x)  # reveal u: no-meaning
model.soft = True
v = model(x)  # reveal v: probs
