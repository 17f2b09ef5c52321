from __future__ import annotations

from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic, nothing


class UnusedSuppression(Rule):
    """a suppression comment suppresses nothing

    ## Why
    The code was fixed, or moved away from its comment, and the comment stayed. It misleads readers, and it will hide
    the next finding of that rule in this place.

    ## Bad
        import torch.nn.functional as F

        def loss_of(net, x, y):
            return F.cross_entropy(net(x), y)  # mldebug: allow[softmax-before-cross-entropy] published baseline

    ## Good
        import torch.nn.functional as F

        def loss_of(net, x, y):
            return F.cross_entropy(F.softmax(net(x), 1), y)  # mldebug: allow[softmax-before-cross-entropy] published baseline

    ## Limits
    A suppression of a rule that does not run in this file, because it is not selected or is ignored there, is left
    alone. So is one of a group unless all rules of the group run. Findings may come from the check of a file that
    imports this one: while such a file is not part of the run, or this one or such a file cannot be read, nothing is
    reported. A comment of its own in which other words precede the suppression may be code that was commented out,
    and is not reported either.
    """

    group = Group.SUSPICIOUS
    topic = Topic.COMMENTS
    listens_to = nothing()
