from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import FlagSet, Written
from mldbg.lint.rule import Listening, Rule, Topic

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.module import Part

_FLAG = "requires_grad"
_MODULES = frozenset({"children", "modules", "named_children", "named_modules"})
_ORDERS = frozenset({"list", "tuple", "reversed"})
_READ = re.compile(r"self\.requires_grad\b(?!\s*=[^=])")


class ModuleRequiresGrad(Rule):
    """`requires_grad` is set on a module, which has no such flag

    ## Why
    Parameters have the flag `requires_grad`, modules do not: `backbone.requires_grad = False` makes an attribute that nobody
    reads, and the backbone goes on being trained. The method `requires_grad_` reaches all parameters.

    ## Bad
        from torch import nn
        from torchvision import models

        def build(classes):
            model = models.resnet18(weights="DEFAULT")
            model.requires_grad = False
            model.fc = nn.Linear(512, classes)
            return model

    ## Good
        from torch import nn
        from torchvision import models

        def build(classes):
            model = models.resnet18(weights="DEFAULT")
            model.requires_grad_(False)
            model.fc = nn.Linear(512, classes)
            return model

    ## Limits
    The value has to be known as a module, or to come out of a loop over `children()` or `modules()`; a class that reads the
    attribute itself, or defines it, is left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = Listening(
        frozenset({FlagSet, Written}),
        syntax=frozenset({"Assign"}),
        where=re.compile(r"\b(?:named_)?(?:children|modules)\(\)[\s\S]*\.requires_grad ?= ?(?:True|False)"),
    )

    def on_flag_set(self, setting: FlagSet) -> Iterator[Finding]:
        yield from self._told(setting.place.site, setting.expression, setting.name)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        for target, _ in nodes.assigned(site.node):
            module = nodes.owner(target)
            if nodes.last_name(target) == _FLAG and module is not None and _is_from_modules(site.part, target, module):
                yield from self._told(site_of(site.part, target), module, _FLAG)

    def _told(self, site: Site, module: cst.BaseExpression, flag: str) -> Iterator[Finding]:
        if _READ.search(site.part.module.text):
            return
        yield self.found(
            site,
            f"`{nodes.code(module)}` is a module: setting `{flag}` on it does not reach its parameters",
            hint="call `requires_grad_(...)` on the module",
            last=(site, "set here, and read nowhere"),
            fix=_fix(site, module),
        )


def _is_from_modules(part: Part, node: cst.CSTNode, module: cst.BaseExpression) -> bool:
    """Whether a name is bound by a loop over the modules in a module: `for name, child in model.named_children():`."""
    name = nodes.name_of(module)
    bound = nodes.loop_binding(part, node, name) if name is not None else None
    if bound is None:
        return False
    through, place = bound
    found = [each for each in nodes.chain_of(_ordered(through)) if nodes.last_name(nodes.called(each)) in _MODULES]
    if not found:
        return False
    return place == (1 if (nodes.last_name(nodes.called(found[0])) or "").startswith("named_") else None)


def _ordered(node: cst.BaseExpression) -> cst.BaseExpression:
    """What is in `list(...)`, `reversed(...)`, or cut by a slice."""
    while True:
        sliced = nodes.subscripted(node) if nodes.is_sliced(node) else None
        inner = sliced or (nodes.argument(node, "", 0) if nodes.name_of(nodes.called(node) or node) in _ORDERS else None)
        if inner is None:
            return node
        node = inner


def _fix(site: Site, module: cst.BaseExpression) -> Fix | None:
    assignment = reading.sole_assignment(site)
    if assignment is None:
        return None
    call = f"{nodes.code(module)}.requires_grad_({nodes.code(assignment.value)})"
    return edit.safe(edit.replaced(site.part, assignment, call))
