"""Writes the checker of a function: straight-line Python with the function's own signature.

Each axis name becomes a local variable. Two versions are written from the same lines, one for eager code and one for code under
torch.compile; they differ in where the scope is kept and how values are observed. What has no straight line (the alternatives of
a union, PyTrees, protocols) is left to `matching.judge`.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
from abc import ABCMeta
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from typing import Any

from torch import Tensor

from mldbg.contracts.annotation import (
    Anything,
    Array,
    Either,
    Foreign,
    Instance,
    Many,
    Nothing,
    Plan,
    Record,
    Row,
    Table,
    arrays,
    axis_names,
)
from mldbg.contracts.names import signature_of
from mldbg.operations import dims


@dataclass
class _Writer:
    """Lines of a function, the constants they use, and what is known of each axis name at the current line.

    variables: axis name (`batch`, `*lead`) -> local variable.
    sure: axis names that have a size on every path to this line.
    maybe: axis names whose variable may still be None.
    outside: whether names that are not known here may be found in the scope.
    traced: whether the lines are for code that is traced.
    parameters: names of the function's parameters.
    arguments: the items of the scope for the arguments. scope: its items when it is made; none before that.
    is_lenient: whether lines may ask for a size that nothing provides.
    """

    taken: set[str]
    parameters: frozenset[str] = frozenset()
    constants: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    initial: list[str] = field(default_factory=list)
    depth: int = 1
    variables: dict[str, str] = field(default_factory=dict)
    sure: set[str] = field(default_factory=set)
    maybe: set[str] = field(default_factory=set)
    outside: bool = False
    traced: bool = False
    arguments: dict[str, str] = field(default_factory=dict)
    scope: dict[str, str] = field(default_factory=dict)
    is_lenient: bool = False

    def write(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def indented(self, header: str) -> Any:
        self.write(header)
        self.depth += 1
        yield
        self.depth -= 1

    def fresh(self, name: str) -> str:
        """A name like `name` that nothing else in the function has."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def constant(self, name: str, value: Any) -> str:
        """The name of a constant, which is like `name` unless it has one already."""
        for known, other in self.constants.items():
            if other is value or (isinstance(value, frozenset) and isinstance(other, frozenset) and other == value):
                return known
        name = self.fresh(name)
        self.constants[name] = value
        return name

    @contextmanager
    def lenient(self) -> Any:
        """Lines that may ask for sizes that no earlier annotation provides: they fail where they are run."""
        before, self.is_lenient = self.is_lenient, True
        yield
        self.is_lenient = before

    def variable(self, axis: str) -> str:
        if axis not in self.variables:
            stem = f"shape_{axis[1:]}" if axis.startswith("*") else f"size_{axis}"
            self.variables[axis] = self.fresh(stem)
        return self.variables[axis]

    def perhaps(self, axis: str) -> None:
        """From here on the axis name has a size on some paths only."""
        if axis not in self.sure and axis not in self.maybe:
            self.initial.append(self.variable(axis))
        self.sure.discard(axis)
        self.maybe.add(axis)

    def known(self, axis: str) -> str | None:
        """How the name stands: `sure`, `maybe`, or None; a name from outside is fetched first."""
        if self.outside and axis not in self.sure | self.maybe:
            self.write(f"{self.variable(axis)} = $scope.get({axis!r})")
            self.maybe.add(axis)
        return "sure" if axis in self.sure else "maybe" if axis in self.maybe else None

    def settled(self, axis: str) -> None:
        self.maybe.discard(axis)
        self.sure.add(axis)

    def builtin(self, name: str) -> str:
        """A name for a builtin in the user's expression that no parameter hides."""
        return self.constant(name, getattr(builtins, name)) if name in self.parameters else name

    def expression(self, dim: dims.Symbolic) -> str:
        """A symbolic axis in terms of local variables, all of which have a value."""
        local = {name: self.variable(name) for name in dim.names}
        for name in dim.shadowed:
            match self.known(name):
                case "sure":
                    local[name] = self.variable(name)
                case "maybe":
                    local[name] = f"({self.variable(name)} if {self.variable(name)} is not None else {self.builtin(name)})"
                case _:
                    local[name] = self.builtin(name)
        for name in dim.arguments:
            local[dims.ARGUMENT + name] = name if name in self.parameters else self.builtin(name)
        return ast.unparse(dims.renamed(ast.parse(dim.source.strip(), mode="eval"), local))


