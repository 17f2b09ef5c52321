"""Shapes on their way from data to a model: tables, splits, datasets, and the batches that a loader makes of them.

Only where shapes are followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument, bound
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.pictures import Pictures
from mldbg.lint.interpret.shapes import INT, class_of_number, entry
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ClassThing,
    Constant,
    Entries,
    Function,
    Items,
    Object,
    Opaque,
    Shaped,
    Unknown,
    Value,
    first_step,
)
from mldbg.operations.samples import BUNCHES, CONDENSES_TABLE, ENCODES_LABELS, KEEPS_TABLE, READS_TABLE, SCALES_COLUMNS
from mldbg.operations.shape import Rest, Shape, Tensor
from mldbg.operations.sizes import ANY, Dim, atom

LOADER, TENSORS = "torch.utils.data.DataLoader", "torch.utils.data.TensorDataset"

_LOADER_PARAMS = ("dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "num_workers", "collate_fn")
_OF_ONE_TYPE = {"int": "int64", "float": "float64", "bool": "bool"}


class Batches:
    """Gives datasets, loaders and tables what they hand out.

    Args:
        machine: the machine.
        classes: the classes of the project.
        contents: what sequences hold.
    """

    def __init__(self, machine: Machine, classes: Classes, contents: Contents) -> None:
        self._machine = machine
        self._classes = classes
        self._contents = contents
        self.pictures = Pictures(machine, contents)
        self._by_name: dict[str, Callable[[Sequence[Argument], Site, Value], Value | None]] = {
            LOADER: self._loader,
            TENSORS: self._tensors,
            "torch.utils.data.random_split": self._parts,
            "torch.utils.data.Subset": self._subset,
            "sklearn.model_selection.train_test_split": self._split,
        }

    def function(self, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        """The result of a function that makes or hands on rows; None of any other."""
        handle = self._by_name.get(name)
        if handle is not None:
            return handle(arguments, site, result)
        if name in READS_TABLE:
            return self._table(site, result)
        bunch = BUNCHES.get(name)
        return self._bunch(bunch, arguments, site, result) if bunch is not None else None

    def method(self, base: Value, name: str, arguments: Sequence[Argument], result: Value) -> Value | None:
        """The result of a method of a table, or of something that prepares one."""
        cls = base.thing.cls if isinstance(base.thing, Object) else None
        if isinstance(cls, str) and name in ("transform", "fit_transform", "inverse_transform") and arguments:
            given = arguments[0].value.shaped
            if given is not None and cls in SCALES_COLUMNS:
                return replace(result, shaped=replace(given, is_table=False, is_array=True))
            if given is not None and cls in ENCODES_LABELS:
                return replace(result, shaped=Shaped(replace(given.tensor, dtype="int64"), given.ladder, is_array=True))
        if base.shaped is None or not base.shaped.is_table:
            return None
        if name in ("to_numpy", "copy"):
            return replace(result, shaped=replace(base.shaped, is_table=name == "copy"))
        if name in CONDENSES_TABLE and base.shaped.tensor.shape is not None:
            left = Shape(base.shaped.tensor.shape.front[1:])
            return replace(result, shaped=Shaped(Tensor(left), is_array=True, is_table=left.rank == 1))
        if name in KEEPS_TABLE and base.shaped.tensor.shape is not None:
            dims = base.shaped.tensor.shape.front
            kept = Shape((ANY, *(ANY for _ in dims[1:])))
            return replace(result, shaped=replace(base.shaped, tensor=Tensor(kept)))
        return replace(result, shaped=None)

    def item(self, base: Value, index: Value, result: Value) -> Value | None:
        """`frame["price"]` and `frame[["a", "b"]]`."""
        shaped = base.shaped
        if shaped is None or not shaped.is_table or shaped.tensor.shape is None or not shaped.tensor.shape.front:
            return None
        rows = shaped.tensor.shape.front[0]
        if isinstance(index.constant, str):
            return replace(result, shaped=replace(shaped, tensor=Tensor(Shape((rows,)))))
        items = self._contents.items_of(index) if isinstance(index.thing, Object) else None
        if items is not None and all(isinstance(each.constant, str) for each in items.tail):
            return replace(result, shaped=replace(shaped, tensor=Tensor(Shape((rows, len(items.tail) if items.exact else ANY)))))
        return None

    @staticmethod
    def column(base: Value, result: Value) -> Value:
        """`frame.price`"""
        shape = base.shaped.tensor.shape if base.shaped is not None else None
        if base.shaped is None or shape is None or shape.rank != 2:
            return replace(result, shaped=None)
        return replace(result, shaped=replace(base.shaped, tensor=Tensor(Shape(shape.front[:1]))))

    # --- rows ---

    def _table(self, site: Site, result: Value) -> Value:
        rows = atom("rows", (self._machine.new_ref(site), "rows"))
        shaped = Shaped(Tensor(Shape((rows, ANY))), first_step(site, "a table"), is_array=True, is_table=True)
        return replace(result, shaped=shaped)

    def _bunch(self, bunch: tuple[Tensor, Tensor], arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        given, _ = bound((), arguments, None)
        table = given.get("as_frame", UNKNOWN).constant is True
        features, target = (
            Value(
                data=result.data,
                shaped=Shaped(tensor, first_step(site, f"loaded as {tensor.shape}"), is_array=True, is_table=table),
            )
            for tensor in (map(_of_any_width, bunch) if table else bunch)
        )
        if given.get("return_X_y", UNKNOWN).constant is True:
            return replace(result, thing=Items("builtins.tuple", (features, target)))
        found = (("data", features), ("target", target), *((("frame", features),) if table else ()))
        return replace(result, thing=Entries(found, exact=False))

    def _split(self, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        """Each part of an array has as many rows as the same part of the others."""
        arrays = [argument.value for argument in arguments if argument.keyword is None]
        items = result.thing if isinstance(result.thing, Items) and result.thing.exact else None
        if items is None or len(items.tail) != 2 * len(arrays):
            return None
        ref = self._machine.new_ref(site, Made.ROWS)
        sizes = [atom(name, (ref, name)) for name in ("train", "test")]
        tail = tuple(
            replace(part, shaped=_with_rows(arrays[place // 2].shaped, sizes[place % 2])) for place, part in enumerate(items.tail)
        )
        return replace(result, thing=replace(items, tail=tail))

    # --- datasets ---

    def _tensors(self, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        values = [argument.value for argument in arguments]
        if any(argument.star for argument in arguments) or all(value.shaped is None for value in values):
            return None
        row = Items("builtins.tuple", tuple(Value(data=value.data, shaped=entry(value.shaped)) for value in values))
        return replace(result, thing=Items(TENSORS, (), Value(row)))

    def _parts(self, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        whole = arguments[0].value if arguments else UNKNOWN
        items = result.thing if isinstance(result.thing, Items) else None
        if items is None or items.lead is None:
            return None
        return replace(result, thing=replace(items, lead=replace(items.lead, thing=whole.thing)))

    def _subset(self, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        return replace(result, thing=arguments[0].value.thing) if arguments else None

    def _loader(self, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        given, _ = bound(_LOADER_PARAMS, arguments, None)
        dataset = given.get("dataset", UNKNOWN)
        row = self._row(dataset, site)
        if row is None:
            return None
        collate = given.get("collate_fn")
        if collate is not None and not collate.is_none:
            batch = self._machine.call(collate, [Argument(Value(Items("builtins.list", (), row)))], site)
        elif given.get("batch_size", UNKNOWN).is_none or "batch_sampler" in given:
            batch = row if "batch_sampler" not in given else UNKNOWN
        else:
            batch = _collated(row, atom("batch", (self._machine.new_ref(site), "batch")), site)
        return replace(result, thing=Items(LOADER, (), batch))

    def _row(self, dataset: Value, site: Site) -> Value | None:
        """What a dataset gives for one index."""
        thing = dataset.thing
        if isinstance(thing, Items) and thing.lead is not None and thing.cls in (TENSORS, "builtins.list"):
            return thing.lead
        if not isinstance(thing, Object) or not isinstance(thing.cls, ClassThing):
            return self.pictures.row(dataset, site)
        method = self._classes.class_attribute(thing.cls, "__getitem__")
        if method is None or not isinstance(method.thing, Function):
            return None
        ref = self._machine.new_ref(site, Made.ELEMENT, "index")
        index = Value(Opaque(INT), origin=ref, size=atom("index", ref, positive=False))
        return self._machine.force(self._machine.call_function(method.thing, [Argument(dataset), Argument(index)], site))


def _of_any_width(tensor: Tensor) -> Tensor:
    """A table as it may be later: columns come and go in place, by `df.pop("target")`."""
    dims = tensor.shape.front if tensor.shape is not None else ()
    return Tensor(Shape((*dims[:1], *(ANY for _ in dims[1:]))), tensor.dtype)


def _with_rows(shaped: Shaped | None, rows: Dim) -> Shaped | None:
    if shaped is None or shaped.tensor.shape is None or shaped.tensor.shape.least_rank == 0:
        return shaped
    if not shaped.tensor.shape.front:
        return None  # only its last axes are known, of which the first of all may be one
    return replace(shaped, tensor=replace(shaped.tensor, shape=shaped.tensor.shape.with_axis(0, rows)))


def _batch_of(row: Tensor, batch: Dim) -> Tensor:
    return Tensor(row.shape.with_new(0, batch) if row.shape is not None else Shape((batch,), Rest()), row.dtype)


def _collated(row: Value, batch: Dim, site: Site) -> Value:
    """Rows that are put together: each tensor with an axis of samples in front, each number as a tensor of them."""
    thing = row.thing
    if row.shaped is not None:
        made = _batch_of(row.shaped.tensor, batch)
        supposed = _batch_of(row.shaped.supposed, batch) if row.shaped.supposed is not None else None
        ladder = first_step(site, f"a batch has {made.shape}") if supposed is None else row.shaped.ladder
        return Value(data=row.data, shaped=Shaped(made, ladder, is_batch=True, supposed=supposed))
    if isinstance(thing, Items) and thing.exact and thing.cls in ("builtins.tuple", "builtins.list"):
        return replace(row, thing=replace(thing, tail=tuple(_collated(item, batch, site) for item in thing.tail)))
    if isinstance(thing, Entries):
        return replace(row, thing=replace(thing, items=tuple((key, _collated(item, batch, site)) for key, item in thing.items)))
    if isinstance(thing, Constant) and thing.kind in _OF_ONE_TYPE:
        made = Tensor(Shape((batch,)), _OF_ONE_TYPE[thing.kind])
        return Value(shaped=Shaped(made, first_step(site, f"a batch has {made.shape}"), is_batch=True))
    if class_of_number(row) == INT:
        made = Tensor(Shape((batch,)), "int64")
        return Value(data=row.data, shaped=Shaped(made, first_step(site, f"a batch has {made.shape}"), is_batch=True))
    return Value(data=row.data) if isinstance(thing, Unknown | Object) else row
