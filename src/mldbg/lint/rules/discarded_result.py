from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Written
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.operations import arrays, rows, torch

if TYPE_CHECKING:
    import libcst as cst

_METHODS = torch.RETURNS_ANOTHER | torch.MOVES_OR_CASTS | rows.RETURNS_ANOTHER_TABLE
_FUNCTIONS = torch.PURE_FUNCTIONS | arrays.PURE_FUNCTIONS
_WHERE = (
    r"(?:\A|(?<=[^(,\[{=\\+\-*/&|]\n))[ \t]*(?:"
    rf"[a-zA-Z_][\w.]*(?:\[[^\]\n]*\])?\.(?:{'|'.join(sorted(_METHODS))})"
    rf"|(?:np|numpy|torch|F|functional)\.(?:random\.)?(?:{'|'.join(sorted({name.rpartition('.')[2] for name in _FUNCTIONS}))})"
    r")\((?:[^\n]*\))?[ \t]*(?:#.*)?$"
)
"""A line that is a call, or begins one, and no continuation of the line above."""

_OF_TENSORS_ONLY = frozenset({"detach", "unsqueeze", "permute", "masked_fill"})
"""Methods that nothing else has in code that uses torch."""

_AXES = frozenset({"index", "columns"})
"""Parameters of `drop` and `rename` that only tables have."""

_MOST_WITHOUT_PLACE = 3
"""Positional arguments beyond which one is the place for the result: `np.clip(x, 0, 1, x)`."""

_MEASURES = re.compile(r"perf_counter|time\.time|timeit|synchronize|profile|bench|warm_?up|elapsed|\btry\b", re.IGNORECASE)
"""What stands around calls whose results nobody wants: their time is measured, or whether they work."""

_TENSOR_KEYS = frozenset({"input_ids", "attention_mask", "token_type_ids", "pixel_values"})
"""Keys under which the library transformers hands out tensors."""

_SHOWN = re.compile(
    r"^(?:# ?%%|# In ?\[|\w+\.(?:head|tail|describe|info|shape|columns|dtypes)(?:\(\d*\))?$|display\()", re.MULTILINE
)
"""What says that a script was a notebook, in which a value that stands alone is shown."""


class DiscardedResult(Rule):
    """a method that returns a changed copy is called, and the copy is thrown away

    ## Why
    `x.to(device)` moves a module, but of a tensor it returns another one and leaves `x` where it is. `loss.detach()`,
    `df.dropna()` and `np.append(a, b)` likewise do nothing as statements: the table keeps its gaps, the array its length.

    ## Bad
        import pandas as pd

        def load(path):
            df = pd.read_csv(path)
            df.dropna(subset=["price"])
            return df

    ## Good
        import pandas as pd

        def load(path):
            df = pd.read_csv(path)
            df = df.dropna(subset=["price"])
            return df

    ## Limits
    Of `to`, `cuda` and the like it must be plain that a tensor is meant: it was made by torch, is one of several that a
    `DataLoader` gives, or an entry of a batch of transformers. Where only its name says that something is a loader, the finding
    is suspicious. Silent in notebooks, where a value that stands alone is shown, and where time is measured.
    """

    group = Group.CORRECTNESS
    topic = Topic.OTHER
    listens_to = reads("Call", where=_WHERE)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site, part = written.place.site, written.place.site.part
        call = cast("cst.Call", site.node)
        name = reading.called_name(call)
        if name is None or not edit.is_statement(site) or reading.is_tried(site) or _gives_a_place(call):
            return
        if _MEASURES.search(part.code) or (written.place.function is None and _is_shown(site)):
            return
        kind = _kind(written, call, name)
        if kind is None or re.search(rf"\bdef {name}\(", part.module.text):
            return
        by_name = kind == "another tensor" and _is_tensor_by_name_only(written, call, name)
        finding = self.found(
            site,
            f"`{name}` returns {kind} and leaves this one as it is; the result is thrown away"
            + (", if a loader is what its name says" if by_name else ""),
            hint="assign the result",
            last=(site, "nobody takes the result"),
            fix=None if by_name else _fix(written, call),
        )
        yield replace(finding, group=Group.SUSPICIOUS) if by_name else finding


