from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import GradientUse, LayerSet, OptimizerBuilt
from mldbg.lint.interpret.value import Object, first_step
from mldbg.lint.rule import Rule, Topic, hears


class OptimizerBeforeLayer(Rule):
    """a model gets a new layer after its optimizer was built, and the optimizer never trains it

    ## Why
    An optimizer keeps the parameters that it is given. A layer that is replaced or added afterwards has parameters of its own,
    which it does not know: the new head keeps its random weights, while the rest of the model is trained against it.

    ## Bad
        import torch
        from torch import nn
        from torchvision import models

        def finetune(loader):
            model = models.resnet18(weights="DEFAULT")
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            model.fc = nn.Linear(512, 10)
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()

    ## Good
        import torch
        from torch import nn
        from torchvision import models

        def finetune(loader):
            model = models.resnet18(weights="DEFAULT")
            model.fc = nn.Linear(512, 10)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()

    ## Limits
    Fires where an optimizer gets the parameters of a model, a layer with parameters is then assigned to an attribute or item of
    that model, and the same optimizer steps later. `model.to(device)` keeps the parameters that are there. Layers without
    any, and a file that calls `add_param_group`, are left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(GradientUse, LayerSet, OptimizerBuilt)

    def __init__(self) -> None:
        self._built: list[OptimizerBuilt] = []
        self._late: list[tuple[LayerSet, OptimizerBuilt]] = []

    def on_optimizer_built(self, built: OptimizerBuilt) -> Iterator[Finding]:
        self._built.append(built)
        yield from ()

    def on_layer_set(self, layer: LayerSet) -> Iterator[Finding]:
        self._late += [(layer, built) for built in self._built if _has(built, layer)]
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        self._built.clear()
        self._late.clear()
        yield from ()

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        for layer, built in self._late if not use.clip else ():
            if not _is_same(use, built) or "add_param_group" in layer.place.site.part.module.text:
                continue
            yield self.found(
                layer.place.site,
                f"`{nodes.code(layer.target)}` is set after the optimizer was built: its parameters are never trained",
                hint="change the model first, then build the optimizer",
                trail=first_step(built.place.site, "the optimizer gets the parameters that the model has here"),
                last=(use.place.site, "it steps without those of the new layer"),
                fix=_fix(layer, built),
            )


def _has(built: OptimizerBuilt, layer: LayerSet) -> bool:
    """Whether an optimizer got the parameters of the model that is changed."""
    if built.models:
        return not built.models.isdisjoint(layer.models)
    if built.place.function is not layer.place.function or built.place.site.part.module is not layer.place.site.part.module:
        return False
    owner = re.match(r"(?:self\.)?\w+", nodes.code(layer.target))
    said = rf"(?<![\w.]){re.escape(owner[0])}\.(?:named_)?parameters\(" if owner is not None else None
    return said is not None and re.search(said, nodes.code(built.parameters)) is not None


def _is_same(use: GradientUse, built: OptimizerBuilt) -> bool:
    one, two = use.optimizer.thing, built.optimizer.thing
    return isinstance(one, Object) and isinstance(two, Object) and one.ref is two.ref


def _fix(layer: LayerSet, built: OptimizerBuilt) -> Fix | None:
    """Build the optimizer behind the change, where both stand in one block and nothing in between needs it."""
    part, made, change = built.place.site.part, edit.statement_of(built.place), edit.statement_of(layer.place)
    if made is None or change is None or not edit.same_block(built.place, layer.place) or not edit.precedes(part, made, change):
        return None
    names = {node.value for target in nodes.targets_of(made) for node in nodes.descendants(target) if nodes.is_any_name(node)}
    block = edit.siblings(part, made)
    between = block[block.index(made) + 1 : block.index(change) + 1]
    needed = any(nodes.is_any_name(node) and node.value in names for one in between for node in nodes.descendants(one))
    return edit.moved_after(part, made, change) if not needed else None
