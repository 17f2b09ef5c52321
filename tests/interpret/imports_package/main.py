import pkg
import pkg.layers as layers
from pkg import Net, helper, renamed, VALUE
from pkg.losses import *
from pkg.layers import Head
import torch

x = torch.randn(2, 3)
a = Net()(x)  # reveal a: probs
b = helper(x)  # reveal b: unit-interval
c = renamed(x)  # reveal c: unit-interval
d = pkg.Net()(x)  # reveal d: probs
e = layers.Head(4)(x)  # reveal e: logits last=4?
f = Head(5)(x)  # reveal f: logits last=5?
g = star_loss(x, x)  # reveal g: scalar-loss
h = pkg.losses.star_loss(x, x)  # reveal h: scalar-loss
i = VALUE  # reveal i: 3
j = pkg.layers.WIDTH  # reveal j: 7
k = pkg.missing  # reveal k: unknown
n = pkg.submodule_function(x)  # reveal n: probs
o = pkg.losses  # reveal o: module:pkg.losses


def lazily(x):
    from pkg.losses import star_loss as inner
    from pkg import layers as again

    return inner(x, again.Head(2)(x))  # reveal again: module:pkg.layers


p = lazily(x)  # reveal p: scalar-loss
try:
    from pkg.fast import softmax
except ImportError:
    from torch.nn.functional import softmax
q = softmax(x, 1)  # reveal q: probs?
from pkg.losses import LOSSES

r = LOSSES["ce"](x, x)  # reveal r: scalar-loss
pkg.layers.WIDTH = 8
s = pkg.layers.width()  # reveal s: 8
