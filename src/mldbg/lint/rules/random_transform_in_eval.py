from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import BehindPart, RandomPart
from mldbg.lint.interpret.value import Known, first_step
from mldbg.lint.rule import Rule, Topic, hears

_ON_PURPOSE = re.compile(
    r"(?<![a-z])tta(?![a-z])|test.?time.?aug|n_aug|num_aug|monte.?carlo|robust|corrupt|(?:two|multi)_?crop|simclr", re.IGNORECASE
)
"""What says that pictures are changed on purpose while a model is evaluated: several versions of each, or harder ones."""


class RandomTransformInEval(Rule):
    """validation or test pictures are changed at random

    ## Why
    Random crops, flips and colours belong to training. In the evaluation they make the score another one each time, so that
    epochs cannot be compared, and it is one of harder pictures than those that the model is meant for.

    ## Bad
        from torchvision import transforms
        from torchvision.datasets import CIFAR10

        def data(root):
            transform = transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.ToTensor()])
            train_set = CIFAR10(root, train=True, transform=transform)
            test_set = CIFAR10(root, train=False, transform=transform)
            return train_set, test_set

    ## Good
        from torchvision import transforms
        from torchvision.datasets import CIFAR10

        def data(root):
            augmented = transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.ToTensor()])
            train_set = CIFAR10(root, train=True, transform=augmented)
            test_set = CIFAR10(root, train=False, transform=transforms.ToTensor())
            return train_set, test_set

    ## Limits
    Known are the random transforms of torchvision and albumentations, and the settings of Keras's `ImageDataGenerator`, in
    data sets that are held out by an argument, by the name of their folder, or because a model is evaluated on them in a
    loop of held-out data. Layers of Keras that augment do nothing outside of training. A transform that happens always
    (`p=1`) is not random. Where the text speaks of test-time augmentation, or of robustness, nothing is reported.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(RandomPart, BehindPart)

    def __init__(self) -> None:
        self.parts: list[RandomPart] = []
        self.apart: set[Site] = set()

    def on_behind_part(self, changed: BehindPart) -> Iterator[Finding]:
        split = changed.part.data.split if changed.part.data is not None else None
        if split is not None:
            self.apart.add(split)
        yield from ()

    def on_random_part(self, part: RandomPart) -> Iterator[Finding]:
        self.parts.append(part)
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        for part in self.parts:
            data = part.value.data
            if data is None or data.role is None or data.split in self.apart or _is_on_purpose(part):
                continue
            where = data.split if data.split is not None and data.known is Known.NAMED_PART else part.place.site
            yield self.found(
                where,
                f"`{part.name}` changes the {data.role.value} data at random: its score is another one each time",
                hint="give the held-out data a transform of its own, without anything random",
                trail=first_step(part.transform, f"`{part.name}` is random"),
                last=(part.place.site, f"this is {data.role.value} data"),
            )
        self.parts.clear()
        self.apart.clear()


def _is_on_purpose(part: RandomPart) -> bool:
    return any(_ON_PURPOSE.search(site.part.module.text) for site in (part.place.site, part.transform))
