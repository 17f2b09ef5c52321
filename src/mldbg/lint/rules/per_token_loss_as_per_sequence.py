from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Contradiction, Promise
from mldbg.lint.ladder import ends_in_reduction, ladder, shape_of
from mldbg.lint.rule import Rule, Topic, hears


class PerTokenLossAsPerSequence(Rule):
    """a reduction over other axes than the annotation says

    ## Why
    A loss or a score for each token was wanted and one for the batch comes out, or the mean was taken over the batch where the
    time axis was meant. The value is a number that looks right, falls, and weighs samples wrongly.

    ## Bad
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def sequence_loss(token_loss: Float[Tensor, "batch time"]) -> Float[Tensor, "batch"]:
            return token_loss.mean(dim=0)

    ## Good
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def sequence_loss(token_loss: Float[Tensor, "batch time"]) -> Float[Tensor, "batch"]:
            return token_loss.mean(dim=1)

    ## Limits
    Fires when what is returned was reduced last and contradicts the annotation. Everything else is `wrong-return-shape`.
    The fix reduces the axis that the annotation leaves out, where it is plain which one that is.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Contradiction)

    def on_contradiction(self, contradiction: Contradiction) -> Iterator[Finding]:
        if contradiction.where is not Promise.RETURN or not contradiction.reason or contradiction.is_about_type:
            return
        if not ends_in_reduction(contradiction):
            return
        yield self.found(
            contradiction.place.site,
            f"`{contradiction.name}` reduces other axes than {contradiction.annotation} says: {contradiction.reason}",
            hint="reduce the axes that the annotation leaves out, and no others",
            ladder=[(contradiction.declared, f"declared as {contradiction.annotation}"), *ladder(contradiction.value)],
            last=(contradiction.place.site, "returned here"),
            fix=_fix(contradiction),
        )


def _fix(contradiction: Contradiction) -> Fix | None:
    """The axis that is reduced becomes the one that is left and not declared, where that leaves the declared axes in order."""
    value, text = contradiction.value, edit.text_of_axes(contradiction.declared.node)
    shape, source = shape_of(value), value.shaped.reduced_from if value.shaped is not None else None
    if shape is None or source is None or text is None or value.origin is None or value.origin.site is None:
        return None
    left, wanted = [str(size) for size in shape.front], text.split()
    lost, surplus = [name for name in wanted if name not in left], [name for name in left if name not in wanted]
    if len(lost) != 1 or len(surplus) != 1:
        return None
    before = [*left[: source[1]], lost[0], *left[source[1] :]]
    axis = before.index(surplus[0])
    if [*before[:axis], *before[axis + 1 :]] != wanted:
        return None
    change = edit.with_axis(value.origin.site, axis)
    return edit.unsafe(change) if change is not None else None
