"""Scores that decide: which weights or settings are kept, and when a training stops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import libcst as cst

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Backward, Chosen, Keeps, Scored
from mldbg.lint.interpret.frames import LoopFrame
from mldbg.lint.interpret.join import scores_of, with_scores
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code, last_name
from mldbg.lint.interpret.tree import below
from mldbg.lint.interpret.value import Items, Known, Opaque, Unknown, Value
from mldbg.operations import keeping

_ORDERS = (cst.LessThan, cst.GreaterThan, cst.LessThanEqual, cst.GreaterThanEqual)


@dataclass(frozen=True, slots=True)
class _Kept:
    keeps: Keeps
    names: frozenset[str]
    leaves: bool
    """It leaves a loop."""


class Choosing:
    """Tells the rules what scores decide."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents
        self.validation: set[Ref] = set()
        """Rows of which some were split off for validation."""
        self._compared: dict[cst.CSTNode, Value] = {}

    # ------------------------------------------------------------------------------------------------------------ what is seen
    def predicted(self, given: Value, result: Value) -> Value:
        """A model was run on rows: what it gives, and what is computed where it runs, tells how good it is on them."""
        data = given.data
        if data is None or not data.rows:
            return result
        part = frozenset({data.as_part()})
        for frame in reversed(self.machine.frames):
            frame.ran_on |= part
            if frame.loops:
                frame.loops[-1].ran_on |= part
                break
        return with_scores(result, part)

    def scored(self, value: Value, how: str, site: Site) -> None:
        """A model is scored on rows: those given, or those that it has predicted."""
        self.machine.facts.append(Scored(self.machine.place(site), how, value))

    def measured(self, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """A metric of predictions."""
        if not name.startswith(keeping.METRICS):
            return
        score = self._score([each.value for each in arguments])
        if score is not None:
            self.scored(score, f"`{name.rpartition('.')[2]}` is computed of their predictions", site)

    def in_loop(self, value: Value) -> Value:
        """What is added up in a loop in which a model is run."""
        return in_round(self.machine, value)

    def returned(self, value: Value) -> Value:
        """What a function returns in which a model was run."""
        ran_on = self.machine.frame.ran_on
        if len(ran_on) != 1 or self.machine.frame.function is None:
            return value
        thing = value.thing
        if isinstance(thing, Items) and thing.exact:
            return replace(value, thing=replace(thing, tail=tuple(map(self.returned, thing.tail))))
        plain = isinstance(thing, Unknown | Opaque) and not scores_of(value)
        return with_scores(value, ran_on) if plain else value

    def compared(self, node: cst.Comparison, values: Sequence[Value]) -> None:
        """Scores were compared; what follows from it is seen where the outcome is asked for."""
        orders = any(isinstance(each.operator, _ORDERS) for each in node.comparisons)
        score = self._score(values) if orders else None
        if score is not None:
            self._compared[node] = score
        else:
            self._compared.pop(node, None)

    def _score(self, values: Sequence[Value]) -> Value | None:
        """The rows by which values are scores, where all are of the same part of the data."""
        parts = [part for value in values for part in scores_of(value)]
        if not parts or len({part.role for part in parts}) != 1:
            return None
        return Value(data=max(parts, key=lambda part: (-list(Known).index(part.known or Known.NAME), len(part.rows))))

    def decides(self, test: cst.BaseExpression, value: Value) -> Value | None:
        """The score of which a test depends: one that is compared in it, or of which the tested value was made."""
        found = [self._compared[node] for node in _comparisons(test) if node in self._compared]
        flag = test.expression if isinstance(test, cst.UnaryOperation) else test
        if not found and isinstance(value.thing, Unknown | Opaque) and isinstance(flag, cst.Name | cst.Attribute):
            score = self._score([value])
            found = [score] if score is not None else []
        return found[0] if found else None

    # ------------------------------------------------------------------------------------------------------- what comes of it
    def branched(self, node: cst.If, value: Value) -> None:
        """An `if` whose outcome is not known."""
        score = self.decides(node.test, value)
        if score is None:
            return
        kept = [one for body in (node.body, node.orelse) if body is not None for one in [_kept(body)] if one is not None]
        asked = frozenset(_names(node.test))
        for one in kept[:1]:
            if asked.isdisjoint(one.names) and not one.leaves and not any(map(keeping.says_best, asked)):
                continue  # nothing is kept to compare the next score with
            self._tell(score, one.keeps, self.machine.site(node.test), one.names)

    def called(self, name: str, function: cst.BaseExpression | None, arguments: Sequence[Argument], site: Site) -> None:
        """Something gets a score: a scheduler, something that stops early, something that saves a checkpoint of the best."""
        if not name:
            return
        if name in keeping.BEST:
            self.best_of(name, arguments, site)
            return
        receiver = last_name(function.value) if isinstance(function, cst.Attribute) else name
        keeps = None
        if name == "step" and keeping.is_scheduler(receiver):
            keeps = Keeps.RATE
        elif keeping.stops_early(receiver) or keeping.stops_early(name):
            keeps = Keeps.STOP
        elif keeping.keeps_model(name):
            flags = [each for each in arguments if "best" in last_name(each.node)]
            arguments = flags
            keeps = Keeps.WEIGHTS
        if keeps is None:
            return
        score = self._score([each.value for each in arguments])
        if score is not None:
            self._tell(score, keeps, site, frozenset())

    def validates(self, value: Value, keeps: Keeps, site: Site) -> None:
        """Rows on which a fit decides something by itself: `eval_set=` beside early stopping."""
        self._tell(value, keeps, site, frozenset(), trains=True)

    def best_of(self, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """`np.argmax(scores)`, `max(results, key=results.get)`: one of several scores."""
        if not arguments or any(each.keyword in ("axis", "dim") for each in arguments):
            return
        first = arguments[0].value
        items = self.contents.items_of(first)
        mapping = self.contents.mapping_of(first) if items is None else None
        by_key = any(each.keyword == "key" for each in arguments)
        if items is not None and not any(each.keyword is None for each in arguments[1:]):
            scores = list(items.all)
        elif mapping is not None and by_key:
            scores = [first, *(value for _, value in mapping.items)]
        else:
            return
        which = "arg" in name or "idx" in name or by_key or any(self.contents.items_of(one) is not None for one in scores)
        score = self._score([each for one in scores for each in self._inside(one)])
        if score is not None and which:
            names = {last_name(arguments[0].node), *_assigned_by(site)} - {""}
            self._tell(score, Keeps.SETTING, site, frozenset(names))

    def _inside(self, value: Value) -> tuple[Value, ...]:
        items = self.contents.items_of(value)
        return items.all if items is not None else (value,)

    def _tell(self, score: Value, keeps: Keeps, site: Site, names: frozenset[str], *, trains: bool | None = None) -> None:
        machine = self.machine
        data = score.data
        has_validation = data is not None and not self.validation.isdisjoint(data.rows)
        trains = self._trains() if trains is None else trains
        machine.facts.append(Chosen(machine.place(site), score, keeps, keeps.value, trains, has_validation, names))

    def _trains(self) -> bool:
        """Whether the loops under way train one model, round after round."""
        for frame in reversed(self.machine.frames):
            for loop in reversed(frame.loops):
                return self._is_of_training(loop)
        return False

    def _is_of_training(self, loop: LoopFrame) -> bool:
        """Whether the rounds of a loop are those of one training, rather than trainings of their own."""
        said = code(loop.node.target) if isinstance(loop.node, cst.For) else code(loop.node.test)
        over = code(loop.node.iter) if isinstance(loop.node, cst.For) else ""
        if keeping.counts_training(said) or "epoch" in over.lower():
            return True
        learns = any(isinstance(fact, Backward) for fact in self.machine.facts[loop.facts_before :])
        return learns and not keeping.builds_model(code(loop.node.body))


def in_round(machine: Machine, value: Value) -> Value:
    """What is collected in a loop in which a model is run."""
    loops = machine.frame.loops
    if not loops or len(loops[-1].ran_on) != 1 or not isinstance(value.thing, Unknown | Opaque) or scores_of(value):
        return value
    return with_scores(value, loops[-1].ran_on)


def _comparisons(node: cst.CSTNode) -> Iterator[cst.Comparison]:
    """The comparisons in a test."""
    if isinstance(node, cst.Comparison):
        yield node
    elif isinstance(node, cst.BooleanOperation | cst.UnaryOperation):
        for child in below(node):
            yield from _comparisons(child)


def _kept(body: cst.CSTNode) -> _Kept | None:
    """What a branch keeps: weights, the moment to stop, a setting, or nothing but the score."""
    calls: list[str] = []
    names: set[str] = set()
    saved: set[str] = set()
    leaves = several = False
    todo: list[cst.CSTNode] = [body]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.FunctionDef | cst.ClassDef | cst.Lambda):
            continue
        if isinstance(node, cst.Call):
            calls.append(last_name(node.func))
        elif isinstance(node, cst.Break):
            leaves = True
        elif isinstance(node, cst.Assign):
            several = several or _holds_several(node.value)
            for target in node.targets:
                for name in _targets(target.target):
                    names.add(name)
                    if keeping.holds_model(name):
                        saved.add(name)
        todo += below(node)
    stops = leaves or any(keeping.says_stop(name) for name in names)
    if saved or any(map(keeping.keeps_model, calls)):
        return _Kept(Keeps.WEIGHTS, frozenset(names), leaves)
    if stops or any(map(keeping.counts_patience, names)):
        return _Kept(Keeps.STOP, frozenset(names), leaves)
    if len(names) > 1 or (names and several):
        return _Kept(Keeps.SETTING, frozenset(names), leaves)
    return _Kept(Keeps.SCORE, frozenset(names), leaves) if names else None


def _holds_several(value: cst.BaseExpression) -> bool:
    """`best = (score, setting)`: the score, and what has it."""
    if isinstance(value, cst.Call):
        return last_name(value.func) == "dict" and len(value.args) > 1
    parts = value.elements if isinstance(value, cst.Tuple | cst.List | cst.Dict) else ()
    given = [part for part in parts if not isinstance(part.value, cst.SimpleString | cst.Integer | cst.Float)]
    return len(given) > 1


def _names(node: cst.CSTNode) -> Iterator[str]:
    """The names that a test asks for: of `stats["loss"] < self.best` those are `stats` and `best`."""
    if isinstance(node, cst.Name):
        yield node.value
    elif isinstance(node, cst.Attribute | cst.Subscript):
        yield last_name(node)
    else:
        for child in below(node):
            yield from _names(child)


def _assigned_by(site: Site) -> Iterator[str]:
    """The names that the statement around an expression binds."""
    node: cst.CSTNode | None = site.node
    while node is not None and not isinstance(node, cst.BaseSmallStatement):
        node = site.part.parents.get(node)
    if isinstance(node, cst.Assign):
        for target in node.targets:
            yield from _targets(target.target)


def _targets(target: cst.BaseExpression) -> Iterator[str]:
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _targets(element.value)
    else:
        yield last_name(target)