def _write_plan(out: _Writer, plan: Plan, value: str, index: int, fail: str) -> bool:
    """Lines that run `fail` unless `value` fits. Returns whether the tensors with a meaning are listed in `seen_<index>`."""
    if isinstance(plan, Array):
        _write_array(out, plan, value, index, fail)
        return False
    if isinstance(array := _unless_none(plan), Array):
        _fetch(out, array)
        with _branch(out, f"if {value} is not None:"):
            _write_array(out, array, value, index, fail)
        return False
    listed = any(map(_meaningful, arrays(plan)))
    if listed:
        out.write(f"$seen_{index} = []")
    if not _is_straight(plan):
        _write_scope(out)
    label = "return" if value == "$result" else value
    _write_part(out, plan, value, _Place(label, index, f"$seen_{index}" if listed else None, fail))
    return True


@dataclass(frozen=True)
class _Place:
    """Where a part of a value is.

    path: as in the text of an f-string: the parameter, with the place inside it.
    index: of the promise. seen: the list of tensors with a meaning, or None.
    fail: what runs unless the part fits.
    """

    path: str
    index: int
    seen: str | None
    fail: str

    def inside(self, path: str) -> _Place:
        """A place inside of this one."""
        return replace(self, path=self.path + path)

    def named(self) -> str:
        """An expression for the path."""
        return ("f" if "{" in self.path else "") + _literal(self.path)


def _literal(text: str) -> str:
    """A string as it is written, without the `$` that stands before names."""
    return repr(text).replace("$", "\\x24")


def _unless_none(plan: Plan) -> Plan | None:
    """What a value has to be unless it is None; None where this is not all there is to it."""
    if not isinstance(plan, Either):
        return None
    others = [option for option in plan.options if not isinstance(option, Nothing)]
    return others[0] if len(others) == 1 and len(others) < len(plan.options) and not isinstance(others[0], Foreign) else None


def _classes(plan: Plan) -> tuple[type, ...]:
    """The classes that one test of a value needs; none where the plan asks for more."""
    match plan:
        case Nothing():
            return (type(None),)
        case Instance(cls) if _is_plain(cls):
            return (int, float) if cls is float else (cls,)  # the numeric tower of static typing
        case Either(options):
            groups = [_classes(option) for option in options]
            return tuple(dict.fromkeys(cls for group in groups for cls in group)) if all(groups) else ()
        case _:
            return ()


def _is_plain(cls: type) -> bool:
    """Whether `isinstance` always answers for a class. A protocol may raise; so may a metaclass that nobody here knows."""
    return type(cls).__instancecheck__ in (type.__instancecheck__, ABCMeta.__instancecheck__)


def _is_straight(plan: Plan) -> bool:
    """Whether a part has lines of its own. What has none is left to `judge`: alternatives, which are tried one by one."""
    match plan:
        case Anything() | Array():
            return True
        case Row(items):
            return all(map(_is_straight, items))
        case Many(cls, inner) | Table(cls, inner):
            return _is_plain(cls) and _is_straight(inner)
        case Record(cls, fields, keyed):
            return (keyed or _is_plain(cls)) and all(_is_straight(inner) for _, inner in fields)
        case _:
            some = _unless_none(plan)
            return bool(_classes(plan)) or (some is not None and _is_straight(some))


