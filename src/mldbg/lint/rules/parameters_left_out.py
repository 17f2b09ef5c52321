from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Backward, Escape, GradientUse, Loop, ModelCall, OptimizerBuilt
from mldbg.lint.interpret.value import Object, first_step
from mldbg.lint.parameter_groups import is_left_alone, left_out_lists, left_out_parts, made_for_itself
from mldbg.lint.rule import Rule, Topic, hears


class ParametersLeftOut(Rule):
    """some parameters are handed to no optimizer, and stay as they were initialised

    ## Why
    Parameter groups are put together by hand, to decay only some weights or to give parts their own learning rate. A list that
    is filled and never passed on, or a layer that is in no group, takes part in the forward pass with the random weights that it
    began with. Backward computes its gradients, and nobody uses them.

    ## Bad
        import torch

        def build(model):
            decay, no_decay = [], []
            for name, p in model.named_parameters():
                if name.endswith("bias"):
                    no_decay.append(p)
                else:
                    decay.append(p)
            return torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}], lr=1e-3)

    ## Good
        import torch

        def build(model):
            decay, no_decay = [], []
            for name, p in model.named_parameters():
                if name.endswith("bias"):
                    no_decay.append(p)
                else:
                    decay.append(p)
            return torch.optim.AdamW([{"params": decay}, {"params": no_decay, "weight_decay": 0.0}], lr=1e-3)

    ## Limits
    Fires where one loop over the parameters sorts them into several lists, of which nobody reads one; where the parts of a model
    of the same file are listed and a layer of it is not; and where a loop trains with one network and runs a second one, built
    with random weights there, that is in no optimizer. Silent where the file freezes or loads weights of what is left out, and
    where an optimizer gets a single part: that is often meant.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(OptimizerBuilt, Loop)

    def on_optimizer_built(self, built: OptimizerBuilt) -> Iterator[Finding]:
        part = built.place.site.part
        for name, owner, node in left_out_lists(built.parameters, part):
            yield self.found(
                built.place.site,
                f"`{name}` is filled with parameters that no optimizer gets: they are never trained",
                hint=f"add a group for `{name}`",
                trail=first_step(site_of(owner, node), f"parameters are put into `{name}` here"),
                last=(built.place.site, "the optimizer gets the others"),
            )
        for name, model in left_out_parts(built.parameters, part):
            yield self.found(
                built.place.site,
                f"`{model}.{name}` is in no group of parameters: it is never trained",
                hint=f"add a group for `{model}.{name}.parameters()`, or freeze it so that this is plain to see",
            )

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        steps = [fact for fact in loop.facts if isinstance(fact, GradientUse) and not fact.clip]
        passes = [fact for fact in loop.facts if isinstance(fact, Backward)]
        if not steps or not passes or any(isinstance(fact, Escape) for fact in loop.facts):
            return
        if not all(step.parameters for step in steps):
            return
        trained = frozenset(ref for step in steps for ref in step.parameters)
        calls = [fact for fact in loop.facts if isinstance(fact, ModelCall) and fact.grad and fact.training is True]
        if not any(isinstance(call.model.thing, Object) and call.model.thing.ref in trained for call in calls):
            return
        for call in calls:
            model = call.model.thing
            if not isinstance(model, Object) or model.ref in trained or not made_for_itself(model):
                continue
            name = nodes.code(call.expression)
            if is_left_alone(name, call.place.site.part):
                yield self.found(
                    call.place.site,
                    f"`{name}` runs in training, and no optimizer has its parameters: it keeps its random weights",
                    hint=f"give `{name}.parameters()` to the optimizer, or freeze it so that this is plain to see",
                    last=(steps[0].place.site, "the optimizer steps with other parameters only"),
                )
