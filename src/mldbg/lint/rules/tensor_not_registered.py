from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import ModuleBuilt
from mldbg.lint.rule import Rule, Topic, hears

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part

_DRAWN = frozenset({"randn", "rand", "normal"})
_RANDOM = _DRAWN | {"empty"}
_MAKES = _RANDOM | frozenset(
    {"zeros", "ones", "full", "eye", "arange", "linspace", "logspace", "tensor", "FloatTensor", "Tensor"}
)
_MOVES = re.compile(r"\.(?:cuda|to)\(\s*(?:device|self\.device|[\"']cuda|args|\w*dev)|\.cuda\(")
_SAVES = re.compile(r"\bstate_dict\(\)|load_state_dict\(")
_NO_TENSOR = re.compile(r"\.(?:tolist|item|numel|numpy|size|dim)\(\)?[^()]*\)?$|\.(?:shape|device|dtype)\b|Parameter\(|Buffer\(")
_ON_PURPOSE = re.compile(
    r"constant|fixed|frozen|cache|on purpose|intention|not (?:a )?(?:param|learn|train|saved|regist)|placeholder|tempor|\bcpu\b",
    re.IGNORECASE,
)


class TensorNotRegistered(Rule):
    """a module computes with a tensor that is neither a parameter nor a buffer

    ## Why
    A module knows its parameters, buffers and layers; a plain tensor is none of them. `.to(device)` leaves it behind and the
    first batch on a GPU fails, `state_dict()` does not save it, and one that should learn (`requires_grad=True`) is in no
    `parameters()`, so no optimizer ever changes it.

    ## Bad
        import torch
        from torch import nn

        class Scaled(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.linear = nn.Linear(width, width)
                self.gain = torch.randn(width, requires_grad=True)

            def forward(self, x):
                return self.linear(x) * self.gain

    ## Good
        import torch
        from torch import nn

        class Scaled(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.linear = nn.Linear(width, width)
                self.gain = nn.Parameter(torch.randn(width))

            def forward(self, x):
                return self.linear(x) * self.gain

    ## Limits
    Fires on tensors that `__init__` makes and gives to an attribute which running the module reads. Numbers (tensors without
    axes), tensors that are moved where they are used (and need not be saved) or have a device, and those of which a comment says
    that they are constants or caches are silent. What has fixed values in a program that never moves a model is *suspicious*.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(ModuleBuilt)

    def __init__(self) -> None:
        self._seen: set[cst.CSTNode] = set()

    def on_module_built(self, built: ModuleBuilt) -> Iterator[Finding]:
        init, part = built.init, built.cls.part
        if init is None or built.read is None or init.part.module is not part.module or init.node in self._seen:
            return
        self._seen.add(init.node)
        code, text = part.code, "".join(part.module.outline.code)
        for name, value, source in nodes.attributes_given(init.node):
            made = _made(source)
            lost = made in _DRAWN and _SAVES.search(text) is not None  # the weights were trained for what was drawn then
            if made is None or name not in built.read or _is_handled(name, code, init.part, (value, source), lost=lost):
                continue
            learns = "requires_grad=True" in nodes.code(source).replace(" ", "")
            moved = _MOVES.search(text) is not None
            found = self.found(
                site_of(init.part, value),
                f"`{name}` is "
                + ("a tensor that nothing trains: it is no parameter" if learns else "neither a parameter nor a buffer"),
                hint="make it an nn.Parameter" if learns else "register it: self.register_buffer(name, tensor)",
                fix=_fix(init.part, name, value, learns=learns),
            )
            certain = learns or made in _RANDOM or moved
            yield found if certain else replace(found, group=Group.SUSPICIOUS)


def _made(value: cst.BaseExpression) -> str | None:
    """The function of torch that makes a tensor with axes, where an expression ends in that; None of any other."""
    sides = nodes.operands(value)
    if sides:  # `torch.randn(3, 8) * scale`
        return next((made for side in sides if (made := _made(side)) is not None), None)
    chain = list(nodes.chain_of(value))
    if _NO_TENSOR.search(nodes.code(value)):
        return None
    for link in chain:
        made = nodes.torch_function(link)
        if made in _MAKES:
            return None if made in ("tensor", "full") and not nodes.makes_axes(link) else made
        if made is None and (not nodes.is_call(link) or link is chain[-1]):
            return None
    return None


def _is_handled(name: str, code: str, part: Part, written: tuple[cst.BaseExpression, ...], *, lost: bool) -> bool:
    """Whether a tensor is moved to where the input is, is made where it stays, or is said to be a constant or a cache.

    To move one is not enough if it would have to be saved, too.
    """
    given = rf"self\.{name}\s*(?::[^=\n]+)?=(?!=)"
    ways = "detach|item|cpu|numpy|tolist" + ("" if lost else "|to|cuda|type_as")
    if re.search(rf"self\.{name}\b(?!\s*=[^=])[^\n]*\.(?:{ways})\(", code):
        return True
    if len(re.findall(given, code)) > 1 or any(re.search(r"device|cuda\(", nodes.code(each)) for each in written):
        return True
    if re.search(rf"def (?:_apply|to|cuda)\(|register_buffer\(\s*[\"']{name}", code) or _ON_PURPOSE.search(name):
        return True
    return any(_ON_PURPOSE.search(_said_at(part, each)) for each in written)


def _said_at(part: Part, node: cst.BaseExpression) -> str:
    """The lines of an expression, comments included, and the comment above."""
    span = part.span(node)
    above, *lines = part.module.outline.lines[max(span.line - 2, 0) : span.end_line]
    return (above if above.lstrip().startswith("#") else "") + "".join(lines)


def _fix(part: Part, name: str, value: cst.BaseExpression, *, learns: bool) -> Fix | None:
    text = nodes.code(value)
    if learns:
        nn = edit.name_of_nn(part)
        plain = re.sub(r",\s*requires_grad\s*=\s*True", "", text)
        return edit.unsafe(edit.replaced(part, value, f"{nn}.Parameter({plain})")) if nn is not None and plain != text else None
    statement = edit.statement_at(site_of(part, value))
    if statement is None or "#" in text or not nodes.is_plain_assignment(statement):
        return None
    return edit.unsafe(edit.replaced(part, nodes.first_of(statement), f'self.register_buffer("{name}", {text})'))
