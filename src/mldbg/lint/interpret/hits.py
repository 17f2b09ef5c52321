"""Hits: predictions that are right are counted in each batch, summed up over batches, and divided by a number at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Averaged
from mldbg.lint.interpret.join import joined
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code, last_name
from mldbg.lint.interpret.value import (
    UNKNOWN,
    Constant,
    Items,
    Lazy,
    Mark,
    Marked,
    Object,
    Trail,
    Unknown,
    Value,
    first_step,
    is_blank,
    onward,
)
from mldbg.lint.library.names import says_loader
from mldbg.operations.predictors import CASTS

LOADER = "torch.utils.data.DataLoader"

_OF_HITS = (Mark.HITS, Mark.COUNT, Mark.SHARE, Mark.SHARE_IN_TRAINING)
_SHARES = (Mark.SHARE, Mark.SHARE_IN_TRAINING)
_TOTALS = (Mark.COUNT, *_SHARES)
_SUMS = frozenset({"sum", "count_nonzero", "nansum"})
_EQUALS = frozenset({"eq", "equal"})
_GATHERS = frozenset({"array", "stack", "tensor", "cat", "asarray", "as_tensor"})


class Hits:
    """Marks hits, their numbers and shares, and tells where sums of these are divided."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents

    def of_function(self, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """The result of a function outside the project."""
        if not arguments:
            return result
        if name == LOADER:
            return replace(result, marked=Marked(Mark.BATCHED, site))
        last = name.rpartition(".")[2]
        if name == "builtins.len":
            return self._length(arguments[0], result, site)
        if name == "builtins.enumerate":
            return _numbered(arguments[0], result, site)
        if name == "sklearn.metrics.accuracy_score" and self._loader() is not None:
            return self._share(result, first_step(site, "accuracy_score gives the share of hits in this batch"))
        return self._after(last, arguments, result, site)

    def of_method(self, base: Value, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """The result of a method."""
        return self._after(name, [Argument(base), *arguments], result, site)

    def _after(self, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        first = arguments[0].value
        if name in _EQUALS and len(arguments) > 1:
            return compared(first, arguments[1].value, result, site)
        if name not in _SUMS and name not in CASTS and name not in _GATHERS and name not in ("mean", "nanmean", "average"):
            return result
        marked, is_list = self._mark_of(first)
        if marked is None or isinstance(result.thing, Items):
            return result
        plain = replace(result, thing=Unknown()) if isinstance(result.thing, Object) else result
        if name in CASTS or name in _GATHERS:
            return replace(plain, marked=marked)
        if name in _SUMS:
            counts = Mark.COUNT if marked.mark is Mark.HITS else marked.mark
            return replace(plain, marked=replace(marked, mark=counts, trail=onward(marked.trail, site, "they are counted")))
        if marked.mark is Mark.HITS:
            return self._share(plain, onward(marked.trail, site, "their mean is the share of hits in this batch"))
        if marked.mark in _TOTALS and is_list:
            self._tell(marked, Marked(Mark.BATCHES, marked.site), site)
        return result

    def _mark_of(self, value: Value) -> tuple[Marked | None, bool]:
        """The mark of a value, or of all elements of a list."""
        if isinstance(value.thing, Lazy):
            return None, False
        items = self.contents.items_of(value) if isinstance(value.thing, Items | Object) else None
        if items is None:
            return (value.marked if value.marked is not None and value.marked.mark in _OF_HITS else None), False
        if any(isinstance(one.thing, Lazy) for one in items.all):
            return None, True
        marked = joined([one for one in items.all if not is_blank(one)]).marked
        return (marked if marked is not None and marked.mark in _OF_HITS else None), True

    def _length(self, argument: Argument, result: Value, site: Site) -> Value:
        value, node = argument.value, argument.node
        if isinstance(node, cst.Attribute) and node.attr.value in ("dataset", "sampler"):
            return replace(result, marked=Marked(Mark.SAMPLES, site))
        marked, is_list = self._mark_of(value)
        if is_list and marked is not None and marked.mark in _TOTALS:
            return replace(result, marked=Marked(Mark.BATCHES, marked.site))
        batches = _batches_of(argument, site)
        return replace(result, marked=batches) if batches is not None else result

    def _share(self, result: Value, trail: Trail) -> Value:
        """The share of hits in a batch; its place is where the batches are made, where that is known."""
        mark = Mark.SHARE_IN_TRAINING if self.machine.state.grad else Mark.SHARE
        return replace(result, marked=Marked(mark, self._loader() or trail.site, trail))

    def _loader(self) -> Site | None:
        """Where the batches of the loop under way are made; None outside of loops over batches."""
        for frame in reversed(self.machine.frames):
            for loop in reversed(frame.loops):
                if loop.batches is not None:
                    return loop.batches
        return None

    def combined(self, operator: cst.CSTNode, left: Value, right: Value, result: Value, site: Site) -> Value:
        """Arithmetic with numbers and shares of hits."""
        one = left.marked if left.marked is not None and left.marked.mark in _TOTALS else None
        two = right.marked if right.marked is not None and right.marked.mark in _TOTALS else None
        if isinstance(operator, cst.Divide | cst.DivideAssign):
            return self._divided(one, right, result, site) if one is not None else result
        if one is None and two is None:
            return self._counted(left, right, result, site)
        for marked, other in ((one, right), (two, left)):
            if marked is not None and isinstance(other.thing, Constant):
                return replace(result, marked=marked)
        sums = isinstance(operator, cst.Add | cst.AddAssign)
        if one is not None and two is not None and one.mark is two.mark and sums:
            return replace(result, marked=two if one.mark in _SHARES else one)
        return result

    def _counted(self, left: Value, right: Value, result: Value, site: Site) -> Value:
        """`batches += 1` once in each round of a loop over a loader, and `number + 1` of the last one."""
        if right.constant != 1:
            return result
        if left.marked is not None and left.marked.mark is Mark.BATCHES:
            return replace(result, marked=left.marked)
        loops = self.machine.frame.loops
        line = site.part.parents.get(site.node)
        if not isinstance(site.node, cst.AugAssign) or left.constant != 0 or not loops or line is None:
            return result
        loop = loops[-1]
        if site.part.parents.get(line) is not loop.node.body or not (loop.batches or says_loader(loop.feeding)):
            return result
        return replace(UNKNOWN, marked=Marked(Mark.BATCHES, loop.batches or site))

    def _divided(self, total: Marked, by: Value, result: Value, site: Site) -> Value:
        if isinstance(by.thing, Constant):
            return replace(result, marked=total)
        number = by.marked
        if number is not None and number.mark in (Mark.BATCHES, Mark.SAMPLES):
            if not _is_divided_again(site):
                self._tell(total, number, site)
            return result
        if total.mark is Mark.COUNT and number is None and self._loader() is not None:
            return self._share(result, onward(total.trail, site, "the share of hits in this batch"))
        return result

    def _tell(self, total: Marked, by: Marked, site: Site) -> None:
        self.machine.facts.append(Averaged(self.machine.place(site), total, by))


def _batches_of(argument: Argument, site: Site) -> Marked | None:
    """The mark of the number of batches that a loader gives; None of anything else."""
    value, node = argument.value, argument.node
    if value.marked is not None and value.marked.mark is Mark.BATCHED:
        return Marked(Mark.BATCHES, value.marked.site)
    unknown = isinstance(value.thing, Unknown) or (isinstance(value.thing, Object) and value.thing.cls is None)
    named = isinstance(node, cst.Name | cst.Attribute | cst.Subscript) and says_loader(last_name(node))
    return Marked(Mark.BATCHES, site) if unknown and named else None


def _numbered(argument: Argument, result: Value, site: Site) -> Value:
    """`enumerate(loader)`: with one more the number of a batch is that of the batches so far."""
    batches = _batches_of(argument, site)
    pair = result.thing.lead if isinstance(result.thing, Items) else None
    if batches is None or pair is None or not isinstance(pair.thing, Items) or len(pair.thing.tail) != 2:
        return result
    number, element = pair.thing.tail
    pair = replace(pair, thing=replace(pair.thing, tail=(replace(number, marked=batches), element)))
    return replace(result, thing=Items("builtins.generator", (), pair))


def compared(left: Value, right: Value, result: Value, site: Site) -> Value:
    """`predicted == labels`"""
    marks = [value.marked.mark for value in (left, right) if value.marked is not None]
    if any(mark in _HARD for mark in marks) and not isinstance(left.thing, Constant) and not isinstance(right.thing, Constant):
        text = f"`{code(site.node)}` says which predictions are right" if isinstance(site.node, cst.BaseExpression) else "hits"
        return replace(result, marked=Marked(Mark.HITS, site, first_step(site, text)))
    return result


_HARD = (Mark.PREDICTED_CLASSES, Mark.CLASSES)


def _is_divided_again(site: Site) -> bool:
    """Whether a quotient is divided or multiplied by something else than a number: `correct / len(loader) / batch_size`."""
    node, parent = site.node, site.part.parents.get(site.node)
    while isinstance(parent, cst.BinaryOperation):
        other = parent.right if parent.left is node else parent.left
        if isinstance(parent.operator, cst.Divide | cst.Multiply) and not isinstance(other, cst.BaseNumber):
            return True
        node, parent = parent, site.part.parents.get(parent)
    return False
