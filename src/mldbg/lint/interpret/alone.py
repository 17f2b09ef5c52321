"""What is executed by itself, with nothing known of a caller: top levels, functions, classes, and what these define inside."""

from __future__ import annotations

import re
from dataclasses import replace

from mldbg.lint.interpret.address import Made, made_at, module_ref, site_of
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import is_static
from mldbg.lint.interpret.facts import Misfit, Supposition
from mldbg.lint.interpret.interpreter import Interpreter
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.registries import registers
from mldbg.lint.interpret.roots import Root
from mldbg.lint.interpret.value import UNKNOWN, Among, ClassThing, Function, Object, Option, Outcome, Value
from mldbg.lint.outline import Kind

_CHANGES = re.compile(
    r"\bself\.(\w+)\s*(?:(?::[^=\n]+)?=(?!=)|\[[^\]\n]*\]\s*=(?!=)|\.(?:append|extend|insert|pop|clear|update)\()"
)
"""Where a method gives an attribute another value, or changes what it holds."""


class Alone:
    """Executes definitions by themselves.

    Args:
        run: the machine.
    """

    def __init__(self, run: Interpreter) -> None:
        self._run = run

    def enter(self, module: Module, root: Root) -> None:
        """Execute what the definition of a root defines."""
        run = self._run
        before = run.state.fork()
        self._enter(module, root)
        model = run.supposed_models.of(root.part)
        if model is not None:
            visited, run.visited = run.visited, set()
            run.state.become(before)
            self._suppose(module, root, model)
            run.visited = visited

    def _suppose(self, module: Module, root: Root, model: ClassThing) -> None:
        """Execute a definition, supposing that the model which it takes is the only network around."""
        run = self._run
        ref = made_at(site_of(root.part, root.part.tree.body[0]), None, Made.SUPPOSED)
        site = site_of(model.part, model.node)
        said = frozenset({Outcome(ref, None, holds=True, test=site, said=f"supposing that the model is `{model.name}`")})
        options = (Option(Value(model), said), Option(UNKNOWN, frozenset(replace(outcome, holds=False) for outcome in said)))
        supposition = Supposition(Among(options, frozenset(options)), options[0])
        run.budget.begin()
        run.parameters.model, run.supposed = model, (supposition,)
        try:
            self._enter(module, root)
        finally:
            run.parameters.model, run.supposed = None, ()

    def _enter(self, module: Module, root: Root) -> None:
        part = root.part
        thing = self._run.module_name(module, part.statement.names[0]).thing
        if isinstance(thing, Function) and thing.part is part:
            self.function(thing)
        elif isinstance(thing, ClassThing) and thing.part is part:
            self.class_(thing, root.methods)
        elif part.statement.kind is Kind.CLASS:
            self.class_(ClassThing(part, None, module_ref(module)), root.methods)

    def module(self, module: Module) -> None:
        """Execute the module's top level, statement by statement."""
        self._run.names.executed.add(module)
        with self._run.in_module(module):
            for part in module.parts:
                again = part.statement.kind is not Kind.IMPORT and not module.parts_of.keys().isdisjoint(part.statement.names)
                if part.statement.kind is Kind.CLASS or (part.statement.kind is Kind.FUNCTION and registers(part)):
                    self._run.registries.decorate(part)
                if again or part.statement.kind in (Kind.ASSIGNMENT, Kind.CODE):
                    self._run.frame.part = part
                    self._run.statements.block(part.tree.body)
                    if not self._run.state.live:
                        self._run.state.live = True  # sys.exit() or raise at top level: what stands below is still of interest
            self._run.estimators.evaluations.left_behind(module)
        self._outstanding()

    def _outstanding(self) -> None:
        """Execute what was defined on the way and nothing has called."""
        for thing in self._run.outstanding.take():
            before = self._run.state.fork()
            self._run.state.live = True
            self._run.budget.begin()
            if isinstance(thing, Function):
                self.function(thing)
            else:
                self.class_(thing)
            self._run.state.become(before)
        for value in self._run.outstanding.take_built():
            self._methods_of(value)
        while (chain := self._run.outstanding.take_chain()) is not None:
            self._apply(chain)

    def _apply(self, chain: Value) -> None:
        """Apply a chain of layers that nothing has applied, to anything: what its layers do not fit is told, and nothing else."""
        run = self._run
        site = chain.origin.site if chain.origin is not None else None
        if site is None:
            return
        before, mark = run.state.fork(), len(run.facts)
        run.state.live = True
        run.budget.begin()
        with run.in_module(site.part.module):
            run.frame.part = site.part
            run.call(chain, [Argument(UNKNOWN)], site)
        run.facts[mark:] = [fact for fact in run.facts[mark:] if isinstance(fact, Misfit)]
        run.state.become(before)

    def _methods_of(self, value: Value) -> None:
        """Execute the methods of an object that apply a loss which it holds, where nothing has called them."""
        before = self._run.state.fork()
        self._run.state.live = True
        self._run.budget.begin()
        methods = [method for method in self._run.holding.methods(value) if method.node not in self._run.visited]
        ready = self._run.state.fork()
        for method in methods:
            self._run.budget.begin()
            self._run.state.become(ready.fork())
            self.function(method, None if is_static(method) else value)
        self._run.state.become(before)

    def function(self, function: Function, receiver: Value | None = None) -> None:
        """Execute a function with nothing known of its arguments but their names and annotations."""
        with self._run.in_module(function.part.module):
            self._run.frame.part = function.part
            if function.node in self._run.visited and not self._run.declarations.names_sizes(function):
                return
            arguments = [] if receiver is None else [Argument(receiver)]
            self._run.call_function(function, arguments, self._run.site(function.node), assume=True)
        self._outstanding()

    def class_(self, cls: ClassThing, wanted: frozenset[str] | None = None) -> None:
        """Execute the wanted methods of a class (None: all) on an object of which only __init__ is known to have self._run."""
        before = self._run.state.fork()
        with self._run.in_module(cls.part.module):
            self._run.frame.part = cls.part
            methods = self._methods(cls, wanted)
            within = set(cls.node.body.body)  # of other classes that it names one may be itself: `Node.root = Node`
            values = self._run.classes.class_record(cls).values()
            nested = [value.thing for value in values if isinstance(value.thing, ClassThing) and value.thing.inner in within]
            names_sizes = self._run.declarations.names_sizes
            pending = [
                method for method in methods if method.node not in self._run.visited or method.owner != cls or names_sizes(method)
            ]
            if pending:
                self_value = self._run.classes.assumed_instance(cls)
                if self._run.classes.is_module(cls):
                    self._run.training.registered.tell(self_value)
                self._outstanding()
                self._forget_changed(cls, self_value)
                ready = self._run.state.fork()
                for method in pending:
                    self._run.budget.begin()
                    self._run.state.become(ready.fork())
                    receiver = None if is_static(method) else self_value
                    self._run.visited.discard(method.node)
                    self.function(method, receiver)
            elif not methods and self._may_start_alone(cls, wanted):
                self._run.budget.begin()
                self._run.classes.assumed_instance(cls)
                self._outstanding()
            for inner in nested:
                self.class_(inner)
        self._run.state.become(before)

    def _forget_changed(self, cls: ClassThing, instance: Value) -> None:
        """Where shapes are followed: what other methods than __init__ change has any shape when a method is executed alone."""
        if not self._run.shaping.on or not isinstance(instance.thing, Object):
            return
        for ancestor in self._run.classes.ancestors(cls):
            if not isinstance(ancestor, ClassThing):
                continue
            for name, first, last in ancestor.part.statement.methods:
                text = "".join(ancestor.part.module.outline.code[first - 1 : last]) if name != "__init__" else ""
                for changed in _CHANGES.findall(text):
                    held = self._run.state.get(instance.thing.ref, changed)
                    layer = held is not None and isinstance(held.thing, Object) and self._run.classes.is_module(held.thing.cls)
                    if held is not None and not layer:
                        self._run.state.set(instance.thing.ref, changed, UNKNOWN)

    def _may_start_alone(self, cls: ClassThing, wanted: frozenset[str] | None) -> bool:
        """Whether a class does what is of interest in its __init__, which nobody has called."""
        init = self._run.classes.class_record(cls).get("__init__")
        if init is None or not isinstance(init.thing, Function) or init.thing.node in self._run.visited:
            return False
        return wanted is None or "__init__" in wanted

    def _methods(self, cls: ClassThing, wanted: frozenset[str] | None) -> list[Function]:
        """The methods of a class to execute by themselves, and inherited ones of the project that hold a trigger word."""
        found: dict[str, Function] = {}
        for ancestor in self._run.classes.ancestors(cls):
            if not isinstance(ancestor, ClassThing) or (ancestor != cls and ancestor.part.is_framework):
                continue
            names = wanted if ancestor == cls else self._run.reach.loud_methods(ancestor.part)
            for name, function in self._run.classes.functions(ancestor):
                if name != "__init__" and (names is None or name in names):
                    found.setdefault(name, function)
        return list(found.values())
