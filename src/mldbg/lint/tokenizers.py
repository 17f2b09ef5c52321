"""What a file, and what it takes from others, says of tokenizers and their models: shared by the rules about language models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Place
from mldbg.lint.rule import Together
from mldbg.lint.sources import meanings, sources
from mldbg.operations.language import (
    ABOUT_LANGUAGE,
    END_OF_TEXT,
    EOS_TOKENS,
    LOADS_TOKENIZER,
    MODEL_LOADED,
    PAD_TOKENS,
    TOKENIZER_LOADED,
    WITHOUT_PADDING,
)

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.finding import Edit
    from mldbg.lint.interpret.facts import Written
    from mldbg.lint.interpret.gathered import Gathered
    from mldbg.lint.interpret.module import Part

    Found = tuple[Part, cst.CSTNode]
    _Value = tuple[Part, cst.BaseExpression]

LANGUAGE_PROGRAMS = Together(re.compile(ABOUT_LANGUAGE), re.compile(LOADS_TOKENIZER))
"""The tokenizer is loaded in one file, the model in another."""

_TOKENIZER = re.compile(TOKENIZER_LOADED)
_MODEL = re.compile(MODEL_LOADED)
_CAUSAL = re.compile("CausalLM|LMHeadModel")
_WITHOUT_PADDING = re.compile(WITHOUT_PADDING, re.IGNORECASE)

_NODES = "nodes"


@dataclass(frozen=True, slots=True)
class Padding:
    """That a tokenizer's padding is its end of text.

    Attributes:
        part: where that is said.
        node: the statement or call that says it.
        certain: the tokenizer is known to have no token for the padding, or is given this one whatever it has.
    """

    part: Part
    node: cst.CSTNode
    certain: bool


def everything(gathered: Gathered) -> tuple[tuple[Part, cst.CSTNode], ...]:
    """All that a file's statements consist of, and those that it takes from others, methods included."""
    found: tuple[tuple[Part, cst.CSTNode], ...] | None = gathered.kept.get(_NODES)
    if found is None:
        found = gathered.kept[_NODES] = tuple(_nodes(gathered))
    return found


def _nodes(gathered: Gathered) -> Iterator[tuple[Part, cst.CSTNode]]:
    for part in gathered.parts:
        yield from ((part, node) for node in nodes.descendants(part.tree))
        yield from ((method, node) for method in part.methods.values() for node in nodes.descendants(method.function))


def calls_of(gathered: Gathered, name: re.Pattern[str]) -> list[tuple[Part, cst.CSTNode]]:
    """The calls of functions whose qualified names match."""
    found = []
    for part, node in everything(gathered):
        function = nodes.called(node)
        if function is not None and name.fullmatch(reading.qualified(part, function) or ""):
            found.append((part, node))
    return found


def tokenizers(gathered: Gathered) -> list[tuple[Part, cst.CSTNode]]:
    """The calls that load tokenizers."""
    return calls_of(gathered, _TOKENIZER)


def models(gathered: Gathered) -> list[tuple[Part, cst.CSTNode]]:
    """The calls that load models."""
    return calls_of(gathered, _MODEL)


def padded_with_end(gathered: Gathered) -> Padding | None:
    """Where a program gives its tokenizer the end of text as padding; None where it may have another one, too."""
    found: Padding | None = None
    for part, node in everything(gathered):
        said = _said_of_padding(node)
        if said is None:
            continue
        if not _is_end(said):
            return None
        if found is None:
            found = Padding(part, node, _is_certain(gathered, part, node))
    return found


