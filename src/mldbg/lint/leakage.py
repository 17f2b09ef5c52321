"""What the three leakage rules share: which fits leak into an evaluation, and the fix that splits first."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Fix
from mldbg.lint.interpret.address import Made
from mldbg.lint.interpret.facts import Evaluated
from mldbg.lint.interpret.value import Fit, FitKind, Means, Trail
from mldbg.lint.labels import has_labels
from mldbg.lint.library.names import at_the_start

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Module


@dataclass(frozen=True, slots=True)
class Leak:
    """A fit that saw rows on which is evaluated later, and the way from it to the evaluation."""

    fit: Fit
    trail: Trail | None
    evaluated: Evaluated
    others: tuple[Fit, ...] = ()
    """Fits of other columns, whose results stand beside that of this one."""

    @property
    def beside(self) -> str:
        """What a message says of the other fits."""
        if not self.others:
            return ""
        lines = [str(line) for line in sorted({fit.site.span.line for fit in self.others})]
        if len(lines) == 1:
            return f"; the fit in line {lines[0]} does the same"
        return f"; the fits in lines {', '.join(lines[:-1])} and {lines[-1]} do the same"


def learning(fit: Fit) -> str:
    """The beginning of a sentence that says from which rows something was learned; the rows are to follow."""
    match fit.means:
        case Means.ESTIMATOR:
            return f"{at_the_start(fit.estimator)} is fitted on"
        case Means.FUNCTION:
            return f"{fit.estimator}() takes its statistics from"
        case Means.ARITHMETIC:
            return f"{fit.estimator} uses statistics of"


def leaks(evaluated: Evaluated, *kinds: FitKind, by: Container[Means] = tuple(Means)) -> Iterator[Leak]:
    """Fits of some kinds that were made, by some means, on all rows, the evaluated ones included.

    Fits side by side, each for some columns, are one leak. Rows without labels (those of a competition's test table) are
    predicted, but nothing is evaluated on them.
    """
    wanted = [fit for fit in evaluated.value.fits if fit.kind in kinds and fit.means in by]
    found = [fit for fit in wanted if fit.role is None and _saw(fit, evaluated)]
    found = [fit for fit in found if not _came_scaled(fit, evaluated) and first_of_two(fit, evaluated) is None]
    if not found or not (evaluated.scored or any(has_labels(each, evaluated.role) for each in _modules(evaluated, found))):
        return
    found.sort(key=lambda fit: (fit.site.part.module.path, fit.site.span, fit.estimator))
    side_by_side = [fit for fit in found if not any(_follows(fit, other) or _follows(other, fit) for other in found)]
    for fit in found:
        if fit in side_by_side[1:]:
            continue
        trail = evaluated.value.trail
        through = trail is not None and any(site == fit.site for site, _ in trail.steps())
        others = tuple(other for other in side_by_side[1:] if other.site != fit.site) if fit in side_by_side else ()
        yield Leak(fit, trail if through else fit.trail, evaluated, others)


def first_of_two(fit: Fit, evaluated: Evaluated) -> Fit | None:
    """The fit that prepared the training data, where another object of that class was fitted on the evaluated rows alone."""
    for first in evaluated.estimator_fits:
        if (
            first.estimator == fit.estimator
            and first.by != fit.by
            and first.rows.isdisjoint(fit.rows)
            and first.rows
            and fit.rows
        ):
            return first
    return None


def _follows(fit: Fit, other: Fit) -> bool:
    """Whether a fit was made on what another one gave."""
    return fit is not other and fit.trail is not None and any(site == other.site for site, _ in fit.trail.steps())


def _modules(evaluated: Evaluated, fits: list[Fit]) -> set[Module]:
    return {evaluated.place.site.part.module, *(fit.site.part.module for fit in fits)}


def _saw(fit: Fit, evaluated: Evaluated) -> bool:
    """Whether the evaluated rows were fitted on; a fit on a slice counts only for what comes from that slice."""
    rows = evaluated.value.rows
    parts = {row for row in fit.rows if row.kind is Made.ROWS}
    return parts <= rows and not fit.rows.isdisjoint(rows)


def _came_scaled(fit: Fit, evaluated: Evaluated) -> bool:
    """Whether the loader of a data set, which stands in another file, hands it out like that: `load_faces()`."""
    part = fit.site.part
    if fit.means is Means.ESTIMATOR or part.module is evaluated.place.site.part.module:
        return False
    return any(name.startswith(("load_", "fetch_")) for name in part.statement.names)


def split_first(leak: Leak) -> Fix | None:
    """Exchange `fitted = tool.fit_transform(X)` and the split of `fitted` that directly follows, when nothing else uses it."""
    import libcst as cst

    part = leak.fit.site.part
    fitting = edit.statement_at(leak.fit.site)
    after = edit.following(part, fitting) if fitting is not None else None
    if fitting is None or after is None:
        return None
    split_part, splitting = after
    fitted, split = _assigned_call(fitting), _assigned_call(splitting)
    if fitted is None or split is None or fitted[1] is not leak.fit.site.node:
        return None
    fit_targets, fit_call = fitted
    targets, split_call = split
    arrays = [arg for arg in split_call.args if arg.keyword is None and arg.star == ""]
    if not nodes.code(split_call.func).endswith("train_test_split") or len(arrays) * 2 != len(targets):
        return None
    if not isinstance(fit_call.func, cst.Attribute) or not isinstance(fit_call.func.value, cst.Name):
        return None
    inputs = [nodes.code(arg.value) for arg in fit_call.args if arg.keyword is None]
    if [nodes.code(arg.value) for arg in arrays[: len(fit_targets)]] != fit_targets or not inputs:
        return None
    function = edit.function_around(part, fitting)
    if any(edit.uses_of(name, part, function) != 2 for name in fit_targets if name not in inputs):
        return None
    tool, method = nodes.code(fit_call.func.value), fit_call.func.attr.value
    lines = _fitted_after_split(tool, method, targets, inputs, len(arrays))
    if not lines:
        return None
    renamed = {name: inputs[index] for index, name in enumerate(fit_targets) if index < len(inputs)}
    changes = [
        edit.replaced(split_part, arg.value, renamed[nodes.code(arg.value)]) for arg in arrays if nodes.code(arg.value) in renamed
    ]
    added = "".join(edit.indented_like(split_part, splitting, line) for line in lines)
    return edit.unsafe(edit.removed(part, fitting), *changes, edit.inserted_after(split_part, splitting, added))


def _assigned_call(statement: cst.CSTNode | None) -> tuple[list[str], cst.Call] | None:
    """Target names and call of a statement `a, b = call(...)`."""
    import libcst as cst

    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    assign = statement.body[0]
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1 or not isinstance(assign.value, cst.Call):
        return None
    target = assign.targets[0].target
    targets = [element.value for element in target.elements] if isinstance(target, cst.Tuple | cst.List) else [target]
    return ([nodes.code(node) for node in targets], assign.value) if all(isinstance(node, cst.Name) for node in targets) else None


def _fitted_after_split(tool: str, method: str, targets: list[str], inputs: list[str], arrays: int) -> list[str]:
    """The statements that fit on the training part and only transform the test part."""
    train, test = targets[0], targets[1]
    labels = targets[2] if len(inputs) > 1 and arrays > 1 else None
    if method == "fit_transform":
        given = f"{train}, {labels}" if labels else train
        return [f"{train} = {tool}.fit_transform({given})", f"{test} = {tool}.transform({test})"]
    if method == "fit_resample" and labels:
        return [f"{train}, {labels} = {tool}.fit_resample({train}, {labels})"]
    return []
