import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
criterion = None
step = 0
device = "cuda" if torch.cuda.is_available() else "cpu"


def use(x):
    return model(x)


def replace():
    global model
    model = nn.Linear(3, 5)


def configure():
    global criterion
    criterion = nn.CrossEntropyLoss()


def count():
    global step
    step = step + 1


x = torch.randn(2, 3)
a = use(x)  # reveal a: probs
replace()
b = use(x)  # reveal b: logits last=5; model: Linear
configure()
c = criterion(x, x)  # reveal c: scalar-loss
count()
count()
d = step  # reveal d: 2
e = device  # reveal e: unknown
f = [0]


def changes():
    f[0] = 1
    f.append(2)


changes()
g = f  # reveal g: [1, 2] len=2


def main():
    model = nn.Sigmoid()
    return model(x)  # reveal model(x): unit-interval


h = main()  # reveal h: unit-interval; model: Linear


def uses_later():
    return later(x)


def later(x):
    return F.softmax(x, 1)


i = uses_later()  # reveal i: probs
if __name__ == "__main__":
    j = use(x)  # reveal j: logits
