from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Misfit
from mldbg.lint.ladder import ladder, short
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.problem import Problem


class UnreachableReshape(Rule):
    """a reshape to another number of elements

    ## Why
    A view has as many elements as what it is a view of. Where the batch axis is folded into `-1`, a wrong number goes
    unnoticed for as long as the sizes happen to divide, and then the rows no longer belong to the samples.

    ## Bad
        import torch

        def heads():
            tokens = torch.randn(8, 77, 512)
            return tokens.view(8, 77, 8, 32)

    ## Good
        import torch

        def heads():
            tokens = torch.randn(8, 77, 512)
            return tokens.view(8, 77, 8, 64)

    ## Limits
    Fires when the numbers of elements differ for all sizes: `view(b, t, 3, d)` of `(b, t, d)`, but not `view(b, h, -1)`.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Misfit)

    def on_misfit(self, misfit: Misfit) -> Iterator[Finding]:
        if misfit.mismatch.problem is not Problem.ELEMENTS:
            return
        site = misfit.place.site
        yield self.found(
            site,
            f"{short(misfit.name)} cannot work: {misfit.mismatch.reason}",
            hint="check which axes the sizes belong to",
            ladder=ladder(*misfit.operands),
            last=(site, f"{short(misfit.name)} fails here"),
        )
