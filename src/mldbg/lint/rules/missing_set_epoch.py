from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Ref
from mldbg.lint.interpret.facts import Backward, Call, HandedOver, Loader, Loop
from mldbg.lint.interpret.value import Object, Value, first_step
from mldbg.lint.rule import Listening, Rule, Topic
from mldbg.operations.loading import DISTRIBUTED_SAMPLER, SET_EPOCH


class MissingSetEpoch(Rule):
    """a DistributedSampler shuffles, and nothing tells it the epoch

    ## Why
    A `DistributedSampler` draws its permutation from `seed + epoch`, and `epoch` stays 0 until `set_epoch` is called. Without
    it every epoch deals the rows out in the same order to the same processes: each process only ever sees its own part of the
    data, in the same batches.

    ## Bad
        import torch
        from torch import nn
        from torch.utils.data import DataLoader
        from torch.utils.data.distributed import DistributedSampler

        def train(model, dataset, optimizer):
            sampler = DistributedSampler(dataset)
            loader = DataLoader(dataset, batch_size=64, sampler=sampler)
            for epoch in range(10):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()

    ## Good
        import torch
        from torch import nn
        from torch.utils.data import DataLoader
        from torch.utils.data.distributed import DistributedSampler

        def train(model, dataset, optimizer):
            sampler = DistributedSampler(dataset)
            loader = DataLoader(dataset, batch_size=64, sampler=sampler)
            for epoch in range(10):
                sampler.set_epoch(epoch)
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()

    ## Limits
    Fires when a loop goes through the loader of such a sampler again and again and runs backward on what it gives. Silent where
    `shuffle` is not known to be True, where a framework runs backward (Accelerate and Fabric set the epoch themselves), where
    the sampler or its loader goes to unknown code in the loop, and where any file on the way calls a `set_epoch` of which it is
    not known whose it is.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOADERS
    about_experiments = True
    listens_to = Listening(frozenset({Loop}), frozenset({SET_EPOCH}))

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        for inner in loop.facts:
            if not isinstance(inner, Loop) or not _trains(inner):
                continue
            for loader in inner.loaders:
                sampler = _shuffling(loader)
                if sampler is None or sampler.site is None or _is_told(loader, sampler, loop):
                    continue
                yield self.found(
                    inner.place.site,
                    "the sampler never learns the epoch: each has the same order, and each process the same part of the rows",
                    hint="call set_epoch(epoch) on the sampler at the top of each epoch",
                    trail=first_step(sampler.site, "shuffles by the number of the epoch, which is 0"),
                    last=(inner.place.site, "gone through once in each epoch"),
                    fix=_fix(loader, sampler, loop),
                )


def _trains(loop: Loop) -> bool:
    passes = [fact for fact in loop.facts if isinstance(fact, Backward)]
    return bool(passes) and not any(fact.owned for fact in passes)


def _shuffling(loader: Loader) -> Ref | None:
    """The sampler of a loader that deals shuffled rows out to processes."""
    for ref, arguments in loader.parts.items():
        shuffles = arguments.get("shuffle")
        shuffling = shuffles is None or shuffles.constant is True
        if ref.detail == DISTRIBUTED_SAMPLER and shuffling and "epoch" not in arguments:
            return ref
    return None


def _is_told(loader: Loader, sampler: Ref, epochs: Loop) -> bool:
    """Whether a sampler is told the epoch, is made anew in each, or may be either."""
    refs = {loader.ref, *loader.parts}
    if not refs.isdisjoint(epochs.built_inside):
        return True
    if any(isinstance(fact, HandedOver) and not fact.refs.isdisjoint(refs) for fact in epochs.facts):
        return True
    told = [fact.receiver for fact in epochs.facts if isinstance(fact, Call) and fact.name == SET_EPOCH]
    if told:
        return not all(_is_another(receiver, sampler) for receiver in told)
    sites = [fact.place.site for fact in epochs.facts] + [ref.site for ref in refs if ref.site is not None]
    return any("set_epoch" in site.part.module.outline.mentions for site in (epochs.place.site, *sites))


def _is_another(receiver: Value | None, sampler: Ref) -> bool:
    return receiver is not None and isinstance(receiver.thing, Object) and receiver.thing.ref is not sampler


def _fix(loader: Loader, sampler: Ref, epochs: Loop) -> Fix | None:
    """Tell the sampler at the top of the loop over the epochs, where that numbers them."""
    name = loader.named.get((sampler, epochs.place.function))
    number, first = nodes.counter(epochs.node), nodes.first_of_body(epochs.node)
    if name is None or number is None or first is None:
        return None
    told = f"{name.text}.set_epoch({number})"
    lines = (f"if {name.text} is not None:", f"    {told}") if name.or_none else (told,)
    return edit.unsafe(*(edit.inserted_before(epochs.place.site.part, first, line) for line in lines))
