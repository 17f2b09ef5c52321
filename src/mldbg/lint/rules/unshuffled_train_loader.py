from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Backward, GradientUse, Loader, Loop
from mldbg.lint.interpret.value import UNKNOWN, ClassThing, Object, Value, first_step
from mldbg.lint.library.names import says_evaluation
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.loading import (
    ITERABLE,
    ORDER_IS_MEANT,
    ORDERED_BY_CLASS,
    REST,
    TENSOR_DATASET,
    TRAINING_SETS,
    TRIES_OUT,
)

_ORDER_IS_MEANT, _TRIES_OUT = re.compile(ORDER_IS_MEANT), re.compile(TRIES_OUT, re.IGNORECASE)


class UnshuffledTrainLoader(Rule):
    """a model is trained on batches that come in the same order in every epoch

    ## Why
    `DataLoader` does not shuffle unless it is told to. Where the data are ordered by class, as those of an `ImageFolder` are,
    whole batches hold a single class, and the model forgets one while it learns the next. In any fixed order gradients of one
    epoch repeat the errors of the last.

    ## Bad
        import torch
        from torch import nn
        from torch.utils.data import DataLoader
        from torchvision import datasets, transforms

        def train(model, optimizer):
            dataset = datasets.ImageFolder("train", transforms.ToTensor())
            loader = DataLoader(dataset, batch_size=64)
            for epoch in range(10):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()

    ## Good
        import torch
        from torch import nn
        from torch.utils.data import DataLoader
        from torchvision import datasets, transforms

        def train(model, optimizer):
            dataset = datasets.ImageFolder("train", transforms.ToTensor())
            loader = DataLoader(dataset, batch_size=64, shuffle=True)
            for epoch in range(10):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()

    ## Limits
    Certain for data sets of torchvision that are ordered by class, or whose published training part is loaded as it is. For
    tensors and for datasets of the project the finding is suspicious: they may be shuffled already, or their order may be meant.
    Silent where a sampler is given, where the dataset is a part of a split, where the module shuffles anything or speaks of time
    or sequences, and where a loop is called one that tries something out.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOADERS
    about_experiments = True
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        if not loop.loaders or not _trains(loop) or _only_tries(loop):
            return
        for loader in loop.loaders:
            site = loader.ref.site
            certain = _is_certain(loader)
            if site is None or not _is_unshuffled(loader, site) or certain is None:
                continue
            finding = self.found(
                site,
                "the model is trained on batches in the same order in every epoch"
                + (", one class after the other" if _class(loader) in ORDERED_BY_CLASS else ""),
                hint="pass shuffle=True, or a sampler",
                trail=first_step(site, "does not shuffle"),
                last=(loop.place.site, "trained on here"),
                fix=_fix(site),
            )
            yield finding if certain else replace(finding, group=Group.SUSPICIOUS)


def _trains(loop: Loop) -> bool:
    steps = any(isinstance(fact, GradientUse) and not fact.clip for fact in loop.facts)
    return steps and any(isinstance(fact, Backward) for fact in loop.facts)


def _only_tries(loop: Loop) -> bool:
    """Whether names say that held-out data is gone through, or something is tried out, or the loop ends with its first round."""
    names = [*loop.place.within, *re.findall(r"\w+", nodes.iterated(loop.node))]
    return any(says_evaluation(name) or _TRIES_OUT.search(name) for name in names) or nodes.ends_at_once(loop.node)


def _is_unshuffled(loader: Loader, site: Site) -> bool:
    given = loader.arguments
    if REST in given or any(name in given and not given[name].is_none for name in ("sampler", "batch_sampler")):
        return False
    shuffles, size = given.get("shuffle"), nodes.argument(site.node, "batch_size", 1)
    whole = size is not None and "len(" in nodes.code(size)
    return (shuffles is None or shuffles.constant is False) and not whole and not given.get("batch_size", UNKNOWN).is_none


def _is_certain(loader: Loader) -> bool | None:
    """Whether the rows are known to be a training set as it is; False where they may be, None where that is not known."""
    dataset = loader.arguments.get("dataset", UNKNOWN)
    thing = dataset.thing
    if dataset.data is not None and dataset.data.split is not None:
        return None
    if isinstance(thing, Object) and isinstance(thing.cls, str):
        known = loader.parts.get(thing.ref, {})
        if thing.cls in ORDERED_BY_CLASS:
            return True
        return True if thing.cls in TRAINING_SETS and _is_training_part(known) else None
    site = loader.ref.site
    if site is None or _ORDER_IS_MEANT.search(site.part.module.text):
        return None
    if isinstance(thing, Object) and isinstance(thing.cls, ClassThing):
        text = thing.cls.part.module.text
        return None if ITERABLE.rpartition(".")[2] in text or _ORDER_IS_MEANT.search(text) else False
    made = dataset.origin.site.node if dataset.origin is not None and dataset.origin.site is not None else None
    is_tensors = made is not None and nodes.last_name(nodes.called(made)) == TENSOR_DATASET.rpartition(".")[2]
    return False if is_tensors else None


def _is_training_part(given: Mapping[str, Value]) -> bool:
    """Whether a data set is loaded as it is to train on: `train=True`, `split="train"`."""
    train, split = given.get("train"), given.get("split")
    return (train is None or train.constant is True) and (split is None or split.constant in ("train", "trainval"))


def _class(loader: Loader) -> str:
    thing = loader.arguments.get("dataset", UNKNOWN).thing
    return thing.cls if isinstance(thing, Object) and isinstance(thing.cls, str) else ""


def _fix(site: Site) -> Fix | None:
    if nodes.argument(site.node, "shuffle", 2) is not None and nodes.argument(site.node, "shuffle") is None:
        return None
    change = edit.with_keyword(site, "shuffle", "True")
    return edit.unsafe(change) if change is not None else None
