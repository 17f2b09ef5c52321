from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site, site_of
from mldbg.lint.interpret.facts import Place, Written
from mldbg.lint.interpret.value import first_step
from mldbg.lint.outline import Kind
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.lint.sources import meanings
from mldbg.operations.clocks import CLOCKS, SAYS_GPU, WAITS, WORKS

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part

_WAITS, _WORKS, _SAYS_GPU = re.compile(WAITS), re.compile(WORKS), re.compile(SAYS_GPU)
_CALLED = re.compile(r"(?<![\w.])(?:self\.)?(\w+)\(")


class UntimedCuda(Rule):
    """the time is taken around work on the GPU, which is not finished when the second clock is read

    ## Why
    CUDA kernels are only queued by the call that starts them. A clock that is read behind it shows how long the queueing took:
    models look ten times faster than they are, and what waits for the result later looks slow.

    ## Bad
        import time

        import torch

        def latency(model, x):
            model, x = model.cuda(), x.cuda()
            with torch.no_grad():
                start = time.perf_counter()
                model(x)
                return time.perf_counter() - start

    ## Good
        import time

        import torch

        def latency(model, x):
            model, x = model.cuda(), x.cuda()
            with torch.no_grad():
                torch.cuda.synchronize()
                start = time.perf_counter()
                model(x)
                torch.cuda.synchronize()
                return time.perf_counter() - start

    ## Limits
    Looks at one function or script that says it uses CUDA, or whose object or module does, and at what it calls in the same
    module between the two clocks. Silent where anything there waits for the GPU: synchronize, an event, `.item()`, `.cpu()` and
    the like.
    """

    group = Group.PERFORMANCE
    topic = Topic.TRAINING
    about_experiments = True
    listens_to = reads("BinaryOperation", where=r"\b(?:time|perf_counter|monotonic|process_time|default_timer|now)\w*\(\)")

    def on_written(self, written: Written) -> Iterator[Finding]:
        place = written.place
        sides = nodes.difference(place.site.node)
        if sides is None or not _says_gpu(place.site.part):
            return
        end, start = _read(place, sides[0]), _read(place, sides[1])
        if start is None or end is None or start.node is end.node:
            return
        between = _between(start, end)
        if between is None or not _works_unwatched(place, between):
            return
        yield self.found(
            end,
            "the clock is read while the GPU still works: what is measured is how long it took to queue the work",
            hint="call torch.cuda.synchronize() before both clocks, or use torch.cuda.Event",
            trail=first_step(start, "the time begins here"),
            last=(end, "nothing has waited for the GPU"),
            fix=_fix(start, end),
        )


def _says_gpu(part: Part) -> bool:
    """Whether the function or script around says that it uses a GPU; of a method also what builds the object."""
    texts = [part.code, *(other.code for other in part.module.parts if other.statement.kind in (Kind.ASSIGNMENT, Kind.CODE))]
    for cls in part.module.parts:
        methods = list(cls.methods.values()) if cls.statement.kind is Kind.CLASS else []
        if part in methods:
            texts += [method.code for method in methods if method.function.name.value == "__init__"]
    return any(_SAYS_GPU.search(text) for text in texts)


def _read(place: Place, node: cst.BaseExpression) -> Site | None:
    """Where a clock was read whose time an expression is: the last time before, of several."""
    part = place.site.part
    if _is_clock(part, node):
        return site_of(part, node)
    name = nodes.name_of(node)
    if name is None:
        return None
    here = place.site.span
    bound = [site_of(where, value) for where, value in meanings(place, name) if _is_clock(where, value)]
    before = [site for site in bound if site.span < here]
    return max(before, key=lambda site: site.span) if before else None


def _is_clock(part: Part, node: cst.CSTNode) -> bool:
    function = nodes.called(node)
    return function is not None and reading.qualified(part, function) in CLOCKS


def _between(start: Site, end: Site) -> str | None:
    """The code between two clocks of one module, from the line behind the first to the line of the second."""
    first, last = start.span.end_line, end.span.line
    if start.part.module is not end.part.module or first >= last:
        return None
    return "".join(start.part.module.outline.code[first : last - 1])


def _works_unwatched(place: Place, code: str) -> bool:
    """Whether code runs something on the GPU, itself or in functions of the module that it calls, and nothing waits for it."""
    texts = [code, *_bodies(place.site.part, code)]
    return any(_WORKS.search(text) for text in texts) and not any(_WAITS.search(text) for text in texts)


def _bodies(part: Part, code: str) -> Iterator[str]:
    """The code of the functions, and of methods of the same name, that some code calls."""
    called = set(_CALLED.findall(code)) | set(re.findall(r"\.(\w+)\(", code))
    outline = part.module.outline
    for other in part.module.parts:
        if other.statement.kind is Kind.FUNCTION and other.statement.names[0] in called:
            yield other.code
        for name, first, last in other.statement.methods if other.statement.kind is Kind.CLASS else ():
            if name in called:
                yield "".join(outline.code[first - 1 : last])


def _fix(start: Site, end: Site) -> Fix | None:
    """Wait before each of the clocks is read."""
    first, last = edit.statement_at(start), edit.statement_at(end)
    if first is None or last is None or first is last or "torch" not in start.part.module.outline.imports:
        return None
    if not nodes.is_line(first) or not nodes.is_line(last):
        return None
    wait = "torch.cuda.synchronize()"
    return edit.unsafe(edit.inserted_before(start.part, first, wait), edit.inserted_before(end.part, last, wait))
