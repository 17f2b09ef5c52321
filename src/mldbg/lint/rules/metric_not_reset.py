from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Loop, MeterUse
from mldbg.lint.interpret.value import first_step, onward
from mldbg.lint.library.names import at_the_start
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.meters import Use

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Ref


class MetricNotReset(Rule):
    """a metric object is computed in every epoch and never reset

    ## Why
    Objects of torchmetrics and keras.metrics gather what they are given until they are reset. Without a reset, the value
    of the second epoch is one over both, and the later an epoch, the less the value says of it: curves are smoothed, the best
    epoch is missed, and predictions of a model that no longer exists are part of the result.

    ## Bad
        import torchmetrics

        def train(model, loader, epochs):
            accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)
            for epoch in range(epochs):
                for x, y in loader:
                    accuracy.update(model(x), y)
                print(epoch, accuracy.compute())

    ## Good
        import torchmetrics

        def train(model, loader, epochs):
            accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=10)
            for epoch in range(epochs):
                for x, y in loader:
                    accuracy.update(model(x), y)
                print(epoch, accuracy.compute())
                accuracy.reset()

    ## Limits
    Fires where a loop holds another one that updates the metric, and the value is asked for after that one: a value that is
    asked for in each batch is a running one, and meant so. The metric must have been built outside of the loop. Silent where
    it is handed to code that is not known, or something that is not known is reset. Where Lightning runs the loop, it resets
    metric objects that are logged, but not those whose value is asked for at the end of an epoch.
    """

    group = Group.CORRECTNESS
    topic = Topic.OTHER
    about_experiments = True
    listens_to = hears(Loop, MeterUse)

    def on_meter_use(self, computed: MeterUse) -> Iterator[Finding]:
        """In Lightning nobody resets a metric whose value is asked for by hand."""
        place = computed.place
        expression = nodes.called_on(place.site.node)
        if computed.use is not Use.COMPUTED or computed.meter is None or expression is None or not place.within:
            return
        text = place.site.part.module.text
        if not _EPOCH_ENDS.search(place.within[-1]) or "LightningModule" not in text:
            return
        resets = _RESETTING.findall(text)
        if any(nodes.code(expression) == one or not one.startswith("self.") for one in resets):
            return  # it, or what a loop over several metrics takes
        name = re.escape(nodes.code(expression))
        if not re.search(rf"{name}(?:\.update)?\(", text) or re.search(rf"\.log(?:_dict)?\([^)]*{name}\s*[,)]", text):
            return
        title = at_the_start(str(computed.meter.detail).rpartition(".")[2])
        yield self.found(
            place.site,
            f"{title} is computed at the end of each epoch and never reset: it still holds the earlier epochs",
            hint="reset it after its value is taken, or log the metric object itself: then Lightning resets it",
            trail=first_step(computed.meter.site, f"{title} is built once") if computed.meter.site is not None else None,
            last=(place.site, "its value is one over all epochs so far"),
            fix=_reset(computed),
        )

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        uses = [fact for fact in loop.facts if isinstance(fact, MeterUse)]
        if not uses or any(fact.use is Use.RESET and fact.meter is None for fact in uses):
            return
        for meter in dict.fromkeys(fact.meter for fact in uses if fact.use is Use.COMPUTED):
            if meter is not None:
                yield from self._never_reset(loop, meter, [fact for fact in uses if fact.meter is meter])

    def _never_reset(self, loop: Loop, meter: Ref, uses: list[MeterUse]) -> Iterator[Finding]:
        if any(fact.use in (Use.RESET, Use.MADE, Use.GIVEN_AWAY) for fact in uses):
            return
        inner = [fact for fact in loop.facts if isinstance(fact, Loop) and any(_updates(one, meter) for one in fact.facts)]
        repeated = {id(one) for fact in inner for one in fact.facts}
        computed = [fact for fact in uses if fact.use is Use.COMPUTED and id(fact) not in repeated]
        if not inner or not computed:
            return
        update = next(one for one in inner[0].facts if isinstance(one, MeterUse) and _updates(one, meter))
        name = at_the_start(str(meter.detail).rpartition(".")[2])
        trail = first_step(meter.site, f"{name} is built once") if meter.site is not None else None
        trail = onward(trail, update.place.site, "it takes in the batches of each round")
        yield self.found(
            computed[0].place.site,
            f"{name} is computed in every round of the outer loop and never reset: it still holds the earlier rounds",
            hint="reset it after its value is taken, or build the metric inside the loop",
            trail=trail,
            last=(computed[0].place.site, "its value is one over all rounds so far"),
            fix=_reset(computed[0]),
        )


def _updates(fact: object, meter: Ref) -> bool:
    return isinstance(fact, MeterUse) and fact.use is Use.UPDATED and fact.meter is meter


_EPOCH_ENDS = re.compile(r"^(?:on_)?(?:train|training|validation|test)_epoch_end$")
"""Hooks of Lightning that it calls when an epoch is over."""

_RESETTING = re.compile(r"([\w.]*)\.reset\w*\(")
"""What is reset."""

_RESETS = {"compute": "reset", "result": "reset_state"}
"""What resets a metric, by the method that asks for its value."""


def _reset(computed: MeterUse) -> Fix | None:
    """Reset the metric after the statement that asks for its value."""
    place = computed.place
    expression, statement = nodes.called_on(place.site.node), edit.statement_of(place)
    if expression is None or not nodes.goes_on(statement) or statement is None:
        return None
    line = edit.indented_like(
        place.site.part, statement, f"{nodes.code(expression)}.{_RESETS[nodes.method_of(place.site.node)]}()"
    )
    return edit.unsafe(edit.inserted_after(place.site.part, statement, line))
