"""Handwritten digits of 8 x 8 pixels: a healthy experiment, and the same with six faults.

    mldebug-verify examples/verify/digits.py --html report.html
    mldebug-verify examples/verify/digits.py:double_softmax
"""

from dataclasses import replace

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from mldbg.verify import Experiment

images, labels = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(images / 16, labels, test_size=0.25, stratify=labels, random_state=0)
mean = X_train.mean()
spread = X_train.std()


def tensors(x, y):
    return torch.tensor((x - mean) / spread, dtype=torch.float32), torch.tensor(y)


train_set = TensorDataset(*tensors(X_train, y_train))
test_x, test_y = tensors(X_test, y_test)


def model(width=128):
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def loader():
    return DataLoader(train_set, batch_size=64, shuffle=True)


def evaluate(net):
    device = next(net.parameters()).device
    training = net.training
    net.eval()
    with torch.no_grad():
        accuracy = (net(test_x.to(device)).argmax(1) == test_y.to(device)).float().mean()
    net.train(training)
    return float(accuracy)


experiment = Experiment(
    model,
    lambda: next(iter(loader())),
    functional.cross_entropy,
    optimizer=lambda net: torch.optim.Adam(net.parameters(), lr=1e-3),
    loader=loader,
    train=lambda: train_set.tensors,
    test=lambda: (test_x, test_y),
    evaluate=evaluate,
    width=lambda factor: model(4 * factor),
    reduction="mean",
    output_shape=(-1, 10),
    render=lambda axes, x, y: axes.imshow(x.reshape(8, 8), cmap="gray_r"),
)


# ---------------------------------------------------------------------------------------------------- the same with a fault
def double_softmax():
    """The model ends in a softmax; cross_entropy has one of its own."""
    return replace(experiment, model=lambda: nn.Sequential(model(), nn.Softmax(1)))


def summed_loss():
    """The loss grows with the batch, and so does the step."""
    return replace(experiment, loss=lambda output, target: functional.cross_entropy(output, target, reduction="sum"))


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = model()[:4]
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.backbone(x).detach())


def detached_backbone():
    """Only the head learns."""
    return replace(experiment, model=Detached)


def frozen_layer():
    """The second layer was frozen once, and never again released."""

    def made():
        net = model()
        net[2].requires_grad_(False)
        return net

    return replace(experiment, model=made)


def optimizer_without_head():
    """The optimizer was made for the backbone alone."""
    return replace(experiment, optimizer=lambda net: torch.optim.Adam(net[:4].parameters(), lr=1e-3))


def shuffled_labels():
    """Inputs were shuffled before training, labels were not."""
    x, y = train_set.tensors
    mixed = TensorDataset(x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))], y)

    def loader():
        return DataLoader(mixed, batch_size=64, shuffle=True)

    return replace(experiment, batch=lambda: next(iter(loader())), loader=loader, train=lambda: mixed.tensors)
