"""What a library itself does with a call, to compare transfer functions with: torch on its meta device, numpy, einops."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Any, cast

import numpy as np
import torch
from hypothesis import strategies as st

from mldbg.operations import dtypes, shape
from mldbg.operations.shape import Built, Each, Mismatch, Tensor, Unsure
from mldbg.operations.sizes import ANY, Atom, Dim, Size, atom, replaced
from mldbg.operations.tables import constructor_parameters
from mldbg.operations.transfers import distributions
from mldbg.operations.transfers.tables import ROWS


@dataclass(frozen=True)
class T:
    """A tensor to be made: its sizes and type. `filled`: its numbers, or FILLED's name for them; None: as the case says."""

    sizes: tuple[int, ...]
    dtype: str = "float32"
    filled: float | str | None = None


@dataclass(frozen=True)
class B:
    """An object to be built, as an argument: the name of its class, and what it is built with."""

    cls: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawn:
    """A call: the arguments, with tensors as `T`; of a layer also what it is built with. `open`: as that of its `Case`."""

    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    built: tuple[object, ...] = ()
    built_with: Mapping[str, object] = field(default_factory=dict)
    open: bool = False


@dataclass(frozen=True)
class Case:
    """How calls of some functions are drawn.

    Attributes:
        names: qualified names of rows.
        calls: draws `Drawn`.
        real: makes arrays of another kind than torch's meta tensors; `numpy`, `regular` (matrices of numpy that have an
            inverse), `values` (torch tensors with numbers in them, for what the meta device cannot do or does not check) or
            `zeros` (the same for places along axes, of which 0 always exists).
        open: some sizes of the result depend on numbers, and so may stay unknown.
        open_dtype: the type of the result may stay unknown.
        called: what is called in the place of a function that needs another machine.
    """

    names: tuple[str, ...]
    calls: st.SearchStrategy[Drawn]
    real: str = "meta"
    open: bool = False
    open_dtype: bool = False
    called: str = ""


# --- the real call ---


def named(name: str) -> Callable[..., Any]:
    """The function, class or method of a qualified name."""
    pieces = name.split(".")
    for cut in range(len(pieces) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(pieces[:cut]))
        except ModuleNotFoundError:
            continue
        for piece in pieces[cut:]:
            found = getattr(found, piece)
        return found  # type: ignore[no-any-return]
    raise LookupError(name)


def _one_hot(zeros: torch.Tensor) -> torch.Tensor:
    return zeros.index_fill(-1, torch.tensor([0]), 1) if zeros.ndim and zeros.shape[-1] else zeros


FILLED: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one-hot": _one_hot,
    "identity": lambda zeros: zeros + torch.eye(*zeros.shape[-2:]) if zeros.ndim > 1 else zeros + 1,
}
"""Numbers that a tensor may hold, made from zeros: the first class along the last axis, matrices with an inverse."""


def made(value: object, real: str) -> object:
    """An argument for the real call."""
    if isinstance(value, B):
        args = [made(each, real) for each in value.args]
        return named(value.cls)(*args, **{key: made(each, real) for key, each in value.kwargs.items()})
    if isinstance(value, T):
        if real == "numpy":
            return np.ones(value.sizes, dtype=value.dtype)
        if real == "regular":
            return np.broadcast_to(np.eye(value.sizes[-2], value.sizes[-1]) if len(value.sizes) > 1 else 1, value.sizes).astype(
                value.dtype
            )
        dtype = getattr(torch, value.dtype)
        if value.filled is not None:
            fill = FILLED.get(value.filled) if isinstance(value.filled, str) else None
            filled = torch.zeros(value.sizes) if fill is not None else torch.full(value.sizes, float(value.filled))
            return (fill(filled) if fill is not None else filled).to(dtype)
        if real == "meta":
            return torch.empty(value.sizes, dtype=dtype, device="meta")
        return (torch.zeros if real == "zeros" else torch.ones)(value.sizes, dtype=dtype)
    if isinstance(value, tuple | list):
        return type(value)(made(each, real) for each in value)
    return value