def _write_part(out: _Writer, plan: Plan, value: str, place: _Place) -> None:
    """Lines for a value inside of an argument, or for one that holds others."""
    match plan:
        case Anything():
            return
        case Array():
            with out.lenient():
                _write_array(out, plan, value, place.index, place.fail)
            if place.seen is not None and _meaningful(plan):
                out.write(f"{place.seen}.append(({value}, {out.constant(f'array_{place.index}', plan)}, {place.named()}))")
        case Row(items):
            _write_tests(out, [f"not $isinstance({value}, $tuple)", f"$len({value}) != {len(items)}"], place.fail)
            for at, item in enumerate(items):
                if not isinstance(item, Anything):
                    part = out.fresh(f"part_{place.index}_{at}")
                    out.write(f"{part} = {value}[{at}]")
                    _write_part(out, item, part, place.inside(f"[{at}]"))
        case Many(cls, inner) if _is_plain(cls):
            _write_many(out, cls, inner, value, place)
        case Table(cls, inner) if _is_plain(cls):
            _write_class(out, cls, value, place)
            key, part = out.fresh(f"key_{place.index}"), out.fresh(f"part_{place.index}")
            with _loop(out, inner, f"for {key} in {value}:"):
                out.write(f"{part} = {value}[{key}]")
                _write_part(out, inner, part, place.inside(f"[{{{key}!r}}]"))
        case Record(cls, keyed=keyed) if keyed or _is_plain(cls):
            _write_record(out, plan, value, place)
        case _ if classes := _classes(plan):
            tested = classes[0] if len(classes) == 1 else classes
            _write_tests(out, [f"not $isinstance({value}, {out.constant(f'class_{place.index}', tested)})"], place.fail)
        case _ if (some := _unless_none(plan)) is not None:
            with _branch(out, f"if {value} is not None:", some):
                _write_part(out, some, value, place)
        case _:
            _write_scope(out)
            judged = f"{out.constant(f'plan_{place.index}', plan)}, {value}, $scope, {place.named()}, {place.seen}"
            _write_tests(out, [f"$judge({judged}) is not None"], place.fail)
            for axis in axis_names(plan):
                if axis not in out.sure or axis.startswith("*"):  # broadcasting may have changed what `*name` stands for
                    out.write(f"{out.variable(axis)} = $scope.get({axis!r})")
                if axis not in out.sure:
                    out.perhaps(axis)


def _write_class(out: _Writer, cls: type, value: str, place: _Place) -> None:
    _write_tests(out, [f"not $isinstance({value}, {out.constant(f'class_{place.index}', cls)})"], place.fail)


def _write_many(out: _Writer, cls: type, inner: Plan, value: str, place: _Place) -> None:
    _write_class(out, cls, value, place)
    with _nothing() if issubclass(cls, _COLLECTIONS) else _branch(out, _unless_used_up(out, value), inner):
        part = out.fresh(f"part_{place.index}")
        if place.seen is None and _is_straight(inner):
            header, path = f"for {part} in {value}:", ""
        else:
            at = out.fresh(f"at_{place.index}")
            header, path = f"for {at}, {part} in $enumerate({value}):", f"[{{{at}}}]"
        with _loop(out, inner, header):
            _write_part(out, inner, part, place.inside(path))


_COLLECTIONS = (tuple, list, set, frozenset, deque)
"""Classes whose instances may be looked into: they are not used up, as an iterator is, and no tensors."""


def _unless_used_up(out: _Writer, value: str) -> str:
    collection, tensor = out.constant("collection", Collection), out.constant("tensor", Tensor)
    return f"if $isinstance({value}, {collection}) and not $isinstance({value}, {tensor}):"


def _write_record(out: _Writer, plan: Record, value: str, place: _Place) -> None:
    if plan.keyed:
        _write_class(out, Mapping, value, place)
        _write_tests(out, [f"{_literal(key)} not in {value}" for key in plan.required], place.fail)
    else:
        _write_class(out, plan.cls, value, place)
    for at, (name, inner) in enumerate(plan.fields):
        part, key = out.fresh(f"part_{place.index}_{at}"), _literal(name)
        within = place.inside((f"[{name!r}]" if plan.keyed else f".{name}").replace("{", "{{").replace("}", "}}"))
        if plan.keyed:
            test, got = "" if name in plan.required else f"if {key} in {value}:", f"{value}[{key}]"
        elif issubclass(plan.cls, tuple):  # a NamedTuple, whose fields are always set
            test, got = "", f"{value}.{name}"
        else:
            test, got = f"if ({part} := $getattr({value}, {key}, $unset)) is not $unset:", ""
        with _branch(out, test, inner) if test else _nothing():
            if got:
                out.write(f"{part} = {got}")
            _write_part(out, inner, part, within)


@contextmanager
def _branch(out: _Writer, header: str, plan: Plan | None = None) -> Any:
    """Lines that may not run. plan: what they check, whose sizes from outside are got before."""
    if plan is not None:
        _fetch_all(out, plan)
    before = set(out.sure)
    with out.indented(header):
        yield
    for axis in sorted(out.sure - before):
        out.sure.discard(axis)
        out.perhaps(axis)


@contextmanager
def _loop(out: _Writer, plan: Plan, header: str) -> Any:
    """Lines that run for each of several values: what the first one gives a size has one for the others."""
    _fetch_all(out, plan)
    for axis in axis_names(plan):
        if axis not in out.sure:
            out.perhaps(axis)
    with _branch(out, header):
        yield


