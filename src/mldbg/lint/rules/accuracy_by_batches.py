from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Averaged
from mldbg.lint.interpret.value import Mark
from mldbg.lint.rule import Rule, Topic, hears


class AccuracyByBatches(Rule):
    """an accuracy is summed up over batches and divided by the wrong number

    ## Why
    The number of right predictions divided by the number of batches is no accuracy: it grows with the batch size and may
    exceed 100 %. The mean accuracy of the batches weighs each batch alike: the last one, which holds what is left over, counts
    as much as the others, so that a few samples in it move the result, and the result changes with the batch size.

    ## Bad
        import torch

        @torch.no_grad()
        def accuracy(model, loader):
            model.eval()
            correct = 0
            for x, y in loader:
                correct += (model(x).argmax(dim=1) == y).sum().item()
            return correct / len(loader)

    ## Good
        import torch

        @torch.no_grad()
        def accuracy(model, loader):
            model.eval()
            correct = 0
            for x, y in loader:
                correct += (model(x).argmax(dim=1) == y).sum().item()
            return correct / len(loader.dataset)

    ## Limits
    Follows comparisons of predicted classes with labels, their sums and means, through names, attributes and lists. A count
    divided by the number of batches is reported for a DataLoader, or for what is called a loader; a share divided by the number
    of samples, too. A mean of the batches' accuracies is reported where no gradients are recorded and the DataLoader is known
    to have batches of more than one sample and to keep the last one; while training, a running mean is good enough.
    Mean losses are never reported.
    """

    group = Group.CORRECTNESS
    topic = Topic.OTHER
    about_experiments = True
    listens_to = hears(Averaged)

    def on_averaged(self, averaged: Averaged) -> Iterator[Finding]:
        total, by, site = averaged.total, averaged.by, averaged.place.site
        counted, by_batches = total.mark is Mark.COUNT, by.mark is Mark.BATCHES
        if counted and by_batches and nodes.batch_size_of(by.site.node) != "1":
            yield self.found(
                site,
                "the number of right predictions is divided by the number of batches: this is no accuracy",
                hint="divide by the number of samples, len(loader.dataset), or count the samples in the loop",
                trail=total.trail,
                last=(site, "their number is divided by that of the batches"),
                fix=_by_samples(averaged),
            )
        elif not counted and not by_batches and nodes.batch_size_of(total.site.node) != "1":
            yield self.found(
                site,
                "a sum of the batches' accuracies is divided by the number of samples: it is too small by the batch size",
                hint="add up the numbers of right predictions instead of their shares",
                trail=total.trail,
                last=(site, "their sum is divided by the number of samples"),
            )
        elif total.mark is Mark.SHARE and by_batches and _is_ragged(averaged):
            yield self.found(
                site,
                "the mean of the batches' accuracies counts the smaller last batch as much as the others",
                hint="add up the numbers of right predictions and divide by the number of samples",
                trail=total.trail,
                last=(site, "their mean is taken over the batches"),
            )


def _is_ragged(averaged: Averaged) -> bool:
    """Whether the last batch may be smaller, as far as the loader says it."""
    node = averaged.by.site.node
    size = nodes.batch_size_of(node)
    return size not in (None, "1") and not nodes.drops_last(node)


def _by_samples(averaged: Averaged) -> Fix | None:
    """`correct / len(loader)` -> `correct / len(loader.dataset)`"""
    loader = nodes.measured_divisor(averaged.place.site.node)
    return edit.unsafe(*edit.followed_by(averaged.place.site.part, loader, ".dataset")) if loader is not None else None
