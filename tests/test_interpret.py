"""The interpreter computes what its fixtures say.

A fixture is a file of `tests/interpret/`, or a folder of files that `main.py` imports. A comment at the end of a line states
abstract values after that line; behind the colon of a compound statement, at the start of its body:

    p = F.softmax(x, dim=1)  # reveal p: probs
    for x in xs:  # reveal x: 1 | 2; xs: [1, 2]

Between `;` stand claims `expression: expected`, between ` | ` the values that are observed there in the course of the run (in
the last round of a loop, in every call of a function). An expected value is a list of words; what none mentions is not compared.

    unknown          no constant, class, content, meaning, role, fit
    3, 'a', None     this constant
    [1, ...], {..}   exactly this content; `...` is an element that is no constant
    probs, logits .. this meaning; `no-meaning`: none
    Net, list        an object of this class
    def:f class:C    this function, this class, and `module:m` this module of the project
    torch.nn         this symbol outside the project (a name with a dot)
    len=3 role=test fits=StandardScaler rank=2 last=10 along=-1 scaled=yes attached=no mode=train gradients=fresh picks=train
                     this part; `none` where nothing is known of it
    unreached        control never gets here

A list of words that ends with `?` asks for soundness only: each word is true, or nothing is known there.

A claim that ends with `(python: value)` states a known limit: what stands before is what the interpreter says, and it is not
true, for Python computes what stands in the parentheses. The test fails once the limit is gone. docs/architecture.md lists
these limits.

    e = calls  # reveal e: 1 (python: 3)
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import libcst as cst
import pytest

from mldbg.lint import engine
from mldbg.lint.interpret.budget import Budget
from mldbg.lint.interpret.facts import Fact, GradientUse
from mldbg.lint.interpret.interpreter import Interpreter
from mldbg.lint.interpret.module import Module, Part
from mldbg.lint.interpret.roots import Reach, Root
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.statements import Statements
from mldbg.lint.interpret.value import (
    Bound,
    ClassThing,
    Constant,
    Function,
    ModuleThing,
    Object,
    Opaque,
    Partial,
    Symbol,
    Unknown,
    Value,
)
from mldbg.lint.outline import Kind
from mldbg.semantics import Semantic

FIXTURES = Path(__file__).parent / "interpret"
CASES = sorted(path for path in FIXTURES.iterdir() if path.suffix == ".py" or (path / "main.py").is_file())
MARK = re.compile(r"#\s*reveal (.+)$")
LIMIT = re.compile(r"^(.*) \(python: (.+)\)$")


# --- notation ---


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of a comment: the expression and the alternatives, each a list of words."""

    path: str
    line: int
    expression: str
    alternatives: tuple[str, ...]
    really: str = ""
    """What Python computes, where the interpreter is known to be wrong."""


@cache
def claims_of(comment: str) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    """Expressions, alternatives, and of known limits the truth, in a comment."""
    match = MARK.match(comment)
    if match is None:
        return ()
    found = []
    for claim in parted(match[1], ";"):
        expression, expected = parted(claim, ": ", most=1)
        limit = LIMIT.match(expected.strip())
        expected, really = limit.groups() if limit is not None else (expected, "")
        found.append((expression.strip(), tuple(alternative.strip() for alternative in parted(expected, " | ")), really))
    return tuple(found)


def parted(text: str, separator: str, most: int = -1) -> list[str]:
    """Parts of a text between separators that stand in no bracket and no string."""
    parts: list[str] = []
    start, depth, quote = 0, 0, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and position >= start and text.startswith(separator, position) and most != len(parts):
            parts.append(text[start:position])
            start = position + len(separator)
    return [*parts, text[start:]]


def claims_in(path: Path) -> Iterator[Claim]:
    """All claims of a file."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            for expression, alternatives, really in claims_of(token.string):
                yield Claim(path.name, token.start[0], expression, alternatives, really)


# --- observation ---


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at a claim: which alternatives hold, and the value in words. It lies among the interpreter's facts, so that
    of a loop only the last round counts."""

    path: str
    line: int
    expression: str
    holds: frozenset[str]
    seen: str


Watch = Callable[[Interpreter, Part, cst.Comment], Iterator[object]]


