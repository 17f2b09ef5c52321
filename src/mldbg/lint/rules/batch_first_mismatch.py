from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.value import Items, Value
from mldbg.lint.ladder import axis_name, ladder, shape_of, short
from mldbg.lint.library.names import says_batch, says_time
from mldbg.lint.rule import Rule, Topic, calls

if TYPE_CHECKING:
    from mldbg.operations.shape import Shape


class BatchFirstMismatch(Rule):
    """a recurrent or attention layer takes the batch for the sequence

    ## Why
    Without `batch_first=True` these layers read `(time, batch, features)`. Given `(batch, time, features)` they run along the
    batch: the state is carried from sample to sample, attention mixes samples, and nothing fails, for the shapes agree.

    ## Bad
        from jaxtyping import Float
        from torch import Tensor, nn

        class Tagger(nn.Module):
            def __init__(self):
                super().__init__()
                self.rnn = nn.LSTM(32, 64)

            def forward(self, x: Float[Tensor, "batch time 32"]) -> Float[Tensor, "batch time 64"]:
                return self.rnn(x)[0]

    ## Good
        from jaxtyping import Float
        from torch import Tensor, nn

        class Tagger(nn.Module):
            def __init__(self):
                super().__init__()
                self.rnn = nn.LSTM(32, 64, batch_first=True)

            def forward(self, x: Float[Tensor, "batch time 32"]) -> Float[Tensor, "batch time 64"]:
                return self.rnn(x)[0]

    ## Limits
    Fires when the names of both axes say which is which, or when the state that is handed in was made for the other axis.
    The fix says `batch_first=True` in the layer's constructor, or `batch_first=False` where the time comes first.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = calls(
        "torch.Tensor.__getitem__",
        *(
            f"torch.nn.{name}.__call__"
            for name in (*("LSTM", "GRU", "RNN", "MultiheadAttention"), *("TransformerEncoderLayer", "TransformerEncoder"))
        ),
    )

    def on_call(self, call: Call) -> Iterator[Finding]:
        if call.name.endswith("__getitem__"):
            yield from self._on_index(call)
            return
        value = call.argument("input") if "input" in call.arguments else call.argument("src")
        value = value if value.shaped is not None else call.argument("query")
        shape = shape_of(value)
        first = call.argument("batch_first")
        if shape is None or shape.rank != 3 or ("batch_first" in call.arguments and not isinstance(first.constant, bool)):
            return
        batch_first = first.constant is True
        loaded = not batch_first and value.shaped is not None and value.shaped.is_batch
        named = _says_otherwise(shape, batch_first=batch_first) or _state_says_otherwise(call, shape, batch_first=batch_first)
        if not (loaded or named):
            return
        site = call.place.site
        layer = short(call.name)
        order = "(batch, time, features)" if batch_first else "(time, batch, features)"
        yield self.found(
            site,
            f"{layer} reads {order} and gets {shape}",
            hint="build it without batch_first" if batch_first else "build it with batch_first=True",
            ladder=ladder(value),
            last=(site, f"{layer} takes axis {int(batch_first)} for the time here"),
            fix=_fix(call, batch_first=not batch_first),
        )

    def _on_index(self, call: Call) -> Iterator[Finding]:
        """The last step is looked for along the other axis than the layer has put the time on."""
        value = call.argument("input")
        shaped, shape = value.shaped, shape_of(value)
        index = call.argument("index").thing
        items = index.tail if isinstance(index, Items) and index.cls == "builtins.tuple" else ()
        if shaped is None or shape is None or shaped.batch_first is None or shaped.batch_first[0] or shape.at(1) == 1:
            return
        if len(items) < 2 or items[1].constant != -1 or not _is_whole(items[0]):
            return
        site, index_site = shaped.batch_first[1], call.place.site
        yield self.found(
            site,
            "without batch_first the time is on axis 0, and the last entry along axis 1 is taken of the result",
            hint="build the layer with batch_first=True, or take the last step with [-1]",
            ladder=ladder(value),
            last=(index_site, "the last sample is taken here, for the time is on axis 0"),
        )


def _fix(call: Call, *, batch_first: bool) -> Fix | None:
    """The layer is told in its constructor which axis is the batch."""
    layer = call.argument("encoder_layer") if "encoder_layer" in call.arguments else call.receiver
    if "batch_first" in call.built:
        change = edit.with_argument(call, "batch_first", str(batch_first))
    else:
        change = edit.built_with(layer, "batch_first", str(batch_first)) if layer is not None else None
    return edit.unsafe(change) if change is not None else None


def _is_whole(index: Value) -> bool:
    """`:`"""
    thing = index.thing
    return isinstance(thing, Items) and thing.cls == "builtins.slice" and all(bound.is_none for bound in thing.tail)


def _says_otherwise(shape: Shape, *, batch_first: bool) -> bool:
    """Whether the names of the first two axes say that the batch is the other one."""
    time, batch = (axis_name(shape.front[0 if batch_first else 1]), axis_name(shape.front[1 if batch_first else 0]))
    return says_time(time) and says_batch(batch)


def _state_says_otherwise(call: Call, shape: Shape, *, batch_first: bool) -> bool:
    """Whether the state that the layer gets has the size of the axis that it takes for the time, and not that of the batch."""
    from mldbg.operations.sizes import same

    given = call.argument("hx") if "hx" in call.arguments else Value()
    state = shape_of(given)
    if state is None or state.rank != 3:
        return False
    batch, time = (shape.front[0], shape.front[1]) if batch_first else (shape.front[1], shape.front[0])
    return same(state.front[1], time) is True and same(state.front[1], batch) is not True
