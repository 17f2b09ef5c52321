import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, classes)
        self.act = nn.ReLU()

    def forward(self, x):
        h = self.body(x)  # reveal h: logits last=8
        h = self.act(h)  # reveal h: non-negative
        return self.head(h)


class Probabilities(Net):
    def forward(self, x):
        return F.softmax(super().forward(x), dim=1)


class OldStyle(Net):
    def forward(self, x):
        return torch.sigmoid(super(OldStyle, self).forward(x))


class Calls(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net(3)

    def __call__(self, x):
        return F.log_softmax(self.net(x), 1)


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        logits = self.net(x)
        return logits, logits.softmax(1)


class Dictionary(Several):
    def forward(self, x):
        logits, probs = super().forward(x)
        return {"logits": logits, "probs": probs}


class WithBase(UnknownBase):  # noqa: F821
    def forward(self, x):
        return F.softmax(x, 1)


x = torch.randn(2, 4)
net = Net()  # reveal net: Net mode=train
a = net(x)  # reveal a: logits last=10
b = Net(3)(x)  # reveal b: logits last=3
c = Probabilities()(x)  # reveal c: probs
d = OldStyle()(x)  # reveal d: unit-interval
e = Calls()(x)  # reveal e: log-probs
f, g = Several()(x)  # reveal f: logits; g: probs
h = Dictionary()(x)  # reveal h["logits"]: logits; h["probs"]: probs
i = net.forward(x)  # reveal i: logits
j = nn.Softmax(dim=1)(a)  # reveal j: probs
k = nn.DataParallel(net)(x)  # reveal k: logits
m = torch.compile(net)(x)  # reveal m: logits
n = net.to("cuda")(x)  # reveal n: logits
o = nn.Identity()(j)  # reveal o: probs
p = nn.Dropout(0.5)(j)  # reveal p: no-meaning
q = nn.Dropout(0.5)(a)  # reveal q: logits
r = nn.CrossEntropyLoss()(a, x)  # reveal r: scalar-loss
s = nn.LSTM(3, 4)(x)  # reveal s: no-meaning
t = nn.BatchNorm1d(4)(a)  # reveal t: logits
u = nn.Embedding(3, 4)(x)  # reveal u: unknown
v = getattr(nn, "Softmax")(1)(a)  # reveal v: probs
w = nn.Linear(8, out_features=5)(x)  # reveal w: logits last=5
y = nn.Softmax  # reveal y: torch.nn.Softmax
z = WithBase()(x)  # reveal z: probs?
net.head = nn.Sequential(nn.Linear(8, 5), nn.Softmax(1))
aa = net(x)  # reveal aa: probs
net.head = nn.Identity()
bb = net(x)  # reveal bb: non-negative
cc = nn.Linear(3, len(x))(x)  # reveal cc: logits last=none
dd = nn.Flatten()(x)  # reveal dd: rank=2
ee = UnknownLayer()(x)  # noqa: F821  # reveal ee: unknown
ff = nn.CrossEntropyLoss(reduction="none")(a, x)  # reveal ff: no-meaning
