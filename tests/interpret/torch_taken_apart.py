import random
from collections import namedtuple
from types import SimpleNamespace

import einops
import torch
import torch.nn.functional as F
from einops.layers.torch import Rearrange, Reduce
from torch import nn
from torch.autograd import Variable
from torch.utils.checkpoint import checkpoint

Output = namedtuple("Output", "probs hidden")
x = torch.randn(4, 3)
chance = random.random() > 0.5
p = F.softmax(x, dim=-1)
s = torch.sigmoid(x)
for each in p:
    print(each)  # reveal each: probs along=0
for i, each_of_several in enumerate(s):
    print(i, each_of_several)  # reveal each_of_several: unit-interval
for one, two in zip(p, x):
    print(one, two)  # reveal one: probs; two: no-meaning
a, b, c, d = p  # reveal a: probs along=0; d: probs along=0
e, f = p.chunk(2)  # reveal e: probs; f: probs
g, h = p.chunk(2, dim=-1)  # reveal g: unit-interval; h: unit-interval
j = torch.split(p, [1, 3])[1]  # reveal j: probs
k, m, n, o = p.unbind(0)  # reveal k: probs
q = next(iter(p))  # reveal q: probs
r = [row for row in p][0]  # reveal r: probs
t = F.softmax(x, dim=0)[0]  # reveal t: unit-interval
u = p[:, None]  # reveal u: probs along=2
v = F.softmax(x, dim=1)[:, None]  # reveal v: probs along=2
w = F.softmax(x, dim=1)[0]  # reveal w: probs along=0
aa = p[..., 0]  # reveal aa: unit-interval
bb = p[torch.arange(4), [0, 1, 2, 0]]  # reveal bb: unit-interval
cc = F.log_softmax(x, dim=1)[:, 0]  # reveal cc: no-meaning
dd = F.log_softmax(x, dim=1)[2:]  # reveal dd: log-probs along=1

# joined
ee = torch.cat([p, p])  # reveal ee: probs along=-1
ff = torch.cat([p, p], dim=-1)  # reveal ff: unit-interval
gg = torch.cat([p, s])  # reveal gg: unit-interval
hh = torch.cat([p, x])  # reveal hh: no-meaning
ii = torch.stack([p, p]).mean(0)  # reveal ii: probs rank=2 along=1
jj = torch.stack([p, p], dim=1).mean(1)  # reveal jj: probs
kk = (s + s) / 2  # reveal kk: unit-interval scaled=yes
total = 0
for y in [x, x, x, x, x, x, x, x, x, x, x, x, x, x]:
    total = total + F.softmax(y, dim=1)
kept = total / 14  # reveal kept: probs scaled=yes
rows = torch.empty(0, 3)
for y in x:
    rows = torch.cat([rows, F.softmax(y, dim=-1)[None]])
print(rows)  # reveal rows: probs
filled = torch.zeros(4, 3)
for i in range(4):
    filled[i] = p[i]
print(filled)  # reveal filled: probs scaled=yes
mixed = torch.zeros(4, 3)
mixed[:, 0] = s[:, 0]
mixed[:, 1] = x[:, 1]
print(mixed)  # reveal mixed: no-meaning
counted = torch.zeros(4, 3)
counted[0, 1] = 1
print(counted)  # reveal counted: no-meaning
changed = nn.Linear(3, 3)(x)
changed[:, :2].sigmoid_()
print(changed)  # reveal changed: no-meaning

# chosen
ll = torch.where(x > 0, p, p)  # reveal ll: unit-interval
mm = torch.where(x > 0, p, 0)  # reveal mm: probs scaled=yes
nn_ = torch.where(x > 0, s, torch.zeros_like(s))  # reveal nn_: unit-interval
oo = p.topk(2)[0]  # reveal oo: unit-interval
pp, places = p.max(dim=1)  # reveal pp: unit-interval; places: no-meaning
qq = p.max(1).values  # reveal qq: unit-interval
rr = p.gather(1, x)  # reveal rr: unit-interval
ss = torch.max(s, s)  # reveal ss: unit-interval
tt = torch.max(s, x)  # reveal tt: no-meaning
uu = p if chance else s  # reveal uu: unit-interval
vv = p if chance else F.relu(x)  # reveal vv: no-meaning
ww = s * s  # reveal ww: unit-interval
xx = s * x  # reveal xx: no-meaning
yy = 3 * s  # reveal yy: no-meaning
zz = p * (p > 0.5)  # reveal zz: probs scaled=yes

