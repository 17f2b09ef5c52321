"""Where the result of an expression may come from, judged from `ast` alone, before anything is executed.

The answer errs to one side: it may name a source that execution then rules out, and it names every source that execution would
find. It is asked in order to execute less (see `sieve`), never for a finding.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mldbg.lint.interpret.module import Module, Modules, Part
from mldbg.lint.library.names import CONVENTIONAL_ALIASES
from mldbg.lint.outline import Import, Kind
from mldbg.operations import tables, torch
from mldbg.operations.spelling import canonical

SOURCE = "*"
"""Stands, among the names of parameters, for: a source itself."""

MOST_FUNCTIONS = 1_000
"""Functions that are looked into for one file; of those beyond it anything may come."""

FILLS = frozenset({"append", "extend", "insert", "add", "update", "setdefault"})
"""Methods that put their arguments into what they are called on."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Passage(Enum):
    """What a call does to what flows into it."""

    SOURCE = "what is looked for comes out"
    STOPS = "nothing comes through"
    PASSES = "an argument may come through"


Judge = Callable[[str, ast.Call | None], Passage | None]
"""What calling a library function, or an object of a library class (`name.__call__`, and the call that made it), does.

None: not known.
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A class and its ancestors in the project, itself first; `outside` holds the names of the other ancestors."""

    classes: tuple[tuple[Part, ast.ClassDef], ...]
    outside: tuple[str, ...]

    def __hash__(self) -> int:
        return id(self.classes[0][1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Family) and self.classes[0][1] is other.classes[0][1]


Place = tuple[int, int]
"""A line and a column."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What is assigned to a name, and where that statement ends; `sure`: it is executed whenever what follows it is."""

    value: ast.expr
    end: Place
    sure: bool = False


@dataclass(slots=True)
class Bindings:
    """What a function binds, nested functions and comprehensions taken in. Of a method `receiver` is the first parameter."""

    params: tuple[str, ...] = ()
    receiver: str | None = None
    bound: dict[str, list[Definition]] = field(default_factory=lambda: defaultdict(list))
    loops: list[tuple[Place, Place]] = field(default_factory=list)
    filled: dict[str, list[ast.expr]] = field(default_factory=lambda: defaultdict(list))
    """What is put into the object of a name: elements, attributes."""
    attributes: dict[str, list[ast.expr]] = field(default_factory=lambda: defaultdict(list))
    """What is assigned to attributes of the receiver."""
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)
    results: list[ast.expr] = field(default_factory=list)
    """What is returned or yielded."""

    def binds(self, name: str) -> bool:
        return name in self.params or name in self.bound

    def reaching(self, node: ast.Name) -> tuple[list[ast.expr], bool]:
        """What a name may hold where it stands: assigned values, and whether it may be what the caller passed."""
        place = node.lineno, node.col_offset
        around = [loop for loop in self.loops if loop[0] <= place <= loop[1]]
        definitions = [
            each
            for each in self.bound.get(node.id, ())
            if each.end <= place or any(start <= each.end <= end for start, end in around)
        ]
        last = max((each.end for each in definitions if each.sure and each.end <= place), default=None)
        values = [each.value for each in definitions if last is None or each.end >= last]
        return values, last is None and node.id in self.params

    def values(self, name: str) -> list[ast.expr]:
        """What a name may hold anywhere."""
        return [each.value for each in self.bound.get(name, ())]


@dataclass(slots=True)
class Scope:
    """A function in its class, as a place to look names up; or the top level of a module."""

    part: Part
    code: Code | None = None
    names: Bindings = field(default_factory=Bindings)

    @property
    def family(self) -> Family | None:
        return self.code.family if self.code is not None and self.names.receiver is not None else None

    @property
    def is_setter(self) -> bool:
        """Whether it is a method that runs only when somebody calls it, who is then looked at himself."""
        return self.family is not None and self.code is not None and self.code.name != "__init__"

    @property
    def outer(self) -> Scope | None:
        return self.code.outer if self.code is not None else None


