from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import MaskedMean
from mldbg.lint.interpret.value import Mark
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.losses import CUT_AFTER_SOFTMAX, MASK_AFTER_SOFTMAX


class MaskAfterSoftmax(Rule):
    """an attention mask is applied to the weights instead of the scores

    ## Why
    Softmax divides by the sum over all positions. Minus infinity that is put among the weights afterwards makes the weighted mean
    infinite or NaN. Zeros leave weights that no longer sum to 1: what is masked still lowers the weight of everything else, so
    that padding, or words that are yet to come, change the result.

    ## Bad
        import torch

        def attend(q, k, v, hidden):
            weights = (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).softmax(dim=-1)
            weights = weights.masked_fill(hidden, float("-inf"))
            return weights @ v

    ## Good
        import torch

        def attend(q, k, v, hidden):
            scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5
            weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
            return weights @ v

    ## Limits
    Fires when the weights are used in a matrix product. Zeros are reported only where the mask is known to be one of positions
    (`tril` or `triu` of ones, a comparison of places, `KeepMask`, `DropMask`, the padding of an `nn.Embedding`), where the
    scores come straight from a product or a layer, so that no mask has been at them before, and where the mean goes on to a
    layer or a sum undivided. Dropout, gates of the best experts and a second mask that clears rows in which nothing is left are
    fine.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = hears(MaskedMean)

    def on_masked_mean(self, mean: MaskedMean) -> Iterator[Finding]:
        marked = mean.weights.marked
        if marked is not None:
            hidden = marked.mark is Mark.HIDDEN
            wrong = MASK_AFTER_SOFTMAX if hidden else CUT_AFTER_SOFTMAX
            yield self.found(
                marked.site,
                wrong.message,
                hint=wrong.hint,
                trail=marked.trail,
                last=(marked.site, "minus infinity is put among the weights" if hidden else "some of the weights become 0"),
            )
