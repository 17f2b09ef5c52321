from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, Escape, GradientUse, Loop, Place, ScalerUse
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.training_loop import repeated_steps


class AmpClipWithoutUnscale(Rule):
    """gradients are clipped while a GradScaler's factor is still in them, or the scaler steps and is never updated

    ## Why
    `scaler.scale(loss).backward()` multiplies all gradients by a factor of thousands. A norm that is clipped to 1 before
    `scaler.unscale_(optimizer)` is clipped to a fraction of a thousandth once the scaler divides by the factor: the model
    hardly learns. Without `scaler.update()` the factor is never adapted, and the next step raises.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            scaler = torch.amp.GradScaler("cuda")
            for x, y in loader:
                optimizer.zero_grad()
                with torch.autocast("cuda"):
                    loss = nn.functional.cross_entropy(model(x), y)
                scaler.scale(loss).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()

    ## Good
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            scaler = torch.amp.GradScaler("cuda")
            for x, y in loader:
                optimizer.zero_grad()
                with torch.autocast("cuda"):
                    loss = nn.functional.cross_entropy(model(x), y)
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()

    ## Limits
    Fires where backward runs on a scaled loss, nothing unscales before the clipping, and the scaler then steps.
    Silent where the code divides by `get_scale()` itself, where the scaler is built with `enabled=False`, and in branches of
    which only one scales.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Backward, GradientUse, Loop, ScalerUse)

    def __init__(self) -> None:
        self._since: list[Backward | GradientUse | ScalerUse] = []
        """What has happened to gradients since the scaler stepped last."""

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        self._since.append(backward)
        yield from ()

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        if use.clip:
            self._since.append(use)
        yield from ()

    def on_scaler_use(self, use: ScalerUse) -> Iterator[Finding]:
        if use.does == "step" and not _is_off(use):
            yield from self._clipped_before(use)
            self._since = [one for one in self._since if _excludes(one.place, use.place)]
        elif use.does != "update":
            self._since.append(use)

    def _clipped_before(self, step: ScalerUse) -> Iterator[Finding]:
        """Clippings that the step uses and that came between a scaled backward pass and whatever unscales."""
        seen = [
            one for one in self._since if not _excludes(one.place, step.place) and one.place.within[:1] == step.place.within[:1]
        ]
        for index, clip in enumerate(seen):
            if not isinstance(clip, GradientUse) or "get_scale" in clip.place.site.part.module.text:
                continue
            before = [one for one in seen[:index] if not _excludes(one.place, clip.place)]
            scaled = next((number for number in range(len(before) - 1, 0, -1) if _is_scaled_pass(before, number)), None)
            if scaled is None or any(isinstance(one, ScalerUse) and one.does == "unscale_" for one in before[scaled:]):
                continue
            late = any(isinstance(one, ScalerUse) and one.does == "unscale_" for one in seen[index:])
            yield self.found(
                clip.place.site,
                "gradients are clipped while they are scaled: the scaler divides what is left by its factor",
                hint="call scaler.unscale_(optimizer) before clipping",
                trail=first_step(before[scaled].place.site, "backward runs on the scaled loss"),
                last=(clip.place.site, "nothing has unscaled the gradients"),
                fix=None if late else _unscaled(clip, step),
            )

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        uses = [fact for fact in loop.facts if isinstance(fact, ScalerUse)]
        if any(use.does == "update" for use in uses) or any(isinstance(fact, Escape) for fact in loop.facts):
            return
        repeated = {step.place.site for step in repeated_steps(loop)}
        for use in uses:
            name = nodes.text_called_on(use.place.site.node)
            if use.does != "step" or use.place.site not in repeated or name is None or _is_off(use):
                continue
            if any(one.does == "scale" for one in uses) and f"{name}.update(" not in use.place.site.part.module.text:
                yield self.found(
                    use.place.site,
                    "the scaler steps and is never updated: its factor stays as it is, and the next step raises",
                    hint=f"call {name}.update() after {name}.step(optimizer)",
                    fix=_updated(use, name),
                )


def _is_scaled_pass(facts: list[Backward | GradientUse | ScalerUse], number: int) -> bool:
    """Whether a backward pass runs on what the scaler has just scaled."""
    before = facts[number - 1]
    return isinstance(facts[number], Backward) and isinstance(before, ScalerUse) and before.does == "scale"


def _excludes(one: Place, other: Place) -> bool:
    """Whether two places stand in branches of which only one is taken."""
    tests = {nodes.code(condition.test.node): condition.holds for condition in one.conditions}
    return any(tests.get(nodes.code(each.test.node), each.holds) is not each.holds for each in other.conditions)


def _is_off(use: ScalerUse) -> bool:
    """Whether a scaler is built so that it does nothing."""
    made = use.scaler.origin.site.node if use.scaler.origin is not None and use.scaler.origin.site is not None else None
    enabled = edit.argument_of(made, 99, "enabled") if made is not None else None
    return enabled is not None and nodes.is_name(enabled, "False")


def _unscaled(clip: GradientUse, step: ScalerUse) -> Fix | None:
    part, statement = clip.place.site.part, edit.statement_of(clip.place)
    name, optimizer = nodes.text_called_on(step.place.site.node), edit.argument_of(step.place.site.node, 0, "optimizer")
    if statement is None or name is None or optimizer is None or clip.place.function is not step.place.function:
        return None
    return edit.unsafe(edit.inserted_before(part, statement, f"{name}.unscale_({nodes.code(optimizer)})"))


def _updated(step: ScalerUse, name: str) -> Fix | None:
    part, statement = step.place.site.part, edit.statement_of(step.place)
    if statement is None:
        return None
    return edit.unsafe(edit.inserted_after(part, statement, edit.indented_like(part, statement, f"{name}.update()")))
