import torch
from torch import nn

x = torch.randn(8, 10)
a = nn.Linear(10, 1)(x)  # reveal a: last=1 rank=2
b = nn.Linear(10, 5)(nn.Flatten()(x))  # reveal b: rank=2 last=5
c = b.squeeze()  # reveal c: logits rank=none last=none
d = b.view(2, 3, 4)  # reveal d: rank=3 last=none
e = b.view(-1)  # reveal e: rank=none
f = b.softmax(1)  # reveal f: probs rank=2 last=5
g = b.unsqueeze(0)  # reveal g: rank=3 last=none
h = b.transpose(0, 1)  # reveal h: last=none
i = b.detach().to("cpu")  # reveal i: rank=2 last=5
size = 3
j = nn.Linear(10, size * 2)(x)  # reveal j: last=6
k = nn.Linear(10, len(x))(x)  # reveal k: last=none
m = nn.LazyLinear(7)(x)  # reveal m: last=7
n = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())(x)  # reveal n: unit-interval last=1
o = b[0]  # reveal o: rank=1 last=none
p = b * 2  # reveal p: logits last=5
q = nn.Dropout(0.5)(b)  # reveal q: last=5
r = b.reshape(b.size(0), -1)  # reveal r: rank=2 last=none
s = nn.Conv2d(1, 2, 3)(x)  # reveal s: last=none
t = b.sum(dim=1)  # reveal t: rank=1 last=none
u = nn.Linear(5, 5)(b)  # reveal u: rank=2 last=5
v = nn.BatchNorm1d(5)(b)  # reveal v: last=5?
w = b if x.sum() > 0 else nn.Linear(10, 6)(nn.Flatten()(x))  # reveal w: logits rank=2 last=none
y = torch.flatten(x, 1)  # reveal y: rank=2?
z = b.flatten()  # reveal z: rank=1?
aa = nn.Linear(in_features=10, out_features=2, bias=False)(x)  # reveal aa: last=2
bb = b + torch.zeros(3, 1, 5)  # reveal bb: rank=none
cc = b.t()  # reveal cc: last=none
dd = b.expand(3, 8, 5)  # reveal dd: last=none
ee = nn.Flatten(0)(x)  # reveal ee: rank=1?
ff = nn.Linear(10, 2.5)(x)  # reveal ff: last=none


class Shaped(nn.Module):
    def __init__(self, out):
        super().__init__()
        self.flat = nn.Flatten()
        self.head = nn.Linear(3, out)

    def forward(self, x):
        return self.head(self.flat(x))


gg = Shaped(4)(x)  # reveal gg: rank=2 last=4
hh = Shaped(out=1)(x).squeeze(-1)  # reveal hh: last=none rank=none

# followed through layers and reductions
ia = nn.Conv2d(3, 8, 3)(images)  # reveal ia: logits rank=4
ib = nn.AdaptiveAvgPool2d(1)(ia).relu()  # reveal ib: rank=4
ic = ib.mean(dim=(2, 3))  # reveal ic: rank=2
id_ = ib.mean(dim=(2, 3), keepdim=True)  # reveal id_: rank=4
ie = nn.Conv1d(3, 8, 3)(signals).transpose(1, 2)[:, -1]  # reveal ie: rank=2
steps, state = nn.GRU(8, 16)(signals)  # reveal steps: rank=3
first = state[0]  # reveal first: rank=2
_, (hidden, cell) = nn.LSTM(8, 16)(signals)  # reveal hidden: rank=3
chosen = hidden[-1, :, None]  # reveal chosen: rank=3
both = torch.cat([first, hidden[-1]], dim=1)  # reveal both: rank=2
piled = torch.stack([first, first])  # reveal piled: rank=3
picked = hidden[chosen_by_somebody]  # reveal picked: rank=none
