from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Edit, Finding, Fix, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import BehindPart
from mldbg.lint.interpret.value import first_step
from mldbg.lint.outline import Kind
from mldbg.lint.rule import Rule, Topic, hears


class SharedTransformSplit(Rule):
    """a transform is set through one part of `random_split`, which changes the other part, too

    ## Why
    The parts that `random_split` returns hold indices, and both refer to the same data set. `val_set.dataset.transform = ...`
    takes the augmentation away from the training part, or augments the validation part: whichever assignment comes last holds
    for both. Nothing fails.

    ## Bad
        from torch.utils.data import random_split
        from torchvision.datasets import ImageFolder

        def parts(folder, augmented, plain):
            train_set, val_set = random_split(ImageFolder(folder, transform=augmented), [0.8, 0.2])
            val_set.dataset.transform = plain
            return train_set, val_set

    ## Good
        import copy

        from torch.utils.data import random_split
        from torchvision.datasets import ImageFolder

        def parts(folder, augmented, plain):
            train_set, val_set = random_split(ImageFolder(folder, transform=augmented), [0.8, 0.2])
            val_set.dataset = copy.copy(val_set.dataset)
            val_set.dataset.transform = plain
            return train_set, val_set

    ## Limits
    Fires on the last of such assignments to the parts of one split, unless one of the parts was given a data set of its own.
    The fix makes a shallow copy of the data set, which shares the rows; it is unsafe, as a data set may keep its transform
    somewhere else, too.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(BehindPart)

    def __init__(self) -> None:
        self.changed: dict[Site, BehindPart] = {}
        self.apart: set[Site] = set()

    def on_behind_part(self, changed: BehindPart) -> Iterator[Finding]:
        split = changed.part.data.split if changed.part.data is not None else None
        if split is not None and changed.attribute == "dataset":
            self.apart.add(split)
        elif split is not None and "transform" in changed.attribute:
            self.changed[split] = changed
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        for split, changed in self.changed.items():
            if split not in self.apart:
                yield self.found(
                    changed.place.site,
                    f"`{changed.name}.dataset` is the data set of all parts: this changes `{changed.attribute}` for each of them",
                    hint=f"give the part a copy of its own first: `{changed.name}.dataset = copy.copy({changed.name}.dataset)`",
                    trail=first_step(split, "the parts refer to one data set"),
                    last=(changed.place.site, "it is changed through one of them"),
                    fix=_fix(changed),
                )
        self.changed.clear()
        self.apart.clear()


def _fix(changed: BehindPart) -> Fix | None:
    part = changed.place.site.part
    statement = edit.statement_at(changed.place.site)
    if statement is None:
        return None
    line = f"{changed.name}.dataset = copy.copy({changed.name}.dataset)"
    return edit.unsafe(*_import_of_copy(changed.place.site), edit.inserted_before(part, statement, line))


def _import_of_copy(site: Site) -> list[Edit]:
    imports = [part for part in site.part.module.parts if part.statement.kind is Kind.IMPORT]
    if not imports or any(re.search(r"^import copy\b", part.code) for part in imports):
        return []
    first = next((part for part in imports if "__future__" not in part.code), imports[-1])
    return [edit.inserted_before(first, first.tree.body[0], "import copy")]
