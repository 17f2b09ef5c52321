import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(depth)])
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))})

    def forward(self, x, head):
        for layer in self.layers:
            x = layer(x)  # reveal x: logits
        return self.heads[head](x)


x = torch.randn(2, 4)
model = Stack(3)
a = model(x, "a")  # reveal a: logits last=2
b = model(x, "b")  # reveal b: probs
c = model(x, input())  # reveal c: no-meaning

mixed = nn.ModuleList([nn.Linear(4, 4), nn.Softmax(1)])  # reveal mixed: len=2
d = mixed[0](x)  # reveal d: logits
e = mixed[1](x)  # reveal e: probs
y = x
for layer in mixed:
    y = layer(y)  # reveal y: logits | probs
f = y  # reveal f: probs
mixed.append(nn.Sigmoid())
g = mixed[-1](x)  # reveal g: unit-interval
h = [layer(x) for layer in mixed]  # reveal h[0]: logits; h[1]: probs; h[2]: unit-interval
for name, head in model.heads.items():
    i = head(x)  # reveal i: logits | probs; name: 'a' | 'b'
for head in model.heads.values():
    j = head(x)  # reveal j: logits | probs
for index, layer in enumerate(mixed):
    k = layer(x)  # reveal k: logits | probs | unit-interval
for layer in mixed[:-1]:
    m = layer(x)  # reveal m: logits | probs
z = x
for layer in reversed(mixed):
    z = layer(z)
n = z  # reveal n: logits

plain = {"soft": nn.Softmax(1), "none": nn.Identity()}
o = plain["soft"](x)  # reveal o: probs
p = plain.get("soft")(x)  # reveal p: probs
q = plain[input()](x)  # reveal q: no-meaning
r = plain["none"](o)  # reveal r: probs


class Inputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList()
        for size in (2, 3):
            self.branches.append(nn.Linear(4, size))
        self.act = nn.Softmax(1)

    def forward(self, x):
        outputs = []
        for branch in self.branches:
            outputs.append(self.act(branch(x)))
        return outputs


s = Inputs()(x)
for t in s:  # reveal t: probs
    pass
u, v = Inputs()(x)  # reveal u: probs; v: probs
w = torch.cat(s, 1)  # reveal w: unit-interval