class WatchedStatements(Statements):
    """Lets `watch` look at the state after every simple statement and at the start of every block."""

    def __init__(self, run: Interpreter, watch: Watch) -> None:
        super().__init__(
            run,
            run.names,
            run.classes,
            run.contents,
            run.estimators,
            run.training,
            run.expressions,
            run.assignment,
            run.declarations,
        )
        self._run = run
        self._watch = watch
        self._by_type[cst.SimpleStatementLine] = self._line

    def _line(self, node: cst.SimpleStatementLine) -> None:
        self.block(node.body)
        self._look(node.trailing_whitespace.comment)

    def suite(self, suite: cst.Module | cst.BaseSuite) -> None:
        if isinstance(suite, cst.IndentedBlock) and self.machine.state.live:
            self._look(suite.header.comment)
        super().suite(suite)

    def _look(self, comment: cst.Comment | None) -> None:
        if comment is None:
            return
        run = self._run
        saved, mark, visited, budget = run.state, len(run.facts), set(run.visited), run.budget
        run.budget = Budget()
        run.state = saved.fork()
        run.state.live = True
        seen = list(self._watch(run, run.frame.part, comment))
        run.state, run.budget = saved, budget
        run.visited.clear()
        run.visited.update(visited)
        del run.facts[mark:]
        run.facts.extend(cast("list[Fact]", seen))


class NothingWaits(Reach):
    """Every call is executed where it stands, so that what happens inside can be watched."""

    def is_quiet(self, part: Part) -> bool:
        return False


def interpreted(file: Path, root: Path, watch: Watch, text: str | None = None, *, waits: bool = False) -> list[object]:
    """Execute a file as the engine does; what `watch` saw, without the interpreter's own facts. `waits`: as the engine does it
    where no rule listens to anything in the file, calls of modules are executed only when their result is asked for."""
    project = engine.Project(root)
    module = Module(file.name, file.resolve(), file.read_text(encoding="utf-8") if text is None else text)
    project.modules.add(module)
    run = Interpreter(project.modules, project.effects, frozenset())
    if not waits:
        run.reach = NothingWaits(frozenset())
    run.statements = WatchedStatements(run, watch)
    roots = [Root(part) for part in module.parts if part.statement.kind is not Kind.IMPORT]
    seen: list[object] = []
    for part, enter in engine._entry_points(run, module, roots):
        run.budget.begin()
        run.facts.clear()
        before = run.state.fork()
        enter()
        if part is not None:
            run.state.become(before)
        seen += [fact for fact in cast("list[object]", run.facts) if not isinstance(fact, Fact)]
    return seen


@cache
def expression(text: str) -> cst.BaseExpression:
    return cst.parse_expression(text)


def reveal(run: Interpreter, part: Part, comment: cst.Comment) -> Iterator[Observation]:
    """Compare the claims of a comment with the current state."""
    for text, alternatives, _ in claims_of(comment.value):
        mark = len(run.facts)
        value = run.force(run.expressions.of(expression(text)))
        holds = frozenset(words for words in alternatives if all_hold(run, value, words, run.facts[mark:]))
        path = Path(part.module.path).name
        yield Observation(path, part.span(comment).line, text, holds, seen_as(run, value, run.facts[mark:]))


# --- values in words ---

MEANINGS = frozenset(meaning.value for meaning in Semantic)
ROLES = {"training": "train", "validation": "validation", "test": "test"}
TRUTHS = {True: "yes", False: "no", None: "none"}


def content(run: Interpreter, value: Value, depth: int = 0) -> object:
    """A constant, or a list, tuple or dict of constants, as Python has it; `...` for what is not known exactly."""
    value = run.force(value)
    if isinstance(value.thing, Constant):
        return value.thing.value
    items, mapping = run.contents.items_of(value), run.contents.mapping_of(value)
    if depth > 4:
        return ...
    if mapping is not None and mapping.exact:
        return {key: content(run, held, depth + 1) for key, held in mapping.items}
    if items is not None and items.exact:
        elements = [content(run, item, depth + 1) for item in items.tail]
        return tuple(elements) if items.cls == "builtins.tuple" else elements
    return ...


def same(one: object, two: object) -> bool:
    """Equality that keeps 1, 1.0 and True apart."""
    return type(one) is type(two) and repr(one) == repr(two)


