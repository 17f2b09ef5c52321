from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import FlagSet
from mldbg.lint.rule import Rule, Topic, hears

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
    The value has to be known as a module; a class that reads the attribute itself, or defines it, is left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(FlagSet)

    def on_flag_set(self, setting: FlagSet) -> Iterator[Finding]:
        site = setting.place.site
        if _READ.search(site.part.module.text):
            return
        yield self.found(
            site,
            f"`{nodes.code(setting.expression)}` is a module: setting `{setting.name}` on it does not reach its parameters",
            hint="call `requires_grad_(...)` on the module",
            last=(site, "set here, and read nowhere"),
            fix=_fix(setting),
        )


def _fix(setting: FlagSet) -> Fix | None:
    part = setting.place.site.part
    assignment = reading.sole_assignment(setting.place.site)
    if assignment is None:
        return None
    call = f"{nodes.code(setting.expression)}.requires_grad_({nodes.code(assignment.value)})"
    return edit.safe(edit.replaced(part, assignment, call))
