from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Contradiction, Promise
from mldbg.lint.ladder import ends_in_reduction, ladder, shape_of
from mldbg.lint.rule import Rule, Topic, hears

if TYPE_CHECKING:
    from mldbg.operations.sizes import Dim


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
    stands in the result only takes any size. The fix corrects the annotation where one size in it is computed from other axes, or
    is another number, and the one that is declared stands nowhere else in the file. Else the operation is to be looked at.
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
            fix=_fix(contradiction),
        )


def _fix(contradiction: Contradiction) -> Fix | None:
    """The annotation says the size that is returned, where it has one wrong number.

    An axis too many, or one in the place of another, is more often a mistake of the operation.
    """
    declared, shape = contradiction.declared, shape_of(contradiction.value)
    text = edit.text_of_axes(declared.node)
    axes = text.split() if text is not None else []
    if shape is None or shape.rank != len(axes):
        return None
    wrong = [place for place, (axis, size) in enumerate(zip(axes, shape.front, strict=True)) if axis != str(size)]
    if len(wrong) != 1 or not _is_stale(axes[wrong[0]], shape.front[wrong[0]], "".join(declared.part.module.outline.code)):
        return None
    axes[wrong[0]] = str(shape.front[wrong[0]])
    change = edit.with_axes(declared, " ".join(axes))
    return edit.unsafe(change) if change is not None else None


def _is_stale(axis: str, size: Dim, text: str) -> bool:
    """Whether a size is computed from axes of the function, or is a number of the file, which has the declared one nowhere else.

    A declared number that stands elsewhere, too, may be that of a layer which was forgotten.
    """
    from mldbg.operations.sizes import Size, atoms

    if isinstance(size, int):
        numbers = re.findall(r"\d+", text)
        return axis.isdigit() and numbers.count(axis) == 1 and str(size) in numbers
    return isinstance(size, Size) and not str(size).isidentifier() and all(atom.scope is not None for atom in atoms(size))
