from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, misuse, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.effect import FlaggedLoss
from mldbg.operations.keras import LOSSES, LOSSES_BY_NAME
from mldbg.semantics import Semantic

_PROBABILITIES = {Semantic.PROBS: "softmax", Semantic.UNIT_INTERVAL: "sigmoid"}
_RAW = frozenset({Semantic.LOGITS, Semantic.LOG_PROBS})


class FromLogitsMismatch(Rule):
    """a Keras or TensorFlow loss takes probabilities for logits, or logits for probabilities

    ## Why
    With `from_logits=True` the loss applies softmax or sigmoid itself; on the output of a softmax that is a second one, and the
    loss can no longer fall to 0. Without it the loss takes its input for probabilities, clips it to [0, 1] and takes logarithms:
    the raw output of a layer gives a loss that jumps, is constant or negative, and means nothing. Neither raises.

    ## Bad
        from tensorflow import keras

        model = keras.Sequential([keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10, activation="softmax")])
        model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    ## Good
        from tensorflow import keras

        model = keras.Sequential([keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)])
        model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    ## Limits
    Fires when both are known: the flag, and what the last layer of the model gives. Models that were loaded, activations that are
    chosen elsewhere, and losses of the project's own are silent, unless these call a loss of Keras themselves. TensorFlow's
    Keras 2 finds the logits behind a softmax layer again and only warns; Keras 3 does not.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*LOSSES)

    def on_call(self, call: Call) -> Iterator[Finding]:
        loss = LOSSES[call.name]
        value = call.argument(loss.prediction)
        takes_logits = misuse.flag(call, loss.flag, usual=False) if loss.flag else True
        if takes_logits and value.meaning in _PROBABILITIES:
            said = "the loss gets probabilities" if not loss.flag else "from_logits=True, but the loss gets probabilities"
            message = f"{said}: {loss.activation} is applied on top of {_PROBABILITIES[value.meaning]}"
            hint = "drop the activation of the last layer" + (", or from_logits=True" if loss.flag else "")
        elif takes_logits is False and value.meaning in _RAW:
            message = f"the loss gets {value.meaning.words} where it expects probabilities"
            hint = f"set from_logits=True, or end the model in a {loss.activation}"
        else:
            return
        yield self.found(
            call.place.site,
            message,
            hint=hint,
            trail=value.trail,
            last=(call.place.site, "the loss takes it for logits" if takes_logits else "the loss takes it for probabilities"),
            fix=_fix(call, loss, logits=not takes_logits),
        )


def _fix(call: Call, loss: FlaggedLoss, *, logits: bool) -> Fix | None:
    """Say what the output is; a loss that only takes logits gets them where the activation stands before it."""
    if not loss.flag:
        return edit.without_activation(call, loss.prediction)
    name = nodes.raw_text_of(call.place.site.node)
    if name is not None:
        change = edit.loss_object(call.place.site, LOSSES_BY_NAME[name], loss.flag) if logits else None
    elif call.receiver is not None:
        change = edit.built_with(call.receiver, loss.flag, str(logits))
    else:
        change = edit.with_argument(call, loss.flag, str(logits)) if nodes.is_call(call.place.site.node) else None
    return edit.unsafe(change) if change is not None else None