def _said_of_padding(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What a node says the token of the padding is: an assignment, an argument, an entry of a dict of special tokens."""
    for target, value in nodes.assigned(node):
        if nodes.is_dotted(target) and nodes.owner(target) is not None and nodes.last_name(target) in PAD_TOKENS:
            return value if nodes.last_name(value) not in PAD_TOKENS else None  # it is the one that the tokenizer has
    method = nodes.last_name(nodes.called(node))
    if method in ("from_pretrained", "add_special_tokens"):
        given = nodes.argument(node, "pad_token") or nodes.entry(nodes.argument(node, "special_tokens_dict", 0), "pad_token")
        return given if given is not None and nodes.code(given) != "None" else None
    return None


def _is_end(node: cst.BaseExpression) -> bool:
    return nodes.last_name(node) in EOS_TOKENS or nodes.text_of(node) in END_OF_TEXT


def _is_certain(gathered: Gathered, part: Part, node: cst.CSTNode) -> bool:
    """Whether nothing asks before if there is another token for the padding, or it is known that there is none."""
    if not nodes.is_under_test_of(part, node, "pad_token"):
        return True
    names = [name_of_model(gathered, where, call) for where, call in tokenizers(gathered)]
    return bool(names) and all(name is not None and _WITHOUT_PADDING.search(name) for name in names)


def is_of_causal_model(gathered: Gathered) -> bool:
    """Whether a program loads models that continue texts."""
    return gathered.says(_CAUSAL)


def resized_after(gathered: Gathered, part: Part, node: cst.CSTNode, tokenizer: str) -> Edit | None:
    """Give the model as many rows as its tokenizer has tokens, behind a statement and where the model is loaded.

    None where these do not stand in one block, or the model has no name there.
    """
    statement = edit.statement_at(site_of(part, node))
    found = models(gathered)
    if statement is None or len(found) != 1 or nodes.is_in_branch(part, statement):
        return None
    other, loading = found[0]
    loaded = edit.statement_at(site_of(other, loading))
    if loaded is None or not nodes.are_in_one_scope(part, statement, other, loaded):
        return None
    name = nodes.bound_name(loaded)
    if name is None:
        return None
    last = max(((part, statement), (other, loaded)), key=lambda one: one[0].span(one[1]))
    return edit.inserted_after(*last, edit.indented_like(*last, f"{name}.resize_token_embeddings(len({tokenizer}))"))


# ----------------------------------------------------------------------------------------------------------------- encoded texts
_PADS = frozenset({"True", '"max_length"', "'max_length'", '"longest"', "'longest'"})


def pads(node: cst.CSTNode) -> bool:
    """Whether a call encodes texts and makes them equally long, so that some of them, or all, are padded."""
    method = nodes.last_name(nodes.called(node))
    if method is None or not (
        re.search(r"tok|encode_plus|^encode$|^apply_chat_template$", method, re.IGNORECASE) or method in ("__call__", "pad")
    ):
        return False
    said = nodes.argument(node, "padding")
    old = nodes.argument(node, "pad_to_max_length")
    if old is not None and nodes.code(old) == "True":
        return True
    if said is None or nodes.code(said) not in _PADS:
        return False
    return "max_length" in nodes.code(said) or not _is_one_text(nodes.argument(node, "text", 0))


def _is_one_text(node: cst.BaseExpression | None) -> bool:
    """Whether a single text is encoded, as far as the call says it: it is as long as itself."""
    return node is None or nodes.text_of(node) is not None or nodes.is_format(node) or nodes.length_of(node) == 1


def ids_of(node: cst.BaseExpression) -> cst.BaseExpression:
    """What a copy is one of: `ids` of `ids.clone()`, `copy.deepcopy(ids)`, `list(ids)`, `ids[:]`."""
    while True:
        inner = _copied(node)
        if inner is None:
            return node
        node = inner


_COPIES = frozenset({"clone", "copy", "detach", "to", "cuda", "long", "squeeze", "contiguous", "tolist"})
_COPYING = frozenset({"deepcopy", "list", "clone", "copy", "array", "LongTensor"})


def _copied(node: cst.BaseExpression) -> cst.BaseExpression | None:
    function = nodes.called(node)
    if function is None:
        return nodes.whole_slice(node)
    name, owner, first = nodes.last_name(function), nodes.owner(function), nodes.argument(node, "", 0)
    if name in _COPYING and first is not None:
        return first
    return owner if name in _COPIES and owner is not None else None


def is_input_ids(place: Place, node: cst.BaseExpression) -> bool:
    """Whether an expression is the ids of encoded texts, by its key, its attribute, or what its name was bound to."""
    if _is_called_ids(node):
        return True
    name = nodes.name_of(node)
    made = reading.made_in(place, name) if name is not None else []
    return bool(made) and all(_is_called_ids(ids_of(one)) for one in made)


def _is_called_ids(node: cst.BaseExpression) -> bool:
    return "input_ids" in (nodes.key_of(node), nodes.last_name(node))


def are_several(node: cst.BaseExpression | None) -> bool:
    """Whether what is encoded is several texts, by how it is written: a list, a slice, a plural."""
    if node is None:
        return False
    number = nodes.length_of(node)
    if number is not None:
        return number > 1
    name = nodes.last_name(node) or nodes.key_of(node) or ""
    plural = re.search(r"(?:[^s]s|batch|list)$|batch", name, re.IGNORECASE) is not None
    inner = nodes.subscripted(node)
    return plural or nodes.is_comprehension(node) or nodes.is_sliced(node) or (inner is not None and are_several(inner))


_MOST_CALLS = 4
"""Functions that hand the name of a model to one another."""


def name_of_model(gathered: Gathered, part: Part, call: cst.CSTNode) -> str | None:
    """The name of the model that a call loads: as it is written, bound to a name, handed in, or the default of an option."""
    given = nodes.argument(call, "pretrained_model_name_or_path", 0)
    texts = _texts(gathered, part, given, _MOST_CALLS) if given is not None else set()
    return texts.pop() if len(texts) == 1 else None


def _texts(gathered: Gathered, part: Part, node: cst.BaseExpression, depth: int) -> set[str | None]:
    """The texts that an expression may stand for, None among them for one that is not known."""
    text = nodes.text_of(node)
    if text is not None or not depth:
        return {text}
    name, attribute = nodes.name_of(node), nodes.own_attribute(node)
    place = Place(site_of(part, node), (), edit.function_around(part, node))
    if name is None:
        held = [(part, value) for _, value in meanings(place, attribute, of_self=True)] if attribute is not None else []
        values = held or _defaults(gathered, nodes.last_name(node) or "")
    else:
        values = _handed_in(gathered, part, place.function, name) or meanings(place, name)
    return {each for where, value in values for each in _texts(gathered, where, value, depth - 1)} or {None}


def _defaults(gathered: Gathered, option: str) -> list[_Value]:
    """What options of a command of this name are where nobody sets them."""
    found = []
    for part, node in everything(gathered):
        names = (
            [nodes.text_of(each) for each in nodes.given(node)] if nodes.last_name(nodes.called(node)) == "add_argument" else []
        )
        default = nodes.argument(node, "default")
        if default is not None and any(name is not None and name.lstrip("-").replace("-", "_") == option for name in names):
            found.append((part, default))
    return found


def _handed_in(gathered: Gathered, part: Part, function: cst.CSTNode | None, name: str) -> list[_Value]:
    """What the callers of a function give to a parameter, by name or place."""
    names = nodes.parameters_of(function)
    if name not in names:
        return []
    called, skipped = nodes.name_of_function(function), 1 if names[0] in ("self", "cls") else 0
    if called == "__init__":
        called = next((cls.statement.names[0] for cls in part.module.parts if part in cls.methods.values()), None)
    found = []
    for where, node in everything(gathered):
        if called is not None and nodes.last_name(nodes.called(node)) == called:
            given = nodes.argument(node, name, names.index(name) - skipped) or nodes.default_of(function, name)
            found += [(where, given)] if given is not None else []
    return found


def padding_of(
    written: Written, expressions: Iterable[cst.BaseExpression], is_meant: Callable[[cst.CSTNode], bool]
) -> Found | None:
    """The call that encoded and padded what expressions hold; where none is seen to have encoded it, one that pads.

    Args:
        written: where the expressions stand.
        expressions: what is made of encoded texts.
        is_meant: whether a call that pads is one of those that count.
    """
    encoded = False
    for expression in expressions:
        for part, node in sources(written.place, expression):
            if pads(node) and is_meant(node):
                return part, node
            encoded |= "tok" in (nodes.last_name(nodes.called(node)) or "")
    if encoded:
        return None
    found = (each for each in everything(written.gathered) if pads(each[1]) and is_meant(each[1]))
    return next(found, None)
