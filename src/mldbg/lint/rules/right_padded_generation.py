from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Written
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.lint.tokenizers import LANGUAGE_PROGRAMS, are_several, calls_of, name_of_model, padding_of, tokenizers
from mldbg.operations.language import CAUSAL_LOADED, ENCODER_DECODERS, PADS_LEFT

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part

_CAUSAL, _ENCODER_DECODERS = re.compile(CAUSAL_LOADED), re.compile(ENCODER_DECODERS)
_PADS_LEFT = re.compile(PADS_LEFT, re.IGNORECASE)
_ENCODED = re.compile(r"input|batch|enc|ids|prompt|tok|data|text", re.IGNORECASE)
_SAYS_SIDE = re.compile(
    r"padding_side(?![\"']?\]?\s*[=:]\s*[\"']right[\"'])"
    r"|(?<!truncation_side=)(?<!truncation_side = )(?<!truncation_side[\"']: )[\"']left[\"']"
)
"""What says that somebody has thought of the side; the right one that is written out is still the wrong one."""
_SAYS_RIGHT = re.compile("padding_side")


class RightPaddedGeneration(Rule):
    """a model that continues texts is given a batch that is padded on the right

    ## Why
    `generate` appends to the end of each row. With padding on the right the end is padding: shorter texts are continued from
    there, and what comes out is worse, or has nothing to do with the text. It depends on what else is in the batch.

    ## Bad
        from transformers import AutoModelForCausalLM, AutoTokenizer

        def answers(prompts):
            tokenizer = AutoTokenizer.from_pretrained("gpt2", pad_token="<|endoftext|>")
            model = AutoModelForCausalLM.from_pretrained("gpt2")
            batch = tokenizer(prompts, padding=True, return_tensors="pt")
            return tokenizer.batch_decode(model.generate(**batch, max_new_tokens=20))

    ## Good
        from transformers import AutoModelForCausalLM, AutoTokenizer

        def answers(prompts):
            tokenizer = AutoTokenizer.from_pretrained("gpt2", pad_token="<|endoftext|>", padding_side="left")
            model = AutoModelForCausalLM.from_pretrained("gpt2")
            batch = tokenizer(prompts, padding=True, return_tensors="pt")
            return tokenizer.batch_decode(model.generate(**batch, max_new_tokens=20))

    ## Limits
    Looks at a file that loads tokenizer and model, itself or by what it takes from the files that it imports, where none of
    them says anything of the side of the padding. Silent for single texts, for encoder-decoders, and for tokenizers that pad
    on the left by themselves. Where the name of the model is not known the finding is suspicious.
    """

    group = Group.CORRECTNESS
    topic = Topic.LANGUAGE
    about_experiments = True
    listens_to = reads("Call", where=r"\bgenerate\(", across=LANGUAGE_PROGRAMS)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site, gathered = written.place.site, written.gathered
        if not _continues_texts(site.node) or gathered.says(_SAYS_SIDE):
            return
        loaded = tokenizers(gathered)
        if not loaded or not calls_of(gathered, _CAUSAL) or gathered.says(_ENCODER_DECODERS):
            return
        padded = padding_of(written, nodes.given(site.node), _makes_unequal_texts_equal)
        names = [name_of_model(gathered, part, call) for part, call in loaded]
        if padded is None or any(name is not None and _PADS_LEFT.search(name) for name in names):
            return
        finding = self.found(
            site,
            "a batch that is padded on the right is continued from its padding",
            hint='load the tokenizer with padding_side="left"',
            trail=first_step(site_of(*padded), "padded on the right, as the tokenizer does by default"),
            last=(site, "the model goes on at the right end"),
            fix=_fix(loaded) if not gathered.says(_SAYS_RIGHT) else None,
        )
        yield finding if None not in names else replace(finding, group=Group.SUSPICIOUS)


def _continues_texts(call: cst.CSTNode) -> bool:
    """Whether a call is one of a method `generate`, which is given something that is called like encoded texts."""
    function = nodes.called(call)
    given = " ".join(nodes.code(value) for value in nodes.given(call))
    is_method = function is not None and nodes.owner(function) is not None and nodes.last_name(function) == "generate"
    return is_method and _ENCODED.search(given) is not None


def _makes_unequal_texts_equal(call: cst.CSTNode) -> bool:
    """Whether a call that pads gets several texts, or pads to a length of its own."""
    texts = nodes.argument(call, "text", 0) or nodes.argument(call, "conversation")
    return are_several(texts) or "max_length" in nodes.code(nodes.argument(call, "padding") or call)


def _fix(loaded: list[tuple[Part, cst.CSTNode]]) -> Fix | None:
    change = edit.with_keyword(site_of(*loaded[0]), "padding_side", '"left"') if len(loaded) == 1 else None
    return edit.safe(change) if change is not None else None
