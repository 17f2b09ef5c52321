from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Written
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.lint.tokenizers import LANGUAGE_PROGRAMS, Padding, is_of_causal_model, padded_with_end, resized_after
from mldbg.operations.language import IGNORED, LM_COLLATORS, PACKED

if TYPE_CHECKING:
    from mldbg.lint.interpret.gathered import Gathered

_PACKED, _IGNORED = re.compile(PACKED), re.compile(IGNORED)
_COLLATORS = frozenset(name.rpartition(".")[2] for name in LM_COLLATORS)
_NEW_TOKEN = "<|pad|>"  # noqa: S105  # no password


class PaddingMasksEos(Rule):
    """the padding is the end-of-text token, and labels that are padding are left out: the end is never learned

    ## Why
    With `tokenizer.pad_token = tokenizer.eos_token` both have one id. A collator that leaves out every label with the id of the
    padding leaves out the end of each text as well. The model is never taught to stop: it goes on until the longest length.

    ## Bad
        from transformers import AutoTokenizer, DataCollatorForLanguageModeling

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        tokenizer.pad_token = tokenizer.eos_token
        collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm=False)

    ## Good
        from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForLanguageModeling

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        model.resize_token_embeddings(len(tokenizer))
        collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm=False)

    ## Limits
    Looks at the token, and a collator or a mask of labels by `pad_token_id`, in a file and in what it takes from the files
    that it imports. Silent where these set other tokens for the padding as well, where texts are packed, and where labels are
    masked by the attention mask. Where the token is only set if there is none, and no model is named that has none, the
    finding is suspicious.
    """

    group = Group.CORRECTNESS
    topic = Topic.LANGUAGE
    about_experiments = True
    listens_to = reads(
        *("Call", "Comparison"),
        where=r"\bDataCollatorForLanguageModeling\b|[!=]= ?[\w.]*\bpad_token_id\b|\bpad_token_id [!=]=|\bignore_index ?=",
        across=LANGUAGE_PROGRAMS,
    )

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        gathered = written.gathered
        how = _leaves_out(written)
        padding = padded_with_end(gathered) if how is not None and not gathered.says(_PACKED) else None
        if padding is None:
            return
        finding = self.found(
            site,
            f"the end of each text is never learned: its token is the padding, and {how}",
            hint="give the padding a token of its own, or mask labels by the attention mask",
            trail=first_step(site_of(padding.part, padding.node), "the padding is the end-of-text token"),
            last=(site, f"{how} here"),
            fix=_fix(gathered, padding),
        )
        yield finding if padding.certain else replace(finding, group=Group.SUSPICIOUS)


def _leaves_out(written: Written) -> str | None:
    """How an expression leaves padding out of the labels of a model that continues texts; None where it does not."""
    site = written.place.site
    function = nodes.called(site.node)
    if function is None:
        sides = reading.equation(site.node)
        statement = edit.statement_at(site)
        by_id = sides is not None and any(nodes.last_name(side) == "pad_token_id" for side in (sides[0], sides[2]))
        if not by_id or statement is None or not is_of_causal_model(written.gathered):
            return None
        text = nodes.head(statement)
        masks = _IGNORED.search(text) is not None and "attention_mask" not in text
        return "labels with its id are left out" if masks else None
    ignored = nodes.argument(site.node, "ignore_index")
    if ignored is not None and nodes.last_name(ignored) == "pad_token_id":
        return "the loss ignores its id" if is_of_causal_model(written.gathered) else None
    if nodes.last_name(function) not in _COLLATORS or reading.qualified(site.part, function) not in LM_COLLATORS:
        return None
    masked = nodes.argument(site.node, "mlm", 1)
    return "the collator leaves out labels with its id" if masked is not None and nodes.code(masked) == "False" else None


def _fix(gathered: Gathered, padding: Padding) -> Fix | None:
    """A token of its own for the padding, with a row for it in the embedding."""
    pairs = nodes.assigned(padding.node)
    target = pairs[0][0] if len(pairs) == 1 else None
    owner = nodes.owner(target) if target is not None else None
    if target is None or owner is None or nodes.last_name(target) != "pad_token":
        return None
    tokenizer = nodes.code(owner)
    resized = resized_after(gathered, padding.part, padding.node, tokenizer)
    if resized is None:
        return None
    added = f'{tokenizer}.add_special_tokens({{"pad_token": "{_NEW_TOKEN}"}})'
    return edit.unsafe(edit.replaced(padding.part, padding.node, added), resized)
