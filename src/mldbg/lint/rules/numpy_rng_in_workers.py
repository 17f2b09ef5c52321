from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import nodes, reading
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Heard, LoaderBuilt
from mldbg.lint.interpret.value import Object, Value, first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.loading import (
    GENERATOR_DRAWS,
    GENERATORS,
    NUMPY_DRAWS,
    NUMPY_SEED,
    SEEDS_NUMPY_IN_WORKERS,
)


class NumpyRngInWorkers(Rule):
    """workers of a data loader all draw the same random numbers from numpy

    ## Why
    A worker is a copy of the process, with a copy of every generator. torch seeds its own generator and Python's in each worker,
    and numpy's global one since torch 1.9. A generator that the dataset holds is left as it is: all workers draw the same
    numbers from it, and the same again in each epoch. The augmentation repeats itself, and nothing shows it.

    ## Bad
        import numpy as np
        from torch.utils.data import DataLoader, Dataset

        class Noisy(Dataset):
            def __init__(self, rows):
                self.rows = rows
                self.rng = np.random.default_rng(0)

            def __len__(self):
                return len(self.rows)

            def __getitem__(self, index):
                return self.rows[index] + self.rng.normal()

        def batches(rows):
            return DataLoader(Noisy(rows), batch_size=32, shuffle=True, num_workers=4)

    ## Good
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Noisy(Dataset):
            def __init__(self, rows):
                self.rows = rows

            def __len__(self):
                return len(self.rows)

            def __getitem__(self, index):
                return self.rows[index] + torch.randn(()).item()

        def batches(rows):
            return DataLoader(Noisy(rows), batch_size=32, shuffle=True, num_workers=4)

    ## Limits
    Follows what a dataset of the project does for a row, its transforms included, where the number of workers is known not to
    be 0. Draws from numpy's global generator are reported where the project declares that it works with a torch older than 1.9,
    and where `worker_init_fn` seeds it with the same number in every worker. Silent where another `worker_init_fn` is given, and
    where a row seeds the generator, or makes one, itself.
    """

    group = Group.REPRODUCIBILITY
    topic = Topic.LOADERS
    about_experiments = True
    listens_to = hears(LoaderBuilt)

    def on_loader_built(self, built: LoaderBuilt) -> Iterator[Finding]:
        if not built.workers or any(call.name == NUMPY_SEED for call in built.rows):
            return
        start = built.loader.arguments.get("worker_init_fn")
        given = start is not None and not start.is_none
        shared = [call for call in built.rows if call.name in NUMPY_DRAWS]
        same = [call for call in built.started if call.name == NUMPY_SEED and _is_the_same_everywhere(call)]
        if shared and same:
            yield self.found(
                same[0].place.site,
                "every worker seeds numpy with the same number: all of them draw the same numbers, in every epoch",
                hint="seed with torch.initial_seed() % 2**32, which differs by worker and epoch",
                trail=first_step(built.place.site, "loads with several workers"),
                last=(shared[0].place.site, "each worker draws the same here"),
            )
        elif shared and not given and self._seeds_nothing(built):
            yield self._copied(
                built, shared[0], "numpy's global generator, which torch before 1.9, that the project allows, does not seed"
            )
        held = [call for call in built.rows if call.name in GENERATOR_DRAWS and _is_copied(call, built)]
        if held and not given:
            yield self._copied(built, held[0], "a generator that was made before the workers were")

    def _seeds_nothing(self, built: LoaderBuilt) -> bool:
        """Whether numpy is left alone in new workers, by torch and by Lightning."""
        text = built.place.site.part.module.text
        seeded = "seed_everything" in text and "workers=True" in text
        return self.versions("torch").may_be_older_than(SEEDS_NUMPY_IN_WORKERS) and not seeded

    def _copied(self, built: LoaderBuilt, call: Heard, whence: str) -> Finding:
        return self.found(
            call.place.site,
            f"all workers draw the same numbers from {whence}",
            hint="draw from torch, or make the generator in worker_init_fn from torch.initial_seed()",
            trail=first_step(built.place.site, "loads with several workers"),
            last=(call.place.site, "each worker draws from its copy here"),
        )


def _is_copied(call: Heard, built: LoaderBuilt) -> bool:
    """Whether a draw is from a generator of numpy that was made before the workers were."""
    made = _made(call.receiver)
    function = nodes.called(made.node) if made is not None else None
    if made is None or function is None or reading.qualified(made.part, function) not in GENERATORS:
        return False
    return all(other.place.site is not made for other in (*built.rows, *built.started))


def _made(value: Value | None) -> Site | None:
    if value is None:
        return None
    ref = value.thing.ref if isinstance(value.thing, Object) else value.origin
    return ref.site if ref is not None else None


def _is_the_same_everywhere(call: Heard) -> bool:
    """Whether a number does not depend on what a worker is told, or asks."""
    node = nodes.argument(call.place.site.node, "seed", 0)
    if node is None:
        return False
    if call.arguments and isinstance(call.arguments[0][1].constant, int):
        return True
    inside = list(nodes.descendants(node))
    names = {name for each in inside if (name := nodes.name_of(each)) is not None}
    local = nodes.local_names(call.place.function) if call.place.function is not None else frozenset()
    return not any(nodes.is_call(each) for each in inside) and names.isdisjoint(local - {"self"})