def _fetch_all(out: _Writer, plan: Plan) -> None:
    for array in arrays(plan):
        _fetch(out, array)
    for axis in axis_names(plan):
        out.known(axis)


def _write_array(out: _Writer, plan: Array, value: str, index: int, fail: str) -> None:
    tests = [f"not $isinstance({value}, {out.constant(f'class_{index}', plan.cls)})"]
    if plan.dtypes is not None:
        tests.append(f"{value}.dtype not in {out.constant(f'dtypes_{index}', frozenset(plan.dtypes))}")
    several, count = plan.several, len(plan.dims)
    shape = out.fresh(f"shape_{index}")
    tests.append(f"$len({shape} := {value}.shape) {'!=' if several is None else '<'} {count if several is None else count - 1}")
    _write_tests(out, tests, fail)
    _fetch(out, plan)
    if several is None:
        _write_axes(out, plan.dims, shape, index, fail)
        return
    behind = count - several - 1
    if several:
        _write_axes(out, plan.dims[:several], f"{shape}[:{several}]", index, fail)
    if behind:
        _write_axes(out, plan.dims[several + 1 :], f"{shape}[-{behind}:]", index, fail)
    dim = plan.dims[several]
    assert isinstance(dim, dims.Several)
    if dim.name:
        _write_several(out, dim, f"{shape}[{several}:{-behind if behind else ''}]", index, fail)


def _fetch(out: _Writer, plan: Array) -> None:
    """Lines that get the sizes of names from outside: on every path, and before it is asked whether a name is new here."""
    for axis in plan.dims:
        match axis:
            case dims.Named(name=name):
                out.known(name)
            case dims.Symbolic(names=names, shadowed=shadowed):
                for name in (*names, *shadowed):
                    out.known(name)
            case _:
                pass


def _write_tests(out: _Writer, tests: list[str], fail: str) -> None:
    if tests:
        out.write(f"if {' or '.join(tests)}:")
        out.write(f"    {fail}")
        tests.clear()


def _write_axes(out: _Writer, axes: tuple[dims.Dim, ...], shape: str, index: int, fail: str) -> None:
    """Lines for axes that each stand for one; `shape` is an expression for their sizes."""
    if all(isinstance(axis, dims.Anonymous) for axis in axes):
        return
    targets, new = [], set()
    for position, axis in enumerate(axes):
        is_new = isinstance(axis, dims.Named) and not axis.broadcast and out.known(axis.name) is None and axis.name not in new
        if is_new:
            assert isinstance(axis, dims.Named)
            new.add(axis.name)
            targets.append(out.variable(axis.name))
        else:
            targets.append(out.fresh(f"axis_{index}_{position}"))
    out.write(f"{', '.join(targets)}{',' if len(targets) == 1 else ''} = {shape}")
    tests: list[str] = []
    for axis, size in zip(axes, targets, strict=True):
        if isinstance(axis, dims.Named) and size == out.variables.get(axis.name):
            out.settled(axis.name)
        else:
            _write_axis(out, axis, size, tests, fail)
    _write_tests(out, tests, fail)


def _write_axis(out: _Writer, axis: dims.Dim, size: str, tests: list[str], fail: str) -> None:
    """Add to `tests` what must not hold, or write lines where a test is not enough."""
    unless_one = f"{size} != 1 and " if getattr(axis, "broadcast", False) else ""
    match axis:
        case dims.Fixed(_, wanted):
            tests.append(f"{unless_one}{size} != {wanted}")
        case dims.Named(_, name):
            known = out.known(name)
            if known == "sure":
                tests.append(f"{unless_one}{size} != {out.variable(name)}")
                return
            _write_tests(out, tests, fail)
            if known is None:
                out.perhaps(name)
            with out.indented(f"if {size} != 1:") if unless_one else _nothing():
                out.write(f"if {out.variable(name)} is None:")
                out.write(f"    {out.variable(name)} = {size}")
                out.write(f"elif {size} != {out.variable(name)}:")
                out.write(f"    {fail}")
            if not unless_one:
                out.settled(name)
        case dims.Symbolic():
            _write_tests(out, tests, fail)
            with out.indented(f"if {size} != 1:") if unless_one else _nothing():
                source = _write_symbolic(out, axis, fail)
                out.write(f"if {size} != {source}:")
                out.write(f"    {fail}")
        case _:
            pass


