from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Heard, LoaderBuilt
from mldbg.lint.interpret.value import Object, Value, first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.sources import sources
from mldbg.operations.loading import MOVES, STARTED_AFRESH, TOUCHES_CUDA

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.facts import Place

_STARTED_AFRESH = re.compile(STARTED_AFRESH)
_CUDA = re.compile(r"[\"']cuda(?::\d+)?[\"']")


class CudaInDataset(Rule):
    """a dataset uses the GPU in the workers of its loader

    ## Why
    Workers are forked from the process, and CUDA cannot be used in a fork of a process that uses it: "Cannot re-initialize CUDA
    in forked subprocess". Where the process has not used it yet, each worker takes a context of its own, some hundred megabytes
    of GPU memory, and moves single rows one by one.

    ## Bad
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Rows(Dataset):
            def __init__(self, rows, labels):
                self.rows = rows
                self.labels = labels

            def __len__(self):
                return len(self.rows)

            def __getitem__(self, index):
                return torch.tensor(self.rows[index]).cuda(), self.labels[index]

        def batches(rows, labels):
            return DataLoader(Rows(rows, labels), batch_size=32, num_workers=4)

    ## Good
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Rows(Dataset):
            def __init__(self, rows, labels):
                self.rows = rows
                self.labels = labels

            def __len__(self):
                return len(self.rows)

            def __getitem__(self, index):
                return torch.tensor(self.rows[index]), self.labels[index]

        def batches(rows, labels):
            for x, y in DataLoader(Rows(rows, labels), batch_size=32, num_workers=4, pin_memory=True):
                yield x.cuda(non_blocking=True), y.cuda(non_blocking=True)

    ## Limits
    Follows what a dataset of the project does for a row, its transforms and `collate_fn` included, and what its `__init__` keeps
    on the GPU for that, where the number of workers is known not to be 0. A device counts where the program says "cuda" of it.
    Silent where workers are spawned.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOADERS
    about_experiments = True
    listens_to = hears(LoaderBuilt)

    def on_loader_built(self, built: LoaderBuilt) -> Iterator[Finding]:
        if not built.workers or _are_spawned(built):
            return
        call = next((call for call in built.rows if _touches(call) and not _is_optional(call)), None)
        if call is None:
            call = next((call for call in built.kept if _touches(call) and not _is_optional(call)), None)
        if call is None:
            return
        yield self.found(
            call.place.site,
            "the GPU is used in the workers of a data loader, which are forks of the process",
            hint="return rows from the CPU, and move whole batches in the training loop",
            trail=first_step(built.place.site, "loads with workers"),
            last=(call.place.site, "the GPU is used here"),
        )


def _are_spawned(built: LoaderBuilt) -> bool:
    context = built.loader.arguments.get("multiprocessing_context")
    sites = [built.place.site, *(call.place.site for call in built.rows)]
    return (context is not None and not context.is_none) or any(_STARTED_AFRESH.search(one.part.module.text) for one in sites)


def _is_optional(call: Heard) -> bool:
    """Whether a flag decides about it of which nothing is known; whether there is a GPU at all is no such flag."""
    tests = [nodes.code(condition.test.node) for condition in call.place.conditions if not condition.test.part.is_test]
    return any(re.search(r"cuda|gpu|device", test) and "is_available" not in test for test in tests)


def _touches(call: Heard) -> bool:
    if call.name == ".cuda" or call.name in TOUCHES_CUDA:
        return True
    if call.name in MOVES:
        first = next((value for keyword, value in call.arguments if keyword in (None, "device")), None)
        return first is not None and _is_gpu(first, call.place, nodes.argument(call.place.site.node, "device", 0))
    device = next((value for keyword, value in call.arguments if keyword == "device"), None)
    made = call.name.startswith("torch.") and not call.name.startswith("torch.device")
    return made and device is not None and _is_gpu(device, call.place, nodes.argument(call.place.site.node, "device"))


def _is_gpu(value: Value, place: Place, node: cst.BaseExpression | None) -> bool:
    """Whether a device is said to be a GPU: by a constant, by what made it, or by what its name was bound to."""
    if isinstance(value.constant, str):
        return value.constant.startswith("cuda")
    site = _made(value)
    if site is not None and _CUDA.search(nodes.code(site.node)):
        return True
    return node is not None and any(_CUDA.fullmatch(nodes.code(each)) for _, each in sources(place, node) if _is_text(each))


def _is_text(node: cst.CSTNode) -> bool:
    return nodes.text_of(node) is not None


def _made(value: Value) -> Site | None:
    ref = value.thing.ref if isinstance(value.thing, Object) else value.origin
    return ref.site if ref is not None else None
