"""Progress of diabetes after a year: a healthy regression, and the same with six faults.

    mldebug-verify examples/verify/diabetes.py --html report.html
    mldebug-verify examples/verify/diabetes.py:broadcast_loss
"""

from dataclasses import replace

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from mldbg.verify import Experiment

features, progress = load_diabetes(return_X_y=True, scaled=False)


def parts(scaler_sees_everything=False):
    """Standardised `X_train, X_test` of shape (rows, 10), `y_train, y_test` of shape (rows, 1)."""
    x_train, x_test, y_train, y_test = train_test_split(features, progress[:, None], test_size=0.3, random_state=0)
    scaler = StandardScaler().fit(features if scaler_sees_everything else x_train)
    target = StandardScaler().fit(y_train)
    return scaler.transform(x_train), scaler.transform(x_test), target.transform(y_train), target.transform(y_test)


def made(x_train, x_test, y_train, y_test, rate=1e-2, targets=lambda y: y):
    """The experiment on given data, all arrays in float64."""
    data = TensorDataset(torch.tensor(x_train, dtype=torch.float32), torch.tensor(targets(y_train), dtype=torch.float32))

    def model(width=64):
        return nn.Sequential(nn.Linear(x_train.shape[1], width), nn.Tanh(), nn.Linear(width, 1))

    def loader():
        return DataLoader(data, batch_size=64, shuffle=True)

    return Experiment(
        model,
        lambda: next(iter(loader())),
        functional.mse_loss,
        optimizer=lambda net: torch.optim.Adam(net.parameters(), lr=rate),
        loader=loader,
        train=lambda: (x_train, y_train[:, 0]),
        test=lambda: (x_test, y_test[:, 0]),
        width=lambda factor: model(4 * factor),
        reduction="mean",
        output_shape=(-1, 1),
    )


experiment = made(*parts())


# ---------------------------------------------------------------------------------------------------- the same with a fault
def broadcast_loss():
    """Targets of shape (N,) beside outputs of shape (N, 1): every output is compared with every target."""
    return made(*parts(), targets=lambda y: y[:, 0])


def flipped_sign():
    """A score to be maximised is minimised."""
    return replace(experiment, loss=lambda output, target: -functional.mse_loss(output, target))


def scaled_before_split():
    """The scaler has seen the test part."""
    return made(*parts(scaler_sees_everything=True))


def target_in_features():
    """A column that is only known when the target is."""
    x_train, x_test, y_train, y_test = parts()
    return made(np.hstack([x_train, y_train]), np.hstack([x_test, y_test]), y_train, y_test)


def train_rows_in_test():
    """Thirty rows were used twice."""
    x_train, x_test, y_train, y_test = parts()
    return made(x_train, np.vstack([x_test, x_train[:30]]), y_train, np.vstack([y_test, y_train[:30]]))


def learning_rate_of_10():
    """Four digits too much."""
    return made(*parts(), rate=10.0)