@contextmanager
def _nothing() -> Any:
    yield


def _write_symbolic(out: _Writer, dim: dims.Symbolic, fail: str) -> str:
    """What the expression comes to, after lines that run `fail` where one of its names has no value.

    Where it raises (an object without the attribute), it comes to None, which is no size; `judge` then says why. In code that is
    traced it raises, upon which torch.compile leaves the call to eager code.
    """
    for name in dim.names:
        match out.known(name):
            case None if out.is_lenient:
                out.write(fail)
                return "None"
            case None:
                raise ValueError(f"axis {dim.text!r} needs the size of {name!r}, which no earlier annotation provides")
            case "maybe":
                out.write(f"if {out.variable(name)} is None:")
                out.write(f"    {fail}")
            case _:
                pass
    source = out.expression(dim)
    if out.traced:
        return f"({source})"
    wanted = out.fresh("wanted")
    out.write("try:")
    out.write(f"    {wanted} = {source}")
    out.write("except $Exception:")
    out.write(f"    {wanted} = None")
    return wanted


def _write_several(out: _Writer, dim: dims.Several, shape: str, index: int, fail: str) -> None:
    key = "*" + dim.name
    variable, known = out.variable(key), out.known(key)
    first = f"{variable} = ({dim.broadcast}, $tuple({shape}))"
    if known is None:
        out.write(first)
        out.settled(key)
        return
    common = out.fresh(f"common_{index}")
    with out.indented(f"if {variable} is None:") if known == "maybe" else _nothing():
        if known == "maybe":
            out.write(first)
    with out.indented("else:") if known == "maybe" else _nothing():
        out.write(f"{common} = $merged({variable}, $tuple({shape}), broadcast={dim.broadcast})")
        out.write(f"if {common} is None:")
        out.write(f"    {fail}")
        out.write(f"{variable} = ({variable}[0] and {dim.broadcast}, {common})")
    out.settled(key)


def _write_scope(out: _Writer) -> None:
    """Lines that make the scope, or bring it up to date: every axis name with a size, and every argument."""
    sizes = {axis: out.variable(axis) for axis in sorted(out.sure)}
    if not out.scope:
        out.scope = out.arguments | sizes
        out.write(_scope_made(out))
    elif sizes:
        out.write(f"$scope.update({_dict_of(sizes)})")
    for axis in sorted(out.maybe):
        out.write(f"if {out.variable(axis)} is not None:")
        out.write(f"    $scope[{axis!r}] = {out.variable(axis)}")


def _scope_made(out: _Writer) -> str:
    return f"$scope = {_dict_of(out.scope)}"


