from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Written
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.operations.torch import ASKED_FOR_THEIR_ANSWER, CALLED_FOR_THEIR_EFFECT, ENABLE_GRAD, NO_GRAD

if TYPE_CHECKING:
    import libcst as cst

_MANAGERS = NO_GRAD | ENABLE_GRAD
_WHERE = (
    rf"\.(?:{'|'.join(sorted(CALLED_FOR_THEIR_EFFECT))})[ \t]*(?:[;#]|$)"
    rf"|\.(?:{'|'.join(sorted(name.rpartition('.')[2] for name in ASKED_FOR_THEIR_ANSWER))})\b(?!\s*\()"
    rf"|with .*\.(?:{'|'.join(sorted({name.rpartition('.')[2] for name in _MANAGERS}))})\s*[:,)]"
)


class MissingCallParentheses(Rule):
    """a function that was to be called is only named

    ## Why
    `model.eval` names the method and does nothing: dropout stays on, gradients pile up behind `optimizer.zero_grad`, nothing
    moves at `optimizer.step`. `if torch.cuda.is_available:` holds on every machine.

    ## Bad
        def evaluate(model, loader):
            model.eval
            return [model(x) for x, _ in loader]

    ## Good
        def evaluate(model, loader):
            model.eval()
            return [model(x) for x, _ in loader]

    ## Limits
    Looks at statements that consist of a name alone, at `with torch.no_grad:` and at conditions. A method that is handed on, or
    that stands alone in a `try`, is left alone, and so is a name that the file makes a property.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = reads("Attribute", where=_WHERE)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        named = cast("cst.Attribute", site.node)
        name = named.attr.value
        if name in CALLED_FOR_THEIR_EFFECT and edit.is_statement(site) and not reading.is_tried(site):
            what = "this statement does nothing"
        elif reading.is_condition(site) and reading.qualified(site.part, named) in ASKED_FOR_THEIR_ANSWER:
            what = "a function is always true"
        elif reading.is_manager(site) and reading.qualified(site.part, named) in _MANAGERS:
            what = "a function is no context manager"
        else:
            return
        if _is_property(site.part.module.text, name):
            return
        yield self.found(
            site,
            f"`{nodes.code(named)}` is named, not called: {what}",
            hint="write the parentheses",
            last=(site, "named here"),
            fix=edit.safe(*edit.followed_by(site.part, named, "()")),
        )


def _is_property(text: str, name: str) -> bool:
    return re.search(rf"@\w*property\s+def {name}\(", text) is not None