def _kind(written: Written, call: cst.Call, name: str) -> str | None:
    """What a call returns: another tensor, table or array; None where it may change something."""
    part = written.place.site.part
    function = reading.qualified(part, call.func)
    if function is not None:
        return ("another array" if function.startswith("numpy.") else "another tensor") if function in _FUNCTIONS else None
    imports = {what.module.partition(".")[0] for what in part.module.outline.imports.values() if not what.level}
    receiver = reading.receiver(call)
    if receiver is None or nodes.is_name(receiver, "self"):
        return None
    if name in rows.RETURNS_ANOTHER_TABLE and {"pandas", "polars"} & imports and _is_table(written, call, receiver, name):
        return "another table"
    if "torch" not in imports:
        return None
    if name in _OF_TENSORS_ONLY or (name in torch.RETURNS_ANOTHER | torch.MOVES_OR_CASTS and _is_tensor(written, receiver)):
        return "another tensor"
    return None


def _is_table(written: Written, call: cst.Call, receiver: cst.BaseExpression, name: str) -> bool:
    """Whether a receiver is plainly a table or one of its columns: pandas read or made it, or nothing else has such a method."""
    by_axis = name in ("drop", "rename") and any(arg.keyword is not None and arg.keyword.value in _AXES for arg in call.args)
    if by_axis or name not in ("replace", "drop", "rename", "clip", "assign", "interpolate"):
        return True
    root = reading.root_name(receiver)
    return root is not None and any(name.startswith(("pandas.", "polars.")) for name in _makers(written, root))


def _is_tensor(written: Written, receiver: cst.BaseExpression) -> bool:
    """Whether a receiver is plainly a tensor: torch made it, or it is one of several things that a loop unpacks."""
    key = reading.text_key(receiver)
    if key is not None:
        return key in _TENSOR_KEYS
    root = reading.root_name(receiver)
    if root is None or not nodes.is_name(receiver, root):
        return False
    makers = _makers(written, root)
    if makers:
        return all(name.startswith("torch.") and name.count(".") == 1 and name[6].islower() for name in makers)
    return reading.is_unpacked_from_a_loader(written.place, root) and not reading.is_used_as_mapping(written.place, root)


def _is_tensor_by_name_only(written: Written, call: cst.Call, name: str) -> bool:
    """Whether only the name of what a loop goes through says that tensors come out of it."""
    receiver = reading.receiver(call)
    root = reading.root_name(receiver) if receiver is not None else None
    if receiver is None or root is None or name in _OF_TENSORS_ONLY or reading.text_key(receiver) or _makers(written, root):
        return False
    return reading.qualified(written.place.site.part, call.func) is None and not reading.is_unpacked_from_torch(
        written.place, root
    )


def _makers(written: Written, name: str) -> list[str]:
    """What is called, outside the project, wherever a name is given a value; "" where anything else is."""
    part = written.place.site.part
    return [reading.qualified(part, reading.callee(value)) or "" for value in reading.made_in(written.place, name)]


def _gives_a_place(call: cst.Call) -> bool:
    """Whether a call says where the result goes: `out=`, `inplace=True`, or arguments that are not known."""
    positional = [arg for arg in call.args if arg.keyword is None]
    return len(positional) > _MOST_WITHOUT_PLACE or any(
        arg.star or (arg.keyword is not None and arg.keyword.value in ("out", "inplace", "copy")) for arg in call.args
    )


def _is_shown(site: Site) -> bool:
    module = site.part.module
    return module.path.endswith(".ipynb") or _SHOWN.search(module.text) is not None


def _fix(written: Written, call: cst.Call) -> Fix | None:
    part = written.place.site.part
    receiver = call.args[0].value if reading.qualified(part, call.func) and call.args else reading.receiver(call)
    root = reading.root_name(receiver) if receiver is not None else None
    if receiver is None or root is None or not reading.is_bound_here(written.place, root):
        return None
    if not (nodes.is_name(receiver, root) or reading.text_key(receiver) is not None):
        return None
    return edit.safe(edit.replaced(part, call, f"{nodes.code(receiver)} = {nodes.code(call)}"))