# products with one-hot rows
ab = F.one_hot(x, 7).float()  # reveal ab: one-hot along=-1
ac = torch.zeros(4, 7).scatter_(1, x, 1)  # reveal ac: one-hot along=1
ad = p.unsqueeze(1).bmm(ab).squeeze(1)  # reveal ad: probs
ae = p @ ab  # reveal ae: unit-interval
af = p @ x  # reveal af: no-meaning

# pooled, padded
images = F.softmax(nn.Conv2d(3, 5, 3)(x), dim=1)  # reveal images: probs along=1
ag = F.interpolate(images, size=(4, 4))  # reveal ag: probs along=1
ah = F.interpolate(images, size=(4, 4), mode="bicubic")  # reveal ah: no-meaning
ai = F.adaptive_avg_pool2d(images, 1)  # reveal ai: probs along=1
aj = nn.AvgPool2d(3, padding=1)(images)  # reveal aj: probs scaled=yes
ak = F.max_pool2d(images, 2)  # reveal ak: unit-interval
al = F.pad(images, (1, 1))  # reveal al: probs scaled=yes
am = nn.Upsample(scale_factor=2, mode="bilinear")(images.sigmoid())  # reveal am: unit-interval
an = einops.rearrange(images, "b c h w -> (b h w) c")  # reveal an: probs along=1
ao = einops.rearrange(images, "b c h w -> b (c h w)")  # reveal ao: unit-interval
ap = einops.reduce(images, "b c h w -> b c", "mean")  # reveal ap: probs along=1
aq = einops.rearrange(p, "... c -> c ...")  # reveal aq: probs along=0
aq2 = einops.rearrange(images, "b (c) h w -> b h w c")  # reveal aq2: probs along=3

# axes in a tuple, moved, made one
ar2 = F.softmax(z, dim=1).permute((0, 2, 1))  # reveal ar2: probs along=2
ar3 = torch.permute(F.softmax(z, dim=1), (0, 2, 1))  # reveal ar3: probs along=2
ar4 = torch.movedim(F.softmax(nn.Conv1d(3, 5, 3)(z), dim=1), 1, -1)  # reveal ar4: probs along=2
ar5 = F.softmax(z, dim=1).flatten(2)  # reveal ar5: probs along=1 rank=3
ar6 = F.softmax(z, dim=1).flatten(1)  # reveal ar6: probs along=none rank=2
ar7 = F.softmax(z, dim=-1).flatten(0, -2)  # reveal ar7: probs along=1
ar8 = F.softmax(z, dim=-1).transpose(0, -1)  # reveal ar8: probs along=0

# carried by something else
ar = Variable(p)  # reveal ar: probs
at = checkpoint(lambda z: F.softmax(z, dim=1), x, use_reentrant=False)  # reveal at: probs
au = getattr(F, "softmax")(x, dim=1)  # reveal au: probs
av = Output(p, x).probs  # reveal av: probs
aw, ax = Output(hidden=x, probs=p)  # reveal aw: probs; ax: no-meaning
ay = SimpleNamespace(probs=p).probs  # reveal ay: probs


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 3)

    def forward(self, z):
        return self.head.forward(z).softmax(1)

    def again(self, z):
        return self.__call__(z)


az = Net().forward(x)  # reveal az: probs
ba = Net().again(x)  # reveal ba: probs
bb = nn.Sequential(nn.Softmax(dim=1), Rearrange("b c h w -> b (h w) c"))(x)  # reveal bb: probs along=2
cc = nn.Sequential(nn.Sigmoid(), Reduce("b c h w -> b c", "max"))(x)  # reveal cc: unit-interval
copied = torch.zeros(4, 3)
copied[:2].copy_(p[:2])
print(copied)  # reveal copied: probs scaled=yes
whole = torch.empty(4, 3)
whole.copy_(s)
print(whole)  # reveal whole: unit-interval
other = nn.Linear(3, 3)(x)
other[:, 0].copy_(s[:, 0])
print(other)  # reveal other: no-meaning