class Raised:
    """The real call raised."""


def _called(name: str, drawn: Drawn, args: list[object], kwargs: dict[str, object], real: str) -> object:
    if name.endswith(".__call__"):
        built = [made(each, "values") for each in drawn.built]
        built_with = {key: made(each, "values") for key, each in drawn.built_with.items()}
        layer = named(name.removesuffix(".__call__"))(*built, **built_with)
        layer = layer.to("meta") if real == "meta" and hasattr(layer, "to") else layer
        return layer(*args, **kwargs)
    if drawn.args and isinstance(drawn.args[0], B) and name.startswith(f"{drawn.args[0].cls}."):
        member: Any = getattr(args[0], name.rpartition(".")[2])
        return member(*args[1:], **kwargs) if callable(member) else member
    is_attribute = inspect.isdatadescriptor(named(name))
    function: Any = named(name)
    function = function.__get__ if is_attribute else function
    return function(*args, **kwargs)


def really(name: str, drawn: Drawn, real: str) -> object:
    """What the library returns, or Raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            args = [made(each, real) for each in drawn.args]
            kwargs = {key: made(each, real) for key, each in drawn.kwargs.items()}
            return _called(name, drawn, args, kwargs, real)
    except (RuntimeError, ValueError, LookupError, ArithmeticError, TypeError, AssertionError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) and real == "meta":
            raise
        return Raised()


# --- the transfer function's answer ---


def described(value: object, names: dict[tuple[int, int], Size] | None = None, place: Iterator[int] | None = None) -> object:
    """An argument as a transfer function gets it; with `names`, each axis becomes an atom of its own."""
    if isinstance(value, T):
        dims: tuple[Dim, ...] = value.sizes
        if names is not None and place is not None:
            number = next(place)
            dims = tuple(names.setdefault((number, axis), atom(f"n{number}_{axis}", (number, axis))) for axis in range(len(dims)))
        return Tensor(shape.Shape(tuple(dims)), value.dtype)
    if isinstance(value, tuple | list):
        return tuple(described(each, names, place) for each in value)
    if isinstance(value, B):
        params = constructor_parameters(value.cls, len(value.args))
        built = {**dict(zip(params, value.args, strict=False)), **value.kwargs}
        return Built(value.cls, {key: described(each, names, place) for key, each in built.items()})
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, type) and issubclass(value, np.generic):
        return f"numpy.{value.__name__}"
    return value


def bound(name: str, drawn: Drawn, names: dict[tuple[int, int], Size] | None = None) -> shape.Given:
    place = iter(range(1000))
    args = [described(each, names, place) for each in drawn.args]
    kwargs = {key: described(each, names, place) for key, each in drawn.kwargs.items()}
    if name.endswith(".__call__"):
        params = constructor_parameters(name.removesuffix(".__call__"), len(drawn.built))
        built = dict(zip(params, (described(each) for each in drawn.built), strict=False))
        built |= {key: described(each) for key, each in drawn.built_with.items()}
        kwargs = {**built, **kwargs}
    return ROWS[name].bound(args, kwargs)


# --- the comparison ---


def compared(real: object, said: object, case: Case, values: Mapping[Atom, Dim] | None = None) -> str | None:
    """What is different between the library's result and the transfer function's; None where nothing is."""
    if said is shape.UNKNOWN and real is None:
        return None
    if isinstance(said, Each):
        several = list(real) if isinstance(real, tuple | list) else [real]
        return next((text for one in several if (text := compared(one, said.tensor, case, values))), None)
    if isinstance(said, tuple):
        if not isinstance(real, tuple | list) or len(real) != len(said):
            return f"{len(said)} results instead of {real!r}"
        return next((text for one, two in zip(real, said, strict=True) if (text := compared(one, two, case, values))), None)
    if isinstance(said, Built):
        found, really_built = distributions.parts(said), cast("torch.distributions.Distribution", real)
        shapes = (torch.empty(really_built.batch_shape), really_built.event_shape)
        return compared(shapes, (Tensor(found.batch, "float32"), found.event), case, values)
    if isinstance(said, Tensor):
        return _compared_tensor(real, said, case, values)
    if isinstance(said, float) and isnan(said):  # a number that is not known
        return None if isinstance(real, float) else f"a number for {real!r}"
    if isinstance(said, Size):
        said = replaced(said, values or {})
    if isinstance(said, int | float | bool | str) and not isinstance(real, torch.Tensor | np.ndarray):
        return None if real == said else f"{said!r} instead of {real!r}"
    return None if case.open or (values is not None and not isinstance(said, int)) else f"{said!r} for {real!r}"


def _compared_tensor(real: object, said: Tensor, case: Case, values: Mapping[Atom, Dim] | None) -> str | None:
    if not isinstance(real, torch.Tensor | np.ndarray | np.generic):
        return f"a tensor instead of {real!r}"
    dtype = str(real.dtype).removeprefix("torch.")
    if said.dtype is None:
        if not case.open_dtype:
            return f"no type instead of {dtype}"
    elif said.dtype != dtype and not (said.dtype in ("float", "int", "complex") and dtypes.kind(dtype) == said.dtype):
        return f"{said.dtype} instead of {dtype}"
    if said.shape is None:
        return None if case.open or values is not None else "no shape"
    sizes = tuple(real.shape)
    if said.shape.rest is not None:
        if not case.open and values is None:
            return f"{said.shape} is open"
        return _compared_ends(said.shape, sizes)
    dims = [replaced(dim, values or {}) for dim in said.shape.front]
    if len(dims) != len(sizes):
        return f"{said.shape} instead of {sizes}"
    for dim, size in zip(dims, sizes, strict=True):
        if isinstance(dim, int) and dim != size:
            return f"{said.shape} (that is {dims}) instead of {sizes}"
        if not isinstance(dim, int) and not case.open and values is None:
            return f"{said.shape} leaves a size open"
    return None


def _compared_ends(said: shape.Shape, sizes: tuple[int, ...]) -> str | None:
    ends = [*zip(said.front, sizes, strict=False), *zip(said.back, sizes[len(sizes) - len(said.back) :], strict=False)]
    differ = len(sizes) < said.least_rank or any(isinstance(dim, int) and dim != size for dim, size in ends)
    return f"{said} instead of {sizes}" if differ else None


def difference(name: str, drawn: Drawn, case: Case) -> str | None:
    """What the row of a name gets wrong about a call; None where nothing is."""
    real = really(case.called or name, drawn, case.real)
    case = replace(case, open=case.open or drawn.open)
    try:
        said: object = ROWS[name].compute(bound(name, drawn))
    except Mismatch as mismatch:
        return None if isinstance(real, Raised) else f"raises ({mismatch.reason}) where there is {_shown(real)}"
    except Unsure:
        return None if case.open or isinstance(real, Raised) else f"is unsure where there is {_shown(real)}"
    if isinstance(real, Raised):
        return f"gives {said} where the call raises"
    return compared(real, said, case)


def symbolic_difference(name: str, drawn: Drawn, case: Case) -> str | None:
    """The same where each axis is a name of its own: what is said then has to be true of the sizes that were drawn."""
    names: dict[tuple[int, int], Size] = {}
    given = bound(name, drawn, names)
    sizes = list(_sizes([*drawn.args, *drawn.kwargs.values()]))
    if any(size < 2 for size in sizes):
        return None  # an axis of size 1 may be broadcast, which is no general case
    values: dict[Atom, Dim] = {
        next(iter(_atoms(size))): list(_tensors([*drawn.args, *drawn.kwargs.values()]))[place[0]].sizes[place[1]]
        for place, size in names.items()
    }
    real = really(case.called or name, drawn, case.real)
    try:
        said: object = ROWS[name].compute(given)
    except Mismatch as mismatch:
        return None if isinstance(real, Raised) else f"with names raises ({mismatch.reason}) where there is {_shown(real)}"
    except Unsure:
        return None
    if isinstance(real, Raised):
        return None
    text = compared(real, said, case, values)
    return f"with names: {text}" if text else None


LESS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sizes": lambda value: _open(value, lambda dims: shape.Shape((ANY,) * len(dims))),
    "shape": lambda value: replace(value, shape=None),
    "type": lambda value: replace(value, dtype=None),
    "first axes": lambda value: _open(value, lambda dims: shape.Shape((), shape.Rest(), dims[1:])),
    "last axes": lambda value: _open(value, lambda dims: shape.Shape(dims[:1], shape.Rest())),
    "middle axes": lambda value: _open(value, lambda dims: shape.Shape(dims[:2], shape.Rest(), dims[2:])),
}
"""Ways of knowing less of a tensor."""


def _open(value: Tensor, how: Callable[[tuple[Dim, ...]], shape.Shape]) -> Tensor:
    return replace(value, shape=how(value.shape.dims)) if value.shape is not None else value


def uncertain_difference(name: str, drawn: Drawn, case: Case) -> str | None:
    """The same where less is known of the tensors, of one of them, or of another argument: nothing said may be wrong."""
    real = really(case.called or name, drawn, case.real)
    if isinstance(real, Raised):
        return None
    case = replace(case, open=True, open_dtype=True)
    for what, given in _less_known(bound(name, drawn)):
        try:
            said: object = ROWS[name].compute(given)
        except Mismatch as mismatch:
            return f"without {what} raises ({mismatch.reason}) where there is {_shown(real)}"
        except Unsure:
            continue
        if text := compared(real, said, case, {}):
            return f"without {what}: {text}"
    return None


def _less_known(given: shape.Given) -> Iterator[tuple[str, shape.Given]]:
    for what, less in LESS.items():
        yield f"the {what}", shape.Given({name: _changed(value, less) for name, value in given.values.items()})
    for name, value in given.values.items():
        if isinstance(value, Built):
            for what, inner in _less_known(shape.Given(value.given)):
                yield f"{what} of {name}", shape.Given({**given.values, name: replace(value, given=inner.values)})
        for what, less in LESS.items():
            if isinstance(value, Tensor):
                yield f"the {what} of {name}", shape.Given({**given.values, name: less(value)})
        if not isinstance(value, Tensor):
            yield name, shape.Given({**given.values, name: shape.UNKNOWN})
            yield f"the numbers in {name}", shape.Given({**given.values, name: _without_numbers(value)})


def _changed(value: object, less: Callable[[Tensor], Tensor]) -> object:
    if isinstance(value, tuple):
        return tuple(_changed(each, less) for each in value)
    if isinstance(value, Built):
        return replace(value, given={key: _changed(each, less) for key, each in value.given.items()})
    return less(value) if isinstance(value, Tensor) else value


def _without_numbers(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_without_numbers(each) for each in value)
    if isinstance(value, Built):
        return replace(value, given={key: _without_numbers(each) for key, each in value.given.items()})
    if isinstance(value, slice):
        return slice(*(_without_numbers(each) for each in (value.start, value.stop, value.step)))
    return ANY if isinstance(value, int) and not isinstance(value, bool) else value


def _atoms(size: Size) -> Iterator[Atom]:
    from mldbg.operations.sizes import atoms

    yield from atoms(size)


def _tensors(values: Sequence[object]) -> Iterator[T]:
    for value in values:
        if isinstance(value, T):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
        elif isinstance(value, B):
            yield from _tensors([*value.args, *value.kwargs.values()])


def _sizes(values: Sequence[object]) -> Iterator[int]:
    for tensor in _tensors(values):
        yield from tensor.sizes


def _shown(real: object) -> str:
    if isinstance(real, tuple | list):
        return f"({', '.join(map(_shown, real))})"
    return f"{tuple(real.shape)} {real.dtype}" if isinstance(real, torch.Tensor | np.ndarray) else repr(real)
