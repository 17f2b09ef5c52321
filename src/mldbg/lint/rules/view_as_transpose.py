from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.ladder import ladder, shape_of, short
from mldbg.lint.rule import Rule, Topic, calls

if TYPE_CHECKING:
    from mldbg.lint.interpret.value import Value
    from mldbg.operations.shape import Shape


class ViewAsTranspose(Rule):
    """a view or reshape gives axes new places, which scrambles the data

    ## Why
    A reshape keeps the order in memory: it can join neighbouring axes and split one, and never moves an axis. `(b, t, d)` viewed
    as `(b, d, t)` has the right shape and mixes the features of different steps; nothing fails.

    ## Bad
        import torch

        def to_channels_first():
            images = torch.rand(16, 32, 48, 3)
            return images.view(16, 3, 32, 48)

    ## Good
        import torch

        def to_channels_first():
            images = torch.rand(16, 32, 48, 3)
            return images.permute(0, 3, 1, 2)

    ## Limits
    Fires when several axes become several others and each new size is the product of some of the old ones in another order, and
    when heads are split off, or put back, in front of an axis that stays: `(10, 32)` read as `(4, 10, 8)`.
    Joining neighbours, splitting an axis and flattening are left alone, and so are sizes that are not known, and the relative
    shift of Transformer-XL, which pads by one entry and then reads the last two axes the other way round on purpose.
    The fix moves the axes where each new one has the size of a single old one. What it gives is no longer contiguous: a
    view of it needs `reshape`.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = calls("torch.Tensor.view", "torch.Tensor.reshape", "torch.reshape", "numpy.reshape")

    def on_call(self, call: Call) -> Iterator[Finding]:
        from mldbg.operations.shape import scrambled

        before, after = shape_of(call.argument("input")), shape_of(call.result)
        if before is None or after is None or not scrambled(before, after):
            return
        if _is_relative_shift(call.argument("input"), before, after):
            return
        site = call.place.site
        yield self.found(
            site,
            f"{short(call.name)} of {before} as {after} does not move any axis: the entries are scrambled",
            hint="move the axes first, with transpose or permute, and reshape then",
            ladder=ladder(call.argument("input")),
            last=(site, f"{before} is read as {after} here"),
            fix=_fix(call, before, after),
        )


def _is_relative_shift(value: Value, before: Shape, after: Shape) -> bool:
    """Whether the last two axes change places of something that was padded by one entry: Transformer-XL reads it shifted then."""
    if value.shaped is None or not value.shaped.is_longer or before.rank is None:
        return False
    return (*before.front[:-2], *before.front[:-3:-1]) == after.front


def _fix(call: Call, before: Shape, after: Shape) -> Fix | None:
    """The axes are moved, where each of the new ones has the size of a single one of the old ones."""
    from mldbg.operations.shape import moved_axes

    value, node = call.argument("input"), call.nodes.get("input")
    axes = moved_axes(before, after)
    if axes is None or node is None or value.shaped is None:
        return None
    swapped = [axis for axis, source in enumerate(axes) if axis != source]
    swap, order = ("swapaxes", "transpose") if value.shaped.is_array else ("transpose", "permute")
    name, numbers = (swap, swapped) if len(swapped) == 2 else (order, axes)
    edits = edit.replaced_by_method(call.place.site, node, f".{name}({', '.join(map(str, numbers))})")
    return edit.unsafe(*edits) if edits else None
