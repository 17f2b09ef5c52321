from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Backward, Call, GradientUse, Place
from mldbg.lint.ladder import calls_of_losses
from mldbg.lint.lightning import LightningClass, Optimisation, lightning_class_of
from mldbg.lint.rule import Listening, Rule, Topic
from mldbg.operations.losses import LOSSES

if TYPE_CHECKING:
    from mldbg.lint.interpret.module import Part

_BACKWARD = re.compile(r"backward\(")
_STEP = re.compile(r"\.step\(|toggled|scaler")
_CLEARS = re.compile(r"zero_grad|\.grad\b")
_OWN_OPTIMIZER = re.compile(r"opt\w*\.step\(|optimizers\(\)")


class ManualStepInLightning(Rule):
    """a training_step optimises by hand what Lightning optimises already, or leaves out what manual optimisation has to do

    ## Why
    Lightning runs backward, the step and zero_grad on the loss that `training_step` returns. Code that does so as well runs
    backward twice, which raises or doubles the gradients, and steps twice. With `automatic_optimization = False` it is the other
    way round: nobody runs what `training_step` does not, and the model never changes.

    ## Bad
        import lightning.pytorch as pl
        import torch
        from torch.nn import functional as F

        class Classifier(pl.LightningModule):
            def __init__(self, net):
                super().__init__()
                self.net = net

            def training_step(self, batch, batch_idx):
                x, y = batch
                optimizer = self.optimizers()
                optimizer.zero_grad()
                loss = F.cross_entropy(self.net(x), y)
                loss.backward()
                optimizer.step()
                return loss

            def configure_optimizers(self):
                return torch.optim.Adam(self.parameters())

    ## Good
        import lightning.pytorch as pl
        import torch
        from torch.nn import functional as F

        class Classifier(pl.LightningModule):
            def __init__(self, net):
                super().__init__()
                self.net = net

            def training_step(self, batch, batch_idx):
                x, y = batch
                return F.cross_entropy(self.net(x), y)

            def configure_optimizers(self):
                return torch.optim.Adam(self.parameters())

    ## Limits
    Decided for classes whose bases are known up to LightningModule. Under automatic optimisation it fires where `training_step`
    returns something and steps an optimizer, or runs backward on what it returns; a backward pass for other purposes, and the
    hooks `backward` and `optimizer_step`, are left alone. Silent where the mode depends on a setting, and where other code
    gets the module or its optimizers.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = Listening(frozenset({Backward, Call, GradientUse}), frozenset(calls_of_losses(*LOSSES)))

    def __init__(self) -> None:
        self._seen: set[tuple[Part, str]] = set()
        """What was reported, by training_step."""

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        cls = _training(backward.place)
        if cls is None:
            return
        if cls.optimisation is Optimisation.AUTOMATIC:
            loss = edit.differentiated(backward.place.site.node)
            returned = loss is not None and nodes.is_any_name(loss) and cls.returns(loss.value)
            if cls.gives_loss and (returned or _OWN_OPTIMIZER.search(cls.step.code)):
                yield from self._twice(cls, backward.place, "backward runs")
        elif cls.optimisation is Optimisation.MANUAL and not cls.hands_itself_on:
            if not _STEP.search(cls.code):
                yield from self._missing(cls, backward.place, "steps the optimizer", "optimizer.step()")
            elif not _CLEARS.search(cls.code):
                yield from self._missing(cls, backward.place, "clears the gradients", "optimizer.zero_grad()")

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        cls = _training(use.place)
        if cls is not None and cls.optimisation is Optimisation.AUTOMATIC and not use.clip and cls.gives_loss:
            yield from self._twice(cls, use.place, "the optimizer steps")

    def on_call(self, call: Call, /) -> Iterator[Finding]:
        cls = _training(call.place)
        if cls is None or cls.optimisation is not Optimisation.MANUAL or cls.hands_itself_on:
            return
        if call.grad and not _BACKWARD.search(cls.code):
            yield from self._missing(cls, call.place, "runs backward", "self.manual_backward(loss)")

    def _twice(self, cls: LightningClass, place: Place, what: str) -> Iterator[Finding]:
        if (cls.step, "") in self._seen:
            return
        self._seen.add((cls.step, ""))
        yield self.found(
            place.site,
            f"{what} in training_step, and once more by Lightning, which optimises what it returns",
            hint="return the loss and leave the rest to Lightning, or set self.automatic_optimization = False",
        )

    def _missing(self, cls: LightningClass, place: Place, what: str, call: str) -> Iterator[Finding]:
        if (cls.step, call) in self._seen:
            return
        self._seen.add((cls.step, call))
        yield self.found(
            place.site,
            f"optimisation is manual, and nothing in this class {what}",
            hint=f"call {call} in training_step, or leave automatic optimisation on",
        )


def _training(place: Place) -> LightningClass | None:
    """The class in whose training_step, or in a method that this calls, something happens."""
    return lightning_class_of(place.site.part) if "training_step" in place.within else None
