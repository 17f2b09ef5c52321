from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Written
from mldbg.lint.rule import Rule, Topic, reads

if TYPE_CHECKING:
    import libcst as cst

_TYPOS = r"(?:requires?d?|requiers?|reqiures?|requries?)_?[gG]rad(?:s|ients?)?(?<!requires_grad)|requires_grad_"
_WHERE = rf"\.(?:{_TYPOS})\s*=(?!=)"
_NAME = re.compile(_TYPOS)


class RequireGradTypo(Rule):
    """an attribute that torch does not know is set where `requires_grad` is meant

    ## Why
    A tensor takes any attribute: `p.require_grad = False` makes a new one that nobody reads, and the parameter goes on being
    trained. `p.requires_grad_ = False` puts a flag where the method was, with the same effect: none.

    ## Bad
        def freeze(backbone):
            for parameter in backbone.parameters():
                parameter.require_grad = False

    ## Good
        def freeze(backbone):
            for parameter in backbone.parameters():
                parameter.requires_grad = False

    ## Limits
    Silent where the file reads the attribute, and where an object sets it on itself: it is the file's own name then.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = reads("Attribute", where=_WHERE)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        named = cast("cst.Attribute", site.node)
        name = named.attr.value
        if not _NAME.fullmatch(name) or name == "requires_grad" or not reading.is_assigned(site):
            return
        if nodes.is_name(named.value, "self") or _is_read(site.part.module.text, name):
            return
        yield self.found(
            site,
            f"`{nodes.code(named)}` is no attribute that torch reads: gradients stay as they were",
            hint="the attribute is `requires_grad`",
            last=(site, "set here, and read nowhere"),
            fix=edit.safe(edit.replaced(site.part, named.attr, "requires_grad")),
        )


def _is_read(text: str, name: str) -> bool:
    """Whether a file reads an attribute, or defines a class that has it."""
    read = rf"\.{name}\b(?!\s*=(?!=))(?!\()|[\"']{name}[\"']|^\s+{name}\s*[:=]|self\.{name}\b|def {name}\b"
    return re.search(read, text, re.MULTILINE) is not None
