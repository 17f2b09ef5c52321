from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import LoaderBuilt
from mldbg.lint.interpret.value import ClassThing, Object, first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.loading import READS_ROWS, SHARES_NOTHING, SHARES_OUT, WORKER_INFO

_SHARES_OUT = re.compile(SHARES_OUT)
_SHARES_NOTHING = re.compile(SHARES_NOTHING, re.MULTILINE)


class UnshardedIterableDataset(Rule):
    """each worker goes through all of an iterable dataset, so that every sample comes several times

    ## Why
    A loader cannot share out an `IterableDataset` as it does with indices: every worker gets a copy and iterates over all of it.
    With four workers each sample comes four times in an epoch, and statistics over the data count it four times.

    ## Bad
        from torch.utils.data import DataLoader, IterableDataset

        class Lines(IterableDataset):
            def __init__(self, path):
                self.path = path

            def __iter__(self):
                with open(self.path) as file:
                    yield from file

        loader = DataLoader(Lines("corpus.txt"), batch_size=32, num_workers=4)

    ## Good
        from itertools import islice

        from torch.utils.data import DataLoader, IterableDataset, get_worker_info

        class Lines(IterableDataset):
            def __init__(self, path):
                self.path = path

            def __iter__(self):
                info = get_worker_info()
                first, step = (0, 1) if info is None else (info.id, info.num_workers)
                with open(self.path) as file:
                    yield from islice(file, first, None, step)

        loader = DataLoader(Lines("corpus.txt"), batch_size=32, num_workers=4)

    ## Limits
    Fires where the class of the dataset is known, goes through files, ranges or lists, and nothing in its module says that
    samples are shared out, drawn at random or taken from a queue; a shuffle leaves every worker all of them. Silent where
    `worker_init_fn` is given, which may do it.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOADERS
    about_experiments = True
    listens_to = hears(LoaderBuilt)

    def on_loader_built(self, built: LoaderBuilt) -> Iterator[Finding]:
        start = built.loader.arguments.get("worker_init_fn")
        iterates = built.iterates
        if not built.workers or iterates is None or (start is not None and not start.is_none) or not _is_gone_through(built):
            return
        yield self.found(
            built.place.site,
            "every sample comes once from each worker: the iterable dataset is not shared out among them",
            hint="let __iter__ take its part by get_worker_info(), or use num_workers=0",
            trail=first_step(iterates, "goes through all samples, whichever worker it is"),
            last=(built.place.site, "each worker has a copy of it"),
        )


def _is_gone_through(built: LoaderBuilt) -> bool:
    """Whether what a dataset goes through is there for each worker anew, and nothing picks a part of it."""
    thing = built.dataset.thing
    if not isinstance(thing, Object) or not isinstance(thing.cls, ClassThing):
        return False
    code = _without_what_shares_nothing(thing.cls.part.code)
    if _SHARES_OUT.search(code) or any(call.name in WORKER_INFO for call in built.rows):
        return False
    return built.holds_rows or any(call.name in READS_ROWS for call in built.rows)


def _without_what_shares_nothing(code: str) -> str:
    """The code of a dataset without what only changes the order of rows, or each row by itself."""

    def left(found: re.Match[str]) -> str:
        buffer = found["buffer"]
        return found[0] if buffer is not None and f"{buffer}.append(" not in code else ""

    return _SHARES_NOTHING.sub(left, code)
