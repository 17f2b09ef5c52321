from __future__ import annotations

from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic, nothing


class InvalidSuppression(Rule):
    """a suppression comment is malformed, misplaced or names no rule

    ## Why
    Such a comment suppresses nothing, although whoever wrote it thinks that it does.

    ## Bad
        import torch.nn.functional as F

        def loss_of(net, x, y):
            return F.cross_entropy(net(x), y)  # mldebug: allow[softmax-before-crossentropy] published baseline

    ## Good
        import torch.nn.functional as F

        def loss_of(net, x, y):
            return F.cross_entropy(F.softmax(net(x), 1), y)  # mldebug: allow[softmax-before-cross-entropy] published baseline

    ## Limits
    `ALL` is not accepted in a comment: it would also hide what rules of the future find. A comment without the word
    `allow` and a bracket is seen only if it starts with `mldebug:`.
    """

    group = Group.SUSPICIOUS
    topic = Topic.COMMENTS
    listens_to = nothing()