def class_name(run: Interpreter, value: Value) -> str:
    thing = run.force(value).thing
    items, mapping = run.contents.items_of(value), run.contents.mapping_of(value)
    cls: object = getattr(thing, "cls", None) or (items.cls if items is not None else "dict" if mapping is not None else None)
    if isinstance(cls, ClassThing):
        return cls.name
    return str(cls).rpartition(".")[2] if cls else ""


def what(run: Interpreter, value: Value) -> str:
    """The words `def:f`, `class:C`, `module:m`, a symbol, or a class's name."""
    match value.thing:
        case Function() as function:
            return f"def:{function.name}"
        case Bound() as bound:
            return f"def:{bound.function.name}"
        case ClassThing() as cls:
            return f"class:{cls.name}"
        case ModuleThing() as thing:
            return f"module:{thing.module.name}"
        case Symbol() as symbol:
            return symbol.name
        case Partial():
            return "partial"
    return class_name(run, value)


def known_length(run: Interpreter, value: Value) -> str:
    items, mapping = run.contents.items_of(value), run.contents.mapping_of(value)
    if items is not None and items.exact:
        return str(len(items.tail))
    return str(len(mapping.items)) if mapping is not None and mapping.exact else "none"


def parts(run: Interpreter, value: Value, facts: list[Fact]) -> dict[str, str]:
    """The parts of a value that words `name=...` speak of."""
    mode = run.state.get(value.thing.ref, Slot.MODE) if isinstance(value.thing, Object) else None
    uses = [fact.gradients.value for fact in facts if isinstance(fact, GradientUse)]
    picks = value.data.picks if value.data is not None else None
    return {
        "len": known_length(run, value),
        "role": ROLES[value.role.value] if value.role is not None else "none",
        "fits": ",".join(sorted({fit.estimator for fit in value.fits})) or "none",
        "picks": ROLES[picks.value] if picks is not None else "none",
        "rank": str(value.axes.rank).lower(),
        "last": str(value.axes.last).lower(),
        "along": str(value.axes.along).lower(),
        "scaled": "yes" if value.scaled else "none",
        "attached": TRUTHS[value.attached],
        "mode": {True: "train", False: "eval"}.get(cast("bool", mode.constant if mode is not None else None), "none"),
        "gradients": (uses[-1] if uses else "none").replace("unknown", "none"),
    }


def is_unknown(run: Interpreter, value: Value) -> bool:
    thing = value.thing
    nameless = isinstance(thing, Unknown) or (isinstance(thing, Object | Opaque) and (thing.cls is None or " " in str(thing.cls)))
    return nameless and value.meaning is None and value.role is None and not value.fits and known_length(run, value) == "none"


def all_hold(run: Interpreter, value: Value, words: str, facts: list[Fact]) -> bool:
    """Whether every word is true of a value; with a `?` at the end, whether none is false."""
    strict = words.removesuffix("?")
    if strict == words:
        return all(word_holds(run, value, word, facts) for word in parted(words, " "))
    return is_unknown(run, value) or all(
        word_holds(run, value, word, facts) or says_nothing(run, value, word, facts) for word in parted(strict, " ")
    )


def says_nothing(run: Interpreter, value: Value, word: str, facts: list[Fact]) -> bool:
    """Whether nothing that is known of a value contradicts a word."""
    name, equals, _ = word.partition("=")
    known = parts(run, value, facts)
    if word == "unknown":
        return False
    if equals and name in known:
        return known[name] == "none"
    if word in MEANINGS or word == "no-meaning":
        return value.meaning is None
    try:
        wanted = ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return not what(run, value)
    return compatible(content(run, value), wanted) and what(run, value) in ("", "generator", "str", type(wanted).__name__)


def compatible(known: object, wanted: object) -> bool:
    if known is ... or wanted is ...:
        return True
    if isinstance(wanted, list | tuple) and type(known) is type(wanted):
        return len(known) == len(wanted) and all(map(compatible, known, wanted))
    if isinstance(wanted, dict) and isinstance(known, dict):
        return list(known) == list(wanted) and all(map(compatible, known.values(), wanted.values()))
    return same(known, wanted)


