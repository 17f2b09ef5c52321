from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.value import Mark, Trail
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations import attention
from mldbg.operations.losses import DROPPED_AS_KEPT, KEPT_AS_DROPPED, Misuse
from mldbg.operations.torch import NORMALIZERS

_BY_MARK = {Mark.KEPT_AS_DROPPED: KEPT_AS_DROPPED, Mark.DROPPED_AS_KEPT: DROPPED_AS_KEPT}


class InvertedAttentionMask(Rule):
    """an attention mask says by True the opposite of what the attention takes it to say

    ## Why
    There are two readings of a boolean mask. `nn.MultiheadAttention`, `nn.Transformer` and `masked_fill(mask, -inf)` leave out
    where it is True; `F.scaled_dot_product_attention` and Hugging Face keep where it is True. With the wrong one a model attends
    to the padding, or to the words that it is to predict and to nothing else. Shapes agree, and the loss goes down.

    ## Bad
        import torch
        from torch import nn

        attention = nn.MultiheadAttention(64, 4, batch_first=True)

        def attend(x):
            causal = torch.ones(x.size(1), x.size(1)).tril().bool()
            return attention(x, x, x, attn_mask=causal)[0]

    ## Good
        import torch
        from torch import nn

        attention = nn.MultiheadAttention(64, 4, batch_first=True)

        def attend(x):
            causal = torch.ones(x.size(1), x.size(1)).triu(diagonal=1).bool()
            return attention(x, x, x, attn_mask=causal)[0]

    ## Limits
    Fires when it is known what the mask says: `tril` and `triu` of ones, what is declared as `KeepMask` or `DropMask`, and
    `ids == pad` where an `nn.Embedding` that takes the same ids has this one as its `padding_idx`; through `~`, `== 0`, `&`, `|`
    and views. A name is no proof that an id is the padding. Masks of numbers, which are added, are left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*attention.ROWS, *NORMALIZERS)

    def on_call(self, call: Call) -> Iterator[Finding]:
        if call.name in attention.ROWS:
            for name, role in attention.ROWS[call.name].masks.items():
                mask = call.argument(name)
                wrong = DROPPED_AS_KEPT if role is attention.KEEP else KEPT_AS_DROPPED
                if mask.meaning in wrong.gets:
                    yield self._inverted(call, wrong, mask.trail, f"passed as `{name}`, where it says the opposite")
            return
        marked = call.argument("input").marked
        wrong_mask = _BY_MARK.get(marked.mark) if marked is not None else None
        if marked is not None and wrong_mask is not None and call.argument("dim").constant in (-1, 3):
            yield self._inverted(call, wrong_mask, marked.trail, "the scores become weights")

    def _inverted(self, call: Call, wrong: Misuse, trail: Trail | None, last: str) -> Finding:
        site = call.place.site
        return self.found(site, wrong.message, hint=wrong.hint, trail=trail, last=(site, last))
