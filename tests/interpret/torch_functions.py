import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import softmax as soft

x = torch.randn(8, 10)  # reveal x: unknown
p = F.softmax(x, dim=1)  # reveal p: probs
q = soft(x, -1)  # reveal q: probs
r = x.softmax(dim=1)  # reveal r: probs
s = torch.softmax(x, 1)  # reveal s: probs
t = nn.functional.log_softmax(x, 1)  # reveal t: log-probs
u = torch.sigmoid(x)  # reveal u: unit-interval
v = F.relu(x)  # reveal v: non-negative
w = torch.log(p)  # reveal w: log-probs
a = t.exp()  # reveal a: probs
b = torch.log(x)  # reveal b: unknown
c = p.exp()  # reveal c: unknown
d = p.argmax(dim=1)  # reveal d: no-meaning
e = p.max(dim=1)  # reveal e: no-meaning
f = p.sum()  # reveal f: no-meaning
g = p.mean(dim=0)  # reveal g: probs along=0
h = p + p  # reveal h: probs scaled=yes
i = p * 2  # reveal i: probs scaled=yes
j = p + 1e-8  # reveal j: probs
k = 1 - u  # reveal k: unit-interval
m = 1 - p  # reveal m: unit-interval
n = p.to("cuda").detach().cpu()  # reveal n: probs attached=no
o = p.clone()  # reveal o: probs
y = p.clamp(1e-7, 1)  # reveal y: probs
z = F.relu(p)  # reveal z: probs
aa = torch.tanh(x)  # reveal aa: no-meaning
bb = F.logsigmoid(x)  # reveal bb: no-meaning
cc = torch.softmax(x, dim=1).log()  # reveal cc: log-probs
dd = torch.stack([p, p])  # reveal dd: probs along=2
ee = -p  # reveal ee: no-meaning
ff = -F.linear(x, x)  # reveal ff: logits
gg = F.linear(x, x) / 2  # reveal gg: logits
hh = F.linear(x, x) * torch.rand(1)  # reveal hh: no-meaning
ii = p[0]  # reveal ii: probs
jj = p[:, 1]  # reveal jj: unit-interval
kk = p[..., 0]  # reveal kk: unit-interval
mm = p[:5]  # reveal mm: probs
nn_ = p[p > 0.5]  # reveal nn_: unit-interval
oo = p.T  # reveal oo: probs rank=2 along=0
pp = p.unsqueeze(0)  # reveal pp: probs
qq = torch.where(x > 0, p, x)  # reveal qq: no-meaning
rr = F.gumbel_softmax(x)  # reveal rr: probs along=-1
ss = F.dropout(p, 0.5)  # reveal ss: no-meaning
tt = F.cross_entropy(x, d)  # reveal tt: scalar-loss
uu = tt / 4  # reveal uu: scalar-loss
vv = tt + uu  # reveal vv: scalar-loss
ww = tt.item()  # reveal ww: attached=no
xx = F.softplus(x)  # reveal xx: non-negative
yy = v - 1  # reveal yy: no-meaning
zz = torch.softmax(x, 1) if len(x) else torch.softmax(x, -1)  # reveal zz: probs
ab = torch.softmax(x, 1) if len(x) else x  # reveal ab: no-meaning
ac = torch.softmax(x, 1) if len(x) else torch.sigmoid(x)  # reveal ac: unit-interval
ad = p**2  # reveal ad: unit-interval
ae = p @ x  # reveal ae: no-meaning
af = p > 0.5  # reveal af: no-meaning
ag = F.cross_entropy(x, d, reduction="none")  # reveal ag: no-meaning
ah = u.log()  # reveal ah: no-meaning