def word_holds(run: Interpreter, value: Value, word: str, facts: list[Fact]) -> bool:
    """Whether one word of an expected value is true of a value."""
    if word == "unknown":
        return is_unknown(run, value)
    if word in MEANINGS or word == "no-meaning":
        return (value.meaning.value if value.meaning else "no-meaning") == word
    name, equals, wanted = word.partition("=")
    known = parts(run, value, facts)
    if equals and name in known:
        return known[name] == wanted
    try:
        return same(content(run, value), ast.literal_eval(word))
    except (ValueError, SyntaxError):
        return what(run, value) == word


def seen_as(run: Interpreter, value: Value, facts: list[Fact]) -> str:
    """A value in the words of the notation."""
    words = [f"{name}={word}" for name, word in parts(run, value, facts).items() if word != "none"]
    known = content(run, value)
    words.insert(0, repr(known) if known is not ... else what(run, value))
    if value.meaning is not None:
        words.insert(0, value.meaning.value)
    return " ".join(word for word in words if word) or "unknown"


# --- fixtures ---


def files_of(case: Path) -> list[Path]:
    return sorted(case.rglob("*.py")) if case.is_dir() else [case]


def disagreements(case: Path, *, waits: bool = False) -> list[str]:
    """Claims that do not hold, one line each."""
    main, root = (case / "main.py", case) if case.is_dir() else (case, case.parent)
    seen = [item for item in interpreted(main, root, reveal, waits=waits) if isinstance(item, Observation)]
    claims = [claim for file in files_of(case) for claim in claims_in(file)]
    if waits:  # what is executed late is not watched
        claims = [claim for claim in claims if any((one.path, one.line) == (claim.path, claim.line) for one in seen)]
    return [line for claim in claims for line in disagreement(claim, seen)]


def disagreement(claim: Claim, seen: list[Observation]) -> Iterator[str]:
    mine = [one for one in seen if (one.path, one.line, one.expression) == (claim.path, claim.line, claim.expression)]
    values = " | ".join(dict.fromkeys(one.seen for one in mine)) or "unreached"
    if claim.alternatives == ("unreached",):
        fine = not mine
    else:
        fine = (
            bool(mine)
            and all(one.holds for one in mine)
            and {word for one in mine for word in one.holds} == {*claim.alternatives}
        )
    if not fine:
        yield f"{claim.path}:{claim.line}: {claim.expression} is {values}, expected {' | '.join(claim.alternatives)}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_values_are_those_revealed(case: Path) -> None:
    wrong = disagreements(case)
    assert not wrong, "\n".join(["", *wrong])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_waiting_for_model_code_changes_no_value(case: Path) -> None:
    assert set(disagreements(case, waits=True)) <= set(disagreements(case))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_case_reveals_something(case: Path) -> None:
    assert any(True for file in files_of(case) for _ in claims_in(file))


def test_there_are_many_claims() -> None:
    assert len(CASES) >= 40
    assert sum(1 for case in CASES for file in files_of(case) for _ in claims_in(file)) >= 200


# --- the fixtures themselves are right: what they say of plain Python is what Python computes ---

PLAIN = [case for case in CASES if case.is_file() and case.stem.startswith("python_")]


class Instrumented(ast.NodeTransformer):
    """Calls `reveal_(line, index, value)` where a comment claims something."""

    def __init__(self, claims: list[Claim]) -> None:
        self.claims = claims

    def calls(self, line: int) -> list[ast.stmt]:
        return [
            ast.parse(f"reveal_({index}, lambda: {claim.expression})").body[0]
            for index, claim in enumerate(self.claims)
            if claim.line == line
        ]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                setattr(node, name, self.block(node, block, header=name == "body"))
        return node

    def block(self, node: ast.AST, block: list[ast.stmt], *, header: bool) -> list[ast.stmt]:
        above = self.calls(block[0].lineno - 1) if header and self.is_header(node, block[0].lineno - 1) else []
        found = list(above)
        for statement in block:
            calls = [] if hasattr(statement, "body") else self.calls(statement.end_lineno or 0)
            leaves = isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue)
            found += [*calls, statement] if leaves else [statement, *calls]
        return found

    @staticmethod
    def is_header(node: ast.AST, line: int) -> bool:
        inner = [child.end_lineno or 0 for child in ast.walk(node) if isinstance(child, ast.stmt) and not hasattr(child, "body")]
        return not isinstance(node, ast.Module | ast.ClassDef) and line not in inner


