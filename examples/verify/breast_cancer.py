"""Benign or malignant, from 30 measurements of cell nuclei: a healthy tabular classifier, and the same with six faults.

    mldebug-verify examples/verify/breast_cancer.py --html report.html
    mldebug-verify examples/verify/breast_cancer.py:unscaled_features
"""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from mldbg.verify import Experiment

features, benign = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(features, benign, test_size=0.3, stratify=benign, random_state=0)
scaler = StandardScaler().fit(x_train)


def made(
    scaled=scaler.transform,
    first=lambda width: [nn.Linear(30, width), nn.BatchNorm1d(width)],
    dropout=0.2,
    last=lambda width: [nn.Linear(width, 1), nn.Flatten(0)],
    rate=3e-3,
):
    """The experiment; every argument is something that a fault changes."""
    train = TensorDataset(torch.tensor(scaled(x_train), dtype=torch.float32), torch.tensor(y_train, dtype=torch.float32))
    test_x, test_y = torch.tensor(scaled(x_test), dtype=torch.float32), torch.tensor(y_test, dtype=torch.float32)

    def model(width=32):
        return nn.Sequential(*first(width), nn.ReLU(), nn.Dropout(dropout), *last(width))

    def loader():
        return DataLoader(train, batch_size=64, shuffle=True)

    def evaluate(net):
        device = next(net.parameters()).device
        training = net.training
        net.eval()
        with torch.no_grad():
            accuracy = ((net(test_x.to(device)) > 0) == (test_y.to(device) > 0.5)).float().mean()
        net.train(training)
        return float(accuracy)

    return Experiment(
        model,
        lambda: next(iter(loader())),
        functional.binary_cross_entropy_with_logits,
        optimizer=lambda net: torch.optim.AdamW(net.parameters(), lr=rate),
        loader=loader,
        train=lambda: train.tensors,
        test=lambda: (test_x, test_y),
        evaluate=evaluate,
        width=lambda factor: model(4 * factor),
        reduction="mean",
        output_shape=(-1,),
    )


experiment = made()


# ---------------------------------------------------------------------------------------------------- the same with a fault
def sigmoid_twice():
    """The model ends in a sigmoid; the loss has one of its own."""
    return made(last=lambda width: [nn.Linear(width, 1), nn.Flatten(0), nn.Sigmoid()])


def unscaled_features():
    """Areas of hundreds beside fractions of thousandths, and no BatchNorm to hide it."""
    return made(scaled=lambda x: x, first=lambda width: [nn.Linear(30, width)])


class Standardised(nn.Module):
    def forward(self, x):
        return (x - x.mean(0)) / (x.std(0) + 1e-5)


def normalised_by_hand():
    """A BatchNorm without running statistics: the answer for one patient depends on the others in the batch."""
    return made(first=lambda width: [nn.Linear(30, width), Standardised()])


def learning_rate_of_1e_7():
    """Nothing moves."""
    return made(rate=1e-7)


def dead_units():
    """A bias far below zero: no unit ever wakes up."""

    def first(width):
        layer = nn.Linear(30, width)
        nn.init.constant_(layer.bias, -100.0)
        return [layer]

    return made(first=first)


def missing_values():
    """A measurement that is missing reads as NaN."""

    def scaled(x):
        x = scaler.transform(x)
        x[::5, 7] = float("nan")
        return x

    return made(scaled=scaled)
