from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Edit, Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.losses import LOSSES

_FUNCTION = LOSSES["kl_div"].function
_CLASS = f"torch.nn.{LOSSES['kl_div'].cls}"
_OLD = ("size_average", "reduce")
_COUNTS_CLASSES = re.compile(r"\bsize\(|\.shape\b|class|vocab|\bdim\b|numel|len\(|\bn_|num_")


class KlDivMeanReduction(Rule):
    """the mean of kl_div over all entries is not the KL divergence

    ## Why
    The KL divergence is a sum over classes. `reduction="mean"`, the default, divides it by the number of classes, too: with 1000
    of them the term is a thousandth of what it should be beside other losses, and its weight means something else in each task.

    ## Bad
        import torch.nn.functional as F

        def distillation(student, teacher):
            return F.kl_div(F.log_softmax(student, dim=-1), F.softmax(teacher, dim=-1))

    ## Good
        import torch.nn.functional as F

        def distillation(student, teacher):
            return F.kl_div(F.log_softmax(student, dim=-1), F.softmax(teacher, dim=-1), reduction="batchmean")

    ## Limits
    A weight that was tuned for it makes up for the factor, hence the group. Silent where the reduction is not known, and where
    the result is multiplied by a size.
    """

    group = Group.SUSPICIOUS
    topic = Topic.LOSSES
    listens_to = calls(_FUNCTION, _CLASS)

    def on_call(self, call: Call) -> Iterator[Finding]:
        said = call.argument("reduction").constant if "reduction" in call.arguments else None
        told = "reduction" in call.arguments or edit.is_given(call, "reduction") is not False
        if (told and said != "mean") or any(old in call.arguments for old in _OLD) or _has_old_flags(call):
            return
        if any(_COUNTS_CLASSES.search(nodes.code(factor)) for factor in edit.factors_of(call.place.site)):
            return
        change = _with_batchmean(call)
        yield self.found(
            call.place.site,
            "kl_div is averaged over the classes, too: the KL divergence is their sum",
            hint='use reduction="batchmean"',
            fix=edit.unsafe(change) if change is not None else None,
        )


def _has_old_flags(call: Call) -> bool:
    """Whether a loss is built with flags by position, as old code does."""
    return call.name == _CLASS and nodes.has_positional(call.node)


def _with_batchmean(call: Call) -> Edit | None:
    node = call.nodes.get("reduction")
    if node is not None:
        return edit.replaced(call.place.site.part, node, '"batchmean"') if nodes.raw_text_of(node) is not None else None
    if call.name == _CLASS:
        return edit.built_with(call.result, "reduction", '"batchmean"')
    return edit.with_argument(call, "reduction", '"batchmean"')