def real_type_fits(value: object, word: str) -> bool:
    """Whether a word that claims something of plain Python is true of a real value. Other words are not compared."""
    if word.startswith("len="):
        return word == "len=none" or len(cast("list[object]", value)) == int(word.removeprefix("len="))
    try:
        wanted = ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return not word[:1].isupper() or type(value).__name__ == word
    return agrees(value, wanted)


def agrees(value: object, wanted: object) -> bool:
    if wanted is ...:
        return True
    if isinstance(wanted, list | tuple) and isinstance(value, list | tuple):
        return len(value) == len(wanted) and all(map(agrees, value, wanted))
    if isinstance(wanted, dict) and isinstance(value, dict):
        return list(value) == list(wanted) and all(map(agrees, value.values(), wanted.values()))
    return same(value, wanted)


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.stem)
def test_python_agrees_with_the_fixture(case: Path) -> None:
    claims = list(claims_in(case))
    wrong: list[str] = []
    reached: set[int] = set()

    def note(index: int, evaluate: Callable[[], object]) -> None:
        claim = claims[index]
        reached.add(index)
        value = evaluate()
        expected = (claim.really,) if claim.really else claim.alternatives
        alternatives = [parted(words.removesuffix("?"), " ") for words in expected]
        if not any(all(real_type_fits(value, word) for word in words) for words in alternatives):
            wrong.append(f"{claim.path}:{claim.line}: {claim.expression} is really {value!r}")
        if claim.really and repr(value) in claim.alternatives:
            wrong.append(f"{claim.path}:{claim.line}: {claim.expression} is no limit")
        if claim.alternatives == ("unreached",):
            wrong.append(f"{claim.path}:{claim.line}: is really reached")

    tree = ast.fix_missing_locations(Instrumented(claims).visit(ast.parse(case.read_text(encoding="utf-8"))))
    namespace: dict[str, Any] = {"reveal_": note, "__name__": "__main__", "__file__": str(case)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(tree, case.name, "exec"), namespace)
    assert not wrong, "\n".join(["", *wrong])
    assert len(reached) > len(claims) / 3


# --- the harness notices what is wrong ---


def wrong_in(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "case.py"
    file.write_text(text, encoding="utf-8")
    return disagreements(file)


@pytest.mark.parametrize(
    "text",
    [
        "x = 1  # reveal x: 2",
        "x = 1  # reveal x: True",
        "x = 1  # reveal x: unknown",
        "x = 1  # reveal x: 1 | 2",
        "x = 1  # reveal x: unreached",
        "x = (1, 2)  # reveal x: (1, 3)",
        "x = f()  # reveal x: 1",
        "x = f()  # reveal x: probs",
        "if False:\n    x = 1  # reveal x: 1",
        "x = 1  # reveal x: 2?",
        "x = [1]  # reveal x: [2]?",
        "x = [f()]  # reveal x: []?",
        "x = torch.sigmoid(1)  # reveal x: no-meaning?",
        "x = torch.sigmoid(1)  # reveal x: probs?",
        "x = nn.Linear(1, 2)  # reveal x: Softmax?",
        "x = len  # reveal x: 1?",
        "for x in (1, 2):  # reveal x: 1\n    pass",
        "x = 1  # reveal x: 2 (python: 1)",
    ],
)
def test_a_wrong_claim_is_noticed(tmp_path: Path, text: str) -> None:
    assert len(wrong_in(tmp_path, text + "\n")) == 1


def test_a_known_limit_is_parsed() -> None:
    assert claims_of("# reveal x: (1, 2) | 3 (python: (2, 1)); y: 4") == (("x", ("(1, 2)", "3"), "(2, 1)"), ("y", ("4",), ""))


def test_a_right_claim_is_not(tmp_path: Path) -> None:
    text = "x = 1  # reveal x: 1; (x, 'a; b'): (1, 'a; b')\nfor y in (1, 2):  # reveal y: 1 | 2\n    z = y  # reveal z: 1 | 2\n"
    assert not wrong_in(tmp_path, text)
