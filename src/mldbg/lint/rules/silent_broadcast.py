from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Broadcast
from mldbg.lint.interpret.value import Value
from mldbg.lint.ladder import ladder, shape_of
from mldbg.lint.outline import Kind
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.distributions import UNDER

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.operations.shape import Shape


def _what(broadcast: Broadcast, shapes: list[Shape | None]) -> str:
    if broadcast.operator in UNDER:
        operation = f"`{broadcast.operator}` of values {shapes[1]} under a batch {shapes[0]}"
        return f"{operation} gives {shapes[2]}: every entry meets every other one"
    if broadcast.operator.isidentifier():
        verb = "has a batch" if broadcast.operator[0].isupper() else "gives"
        return f"`{broadcast.operator}` of {shapes[0]} and {shapes[1]} {verb} {shapes[2]}: every entry meets every other one"
    operation = f"{shapes[0]} {broadcast.operator} {shapes[1]}"
    if shapes[0] == shapes[2]:
        return f"{operation} goes along the last axis, and the other one was reduced without keepdim"
    return f"{operation} gives {shapes[2]}: every entry meets every other one"


def _is_meant(value: Value, other: cst.BaseExpression | None, broadcast: Broadcast) -> bool:
    """Whether the axis of size 1 was put in by the function that computes with it.

    Args:
        value: an operand.
        other: the other one, as the source says it.
        broadcast: what happens to both.
    """
    made = value.shaped.stretched if value.shaped is not None else None
    if made is None or not _stand_together(made, broadcast.place.site):
        return False
    return not _is_reshape(made.node) or made.node in nodes.descendants(broadcast.place.site.node) or _is_of(made.node, other)


def _stand_together(one: Site, two: Site) -> bool:
    """Whether two places lie in the same function, class or script."""
    return one.part is two.part or (
        one.part.module is two.part.module
        and all(place.part.statement.kind in (Kind.ASSIGNMENT, Kind.CODE) for place in (one, two))
    )


def _is_of(reshape: cst.CSTNode, other: cst.BaseExpression | None) -> bool:
    """Whether the column was made of the other operand: `column = x.reshape(-1, 1)` and `column - x` are all differences."""
    source = getattr(getattr(reshape, "func", None), "value", None)
    return source is not None and other is not None and nodes.code(source) == nodes.code(other)


def _is_reshape(node: cst.CSTNode) -> bool:
    """`y.view(-1, 1)`: a column that is made by the way is more often a target that was brought into shape."""
    function = getattr(node, "func", None)
    return getattr(getattr(function, "attr", None), "value", "") in ("view", "reshape")


class SilentBroadcast(Rule):
    """two tensors with the same entries are broadcast against one another

    ## Why
    `(n, 1)` and `(n,)` give `(n, n)`, and `(b, 1, h, w)` and `(b, h, w)` give `(b, b, h, w)`: every entry of one meets every
    entry of the other. Nothing fails. An accuracy over 100 %, or an advantage of the wrong samples, is how it shows.

    ## Bad
        import torch

        def accuracy(hidden):
            head = torch.nn.Linear(16, 1)
            labels = torch.randint(0, 2, (64,))
            predicted = head(hidden.view(64, 16)) > 0
            return (predicted == labels).float().mean()

    ## Good
        import torch

        def accuracy(hidden):
            head = torch.nn.Linear(16, 1)
            labels = torch.randint(0, 2, (64,))
            predicted = head(hidden.view(64, 16)).squeeze(-1) > 0
            return (predicted == labels).float().mean()

    ## Limits
    Fires when both shapes are known. Where the axis of size 1 was put in by the same function, with `x[:, None]` or
    `unsqueeze`, the table of all pairs is taken to be meant. So it is told of `log_prob` of values under a distribution of torch,
    of the parameters of one, and of `kl_divergence`. The fix squeezes the axis of size 1 in the operation, or puts
    back the axis that a sum over rows has lost.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Broadcast)

    def on_broadcast(self, broadcast: Broadcast) -> Iterator[Finding]:
        pairs = zip((broadcast.left, broadcast.right), broadcast.nodes[::-1], strict=True)
        if any(_is_meant(value, other, broadcast) for value, other in pairs):
            return
        site = broadcast.place.site
        shapes = [shape_of(value) for value in (broadcast.left, broadcast.right, broadcast.result)]
        yield self.found(
            site,
            _what(broadcast, shapes),
            hint="give both the same shape, with squeeze or unsqueeze on the axis of size 1",
            ladder=ladder(broadcast.left, broadcast.right),
            last=(site, f"broadcast to {shapes[2]} here"),
            fix=_fix(broadcast),
        )


def _fix(broadcast: Broadcast) -> Fix | None:
    """The axis of size 1 that one operand has alone is squeezed; the one that a sum has lost is put back."""
    from mldbg.operations.shape import extra_axis

    operands = (broadcast.left, broadcast.right)
    one, two = map(shape_of, operands)
    if one is None or two is None or any(value.shaped is not None and value.shaped.is_table for value in operands):
        return None
    part, (left, right) = broadcast.place.site.part, broadcast.nodes
    for node, longer, shorter in ((left, one, two), (right, two, one)):
        axis = extra_axis(longer, shorter)
        if axis is None and longer.rank is not None and longer.rank - 1 == shorter.rank and longer.at(-1) == 1:
            axis = -1
        if axis is not None:
            return edit.unsafe(*edit.followed_by(part, node, f".squeeze({axis})")) if node is not None else None
    return edit.unsafe(*edit.followed_by(part, right, "[:, None]")) if right is not None else None
