from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class BceOnLogits(Rule):
    """BCELoss gets a value that never went through a sigmoid

    ## Why
    `BCELoss` takes the logarithm of its input and of one minus its input, so the input must be a probability. Raw
    layer outputs lie outside [0, 1]: torch raises on some versions and devices, and elsewhere the clamped
    logarithms produce a loss that decreases but means nothing.

    ## Bad
        from torch import nn

        model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 1))
        criterion = nn.BCELoss()

        def loss_of(x, y):
            return criterion(model(x), y)

    ## Good
        from torch import nn

        model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 1))
        criterion = nn.BCEWithLogitsLoss()

        def loss_of(x, y):
            return criterion(model(x), y)

    ## Limits
    Fires only when the value is known to be the output of a layer with unbounded values (or
    log-probabilities, or the output of a ReLU). A value of unknown origin, or one clamped to a range, is left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
