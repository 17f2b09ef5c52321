from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.draws import PICKS, picked_beside_softmax
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call, Misfit
from mldbg.lint.ladder import axis_name, axis_parameter, calls_of_losses, is_about_classes, ladder, loss_named, shape_of, short
from mldbg.lint.library.names import says_classes, says_space
from mldbg.lint.rule import Listening, Rule, Topic
from mldbg.operations.torch import NORMALIZERS
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.operations.shape import Shape


class WrongClassAxis(Rule):
    """a loss looks for the classes on another axis than they are on

    ## Why
    `cross_entropy` and `nll_loss` take `(batch, classes, ...)`: classes on axis 1, whatever the number of axes. Logits of a
    sequence model are `(batch, time, classes)`. Where the sizes differ the call fails; where they agree, or softmax was
    taken along another axis, it works and learns something else.

    ## Bad
        import torch
        import torch.nn.functional as F
        from jaxtyping import Float, Int
        from torch import Tensor

        def loss(logits: Float[Tensor, "batch time vocab"], tokens: Int[Tensor, "batch time"]) -> Float[Tensor, ""]:
            return F.cross_entropy(logits, tokens)

    ## Good
        import torch
        import torch.nn.functional as F
        from jaxtyping import Float, Int
        from torch import Tensor

        def loss(logits: Float[Tensor, "batch time vocab"], tokens: Int[Tensor, "batch time"]) -> Float[Tensor, ""]:
            return F.cross_entropy(logits.transpose(1, 2), tokens)

    ## Limits
    Fires when the target fits once the last axis of the input is moved to axis 1, and when the log-probabilities that
    `nll_loss` gets are known to be normalised along another axis than 1. The fix moves the last axis of the input to axis 1 in
    the call, or takes softmax along axis 1 where the target shows that the axes are in order.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = Listening(
        frozenset({Misfit, Call}),
        frozenset({*calls_of_losses("nll_loss", "cross_entropy", "ctc_loss"), *NORMALIZERS, *PICKS}),
    )

    def on_misfit(self, misfit: Misfit) -> Iterator[Finding]:
        if not is_about_classes(misfit):
            return
        site = misfit.place.site
        yield self.found(
            site,
            f"`{loss_named(misfit.name)}` takes classes on axis 1, and they are on the last one: {misfit.mismatch.reason}",
            hint="move the classes to axis 1 with .movedim(-1, 1), or flatten all other axes into the first",
            ladder=ladder(*misfit.operands),
            last=(site, f"`{loss_named(misfit.name)}` is called here"),
            fix=_moved(misfit, shape_of(misfit.operands[0])),
        )

    def on_call(self, call: Call) -> Iterator[Finding]:
        if call.name in NORMALIZERS:
            yield from self._on_softmax(call)
            return
        if call.name in PICKS:
            yield from picked_beside_softmax(self, call, over_first=False)
            return
        of_time = loss_named(call.name) == "ctc_loss"  # takes (time, batch, classes)
        value = call.argument("log_probs" if of_time else "input")
        shape = shape_of(value)
        rank = shape.rank if shape is not None else None
        along = value.axes.along
        site = call.place.site
        if shape is None or rank is None or along is None or rank < 2:
            return
        wanted = rank - 1 if of_time else 1
        if along % rank == wanted:
            return
        if (
            value.meaning is Semantic.LOGITS
            and not of_time
            and rank > 2
            and not _ends_alike(shape, shape_of(call.argument("target")))
        ):
            yield self.found(
                site,
                f"`{loss_named(call.name)}` takes classes on axis 1 of {shape}, and the layer gives them on axis {along % rank}",
                hint="move the classes to axis 1 with .movedim(-1, 1), or flatten all other axes into the first",
                ladder=ladder(value),
                last=(site, f"`{loss_named(call.name)}` is called here"),
                fix=_moved(call, shape) if along % rank == rank - 1 else None,
            )
        if value.meaning is not Semantic.LOG_PROBS:
            return
        yield self.found(
            site,
            f"`{loss_named(call.name)}` takes classes on axis {wanted} of {shape}, and the values are normalised along {along}",
            hint="take log_softmax along the axis of the classes, and put that on axis 1",
            trail=value.trail,
            last=(site, f"`{loss_named(call.name)}` is called here"),
            fix=_for_target(call, shape, along % rank) if not of_time else None,
        )

    def _on_softmax(self, call: Call) -> Iterator[Finding]:
        """Softmax along the height or width of maps that have an axis of classes."""
        value = call.argument("input")
        shape, dim = shape_of(value), call.argument(axis_parameter(call)).constant
        if shape is None or shape.rank is None or not isinstance(dim, int) or not -shape.rank <= dim < shape.rank:
            return
        names = [axis_name(size) for size in shape.front]
        named = shape.rank == 4 and says_space(names[dim]) and says_classes(names[1])
        mapped = (
            shape.rank == 4 and value.meaning is Semantic.LOGITS and value.axes.along == -3 and "log" not in call.name.lower()
        )
        if (named or mapped) and dim % 4 > 1:
            site = call.place.site
            yield self.found(
                site,
                f"{short(call.name)} runs along axis {dim} of {shape}, and the classes are on axis 1",
                hint="take dim=1, the axis of the classes",
                ladder=ladder(value),
                last=(site, f"{short(call.name)} runs along axis {dim} here"),
                fix=edit.unsafe(change) if (change := edit.with_argument(call, axis_parameter(call), "1")) is not None else None,
            )


def _moved(loss: Call | Misfit, shape: Shape | None) -> Fix | None:
    """The last axis of the input is moved to axis 1."""
    node = loss.nodes.get("input")
    if node is None or shape is None:
        return None
    move = ".transpose(1, 2)" if shape.rank == 3 else ".movedim(-1, 1)"
    return edit.unsafe(*edit.followed_by(loss.place.site.part, node, move))


def _for_target(call: Call, shape: Shape, along: int) -> Fix | None:
    """Log-probabilities: the target says whether their axes are in order, or those along which they are normalised."""
    target = shape_of(call.argument("target"))
    if target is None or target.rank is None or target.rank != len(shape.front) - 1:
        return None
    in_order, last = _fits(shape.without(1), target), _fits(shape.without(-1), target) and along == target.rank
    made = call.argument("input").origin
    if last and not in_order:
        return _moved(call, shape)
    if not in_order or last or made is None or made.site is None:
        return None
    change = edit.with_axis(made.site, 1)
    return edit.unsafe(change) if change is not None else None


def _fits(shape: Shape, target: Shape) -> bool:
    """Whether two shapes are known to be equal."""
    from mldbg.operations.sizes import same

    return all(same(one, two) is True for one, two in zip(shape.front, target.front, strict=True))


def _ends_alike(logits: Shape, target: Shape | None) -> bool:
    """Whether the last axis of the logits is one of the target, too, and so none of classes."""
    from mldbg.operations.sizes import same

    if target is None or target.rank is None or target.rank == 0:
        return False
    return target.rank == logits.rank or same(logits.at_end(0), target.at_end(0)) is True