# ------------------------------------------------------------------------------------------------------------- what is callable
@dataclass(frozen=True, slots=True)
class Outside:
    """A function, class or module outside the project."""

    name: str


@dataclass(frozen=True, slots=True)
class OutsideObject:
    """An object of a class outside the project, and the call that made it."""

    name: str
    made: ast.Call
    scope: Scope

    def __hash__(self) -> int:
        return id(self.made)


@dataclass(frozen=True, slots=True)
class Code:
    """A function of the project; of a method the class that defines it, and the class of its receiver."""

    part: Part
    node: FunctionNode
    owner: ast.ClassDef | None = None
    family: Family | None = None
    outer: Scope | None = None

    def __hash__(self) -> int:
        return id(self.node)

    @property
    def name(self) -> str:
        return "" if isinstance(self.node, ast.Lambda) else self.node.name

    @property
    def words(self) -> frozenset[str]:
        """The words of its text."""
        above = self.part.statement.first - 1
        return self.part.module.outline.words(self.node.lineno + above, (self.node.end_lineno or self.node.lineno) + above)


@dataclass(frozen=True, slots=True)
class Class:
    """A class of the project."""

    family: Family


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class of the project."""

    family: Family


@dataclass(frozen=True, slots=True)
class Super:
    """`super()` in a method."""

    family: Family
    owner: ast.ClassDef | None


@dataclass(frozen=True, slots=True)
class Folder:
    """A module of the project."""

    module: Module


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller of a function passed as this parameter."""

    param: str
    to: Scope

    def __hash__(self) -> int:
        return hash(self.param)


Thing = Outside | OutsideObject | Code | Class | Instance | Super | Folder | Given


