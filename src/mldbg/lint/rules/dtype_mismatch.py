from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Contradiction, Misfit
from mldbg.lint.ladder import ladder, short
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.problem import Problem


class DtypeMismatch(Rule):
    """an operation gets elements of a type that it cannot take

    ## Why
    Class indices have to be integers and the targets of binary cross-entropy floats; an embedding looks up integers. The call
    raises, or, where floats of one value for each class are allowed, means something else: class probabilities.

    ## Bad
        import torch
        import torch.nn.functional as F

        def loss(model, x):
            labels = torch.randint(0, 2, (32, 1))
            return F.binary_cross_entropy_with_logits(model(x).view(32, 1), labels)

    ## Good
        import torch
        import torch.nn.functional as F

        def loss(model, x):
            labels = torch.randint(0, 2, (32, 1))
            return F.binary_cross_entropy_with_logits(model(x).view(32, 1), labels.float())

    ## Limits
    Fires when the type is known: from a literal, a cast, a creating function or an annotation. The fix casts the target of a
    loss, and the indices of `one_hot`, where the call gets them. Where an annotation may be wrong there is none.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Misfit, Contradiction)

    def on_misfit(self, misfit: Misfit) -> Iterator[Finding]:
        if misfit.mismatch.problem is not Problem.DTYPE:
            return
        site = misfit.place.site
        yield self.found(
            site,
            f"{short(misfit.name)} gets elements of a type that it cannot take: {misfit.mismatch.reason}",
            hint="cast to the type that is expected: .long() for class indices, .float() for targets of a binary loss",
            ladder=ladder(*misfit.operands),
            last=(site, f"{short(misfit.name)} fails here"),
            fix=_fix(misfit),
        )

    def on_contradiction(self, contradiction: Contradiction) -> Iterator[Finding]:
        if not contradiction.is_about_type:
            return
        yield self.found(
            contradiction.place.site,
            f"`{contradiction.name}` is declared as {contradiction.annotation}: {contradiction.reason}",
            hint="cast to the declared type, or correct the annotation",
            ladder=[*ladder(contradiction.value), (contradiction.declared, f"declared as {contradiction.annotation}")],
        )


def _fix(misfit: Misfit) -> Fix | None:
    """The argument is cast to the type that it needs."""
    cast, node = misfit.mismatch.cast, misfit.nodes.get(misfit.mismatch.parameter or "")
    if cast is None or node is None:
        return None
    return edit.unsafe(*edit.followed_by(misfit.place.site.part, node, f".{cast}()"))
