"""torch's functions and tensor methods: arithmetic, creation, moves, reductions, selections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mldbg.operations.shape import Given, Result, Transfer
from mldbg.operations.transfers import creating, elementwise, indexing, joining, moving, reducing, selecting
from mldbg.operations.transfers.elementwise import Compute

OTHER_NAMES: Mapping[str, str] = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "x2": "other",
    "self": "input",
    "tensor": "input",
    "split_size_or_sections": "split_size",
    "split_sizes": "split_size",
}
"""Parameters that torch also takes under names of numpy's, or calls differently from function to function."""


def _with_other_names(compute: Compute) -> Compute:
    def computed(given: Given) -> Result:
        if not given.values.keys() & OTHER_NAMES.keys():
            return compute(given)
        return compute(Given({OTHER_NAMES.get(name, name): value for name, value in given.values.items()}))

    return computed


def _rows() -> Iterator[tuple[str, Transfer]]:
    both, functions, methods = ("torch", "torch.Tensor"), ("torch",), ("torch.Tensor",)
    tables: list[tuple[tuple[str, ...], Mapping[str, Transfer]]] = [
        *((both, module.METHODS_AND_FUNCTIONS) for module in (elementwise, moving, reducing, joining, creating, selecting)),
        *((functions, module.FUNCTIONS) for module in (elementwise, moving, reducing, joining, creating, selecting)),
        *((methods, module.METHODS) for module in (elementwise, moving, reducing, joining, creating, selecting, indexing)),
    ]
    for packages, table in tables:
        for names, row in table.items():
            named = Transfer(row.params, _with_other_names(row.compute))
            yield from ((f"{package}.{name}", named) for package in packages for name in names.split())
    for name, (sizes, compute) in moving.SEVERAL.items():
        yield f"torch.{name}", Transfer(("input", sizes), _with_other_names(compute))
        yield f"torch.Tensor.{name}", Transfer(("input", f"*{sizes}"), _with_other_names(compute))


ROWS: dict[str, Transfer] = dict(_rows())