class Flow:
    """Answers for one kind of source, over all modules of the project.

    `judge` says of calls outside the project whether they are a source; `words` are the names of those that are.
    """

    def __init__(self, modules: Modules, judge: Judge, words: frozenset[str]) -> None:
        self._modules = modules
        self.judge = judge
        self.words = words
        self._scopes: dict[tuple[FunctionNode, Family | None], Scope] = {}
        self._summaries: dict[tuple[FunctionNode, Family | None], frozenset[str]] = {}
        self._known: dict[tuple[object, ...], list[Thing]] = {}
        self._families: dict[ast.ClassDef, Family] = {}

    # ------------------------------------------------------------------------------------------------------------- questions
    def origins(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        """SOURCE, and the parameters of the scope's function, that may come out of an expression."""
        trace = _Trace(self, scope)
        trace.follow(expression)
        return frozenset(trace.found)

    def summary(self, code: Code) -> frozenset[str]:
        """SOURCE, and the parameters, that may come out of a function."""
        key = (code.node, code.family)
        if key not in self._summaries:
            if len(self._summaries) >= MOST_FUNCTIONS:
                return _ANYTHING
            self._summaries[key] = _ANYTHING  # for a function that calls itself
            scope = self.scope(code)
            trace = _Trace(self, scope)
            for result in scope.names.results:
                trace.follow(result)
            changed = any(self._is_source(each, scope) for each in _decorators(code.node))
            self._summaries[key] = frozenset(trace.found) | (_ANYTHING if changed else frozenset())
        return self._summaries[key]

    def _is_source(self, decorator: ast.expr, scope: Scope) -> bool:
        """Whether a decorator of the project is such that what it decorates becomes a source."""
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        things = self.things(named, Scope(scope.part))
        return any(isinstance(thing, Code) and not self.words.isdisjoint(thing.words) for thing in things)

    def run(self, family: Family) -> Code | None:
        """What calling an object of a class executes."""
        return self.method(family, "__call__") or self.method(family, "forward")

    # ---------------------------------------------------------------------------------------------------------------- scopes
    def scope(self, code: Code) -> Scope:
        """The scope of a function."""
        key = (code.node, code.family)
        if key not in self._scopes:
            self._scopes[key] = Scope(code.part, code, _bindings(code))
        return self._scopes[key]

    def code_of(self, part: Part) -> Code | Family | None:
        """What a top-level statement defines."""
        node = part.syntax
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return Code(part, node)
        return self.family(part, node) if isinstance(node, ast.ClassDef) else None

    def family(self, part: Part, node: ast.ClassDef) -> Family:
        if node not in self._families:
            self._families[node] = Family(((part, node),), ())  # in case that the class leads to itself
            classes: dict[ast.ClassDef, Part] = {node: part}
            outside: dict[str, None] = {}
            top = Scope(part)
            for base in node.bases:
                named = base.value if isinstance(base, ast.Subscript) else base
                things = self.things(named, top)
                if not things:
                    outside[""] = None
                for thing in things:
                    if isinstance(thing, Class):
                        classes |= {each: at for at, each in thing.family.classes if not at.is_framework}
                        outside |= dict.fromkeys(thing.family.outside)
                    else:
                        outside[thing.name if isinstance(thing, Outside) else ""] = None
            self._families[node] = Family(tuple((at, each) for each, at in classes.items()), tuple(outside))
        return self._families[node]

    def method(self, family: Family, name: str, above: ast.ClassDef | None = None) -> Code | None:
        """The method that an object of a class has by this name; `above`: what `super()` finds from there."""
        nodes = [node for _, node in family.classes]
        first = nodes.index(above) + 1 if above in nodes else 0
        return next((code for code in self.methods(family, first) if code.name == name), None)

    def methods(self, family: Family, first: int = 0) -> Iterator[Code]:
        """All methods of a class and its ancestors, its own first."""
        for part, node in family.classes[first:]:
            for item in node.body:
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield Code(part, item, node, family)

    def assigned(self, family: Family, name: str) -> Iterator[tuple[ast.expr, Scope]]:
        """What methods assign to an attribute of the object, and class bodies to that name."""
        for part, node in family.classes:
            if name not in part.words:
                continue
            for item in node.body:
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                    code = Code(part, item, node, family)
                    if name in code.words:
                        scope = self.scope(code)
                        yield from ((expression, scope) for expression in scope.names.attributes.get(name, ()))
                elif isinstance(item, ast.Assign | ast.AnnAssign) and item.value is not None:
                    targets = item.targets if isinstance(item, ast.Assign) else [item.target]
                    if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                        yield item.value, Scope(part)

    # ---------------------------------------------------------------------------------------------------------------- things
    def things(self, node: ast.expr, scope: Scope) -> list[Thing]:
        """What an expression may stand for, as far as calling it or looking into it goes; nothing where that is not known."""
        if isinstance(node, ast.Name):
            return self._once(("name", id(scope.names), scope.family, node.id), lambda: self._named(node.id, scope))
        if isinstance(node, ast.Attribute):
            return [found for base in self.things(node.value, scope) for found in self._inside(base, node.attr)]
        if isinstance(node, ast.Call):
            return [found for callee in self.callees(node, scope) for found in self._made(callee, node, scope)]
        if isinstance(node, ast.IfExp):
            return self.things(node.body, scope) + self.things(node.orelse, scope)
        if isinstance(node, ast.BoolOp):
            return [found for value in node.values for found in self.things(value, scope)]
        if isinstance(node, ast.Lambda):
            return [Code(scope.part, node, outer=scope)]
        if isinstance(node, ast.NamedExpr | ast.Await | ast.Starred):
            return self.things(node.value, scope)
        return []

    def callees(self, node: ast.Call, scope: Scope) -> list[Thing]:
        """What a call may call."""
        if isinstance(node.func, ast.Name) and node.func.id == "super" and scope.family is not None:
            return [Super(scope.family, scope.code.owner if scope.code is not None else None)]
        return self.things(node.func, scope)

    def _once(self, key: tuple[object, ...], find: Callable[[], list[Thing]]) -> list[Thing]:
        """What was found before; nothing for what is just being looked for, as it leads to itself."""
        if key not in self._known:
            self._known[key] = []
            self._known[key] = find()
        return self._known[key]

    def _named(self, name: str, scope: Scope) -> list[Thing]:
        names = scope.names
        if name == names.receiver and scope.family is not None:
            return [Instance(scope.family)]
        found: list[Thing] = [Given(name, scope)] if name in names.params else []
        if name in names.functions:
            found.append(Code(scope.part, names.functions[name], outer=scope))
        for expression in names.values(name):
            found += self.things(expression, scope)
        if name in names.imports:
            found += self._imported(names.imports[name], scope.part.module)
        if found or names.binds(name):
            return found
        return self._named(name, scope.outer) if scope.outer is not None else self._global(name, scope.part.module)

    def _global(self, name: str, module: Module) -> list[Thing]:
        return self._once(("global", module, name), lambda: self._found_global(name, module))

    def _found_global(self, name: str, module: Module) -> list[Thing]:
        part = module.part_of.get(name)
        if part is not None:
            if part.statement.kind in (Kind.FUNCTION, Kind.CLASS):
                defined = self.code_of(part)
                return [Class(defined) if isinstance(defined, Family) else defined] if defined is not None else []
            node = part.syntax
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                return self.things(node.value, Scope(part))
            return []
        imported = module.outline.imports.get(name)
        if imported is not None:
            return self._imported(imported, module)
        if hasattr(builtins, name):
            return [Outside(f"builtins.{name}")]
        return [Outside(CONVENTIONAL_ALIASES[name])] if name in CONVENTIONAL_ALIASES else []

    def _imported(self, what: Import, module: Module) -> list[Thing]:
        dotted = module.absolute(what)
        if what.name is None:
            found = self._modules.find(dotted, module)
            return [Folder(found) if found is not None else Outside(canonical(dotted))]
        known = canonical(f"{dotted}.{what.name}")
        if tables.is_known(known):
            return [Outside(known)]
        source = self._modules.find(dotted, module)
        if source is not None and what.name in source.text:
            things = self._global(what.name, source)
            if things:
                return things
        inner = self._modules.find(f"{dotted}.{what.name}" if dotted else what.name, module)
        if inner is not None:
            return [Folder(inner)]
        return [] if source is not None or what.level else [Outside(known)]

    def _inside(self, base: Thing, name: str) -> list[Thing]:
        if isinstance(base, Outside):
            return [Outside(canonical(f"{base.name}.{name}"))]
        if isinstance(base, Folder):
            return self._global(name, base.module)
        if isinstance(base, Instance | Class | Super):
            method = self.method(base.family, name, base.owner if isinstance(base, Super) else None)
            if method is not None:
                return [Code(method.part, method.node) if isinstance(base, Class) else method]
            return self._once(("attribute", base.family, name), lambda: self._stored(base.family, name))
        return []

    def _stored(self, family: Family, name: str) -> list[Thing]:
        found = [thing for value, scope in self.assigned(family, name) for thing in self.things(value, scope)]
        return [thing for thing in found if not (isinstance(thing, Given) and thing.to.is_setter)]

    def _made(self, callee: Thing, node: ast.Call, scope: Scope) -> list[Thing]:
        if isinstance(callee, Super):
            return [callee]
        if isinstance(callee, Class):
            return [Instance(callee.family)]
        if isinstance(callee, Outside) and tables.is_class(callee.name):
            return [OutsideObject(callee.name, node, scope)]
        if isinstance(callee, Code) and not isinstance(callee.node, ast.Lambda):
            return self._once(("made", callee.node, callee.family), lambda: self._returned(callee))
        return []

    def _returned(self, code: Code) -> list[Thing]:
        inside = self.scope(code)
        found = [thing for result in inside.names.results for thing in self.things(result, inside)]
        return [thing for thing in found if not isinstance(thing, Given)]  # that is what was passed to it


_ANYTHING = frozenset({SOURCE})


class _Trace:
    """One question: what may come out of an expression?"""

    def __init__(
        self, flow: Flow, scope: Scope, attributes: set[tuple[Family, str]] | None = None, *, anywhere: bool = False
    ) -> None:
        self._flow = flow
        self._scope = scope
        self._anywhere = anywhere
        self._names: set[str] = set()
        self._followed: set[ast.expr] = set()
        self._attributes: set[tuple[Family, str]] = attributes if attributes is not None else set()
        self.found: set[str] = set()

    def follow(self, node: ast.expr) -> None:
        """Collect what may come out of an expression of the scope."""
        if isinstance(node, ast.Name):
            self._name(node)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Subscript):
            self.follow(node.value)
        elif isinstance(node, ast.BinOp):
            if not isinstance(node.op, ast.MatMult):
                self.follow(node.left)
                self.follow(node.right)
        elif isinstance(node, ast.IfExp):
            self.follow(node.body)
            self.follow(node.orelse)
        elif isinstance(node, ast.Dict):
            for value in node.values:
                self.follow(value)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            self.follow(node.elt)
        elif isinstance(node, ast.DictComp):
            self.follow(node.value)
        elif isinstance(node, ast.Lambda):
            self.follow(node.body)
        elif not isinstance(node, ast.Compare | ast.Constant | ast.JoinedStr):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.follow(child)

    def _name(self, node: ast.Name) -> None:
        name, names = node.id, self._scope.names
        if name == names.receiver:
            return
        values, passed = names.reaching(node) if not self._anywhere else (names.values(name), name in names.params)
        if passed:
            self.found.add(name)
        for expression in (*values, *names.filled.get(name, ())):
            if expression not in self._followed:
                self._followed.add(expression)
                self.follow(expression)
        if self._scope.outer is not None and not names.binds(name):
            self._elsewhere(node, self._scope.outer)
        if name not in self._names:
            self._names.add(name)
            self._value_of(node)

    def _attribute(self, node: ast.Attribute) -> None:
        things = self._flow.things(node.value, self._scope)
        families = [thing.family for thing in things if isinstance(thing, Instance)]
        for family in families:
            if (family, node.attr) not in self._attributes:
                self._attributes.add((family, node.attr))
                for expression, scope in self._flow.assigned(family, node.attr):
                    if scope is self._scope:
                        self.follow(expression)
                    else:
                        self._elsewhere(expression, scope)
        if not families:
            self.follow(node.value)
        self._value_of(node)

    def _elsewhere(self, node: ast.expr, scope: Scope) -> None:
        """What comes out of an expression of another function, of whose parameters nothing is known."""
        trace = _Trace(self._flow, scope, self._attributes, anywhere=scope is self._scope.outer)
        trace.follow(node)
        self.found |= trace.found & _ANYTHING

    def _value_of(self, node: ast.expr) -> None:
        """A function or layer that is passed on, to be called elsewhere."""
        if any(self._layer(thing) is Passage.SOURCE for thing in self._flow.things(node, self._scope)):
            self.found.add(SOURCE)

    # ----------------------------------------------------------------------------------------------------------------- calls
    def _call(self, node: ast.Call) -> None:
        things = self._flow.callees(node, self._scope)
        if not things:
            self._unknown(node)
        for thing in things:
            self._called(thing, node)
        self._value_of(node)

    def _called(self, thing: Thing, node: ast.Call) -> None:
        if isinstance(thing, Outside):
            self._judged(self._flow.judge(thing.name, None), node)
        elif isinstance(thing, OutsideObject):
            self._judged(self._layer(thing), node)
        elif isinstance(thing, Code):
            self._code_called(thing, node)
        elif isinstance(thing, Instance):
            if isinstance(node.func, ast.Name):
                for value in self._scope.names.filled.get(node.func.id, ()):
                    self.follow(value)
            method = self._flow.run(thing.family)
            if method is not None:
                self._code_called(method, node)
            else:
                self._judged(self._layer(thing), node)
        elif isinstance(thing, Given):
            self.found.add(thing.param if thing.to is self._scope else SOURCE)
            self._arguments(node)
        else:
            self._arguments(node)

    def _judged(self, passage: Passage | None, node: ast.Call) -> None:
        if passage is Passage.SOURCE:
            self.found.add(SOURCE)
        elif passage is not Passage.STOPS:
            self._arguments(node)

    def _layer(self, thing: Thing) -> Passage | None:
        """What calling a thing does, whatever it is given."""
        flow = self._flow
        if isinstance(thing, Outside):
            return flow.judge(thing.name, None)
        if isinstance(thing, OutsideObject):
            if thing.name in torch.CONTAINERS:
                return self._container(thing)
            return flow.judge(f"{thing.name}.__call__", thing.made)
        if isinstance(thing, Code):
            return _passage(flow.summary(thing))
        if isinstance(thing, Instance):
            method = flow.run(thing.family)
            if method is not None:
                return _passage(flow.summary(method))
            outside = [flow.judge(f"{name}.__call__", None) for name in thing.family.outside if name not in torch.CONTAINERS]
            return outside[0] if len(outside) == len(thing.family.outside) == 1 else Passage.SOURCE
        return None

    def _container(self, thing: OutsideObject) -> Passage | None:
        """The layers of a container run one after the other, or one by one elsewhere."""
        verdict: Passage | None = None
        for each in _flat([*thing.made.args, *(keyword.value for keyword in thing.made.keywords)]):
            layers = self._flow.things(each, thing.scope)
            passages = [self._layer(layer) for layer in layers]
            if not layers or Passage.SOURCE in passages or any(isinstance(layer, Given) for layer in layers):
                verdict = Passage.SOURCE
            elif all(passage is Passage.STOPS for passage in passages) and thing.name == "torch.nn.Sequential":
                verdict = Passage.STOPS
        return verdict

    def _code_called(self, code: Code, node: ast.Call) -> None:
        origins = self._flow.summary(code)
        if SOURCE in origins:
            self.found.add(SOURCE)
        names = _positional(code.node)
        if code.family is not None and self._flow.scope(code).names.receiver is not None:
            names = names[1:]
        rest = {argument.arg for argument in (code.node.args.vararg, code.node.args.kwarg) if argument is not None}
        loose = bool(rest & origins) or any(isinstance(argument, ast.Starred) for argument in node.args)
        for index, argument in enumerate(node.args):
            if loose or index >= len(names) or names[index] in origins:
                self.follow(argument)
        for keyword in node.keywords:
            if loose or keyword.arg is None or keyword.arg in origins:
                self.follow(keyword.value)

    def _unknown(self, node: ast.Call) -> None:
        """A method of a value of which nothing is known, tensors above all, or a function of which nothing is known."""
        if isinstance(node.func, ast.Attribute):
            passage = self._flow.judge(f"torch.Tensor.{node.func.attr}", None)
            if passage is Passage.SOURCE:
                self.found.add(SOURCE)
            if passage in (Passage.SOURCE, Passage.STOPS):
                return
            self.follow(node.func.value)
        else:
            self.follow(node.func)
        self._arguments(node)

    def _arguments(self, node: ast.Call) -> None:
        for argument in node.args:
            self.follow(argument)
        for keyword in node.keywords:
            self.follow(keyword.value)


