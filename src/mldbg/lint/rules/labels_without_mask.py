from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site, site_of
from mldbg.lint.interpret.facts import Written
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.lint.tokenizers import LANGUAGE_PROGRAMS, everything, ids_of, is_input_ids, padding_of
from mldbg.operations.language import (
    HARMLESS_COLLATORS,
    IGNORED,
    LEFT_OUT_OTHERWISE,
    MASKING_COLLATORS,
    PACKED,
    TRAINS,
)

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.gathered import Gathered

_SILENT = re.compile(f"{IGNORED}|{MASKING_COLLATORS}|{LEFT_OUT_OTHERWISE}|{PACKED}")
_TRAINS = re.compile(TRAINS)
_LABELS = "labels"


class LabelsWithoutMask(Rule):
    """labels are a copy of padded input ids, and the padding is learned like words

    ## Why
    A model of transformers leaves out labels that are -100, and nothing else: the attention mask does not reach the loss. Where
    labels are the ids themselves, every padded place counts. With much padding most of the loss is about predicting it, and the
    loss looks better than the model is.

    ## Bad
        from transformers import AutoModelForCausalLM, AutoTokenizer

        def step(texts):
            tokenizer = AutoTokenizer.from_pretrained("gpt2", pad_token="<|pad|>")
            model = AutoModelForCausalLM.from_pretrained("gpt2")
            model.resize_token_embeddings(len(tokenizer))
            batch = tokenizer(texts, padding=True, return_tensors="pt")
            labels = batch["input_ids"].clone()
            return model(**batch, labels=labels).loss

    ## Good
        from transformers import AutoModelForCausalLM, AutoTokenizer

        def step(texts):
            tokenizer = AutoTokenizer.from_pretrained("gpt2", pad_token="<|pad|>")
            model = AutoModelForCausalLM.from_pretrained("gpt2")
            model.resize_token_embeddings(len(tokenizer))
            batch = tokenizer(texts, padding=True, return_tensors="pt")
            labels = batch["input_ids"].clone()
            labels[batch["attention_mask"] == 0] = -100
            return model(**batch, labels=labels).loss

    ## Limits
    Looks at a file in which something trains, and at what it takes from those that it imports. Silent where any of them says
    -100 or `ignore_index`, where a collator makes the labels or is not known, where texts are packed, and where a single text
    is encoded.
    """

    group = Group.CORRECTNESS
    topic = Topic.LANGUAGE
    about_experiments = True
    listens_to = reads(
        *("Assign", "DictElement", "Arg"),
        where=r"\A(?=[\s\S]*\binput_ids\b)[\s\S]*?\blabels(?:[\"']\]?\s*[:=]|\s*=)(?!=)\s*(?!labels\b|None\b)",
        across=LANGUAGE_PROGRAMS,
    )

    def on_written(self, written: Written) -> Iterator[Finding]:
        site, gathered = written.place.site, written.gathered
        value = _labels(site.node)
        ids = ids_of(value) if value is not None else None
        if value is None or ids is None or not is_input_ids(written.place, ids):
            return
        if nodes.name_of(value) == _LABELS or gathered.says(_SILENT) or not gathered.says(_TRAINS):
            return
        padded = None if _has_other_collator(gathered) else padding_of(written, [ids], lambda _: True)
        if padded is None:
            return
        yield self.found(
            site_of(site.part, value),
            "the padding is learned: labels are the input ids, and none of them is -100",
            hint="set labels to -100 where attention_mask is 0, or leave labels to DataCollatorForLanguageModeling",
            trail=first_step(site_of(*padded), "texts are padded to one length"),
            last=(site_of(site.part, value), "labels are a copy of the ids, padding included"),
            fix=_fix(site, value, ids),
        )


def _labels(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What a node says that labels are."""
    keyword = nodes.keyword_value(node)
    if keyword is not None:
        return keyword[1] if keyword[0] == _LABELS else None
    for target, value in nodes.assigned(node):
        if _LABELS in (nodes.key_of(target), nodes.last_name(target)):
            return value
    return nodes.entry_of(node, _LABELS)


def _has_other_collator(gathered: Gathered) -> bool:
    """Whether a trainer or a loader puts batches together by something of which it is not known what it does to labels."""
    for _, node in everything(gathered):
        given = nodes.argument(node, "data_collator")
        if given is not None and nodes.last_name(nodes.called(given) or given) not in HARMLESS_COLLATORS:
            return True
    return False


def _fix(site: Site, value: cst.BaseExpression, ids: cst.BaseExpression) -> Fix | None:
    """Leave the padding out by the mask beside the ids, where labels are a copy of tensors and the mask has a name."""
    batch = nodes.subscripted(ids)
    pairs = nodes.assigned(site.node)
    statement = edit.statement_at(site)
    is_copy = nodes.code(value).endswith(".clone()")
    if batch is None or nodes.name_of(batch) is None or len(pairs) != 1 or statement is None or not is_copy:
        return None
    line = f'{nodes.code(pairs[0][0])}[{nodes.code(batch)}["attention_mask"] == 0] = -100'
    return edit.unsafe(edit.inserted_after(site.part, statement, edit.indented_like(site.part, statement, line)))
