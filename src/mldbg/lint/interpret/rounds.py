"""Which loops decide, with each round anew, what an expression names: `optimizer` in `for model, optimizer in pairs`.

Decided from the text: the names that a loop's target binds, those assigned from them, and across calls the arguments that
stand for parameters. Beside that, which loops read labels of the rows that they run over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import libcst as cst

from mldbg.lint.interpret.address import Context, Site
from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.module import Part
from mldbg.lint.interpret.tree import below
from mldbg.lint.library.names import says_label

UnderWay = tuple[tuple[Frame, tuple[cst.For | cst.While, ...]], ...]
"""Each frame under way with its loops, innermost first; empty where there is no loop."""


def under_a_loop(frames: Sequence[Frame]) -> bool:
    """Whether there is a loop at this point, be it a caller's."""
    for frame in frames:  # noqa: SIM110  # asked for each assignment, and a generator takes twice as long
        if frame.loops:
            return True
    return False


def loops_under_way(frames: Sequence[Frame]) -> UnderWay:
    """The loops at this point, those of callers included."""
    if not under_a_loop(frames):
        return ()
    return tuple((frame, tuple(loop.node for loop in frame.loops)) for frame in reversed(frames))


def chosen_by(expression: cst.CSTNode | None, under_way: UnderWay) -> frozenset[cst.CSTNode]:
    """The loops whose round decides which object an expression names."""
    found: set[cst.CSTNode] = set()
    names = names_in(expression) if expression is not None and under_way else frozenset()
    for frame, loops in under_way:
        if not names:
            break
        found.update(loop for loop in loops if not names.isdisjoint(_varying(loop)))
        names = _names_at_the_call(names, frame)
    return frozenset(found)


def _names_at_the_call(names: frozenset[str], frame: Frame) -> frozenset[str]:
    """What a function's names stand for where it is called; a name that is no parameter may be one of a function around it."""
    call = _call_of(frame.context)
    if frame.function is None or call is None:
        return frozenset()
    parameters = frame.function.node.params
    order = [parameter.name.value for parameter in (*parameters.posonly_params, *parameters.params)]
    given: dict[str, cst.BaseExpression] = {}
    positional = [arg.value for arg in call.args if arg.keyword is None and not arg.star]
    if frame.function.owner is not None and isinstance(call.func, cst.Attribute) and len(order) > len(positional):
        positional.insert(0, call.func.value)
    given.update(zip(order, positional, strict=False))
    given.update({arg.keyword.value: arg.value for arg in call.args if arg.keyword is not None})
    own = {*order, *(parameter.name.value for parameter in parameters.kwonly_params)}
    passed = [names_in(given[name]) for name in names & own if name in given]
    return (names - own).union(*passed)


def _call_of(context: Context | None) -> cst.Call | None:
    """The call that entered a frame; a loop whose rounds are told apart stands between."""
    while context is not None:
        if isinstance(context.site.node, cst.Call):
            return context.site.node
        context = context.outer if isinstance(context.site.node, cst.For | cst.CompFor) else None
    return None


@lru_cache(maxsize=512)
def _varying(loop: cst.For | cst.While) -> frozenset[str]:
    """Names that hold something else in each round of a loop."""
    bindings = list(_bindings(loop.body))
    if isinstance(loop, cst.For):
        varying = set(names_in(loop.target))
    else:  # `i += 1` and `batch = next(batches)` in a while loop
        varying = {name for names, sources, moves in bindings if moves or not names.isdisjoint(sources) for name in names}
    grown = True
    while grown:
        more = {name for names, sources, _ in bindings if not varying.isdisjoint(sources) for name in names}
        grown = not more <= varying
        varying |= more
    return frozenset(varying)


@lru_cache(maxsize=512)
def counters(loop: cst.For | cst.While) -> frozenset[str]:
    """Names that count the rounds of a loop: `step` in `for step, batch in enumerate(loader)`, and in `step += 1`."""
    moving = {name for names, sources, moves in _bindings(loop.body) if moves and not sources for name in names}
    if not isinstance(loop, cst.For):
        return frozenset(moving)
    iterated: cst.BaseExpression = loop.iter
    called = ""
    while isinstance(iterated, cst.Call) and called not in ("enumerate", "range", "trange"):
        called = iterated.func.attr.value if isinstance(iterated.func, cst.Attribute) else getattr(iterated.func, "value", "")
        iterated = iterated.args[0].value if iterated.args else iterated.func
    first = loop.target.elements[0].value if isinstance(loop.target, cst.Tuple) else loop.target
    counts = called in ("enumerate", "range", "trange") and isinstance(first, cst.Name)
    return frozenset(moving | ({first.value} if counts and isinstance(first, cst.Name) else set()))


