import torch.nn.functional as F
from torch import nn

WIDTH = 7


def width():
    return WIDTH


class Head(nn.Linear):
    def __init__(self, out):
        super().__init__(3, out)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = Head(2)

    def forward(self, x):
        y = self.head(x)  # reveal y: logits last=2?
        return F.softmax(y, dim=-1)
