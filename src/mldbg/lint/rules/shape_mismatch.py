from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Contradiction, Misfit, Promise
from mldbg.lint.ladder import is_about_classes, ladder, loss_named, shape_of, short
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.problem import Problem


class ShapeMismatch(Rule):
    """an operation gets tensors whose shapes cannot go together

    ## Why
    The operation raises as soon as this line is reached: in the middle of an epoch, in the branch that only the
    evaluation takes, or for the one batch that is smaller. The shapes are known from layers, literals and annotations, so
    it can be told before anything runs.

    ## Bad
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def scores(q: Float[Tensor, "batch queries dim"], k: Float[Tensor, "batch keys dim"]) -> Tensor:
            return q @ k

    ## Good
        import torch
        from jaxtyping import Float
        from torch import Tensor

        def scores(q: Float[Tensor, "batch queries dim"], k: Float[Tensor, "batch keys dim"]) -> Tensor:
            return q @ k.transpose(1, 2)

    ## Limits
    Fires when the operation fails for every value of the sizes that are not known. Two names of axes in the annotations of
    one function count as two sizes: it has to work where they differ. Names outside annotations may have equal values, and
    are left alone. Of a loss the fix squeezes an axis of size 1 that only one of its arguments has.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Misfit, Contradiction)

    def on_misfit(self, misfit: Misfit) -> Iterator[Finding]:
        mismatch = misfit.mismatch
        if mismatch.problem not in (Problem.SIZES, Problem.RANK) or is_about_classes(misfit):
            return
        site = misfit.place.site
        what = "unpacking the sizes" if misfit.name == "shape" else short(misfit.name)
        yield self.found(
            site,
            f"{what} fails: {mismatch.reason}",
            hint="follow the shapes below to the first one that is not what you expect",
            ladder=ladder(*misfit.operands),
            last=(site, f"{what} fails here"),
            fix=_fix(misfit),
        )

    def on_contradiction(self, contradiction: Contradiction) -> Iterator[Finding]:
        if contradiction.where is not Promise.ASSIGNMENT or not contradiction.reason or contradiction.is_about_type:
            return
        yield self.found(
            contradiction.place.site,
            f"`{contradiction.name}` is annotated as {contradiction.annotation}: {contradiction.reason}",
            hint="correct the annotation, or the operation that gives another shape",
            ladder=ladder(contradiction.value),
            last=(contradiction.place.site, "annotated here"),
        )


def _fix(misfit: Misfit) -> Fix | None:
    """Of a loss the argument that has an axis of size 1 too many is squeezed."""
    from mldbg.operations.shape import extra_axis

    if misfit.mismatch.problem is not Problem.RANK or loss_named(misfit.name) is None or len(misfit.operands) < 2:
        return None
    first, second = (shape_of(value) for value in misfit.operands[:2])
    if first is None or second is None or first.rank is None:
        return None
    if loss_named(misfit.name) in ("cross_entropy", "nll_loss"):
        is_column = second.rank == first.rank == 2 and second.at(1) == 1
        return edit.squeezed(misfit, "target", -1) if is_column else None
    for name, column, row in (("input", first, second), ("target", second, first)):
        axis = extra_axis(column, row)
        if axis is not None:
            return edit.squeezed(misfit, name, axis)
    return None
