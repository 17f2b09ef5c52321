from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mldbg.lint.finding import Finding, Group
from mldbg.lint.held_out import Choices, way_of
from mldbg.lint.interpret.facts import Chosen, Evaluated, Keeps, Loop, Scored
from mldbg.lint.rule import Rule, Topic, hears


class TestAsValidation(Rule):
    """test data decides during training which weights are kept, when to stop, or how the learning rate falls

    ## Why
    The best of many epochs on the test set is best partly by chance, and the score that is reported afterwards is the
    maximum of many noisy ones. Nothing is left that the training has not been fitted to, so nobody knows how the model does
    on new data. The fewer test rows there are, the larger the gap.

    ## Bad
        import torch
        from torch import nn
        from torch.utils.data import DataLoader
        from torchvision.datasets import MNIST

        def train(net, optimizer, transform):
            train_loader = DataLoader(MNIST("data", train=True, transform=transform), batch_size=64, shuffle=True)
            test_loader = DataLoader(MNIST("data", train=False, transform=transform), batch_size=256)
            best = 0.0
            for epoch in range(20):
                net.train()
                for x, y in train_loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(x), y).backward()
                    optimizer.step()
                net.eval()
                correct = 0
                with torch.no_grad():
                    for x, y in test_loader:
                        correct += (net(x).argmax(1) == y).sum().item()
                if correct > best:
                    best = correct
                    torch.save(net.state_dict(), "best.pt")

    ## Good
        import torch
        from torch import nn
        from torch.utils.data import DataLoader, random_split
        from torchvision.datasets import MNIST

        def train(net, optimizer, transform):
            train_set, val_set = random_split(MNIST("data", train=True, transform=transform), [50_000, 10_000])
            train_loader = DataLoader(train_set, batch_size=64, shuffle=True)
            val_loader = DataLoader(val_set, batch_size=256)
            best = 0.0
            for epoch in range(20):
                net.train()
                for x, y in train_loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(x), y).backward()
                    optimizer.step()
                net.eval()
                correct = 0
                with torch.no_grad():
                    for x, y in val_loader:
                        correct += (net(x).argmax(1) == y).sum().item()
                if correct > best:
                    best = correct
                    torch.save(net.state_dict(), "best.pt")

    ## Limits
    Test data is what a library calls so (`train=False`, `split="test"`), what is read from a file of that name, or the held-out
    part of a split where there is a validation part besides, or where the same rows give the final result and no other rows
    are held out. Where only a variable's name says it, and where a fit watches test data without deciding anything that is
    seen, the finding is in the group suspicious. Early stopping, checkpoints and learning rates are followed into the
    callbacks of Keras and Lightning, gradient boosting, and the Trainer of transformers, where their arguments are known.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Chosen, Evaluated, Scored, Loop)

    def __init__(self) -> None:
        self.choices = Choices()

    def on_chosen(self, chosen: Chosen) -> Iterator[Finding]:
        self.choices.hear(chosen)
        yield from ()

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        self.choices.hear(evaluated)
        yield from ()

    def on_scored(self, scored: Scored) -> Iterator[Finding]:
        self.choices.hear(scored)
        yield from ()

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        self.choices.hear(loop)
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        ranks = (Keeps.WEIGHTS, Keeps.STOP, Keeps.SETTING, Keeps.RATE, Keeps.SCORE, Keeps.NOTHING)
        told = sorted(
            self.choices.by_test_data(trains=True), key=lambda one: (len(one[0].place.within), ranks.index(one[0].keeps))
        )
        seen: list[Chosen] = []
        for chosen, group in told:
            if any(not one.value.rows.isdisjoint(chosen.value.rows) for one in seen):
                continue
            seen.append(chosen)
            decides = chosen.keeps not in (Keeps.SCORE, Keeps.NOTHING)
            found = self.found(
                chosen.place.site,
                _message(chosen, group),
                hint="split a validation set off the training data for this, and score the test set once, at the end",
                trail=way_of(chosen),
                last=(chosen.place.site, _said(chosen)),
            )
            yield replace(found, group=group if decides else Group.SUSPICIOUS)
        self.choices.forget()


def _said(chosen: Chosen) -> str:
    if chosen.keeps is Keeps.NOTHING:
        return "training is watched on the test set"
    return f"its score decides {chosen.keeps.value}"


def _message(chosen: Chosen, group: Group) -> str:
    if chosen.keeps is Keeps.NOTHING:
        return "test data is given as validation data: whatever is decided by it, the test score is no longer one of unseen data"
    if group is Group.SUSPICIOUS:
        return (
            f"what is called test data decides {chosen.keeps.value}: if it is the test set, its score is not one of unseen data"
        )
    return f"the test set decides {chosen.keeps.value}, so its score is no longer one of unseen data"
