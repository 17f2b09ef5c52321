from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Misfit
from mldbg.lint.ladder import ladder, short
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.problem import Problem


class InvalidEinopsPattern(Rule):
    """an einops pattern that does not fit the tensor

    ## Why
    einops checks a pattern when it is called, so a pattern with a missing axis, a wrong number of axes or sizes that do not
    divide fails at run time, and only on the path that gets there.

    ## Bad
        import torch
        from einops import rearrange

        def patches():
            images = torch.randn(8, 3, 224, 224)
            return rearrange(images, "b (h p) (w q) -> b (h w) (p q)", p=16, q=16)

    ## Good
        import torch
        from einops import rearrange

        def patches():
            images = torch.randn(8, 3, 224, 224)
            return rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=16, q=16)

    ## Limits
    Patterns that are built while the program runs are not checked.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Misfit)

    def on_misfit(self, misfit: Misfit) -> Iterator[Finding]:
        if misfit.mismatch.problem is not Problem.PATTERN:
            return
        site = misfit.place.site
        yield self.found(
            site,
            f"{short(misfit.name)} cannot apply the pattern: {misfit.mismatch.reason}",
            hint="compare the left side of the pattern with the shape of the tensor",
            ladder=ladder(*misfit.operands),
            last=(site, f"{short(misfit.name)} fails here"),
        )
