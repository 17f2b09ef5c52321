"""Parts of data: what a split makes of its rows, and of what was learned from them before."""

from __future__ import annotations

from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.join import tuple_of
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.value import Data, Fit, FitKind, Known, Role, Value


def pair_of_folds(machine: Machine, rows: frozenset[Ref], site: Site) -> Value:
    """A pair of index arrays: they pick the training and the test rows."""
    pair = (
        Value(data=Data(rows=rows, split=site, picks=role), origin=machine.new_ref(site, Made.SPLIT, role))
        for role in (Role.TRAIN, Role.TEST)
    )
    return tuple_of(*pair)


def split_apart(whole: Data, role: Role | None, site: Site) -> Data:
    """The lineage of one part of a table that is split, with those of its columns that are known by name."""
    part = Data(
        whole.rows,
        role,
        site,
        whole.fits,
        columns=whole.columns,
        whole=as_whole(whole),
        known=Known.SPLIT if role is not None else None,
        column=whole.column,
        table=whole.table,
    )
    return _with_fits(part, fits_after_split(whole, site))


def as_whole(data: Data) -> tuple[Role, Site | None] | None:
    """What a part of some data remembers of the whole, where that was a part itself."""
    return (data.role, data.split) if data.role is not None else None


def picked(whole: Data, role: Role | None, site: Site | None) -> Data:
    """The lineage of the rows that a fold picks."""
    fits = fits_after_folds(whole)
    return replace(_with_fits(whole, fits), role=role, split=site, whole=as_whole(whole), known=None)


def whole_of(part: Data) -> Data:
    """The lineage of what a part was split off."""
    role, split = part.whole or (None, None)
    return replace(part, role=role, split=split, whole=None, known=Known.SPLIT if role is not None else None)


def _with_fits(data: Data, fits: frozenset[Fit]) -> Data:
    columns = frozenset((name, fit if fit in fits else replace(fit, role=None)) for name, fit in data.columns)
    return replace(data, fits=fits, columns=columns)


def fits_after_split(data: Data, site: Site) -> frozenset[Fit]:
    """The fits in some rows once these are split: one made on a training part that is split again has seen all rows of it.

    One made on the training part of another split has seen rows on both sides of this one.
    """
    return frozenset(replace(fit, role=None) if _mixes(fit, data, site) else fit for fit in data.fits)


def _mixes(fit: Fit, data: Data, site: Site) -> bool:
    if fit.role is not Role.TRAIN or fit.rows.isdisjoint(data.rows):
        return False
    if data.role is Role.TRAIN:
        return True
    return data.role is None and fit.split is not None and not same_partition(fit.split, site)


def fits_after_folds(data: Data) -> frozenset[Fit]:
    """The fits in some rows once these are cross-validated.

    Inside the training part of a split whose test part is still there, only choices that were made with the target count.
    """
    if data.role is not Role.TRAIN:
        return data.fits
    return frozenset(
        replace(fit, role=None)
        if fit.role is Role.TRAIN
        and not fit.rows.isdisjoint(data.rows)
        and (data.split is None or fit.kind in (FitKind.SELECTION, FitKind.RESAMPLING))
        else fit
        for fit in data.fits
    )


def same_partition(one: Site, other: Site) -> bool:
    """Whether two splits deal the rows out alike: the same one, or with the same seed and sizes."""
    if one is other:
        return True
    options = [_options(site.node) for site in (one, other)]
    return options[0] == options[1] and (
        "random_state" in options[0] or "generator" in options[0] or options[0].get("shuffle") == "False"
    )


def _options(node: cst.CSTNode) -> dict[str, str]:
    if not isinstance(node, cst.Call):
        return {}
    return {arg.keyword.value: code(arg.value) for arg in node.args if arg.keyword is not None}
