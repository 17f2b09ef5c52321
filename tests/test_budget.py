"""What a program does before a mistake never hides the mistake, however long it takes; and what was left out is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

import pytest

from mldbg.lint import engine, registry
from mldbg.lint.files import Source
from mldbg.lint.finding import Partly
from mldbg.lint.interpret.interpreter import DEEPEST_CALL, Interpreter
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.roots import Root
from mldbg.lint.outline import Kind

HEADER = """\
import torch
import torch.nn.functional as F
from torch import nn

"""

TRAIN = """
class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.out = nn.Linear(width, 10)

    def forward(self, x):
        return self.out(x){activation}

def train(model, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
"""


def outcome_of(text: str, root: Path) -> engine.Outcome:
    source = Source("case.py", None, text.encode())
    return engine.check(source, registry.rules(), engine.Project(root))


def a_helper_with_nested_loops() -> str:
    return """
NAMES = ["north", "south", "east", "west", "hill", "lake", "farm", "town", "port", "moor"]

def table(scores):
    rows = []
    for first in NAMES:
        for second in NAMES:
            for third in NAMES:
                gap = scores[first] - scores[second] - scores[third]
                rows.append(f"{first} {second} {third} {gap}")
    return rows

def main(model, loader, epochs, measure):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        scores = measure(model)
        for part in ("dev", "test"):
            for line in table(scores):
                print(epoch, part, line)
            for line in table(scores):
                print(epoch, part, line, table(scores))
    train(Head(64), loader, optimizer)
"""


def a_long_training_function() -> str:
    lines = "\n".join(f"            log('metric_{i}', clipped(epoch * {i}))" for i in range(300))
    return f"""
def clipped(value):
    if value < 0:
        return 0
    return value

def main(model, loader, epochs, log, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        for batch in batches:
{lines}
    train(Head(64), loader, optimizer)
"""


def a_network_of_many_blocks(*, loss_inside: bool = False) -> str:
    blocks = "\n".join(f"        self.block{i} = Block(width)" for i in range(80))
    calls = "\n".join(f"        x = self.block{i}(x)" for i in range(80))
    loss = "        self.aux = F.mse_loss(hidden, x)\n" if loss_inside else ""
    return f"""
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        hidden = self.up(self.norm(x))
        hidden = F.gelu(hidden)
        hidden = self.down(hidden)
{loss}        return x + hidden

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
{blocks}
        self.head = nn.Linear(width, 10)

    def forward(self, x):
{calls}
        return self.head(x)

def main(loader, unlabelled, epochs):
    model = Net(64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        for x, y in unlabelled:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    train(Head(64), loader, optimizer)
"""


def a_network_with_losses_inside() -> str:
    return a_network_of_many_blocks(loss_inside=True)


def while_loops() -> str:
    return """
def settled(value, steps):
    best = 0
    i = 0
    while i < steps:
        j = 0
        while j < steps:
            k = 0
            while k < steps:
                best = max(best, value)
                value = value - best
                k += 1
            j += 1
        i += 1
    return best

def main(model, loader, sizes):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    while sizes:
        size = sizes.pop()
        while settled(size, 10) > 0:
            size = settled(size, 20)
            while size > settled(size, 30):
                size -= 1
    train(Head(64), loader, optimizer)
"""


def recursion() -> str:
    return """
def depth_of(tree):
    if not tree:
        return 0
    deepest = 0
    for child in tree:
        deepest = max(deepest, depth_of(child), width_of(child))
    return deepest + 1

def width_of(tree):
    return sum(width_of(child) + depth_of(child) for child in tree)

def main(model, loader, trees):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for tree in trees:
        for other in trees:
            print(depth_of(tree), width_of(other), depth_of(other))
    train(Head(64), loader, optimizer)
"""


def a_class_with_many_methods() -> str:
    methods = "\n".join(
        f"    def step{i}(self, x):\n        y = self.step{i + 1}(x)\n        return self.step{i + 2}(y) + self.step{i + 3}(x)\n"
        for i in range(60)
    )
    last = "\n".join(f"    def step{i}(self, x):\n        return x\n" for i in range(60, 64))
    return f"""
class Pipeline:
{methods}
{last}

def main(model, loader, pipeline_input):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pipeline = Pipeline()
    for item in pipeline_input:
        print(pipeline.step0(item), pipeline.step1(item))
    train(Head(64), loader, optimizer)
"""


def a_deep_chain_of_calls() -> str:
    chain = "\n".join(f"def stage{i}(x):\n    x = stage{i + 1}(x)\n    return stage{i + 1}(x)\n" for i in range(14))
    return f"""
{chain}
def stage14(x):
    return x

def main(model, loader, values):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for value in values:
        print(stage0(value))
    train(Head(64), loader, optimizer)
"""


def a_big_configuration() -> str:
    options = "\n".join(f"    options['key{i}'] = option(parser, 'key{i}', {i})" for i in range(200))
    return f"""
def option(parser, name, default):
    parser.add_argument('--' + name, default=default)
    value = getattr(parser, name, default)
    if value is None:
        value = default
    if isinstance(value, str):
        value = value.strip()
    return value

def configured(parser):
    options = {{}}
{options}
    return options

def main(model, loader, parser):
    for stage in range(3):
        options = configured(parser)
        for attempt in range(3):
            options = configured(parser)
    optimizer = torch.optim.SGD(model.parameters(), lr=options['key7'])
    train(Head(64), loader, optimizer)
"""


LONG = [
    a_helper_with_nested_loops,
    a_long_training_function,
    a_network_of_many_blocks,
    a_network_with_losses_inside,
    while_loops,
    recursion,
    a_class_with_many_methods,
    a_deep_chain_of_calls,
    a_big_configuration,
]


@pytest.mark.parametrize("before", LONG, ids=lambda case: case.__name__)
def test_a_mistake_is_found_behind(before: Callable[[], str], tmp_path: Path) -> None:
    text = HEADER + before() + TRAIN.format(activation=".softmax(1)")
    [finding] = outcome_of(text, tmp_path).findings
    assert finding.rule == "softmax-before-cross-entropy"
    assert text.splitlines()[finding.span.line - 1].strip() == "loss = F.cross_entropy(model(x), y)"


@pytest.mark.parametrize("before", LONG, ids=lambda case: case.__name__)
def test_nothing_is_found_where_there_is_no_mistake(before: Callable[[], str], tmp_path: Path) -> None:
    assert outcome_of(HEADER + before() + TRAIN.format(activation=""), tmp_path).findings == ()


def test_the_body_of_a_model_is_looked_at_wherever_it_is_called(tmp_path: Path) -> None:
    uses = "".join("    for x, y in loader:\n        F.cross_entropy(model(x), y).backward()\n" for _ in range(12))
    text = HEADER + a_network_of_many_blocks() + TRAIN.format(activation="")
    text = text.replace("    train(Head(64), loader, optimizer)\n", uses).replace("self.head(x)", "self.head(x).softmax(1)")
    assert len(outcome_of(text, tmp_path).findings) == 13


# --- what is told ---


BRANCHING = """
def walk{i}(x):
    x = walk{next}(x)
    return walk{next}(x)
"""


def branching(levels: int) -> str:
    """Functions that call one another twice: twice as many calls with each level."""
    return "".join(BRANCHING.format(i=i, next=i + 1) for i in range(levels)) + f"\ndef walk{levels}(x):\n    return x\n"


def test_what_was_followed_only_in_part_is_told(tmp_path: Path) -> None:
    text = HEADER + branching(DEEPEST_CALL + 2) + TRAIN.format(activation="") + "\n\nclass Run:\n    def go(self, x):\n"
    text += "        print(F.softmax(walk0(x), 1).log())\n"
    line = text.splitlines().index("    def go(self, x):") + 1
    assert outcome_of(text, tmp_path).partly == (Partly("case.py", line, "Run.go"),)


def test_a_top_level_that_was_followed_only_in_part_is_told(tmp_path: Path) -> None:
    calls = "\n".join(f"F.cross_entropy(once{i}(1), 1)" for i in range(70))
    functions = "".join(f"def once{i}(x):\n" + "    x = x + 1\n" * 60 + "    return x\n\n" for i in range(70))
    assert outcome_of(HEADER + functions + calls, tmp_path).partly == (Partly("case.py", 0, "the top level"),)


def test_what_was_followed_to_its_end_is_not_told(tmp_path: Path) -> None:
    assert outcome_of(HEADER + branching(4) + TRAIN.format(activation=""), tmp_path).partly == ()


# --- loops inside loops ---


def executed_in(text: str, root: Path) -> int:
    """Statements that executing all definitions of a text takes."""
    project = engine.Project(root)
    module = Module("case.py", None, dedent(text))
    project.modules.add(module)
    run = Interpreter(project.modules, project.effects)
    roots = [Root(part) for part in module.parts if part.statement.kind is not Kind.IMPORT]
    for _, enter in engine._entry_points(run, module, roots):
        enter()
    return run.executed


def nested(depth: int) -> str:
    """Loops each of which sums up something anew, so that it takes two rounds to be stable."""
    body = "pass"
    for level in range(depth):
        body = f"total{level} = 0\nfor value in values:\n" + indent(f"{body}\ntotal{level} = total{level} + value", "    ")
    return "def f(values):\n" + indent(f"{body}\n", "    ")


def test_loops_inside_loops_take_the_sum_of_their_rounds(tmp_path: Path) -> None:
    four, five, six = (executed_in(nested(depth), tmp_path) for depth in (4, 5, 6))
    assert six - five <= (five - four) + 10
