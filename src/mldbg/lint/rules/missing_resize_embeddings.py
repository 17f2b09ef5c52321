from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Place, Written
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.lint.sources import sources
from mldbg.lint.tokenizers import LANGUAGE_PROGRAMS, everything, models, name_of_model, resized_after, tokenizers
from mldbg.operations.language import KNOWN_TOKENS, RESIZES, SPARE_ROWS, WITH_PADDING

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.gathered import Gathered
    from mldbg.lint.interpret.module import Part

_RESIZES = re.compile(RESIZES)
_SPARE_ROWS, _WITH_PADDING = re.compile(SPARE_ROWS, re.IGNORECASE), re.compile(WITH_PADDING, re.IGNORECASE)
_ADDS = ("add_tokens", "add_special_tokens")
_PADDING = frozenset({"[PAD]", "<pad>", "<PAD>"})


class MissingResizeEmbeddings(Rule):
    """tokens are added to a tokenizer, and the embedding of its model keeps its size

    ## Why
    A new token gets the next id, for which the embedding has no row: on the CPU an `IndexError`, on a GPU an assertion in a
    kernel, long after the line that is wrong.

    ## Bad
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})

    ## Good
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        model.resize_token_embeddings(len(tokenizer))

    ## Limits
    Looks at a file, and what it takes from those that it imports, in which tokenizer and model are loaded by the same name.
    Silent where they say anything about the size of the vocabulary, for tokens that the vocabulary has, and for models whose
    embeddings have rows to spare.
    """

    group = Group.CORRECTNESS
    topic = Topic.LANGUAGE
    about_experiments = True
    listens_to = reads("Call", where=r"\badd_(?:special_)?tokens\(", across=LANGUAGE_PROGRAMS)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site, gathered = written.place.site, written.gathered
        if nodes.last_name(nodes.called(site.node)) not in _ADDS or gathered.says(_RESIZES) or not _is_last(gathered, site.node):
            return
        loaded = _loaded_alike(gathered)
        adding = [(part, node) for part, node in everything(gathered) if _adds(gathered, part, node, loaded)]
        if loaded is None or not adding or _SPARE_ROWS.search(loaded.name):
            return
        part, call = adding[-1]
        owner = nodes.owner(nodes.called(call) or call)
        at = site_of(part, call)
        yield self.found(
            at,
            "the tokens that are added have no row in the embedding of the model",
            hint="call model.resize_token_embeddings(len(tokenizer)) once model and tokenizer are there",
            trail=first_step(site_of(*loaded.model), "the embedding has a row for each token of the vocabulary"),
            last=(at, "tokens are added to it"),
            fix=_fix(gathered, part, call, owner),
        )


class _Loaded:
    """A model and a tokenizer that are loaded by one name."""

    def __init__(self, name: str, model: tuple[Part, cst.CSTNode]) -> None:
        self.name = name
        self.model = model


def _loaded_alike(gathered: Gathered) -> _Loaded | None:
    known = {_source(node): (part, node) for part, node in tokenizers(gathered)}
    for part, node in models(gathered):
        if _source(node) in known:
            return _Loaded(name_of_model(gathered, part, node) or "", (part, node))
    return None


def _source(call: cst.CSTNode) -> str:
    given = nodes.argument(call, "pretrained_model_name_or_path", 0)
    return nodes.code(given) if given is not None else ""


def _is_last(gathered: Gathered, call: cst.CSTNode) -> bool:
    """Whether no call behind this one adds tokens: all of them are judged together."""
    adding = [node for _, node in everything(gathered) if nodes.last_name(nodes.called(node)) in _ADDS]
    return bool(adding) and adding[-1] is call


def _adds(gathered: Gathered, part: Part, call: cst.CSTNode, loaded: _Loaded | None) -> bool:
    """Whether a call adds tokens that the vocabulary lacks."""
    function = nodes.called(call)
    method = nodes.last_name(function)
    if function is None or loaded is None or method not in _ADDS:
        return False
    if not _is_tokenizer(gathered, part, call):
        return False
    given = nodes.argument(call, "new_tokens" if method == "add_tokens" else "special_tokens_dict", 0)
    place = Place(site_of(part, call), (), edit.function_around(part, call))
    name = nodes.name_of(given) if given is not None else None
    made = reading.made_in(place, name) if name is not None else []
    given = made[0] if len(made) == 1 else given
    if given is None:
        return False
    if method == "add_tokens":
        elements = nodes.elements_of(given) or [given]
        return any(_is_new(one, loaded) for one in elements)
    return any(_is_new(one, loaded) for _, value in nodes.values_of(given) for one in nodes.elements_of(value) or [value])


def _is_tokenizer(gathered: Gathered, part: Part, call: cst.CSTNode) -> bool:
    """Whether tokens are added to what was loaded as a tokenizer, or is called one."""
    owner = nodes.owner(nodes.called(call) or call)
    if owner is None:
        return False
    loading = {node for _, node in tokenizers(gathered)}
    place = Place(site_of(part, call), (), edit.function_around(part, call))
    return "tok" in (nodes.last_name(owner) or "").lower() or any(node in loading for _, node in sources(place, owner))


def _is_new(node: cst.BaseExpression, loaded: _Loaded) -> bool:
    text = nodes.text_of(node)
    if text is None:
        return not (nodes.last_name(node) or "").endswith("_token")  # `tokenizer.eos_token` is one of its own
    has = text in KNOWN_TOKENS or (text in _PADDING and _WITH_PADDING.search(loaded.name) is not None)
    return not has


def _fix(gathered: Gathered, part: Part, call: cst.CSTNode, owner: cst.BaseExpression | None) -> Fix | None:
    change = resized_after(gathered, part, call, nodes.code(owner)) if owner is not None else None
    return edit.safe(change) if change is not None else None
