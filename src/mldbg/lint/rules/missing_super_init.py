from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Written
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.operations.torch import MODULE_BASES

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part

_WHERE = (
    r"^class \w+\([^)\n]*Module\b.*\n(?:(?!\S)(?!.*__init__\().*\n)*+[ \t]+def __init__\(.*\n"
    r"(?:(?!\S)(?!.*(?:\.__init__\(|\bsuper\b)).*\n?)*+(?=\S|\Z)"
)
"""A class whose body ends without any call of a base's `__init__`."""
_CALLS_A_BASE = re.compile(r"\bsuper\b|\.__init__\(|__class__|__new__")


class MissingSuperInit(Rule):
    """a module assigns layers in an `__init__` that never calls that of its base

    ## Why
    `nn.Module.__init__` makes the tables in which a module keeps its parameters and layers. Without it the first layer that
    is assigned raises an AttributeError, or, where only other things are assigned, the first use of the module does.

    ## Bad
        from torch import nn

        class Head(nn.Module):
            def __init__(self, width):
                self.out = nn.Linear(width, 10)

            def forward(self, x):
                return self.out(x)

    ## Good
        from torch import nn

        class Head(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.out = nn.Linear(width, 10)

            def forward(self, x):
                return self.out(x)

    ## Limits
    Looks at classes whose only base is torch's Module, or Lightning's. A dataclass and a class with a metaclass or decorator
    of its own may call the base elsewhere.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = reads("ClassDef", where=_WHERE)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        cls = cast("cst.ClassDef", site.node)
        if (
            len(cls.bases) != 1
            or cls.keywords
            or cls.decorators
            or reading.qualified(site.part, cls.bases[0].value) not in MODULE_BASES
        ):
            return
        found = _own_init(site.part, cls)
        if found is None:
            return
        part, init = found
        if _CALLS_A_BASE.search(part.code) or init.decorators or not _makes_a_layer(part, init):
            return
        where = site_of(part, init.name)
        yield self.found(
            where,
            f"`{cls.name.value}` assigns layers before `nn.Module` is initialised",
            hint="call `super().__init__()` first",
            last=(where, "no call of super().__init__() in it"),
            fix=_fix(part, init),
        )


def _own_init(part: Part, cls: cst.ClassDef) -> tuple[Part, cst.FunctionDef] | None:
    for method, node in reading.functions_of_class(part, cls):
        if node.name.value == "__init__":
            return method, node
    return None


def _makes_a_layer(part: Part, init: cst.FunctionDef) -> bool:
    called = (reading.qualified(part, reading.callee(node)) or "" for node in nodes.descendants(init) if nodes.is_call(node))
    return any(name.startswith("torch.nn.") for name in called)


def _fix(part: Part, init: cst.FunctionDef) -> Fix | None:
    first = reading.first_statement(init)
    return edit.safe(edit.inserted_before(part, first, "super().__init__()")) if first is not None else None