# ------------------------------------------------------------------------------------------------------------------- one function
def _bindings(code: Code) -> Bindings:
    held: dict[FunctionNode, Bindings] = code.part.kept
    if code.node not in held:
        held[code.node] = _found_bindings(code)
    return held[code.node]


def _found_bindings(code: Code) -> Bindings:
    params = _parameters(code.node)
    is_method = code.owner is not None and not _is_static(code.node) and bool(params)
    names = Bindings(params, params[0] if is_method else None)
    if isinstance(code.node, ast.Lambda):
        names.results.append(code.node.body)
    sure = set(_unconditional(code.node))
    for node in nodes_of(code.node):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                _bind(names, target, node.value, _end(node), sure=node in sure)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            if node.value is not None:
                _bind(names, node.target, node.value, _end(node), sure=node in sure and isinstance(node, ast.AnnAssign))
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            _bind(names, node.target, node.iter, _end(node.iter))
        elif isinstance(node, ast.withitem):
            if node.optional_vars is not None:
                _bind(names, node.optional_vars, node.context_expr, _end(node.context_expr))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.functions[node.name] = node
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in FILLS:
                for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                    _fill(names, node.func.value, value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            _import(names, node)
        elif isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None:
            names.results.append(node.value)
        if isinstance(node, _LOOPS):
            names.loops.append(((node.lineno, node.col_offset), _end(node)))
    return names


_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _end(node: ast.stmt | ast.expr) -> Place:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _unconditional(node: FunctionNode) -> Iterator[ast.stmt]:
    """The statements of a function that stand under no condition and in no loop."""
    todo: list[ast.stmt] = [] if isinstance(node, ast.Lambda) else list(node.body)
    for each in todo:
        yield each
        if isinstance(each, ast.With | ast.AsyncWith):
            todo.extend(each.body)


def _bind(names: Bindings, target: ast.expr, value: ast.expr, end: Place, *, sure: bool = False) -> None:
    """Note what is assigned to a target."""
    if isinstance(target, ast.Name):
        names.bound[target.id].append(Definition(value, end, sure))
    elif isinstance(target, ast.Starred):
        _bind(names, target.value, value, end)
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        matched = len(parts) == len(target.elts) and not any(isinstance(each, ast.Starred) for each in (*parts, *target.elts))
        for index, element in enumerate(target.elts):
            _bind(names, element, parts[index] if matched else value, end, sure=sure)
    else:
        _fill(names, target, value)


def _fill(names: Bindings, target: ast.expr, value: ast.expr) -> None:
    """Note what is put into an object: an attribute or an element."""
    if isinstance(target, ast.Name):
        names.filled[target.id].append(value)
    elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == names.receiver:
        names.attributes[target.attr].append(value)
    elif isinstance(target, ast.Attribute | ast.Subscript):
        _fill(names, target.value, value)


def _import(names: Bindings, node: ast.Import | ast.ImportFrom) -> None:
    for alias in node.names:
        name = alias.asname or alias.name
        if isinstance(node, ast.ImportFrom):
            names.imports[name] = Import(node.module or "", alias.name, node.level)
        elif alias.asname:
            names.imports[name] = Import(alias.name, None, 0)


def nodes_of(node: FunctionNode) -> Iterator[ast.AST]:
    """All nodes of a function's body, nested functions included; not its decorators and annotations."""
    todo: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    while todo:
        each = todo.pop()
        yield each
        todo.extend(ast.iter_child_nodes(each))


def _positional(node: FunctionNode) -> list[str]:
    return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]


