from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Contradiction, Promise
from mldbg.lint.ladder import ladder
from mldbg.lint.rule import Rule, Topic, hears


class WrongArgumentShape(Rule):
    """a call hands in another shape than the parameter declares

    ## Why
    The function was written for the shape in its signature. Another one fails deep inside it, or is broadcast there.

    ## Bad
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def normalise(x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
            return x / 255

        def main():
            image = torch.rand(3, 224, 224)
            return normalise(image)

    ## Good
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def normalise(x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
            return x / 255

        def main():
            image = torch.rand(3, 224, 224)
            return normalise(image[None])

    ## Limits
    Fires when the shapes differ for all sizes, or when one name would have to stand for two sizes in one call.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Contradiction)

    def on_contradiction(self, contradiction: Contradiction) -> Iterator[Finding]:
        if contradiction.where is not Promise.ARGUMENT or not contradiction.reason or contradiction.is_about_type:
            return
        yield self.found(
            contradiction.place.site,
            f"`{contradiction.name}` is declared as {contradiction.annotation}, and gets another shape: {contradiction.reason}",
            hint="hand in the declared shape, or correct the annotation",
            ladder=[*ladder(contradiction.value), (contradiction.declared, f"declared as {contradiction.annotation}")],
            last=(contradiction.place.site, f"handed in as `{contradiction.name}`"),
        )