def stop_of_range(loop: cst.For) -> cst.BaseExpression | None:
    """What `for epoch in tqdm(range(first, last))` counts up to, first rounds that are skipped or numbered from 1 included."""
    node: cst.BaseExpression = loop.iter
    while isinstance(node, cst.Call) and node.args:
        called = node.func.attr.value if isinstance(node.func, cst.Attribute) else getattr(node.func, "value", "")
        if called in ("range", "trange", "prange"):
            positional = [arg.value for arg in node.args if arg.keyword is None]
            stop = positional[1 if len(positional) > 1 else 0] if positional else None
            if (
                isinstance(stop, cst.BinaryOperation)
                and isinstance(stop.operator, cst.Add)
                and isinstance(stop.right, cst.Integer)
            ):
                return stop.left  # range(1, epochs + 1)
            return stop
        node = node.args[0].value
    return None


def _bindings(block: cst.CSTNode) -> Iterator[tuple[frozenset[str], frozenset[str], bool]]:
    """Names bound in a block, the names they are bound from, and whether they move on from what they were."""
    todo = [block]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.Assign):
            plain = [target.target for target in node.targets if isinstance(target.target, cst.Name | cst.Tuple | cst.List)]
            yield frozenset().union(*map(names_in, plain)), names_in(node.value), False
        elif isinstance(node, cst.AugAssign) and isinstance(node.target, cst.Name):
            yield frozenset({node.target.value}), names_in(node.value), True
        elif isinstance(node, cst.AnnAssign) and isinstance(node.target, cst.Name) and node.value is not None:
            yield frozenset({node.target.value}), names_in(node.value), False
        elif isinstance(node, cst.For):
            yield names_in(node.target), names_in(node.iter), False
        elif isinstance(node, cst.NamedExpr):
            yield names_in(node.target), names_in(node.value), False
        if not isinstance(node, cst.FunctionDef | cst.ClassDef | cst.Lambda):
            todo += below(node)


@lru_cache(maxsize=4096)
def names_in(expression: cst.CSTNode) -> frozenset[str]:
    """The names in an expression, without those of attributes and of keywords."""
    names: set[str] = set()
    todo = [expression]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.Name):
            names.add(node.value)
        elif isinstance(node, cst.Attribute | cst.Arg):
            todo.append(node.value)
        else:
            todo += below(node)
    return frozenset(names)


def comprehensions(site: Site) -> Iterator[tuple[cst.CSTNode, Part]]:
    """The comprehensions around a call."""
    node: cst.CSTNode | None = site.node
    while node is not None and not isinstance(node, cst.BaseSmallStatement):
        if isinstance(node, cst.ListComp | cst.GeneratorExp):
            yield node, site.part
        node = site.part.parents.get(node)


def reads_labels(loop: cst.CSTNode, part: Part) -> bool:
    """Whether a loop over pairs reads the labels that it gets: `for x, y in test_loader`.

    They are labels by their name, or because they are compared with what a call makes of the row.
    """
    target: cst.BaseAssignTargetExpression
    body: cst.CSTNode
    if isinstance(loop, cst.For):
        target, body = loop.target, loop.body
    elif isinstance(loop, cst.ListComp | cst.GeneratorExp):
        target, body = loop.for_in.target, loop.elt
    else:
        return False
    if not isinstance(target, cst.Tuple):
        return False
    names = [element.value.value for element in target.elements if isinstance(element.value, cst.Name)]
    if any(says_label(name) and part.names_in(loop).uses[name] > 1 for name in names):
        return True
    return len(names) == 2 and _SAYS_NO_LABEL.search(names[1]) is None and _is_compared(names[1], names[0], body)


_SAYS_NO_LABEL = re.compile(
    r"(^|_)(ids?|idx|index|indices|masks?|lens?|lengths?|names?|times?|start|end|keys?|paths?|files?)(_|$|\d)"
)
"""Names of what stands beside a row and is no label of it."""


def _is_compared(label: str, row: str, body: cst.CSTNode) -> bool:
    """Whether a name is compared with what is made of another one by a call, or the difference is taken."""
    made = {row}
    todo = [body]
    sides: list[tuple[cst.BaseExpression, cst.BaseExpression]] = []
    while todo:
        node = todo.pop()
        todo += below(node)[::-1]
        if isinstance(node, cst.Assign) and len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Name):
            if isinstance(node.value, cst.Call) and not made.isdisjoint(names_in(node.value)):
                made.add(node.targets[0].target.value)
        elif isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Subtract):
            sides += [(node.left, node.right), (node.right, node.left)]
        elif isinstance(node, cst.Comparison) and len(node.comparisons) == 1:
            target = node.comparisons[0]
            if isinstance(target.operator, cst.Equal | cst.NotEqual):
                sides += [(node.left, target.comparator), (target.comparator, node.left)]
    results = made - {row}
    return any(
        isinstance(one, cst.Name)
        and one.value == label
        and (not results.isdisjoint(names_in(other)) or (isinstance(other, cst.Call) and row in names_in(other)))
        for one, other in sides
    )