def _dict_of(items: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{key!r}: {value}' for key, value in items.items())}}}"


def _with_late_scope(out: _Writer, lines: list[str]) -> list[str]:
    """The lines of a function; where only `check` in its body, or an error, would ask for the scope, what it is made of."""
    made = _scope_made(out)
    if any("$scope" in line.replace(_ON_FAILURE, "").replace(made, "").replace(_PUSH, "") for line in lines):
        return [line.replace(_ON_FAILURE, "$scope") for line in lines]
    keys = out.constant("keys", tuple(out.scope))
    late = f"$scope = ({', '.join([keys, *out.scope.values()])})"
    return [line.replace(made, late).replace(_ON_FAILURE, "$active.top") for line in lines]


_PUSH, _ON_FAILURE = "$here.top = $scope", "$scope_of_result"


@dataclass(frozen=True)
class Promise:
    """A parameter, or the result, with its plan. number: of its site."""

    name: str
    plan: Plan
    number: int


@dataclass(frozen=True)
class Order:
    """What a checker is to be written for.

    kind: `function`, `coroutine`, `generator` or `asyncgen`.
    joins: whether the body of the function may call `check`, which needs the scope.
    level: a fixed mode, or None for the mode of the process.
    owner: the parameter that is the module, or `None`.
    """

    name: str
    signature: inspect.Signature
    promises: tuple[Promise, ...]
    result: Promise | None
    kind: str
    joins: bool
    level: int | None
    owner: str


@dataclass(frozen=True)
class Source:
    """The text of a checker, the constants in it, and what stands before the names that every checker uses."""

    name: str
    text: str
    constants: dict[str, Any]
    prefix: str


@dataclass(frozen=True)
class _Parts:
    """The lines of a checker: before the call what is checked and observed, after it the same; not indented beyond their own."""

    call: str
    checks: list[str]
    observed: list[str]
    checks_of_result: list[str]
    observed_of_result: list[str]


NAMES = frozenset(
    [
        "scope",
        "result",
        "level",
        "outer",
        "active",
        "here",
        "setting",
        "inner",
        "traced",
        "is_compiling",
        "broken",
        "judge",
        "merged",
        "observe",
        "observe_all",
        "settle",
        "abandon",
        "contract",
        "error",
        "value",
        "check",
        "stepwise",
        "stepwise_async",
        "awaiting",
        "each",
        "meets",
        "enter",
        "leave",
        "scope_can_be_set",
        "settable",
        "plain",
        "outermost",
        "bound",
        "aside",
        "count",
        "isinstance",
        "len",
        "tuple",
        "enumerate",
        "getattr",
        "unset",
        "Exception",
        "BaseException",
        "ready",
        "checked",
    ]
)
"""Names that every checker uses. A `$` before them in the templates becomes a prefix that no parameter needs."""


def write(order: Order, *, traced: bool) -> Source:
    """The checker of a function, for eager code or for code that is traced.

    Raises ValueError for an annotation that cannot hold, such as a symbolic axis whose names nothing binds.
    """
    names = list(order.signature.parameters)
    prefix = prefix_of(order.signature)
    out = _Writer(taken={order.name, *names, *(prefix + name for name in NAMES)}, parameters=frozenset(names), traced=traced)
    out.arguments = {"#": "$contract", **{f"{{{name}}}": name for name in names}}
    head = _head(out, order.name, order.kind, order.signature)
    parts = _parts(out, order, f"{{{', '.join(f'{name!r}: {name}' for name in names)}}}", traced=traced)
    lines = _traced(order, parts) if traced else _with_late_scope(out, _eager(order, parts))
    return Source(order.name, "\n".join([head, *lines]).replace("$", prefix) + "\n", out.constants, prefix)


def identifier(function: Any) -> str:
    """The name of a function, as a `def` may have it, and none of the names that the checker itself uses."""
    name: str = function.__name__
    if not name.isidentifier() or iskeyword(name):
        return "function"
    return f"{name}_" if name.lstrip("_") in NAMES else name


def prefix_of(signature: inspect.Signature) -> str:
    """What stands before `NAMES` so that no parameter has such a name."""
    names, prefix = list(signature.parameters), ""
    while any(prefix + name in names for name in NAMES) or any(name.startswith(prefix + "seen_") for name in names):
        prefix += "_"
    return prefix


def _head(out: _Writer, name: str, kind: str, signature: inspect.Signature) -> str:
    return f"{'async ' if kind in ('coroutine', 'asyncgen') else ''}def {name}({_parameters(out, signature)}):"


def _handed_on(kind: str, inner: str) -> list[str]:
    """Lines that do what the call `inner` does, and no more."""
    return {
        "function": [f"return {inner}"],
        "coroutine": [f"return await {inner}"],
        "generator": [f"return (yield from {inner})"],
        "asyncgen": [f"async for $value in {inner}:", "    yield $value", "return"],
    }[kind]


def _parts(out: _Writer, order: Order, values: str, *, traced: bool) -> _Parts:
    observed: list[str] = []
    late: list[Promise] = []  # their bound needs a size that only the result gives
    for promise in order.promises:
        if _write_plan(out, promise.plan, promise.name, promise.number, f"raise $broken({promise.name!r}, {values})"):
            observed += _observing_all(promise)
        elif not _bound_is_known(out, promise):
            late.append(promise)
        else:
            observed += _observing(out, promise, traced=traced)
    _write_scope(out)
    checks, out.lines = out.lines, []
    out.depth, out.outside = 0, True
    observed_of_result: list[str] = []
    if order.result is not None and order.kind in ("function", "coroutine"):
        for axis in sorted(out.maybe):
            out.write(f"if {out.variable(axis)} is None:")
            out.write(f"    {out.variable(axis)} = $scope.get({axis!r})")
        result = Promise("$result", order.result.plan, order.result.number)
        fail = f"raise $broken('return', {values}, $result, {'$scope' if traced else _ON_FAILURE})"
        if _write_plan(out, result.plan, result.name, result.number, fail):
            if _has_symbolic_bound(result.plan):
                _write_scope(out)
            observed_of_result = _observing_all(result)
        else:
            observed_of_result = _observing(out, result, traced=traced)
    observed_of_result = [line for promise in late for line in _observing(out, promise, traced=traced)] + observed_of_result
    if out.initial:
        checks.insert(0, f"    {' = '.join(dict.fromkeys(out.initial))} = None")
    return _Parts(_call(order.signature), checks, observed, out.lines, observed_of_result)


def _meaningful(plan: Plan) -> Array | None:
    """The tensor of a plan with one tensor, if its values can break its meaning."""
    options = plan.options if isinstance(plan, Either) else (plan,)
    array = next((option for option in options if isinstance(option, Array)), None)
    return array if array is not None and array.meaning is not None and array.meaning.law is not None else None


def _has_symbolic_bound(plan: Plan) -> bool:
    return any(array.meaning is not None and isinstance(array.meaning.bound, dims.Symbolic) for array in arrays(plan))


def _bound_is_known(out: _Writer, promise: Promise) -> bool:
    array = _meaningful(promise.plan)
    bound = array.meaning.bound if array is not None and array.meaning is not None else None
    return not isinstance(bound, dims.Symbolic) or out.sure.union(out.maybe).issuperset(bound.names)


def _observing(out: _Writer, promise: Promise, *, traced: bool) -> list[str]:
    """Lines that observe a tensor with a meaning. A bound whose sizes are not known is left out.

    In eager code an exception that the bound raises is handed over in its place.
    """
    array = _meaningful(promise.plan)
    if array is None or array.meaning is None:
        return []
    bound, tests = str(array.meaning.bound), ["$level > 1"]
    if isinstance(array.meaning.bound, dims.Symbolic):
        expression = array.meaning.bound
        tests += [f"{out.variable(name)} is not None" for name in expression.names if name in out.maybe]
        bound = out.expression(expression)
        if not _bound_is_known(out, promise):
            bound, tests = "None", tests[:1]
    if isinstance(promise.plan, Either):
        tests.append(f"{promise.name} is not None")
    attempt: list[str] = []
    if isinstance(array.meaning.bound, dims.Symbolic) and not traced:
        attempt = ["try:", f"    $bound = {bound}", "except $Exception as $error:", "    $bound = $error"]
        bound = "$bound"
    observe = f"$observe({promise.name}, {promise.number}, $level, {bound})"
    return [f"if {' and '.join(tests)}:", *_indented([*attempt, observe], 1)]


def _observing_all(promise: Promise) -> list[str]:
    if not any(_meaningful(array) for array in arrays(promise.plan)):
        return []
    return ["if $level > 1:", f"    $observe_all({promise.number}, $seen_{promise.number}, $scope, $level)"]


def _indented(lines: Iterable[str], depth: int) -> list[str]:
    return ["    " * depth + line for line in lines]


def _eager(order: Order, parts: _Parts) -> list[str]:
    """The lines of the version for eager code."""
    inner = f"$inner({parts.call})"
    steps = "$each($scope, $level, $outer is None)"
    unchecked = _handed_on(order.kind, inner)
    checked = {
        "function": [f"$result = {inner}"],
        "coroutine": [f"$result = await $awaiting({inner}, $scope)"],
        "generator": [f"$result = yield from $stepwise({inner}, $scope, {steps})"],
        "asyncgen": [f"async for $value in $stepwise_async({inner}, $scope, {steps}):", "    yield $value"],
    }[order.kind]
    when_traced = {
        "function": [f"return $traced({parts.call})"],
        "generator": [f"yield from $traced({parts.call})", "return"],
    }.get(order.kind, [])
    pushes = order.kind == "function"
    body = [*parts.observed, *checked, *parts.checks_of_result, *parts.observed_of_result]
    return [
        f"    $level = {'$setting.level' if order.level is None else order.level}",
        "    if not $level:",
        *_indented(unchecked, 2),
        *(["    if $is_compiling():", *_indented(when_traced, 2)] if when_traced else []),
        *(
            ["    try:", *_indented(parts.checks, 1), "    except $aside:", *_indented(unchecked, 2)]
            if order.promises
            else parts.checks
        ),
        "    $here = $active.here",
        "    $outer = $here.top",
        *([f"    {_PUSH}"] if pushes else []),
        "    try:",
        *_indented(body, 2),
        *(["    except $aside:", "        return $result"] if parts.checks_of_result else []),
        "    except $BaseException as $error:",
        "        if $outer is None:",
        f"            $abandon($error, {order.owner})",
        "        raise",
        *(["    finally:", "        $here.top = $outer"] if pushes else []),
        "    if $outer is None and (",
        f"        {'$here' if pushes else '$active.here'}.waits",
        "        or $setting.budget is not None",
        *(["        or $meets._active_ddp_module is not None"] if order.owner != "None" else []),
        "    ):",
        f"        $settle({', '.join(['$level', order.owner, *([parts.call] if parts.call else [])])})",
        *(["    return $result"] if order.kind != "asyncgen" else []),
    ]


def _traced(order: Order, parts: _Parts) -> list[str]:
    """The lines of the version for code under torch.compile and torch.export."""
    call = f"$result = $inner({parts.call})"
    if order.kind == "generator":
        run = [
            "$check = $each($scope, $level, False)",
            f"for $value in $inner({parts.call}):",
            "    $check($value)",
            "    yield $value",
            "$result = None",
        ]
    elif order.joins:
        run = [
            "$settable = $scope_can_be_set()",
            "if $settable:",
            "    $outer = $active.top",
            "    $active.top = $scope",
            "try:",
            f"    {call}",
            "finally:",
            "    if $settable:",
            "        $active.top = $outer",
        ]
    else:
        run = [call]
    counted = ["if $setting.counting:", "    $count()"]  # a guard of the compiled code, and nothing else, while nobody counts
    body = [
        *counted,
        "$outermost = $enter()",
        *parts.observed,
        *run,
        *parts.checks_of_result,
        *parts.observed_of_result,
        "$leave()",
    ]
    return [
        *(["    if not $is_compiling():", f"        return $plain({parts.call})"] if order.kind == "function" else []),
        *parts.checks,
        f"    $level = {'$setting.level' if order.level is None else order.level}",
        *_indented(body, 1),
        "    if $outermost and ($level > 1 or $setting.budget is not None):",
        "        $settle()",
        "    return $result",
    ]


def _parameters(out: _Writer, signature: inspect.Signature) -> str:
    """The parameter list, without annotations; defaults stand in constants."""
    pieces: list[str] = []
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    for index, (name, parameter) in enumerate(signature.parameters.items()):
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        if parameter.kind is parameter.KEYWORD_ONLY and not {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL} & set(
            kinds[:index]
        ):
            pieces.append("*")
        default = "" if parameter.default is parameter.empty else f"={out.constant('default_' + name, parameter.default)}"
        pieces.append(f"{star}{name}{default}")
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.POSITIONAL_ONLY not in kinds[index + 1 :]:
            pieces.append("/")
    return ", ".join(pieces)


def _call(signature: inspect.Signature) -> str:
    """The arguments that hand every parameter on."""
    pieces = []
    for name, parameter in signature.parameters.items():
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                pieces.append(f"*{name}")
            case parameter.VAR_KEYWORD:
                pieces.append(f"**{name}")
            case parameter.KEYWORD_ONLY:
                pieces.append(f"{name}={name}")
            case _:
                pieces.append(name)
    return ", ".join(pieces)


def stub(function: Any, kind: str, ready: Callable[[], None]) -> Any:
    """A function with the signature and kind of another one that calls `ready()`, then what its global `checked` is by then.

    Its globals are its own, so that it can be given the code of a checker. At first, `checked` is the function itself.
    """
    signature = signature_of(function)
    prefix = prefix_of(signature)
    out = _Writer(taken={*signature.parameters, *(prefix + name for name in NAMES)})
    name = identifier(function)
    lines = [_head(out, name, kind, signature), *_indented(["$ready()", *_handed_on(kind, f"$checked({_call(signature)})")], 1)]
    source = Source(name, "\n".join(lines).replace("$", prefix) + "\n", out.constants, prefix)
    return compiled(source, f"<contract to be read of {function.__qualname__}>", {"ready": ready, "checked": function})


def compiled(source: Source, file: str, environment: Mapping[str, Any]) -> Any:
    """The function of a source. Its lines are registered under `file`, so that tracebacks and debuggers show them.

    environment: values of `NAMES`.
    """
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(keepends=True), file)
    names = {source.prefix + name: value for name, value in environment.items()} | source.constants
    if source.prefix:
        names |= {source.prefix + name: getattr(builtins, name) for name in NAMES if hasattr(builtins, name)}
    exec(compile(source.text, file, "exec"), names)  # noqa: S102 (the text was written above)
    return names[source.name]
