from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Contradiction, Promise
from mldbg.lint.ladder import ends_in_reduction, ladder
from mldbg.lint.rule import Rule, Topic, hears


class WrongReturnShape(Rule):
    """a function returns another shape than its annotation says

    ## Why
    The annotation is what callers rely on, and what a reviewer reads. Where nothing checks it at run time, the wrong shape
    travels on and is broadcast somewhere else.

    ## Bad
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def pool(x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch dim"]:
            return x.transpose(1, 2)[:, -1:]

    ## Good
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def pool(x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch dim"]:
            return x[:, -1]

    ## Limits
    Fires when the shapes differ for all sizes, where different names of one function count as different sizes. A name that
    stands in the result only takes any size.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Contradiction)

    def on_contradiction(self, contradiction: Contradiction) -> Iterator[Finding]:
        if contradiction.where is not Promise.RETURN or not contradiction.reason or contradiction.is_about_type:
            return
        if ends_in_reduction(contradiction):
            return
        yield self.found(
            contradiction.place.site,
            f"`{contradiction.name}` returns another shape than {contradiction.annotation}: {contradiction.reason}",
            hint="correct the annotation, or the operation that gives another shape",
            ladder=[(contradiction.declared, f"declared as {contradiction.annotation}"), *ladder(contradiction.value)],
            last=(contradiction.place.site, "returned here"),
        )
