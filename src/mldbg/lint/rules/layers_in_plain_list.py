from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Edit, Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import ModuleBuilt
from mldbg.lint.interpret.value import ClassThing, Object
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.torch import HOLDS_PARAMETERS

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Site

_REGISTERS = re.compile(
    r"add_module\(|register_module\(|setattr\(|_modules\b|def (?:named_)?parameters\(|def (?:named_)?modules\("
)
_ON_PURPOSE = re.compile(
    r"regist|kept out|\bhid[ei]\b|frozen|freeze|teacher|exclude|state_dict|without grad|not train|no_grad|requires_grad"
    r"|optimi[sz]er",
    re.IGNORECASE,
)
"""What is said of layers that are kept out of a module because that is meant, or that somebody else takes care of."""


class LayersInPlainList(Rule):
    """layers are held by a plain list or dict, which a module does not look into

    ## Why
    A module finds its layers among its attributes, and those of a Python list are none. They are missing from `parameters()`, so
    the optimizer never trains them; from `state_dict()`, so they are not saved; and `.to(device)` and `eval()` pass them by.

    ## Bad
        from torch import nn

        class Net(nn.Module):
            def __init__(self, width, depth):
                super().__init__()
                self.layers = [nn.Linear(width, width) for _ in range(depth)]
                self.head = nn.Linear(width, 2)

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x).relu()
                return self.head(x)

    ## Good
        from torch import nn

        class Net(nn.Module):
            def __init__(self, width, depth):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
                self.head = nn.Linear(width, 2)

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x).relu()
                return self.head(x)

    ## Limits
    Fires when layers with parameters are in the list after `__init__`, running the module reads it, and they are in no other
    attribute. Layers that are registered by `add_module`, a single module that a list hides on purpose, and classes that say
    so or have a `parameters` of their own are silent. The fix changes the keys of the `state_dict`.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(ModuleBuilt)

    def __init__(self) -> None:
        self._seen: set[Site] = set()

    def on_module_built(self, built: ModuleBuilt) -> Iterator[Finding]:
        if built.read is None or not built.hidden:
            return
        part = built.cls.part
        if _REGISTERS.search(part.code):
            return
        for name in sorted(built.hidden & built.read):
            site = _made_at(name, built)
            modules = built.modules[name]
            if site is None or site in self._seen or site.part.module is not part.module or not any(map(_is_trained, modules)):
                continue
            if re.search(rf"Module(?:List|Dict)\(\s*self\.{name}\b|Sequential\(\s*\*\s*self\.{name}\b", part.code):
                continue  # what was gathered in a plain list is wrapped afterwards
            if nodes.wraps_one_name(site.node) or _ON_PURPOSE.search(_said_of(name, built)):
                continue
            self._seen.add(site)
            is_dict = nodes.is_dict(site.node)
            yield self.found(
                site,
                f"the layers in `{name}` are in a plain {nodes.container_of(site.node)}: parameters() does not find them",
                hint=f"use nn.{'ModuleDict' if is_dict else 'ModuleList'}",
                fix=_fix(site, is_dict=is_dict),
            )


def _made_at(name: str, built: ModuleBuilt) -> Site | None:
    """Where the list or dict of an attribute is written; of a tuple, what `__init__` gives to the attribute."""
    thing = built.attributes[name].thing
    if isinstance(thing, Object):
        return thing.ref.site
    given = nodes.attributes_given(built.init.node) if built.init is not None else ()
    return next((site_of(built.init.part, source) for known, _, source in given if built.init and known == name), None)


def _is_trained(module: Object) -> bool:
    return isinstance(module.cls, ClassThing) or HOLDS_PARAMETERS.match(str(module.cls)) is not None


def _said_of(name: str, built: ModuleBuilt) -> str:
    """The lines of the class that name an attribute, comments included, and the lines before those."""
    outline = built.cls.part.module.outline
    lines = outline.text(built.cls.part.statement).splitlines()
    found = [number for number, line in enumerate(lines) if re.search(rf"\b{name}\b", line)]
    return "\n".join(lines[number - 1] * lines[number - 1].lstrip().startswith("#") + "\n" + lines[number] for number in found)


def _fix(site: Site, *, is_dict: bool) -> Fix | None:
    nn = edit.name_of_nn(site.part)
    if nn is None:
        return None
    edits: tuple[Edit, ...] = edit.wrapped_in_call(site.part, site.node, f"{nn}.{'ModuleDict' if is_dict else 'ModuleList'}")
    return edit.unsafe(*edits) if edits else None
