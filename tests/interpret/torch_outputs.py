from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import ModelOutput

x = torch.randn(4, 3)
p = F.softmax(x, dim=1)


@dataclass
class Output(ModelOutput):
    loss: Optional[torch.Tensor] = None
    probs: Optional[torch.Tensor] = None
    hidden: Optional[torch.Tensor] = None


class Net(nn.Module):
    def forward(self, z, labels=None):
        probs = F.softmax(z, dim=1)
        loss = None if labels is None else F.nll_loss(probs.log(), labels)
        return Output(loss=loss, probs=probs, hidden=z)


class Classifier(nn.Module):
    def forward(self, z):
        return SequenceClassifierOutput(logits=F.softmax(z, dim=1), hidden_states=z)


a = Net()(x)
b = a.probs  # reveal b: probs
c = a["probs"]  # reveal c: probs
d = a[0]  # reveal d: probs
e = a[1]  # reveal e: no-meaning
f = Net()(x, p)[0]  # reveal f: scalar-loss
g = Net()(x, p)[1]  # reveal g: probs
h = Classifier()(x)
i = h.logits  # reveal i: probs
j = h["logits"]  # reveal j: probs

# numpy and back
k = p.detach().cpu().numpy()  # reveal k: probs
m = np.concatenate([k, k], axis=0)  # reveal m: probs along=1
n = torch.from_numpy(np.stack([k, k]).mean(axis=0))  # reveal n: probs
o = torch.tensor(np.array(k))  # reveal o: probs
q = np.mean(np.stack([k, k, k]), axis=0)  # reveal q: probs
r = np.clip(k, 1e-7, 1 - 1e-7)  # reveal r: probs
s = np.max(k, axis=1)  # reveal s: unit-interval
t = np.zeros_like(k)
t[0] = k[0]
print(t)  # reveal t: probs scaled=yes

# masks
u = F.softmax(x, dim=1)
u[x > 1] = 0
print(u)  # reveal u: probs scaled=yes
v = torch.sigmoid(x)
v[x > 1] = 1
print(v)  # reveal v: unit-interval
w = torch.sigmoid(x)
w[x > 1] = -1
print(w)  # reveal w: no-meaning
aa = F.softmax(x, dim=1)
aa[x > 1] = p[x > 1]
print(aa)  # reveal aa: unit-interval

# sums
bb = sum(F.softmax(y, dim=1) for y in x)  # reveal bb: probs scaled=yes
cc = bb / len(x)  # reveal cc: probs scaled=yes
dd = sum(torch.sigmoid(y) for y in x) / 4  # reveal dd: unit-interval scaled=yes
ee = sum(nn.Linear(3, 3)(y) for y in x)  # reveal ee: logits
ff = sum(y for y in x)  # reveal ff: no-meaning

# ranks


def ranked(images, tokens, unknown, one_hot, labels_onehot=None):
    n, c, h, w = images.shape  # reveal images: rank=4
    b, t = tokens.size()  # reveal tokens: rank=2
    first, *rest = unknown.shape  # reveal unknown: rank=none
    along = F.softmax(images, dim=3)  # reveal along: probs along=3
    one = along[..., 0]  # reveal one: unit-interval
    found = F.softmax(tokens, dim=1) @ one_hot  # reveal found: unit-interval; one_hot: one-hot
    return one, rest, labels_onehot  # reveal labels_onehot: no-meaning


# lists that become tensors, and tensors without entries yet
gg = np.mean([k, k], axis=0)  # reveal gg: probs along=1
hh = np.array([k, k])  # reveal hh: probs along=2
ii = torch.Tensor()
for y in x:
    ii = torch.cat((ii, F.softmax(y, dim=-1)))
print(ii)  # reveal ii: probs
jj = torch.tensor([])
for y in x:
    jj = torch.cat((jj, torch.sigmoid(y)))
print(jj)  # reveal jj: unit-interval
kk = F.softmax(nn.Conv2d(3, 5, 3)(torch.randn(2, 3, 8, 8)), dim=1).mean(dim=[2, 3])  # reveal kk: probs along=1
mm = p.view(2, 2, 3).mean(1)  # reveal mm: unit-interval
nn_ = p.mean()  # reveal nn_: no-meaning