def _parameters(node: FunctionNode) -> tuple[str, ...]:
    others = (*node.args.kwonlyargs, *(each for each in (node.args.vararg, node.args.kwarg) if each is not None))
    return (*_positional(node), *(argument.arg for argument in others))


def _decorators(node: FunctionNode) -> Sequence[ast.expr]:
    return [] if isinstance(node, ast.Lambda) else node.decorator_list


def _passage(origins: frozenset[str]) -> Passage:
    return Passage.SOURCE if SOURCE in origins else Passage.PASSES if origins else Passage.STOPS


def _is_static(node: FunctionNode) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in _decorators(node))


def _flat(nodes: Sequence[ast.expr]) -> Iterator[ast.expr]:
    """Elements of containers' arguments: lists and comprehensions are looked into."""
    for node in nodes:
        if isinstance(node, ast.List | ast.Tuple):
            yield from _flat(node.elts)
        elif isinstance(node, ast.ListComp | ast.GeneratorExp):
            yield from _flat([node.elt])
        elif isinstance(node, ast.Starred):
            yield from _flat([node.value])
        elif isinstance(node, ast.Dict):
            yield from _flat(node.values)
        elif isinstance(node, ast.Call) and any(isinstance(each, ast.List | ast.Tuple) for each in node.args):
            yield from _flat(node.args)  # OrderedDict([...])
        else:
            yield node
