"""The sieve: it must never drop a root in which a rule would have found something, and it must drop something."""

from __future__ import annotations

from pathlib import Path

import pytest

import laws
from mldbg.lint import registry
from mldbg.lint.interpret import sieve
from mldbg.lint.interpret.module import Module, Modules
from mldbg.lint.interpret.roots import Root, roots_of

RULES = tuple(registry.rules())
CASES = [case for folder in sorted(laws.FIXTURES.iterdir()) for prefix in ("bad", "good") for case in laws.cases(folder, prefix)]
LOSSES = frozenset({"CrossEntropyLoss", "cross_entropy", "backward("})
CLASS_AXIS = frozenset({"softmax", "Softmax", "cross_entropy", "CrossEntropyLoss"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_findings_are_those_of_a_run_without_it(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sifted = laws.places(laws.check_case(case, RULES))

    def everything(module: Module, modules: Modules, words: frozenset[str], sought: str) -> list[Root]:
        return roots_of(module, words)

    monkeypatch.setattr(sieve, "sifted", everything)
    assert laws.places(laws.check_case(case, RULES)) == sifted


def kept(text: str, sought: str = "an activation", words: frozenset[str] = LOSSES) -> dict[str, set[str] | None]:
    """The roots that remain, with their methods."""
    module = Module("example.py", None, "from torch import nn\nimport torch\nimport torch.nn.functional as F\n" + text)
    roots = sieve.sifted(module, Modules((), lambda _: None), words, sought)
    return {root.part.statement.names[0]: set(root.methods) if root.methods is not None else None for root in roots}


HEAD = """
class Attention(nn.Module):
    def forward(self, x):
        weights = F.softmax(x @ x.transpose(1, 2), dim=-1)
        return weights @ x, weights

class Body(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layers = nn.ModuleList([Attention() for _ in range(size)])

    def forward(self, x):
        every = []
        for layer in self.layers:
            x, weights = layer(x)
            every.append(weights)
        return x, every

class Head(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.body = Body(size)
        self.head = {layer}

    def forward(self, x, y):
        out = self.body(x)
        x = out[0]
        logits = self.head(x)
        loss = None
        if y is not None:
            criterion = nn.CrossEntropyLoss()
            loss = criterion(logits.view(-1, 10), y.view(-1))
        return loss, logits
"""


@pytest.mark.parametrize(
    "layer",
    [
        "nn.Linear(8, 10)",
        "nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10))",
        "nn.Sequential(nn.Softmax(1), nn.Linear(8, 2))",
    ],
)
def test_attention_behind_a_linear_layer_is_dropped(layer: str) -> None:
    assert kept(HEAD.format(layer=layer)) == {}


@pytest.mark.parametrize(
    "layer",
    [
        "nn.Identity()",
        "nn.Softmax(dim=1)",
        "nn.Sequential(nn.Linear(8, 10), nn.Softmax(dim=1))",
        "nn.Linear(8, 10) if size else nn.Softmax(1)",
        "size",
        "unknown[size]",
        "Attention()",
        "Body(2)",
    ],
)
def test_what_may_come_through_is_kept(layer: str) -> None:
    assert kept(HEAD.format(layer=layer)) == {"Head": {"forward"}}


COLD = {
    "linear": "logits = nn.Linear(2, 2)(x)",
    "overwritten": "logits = F.softmax(x, 1)\n    logits = nn.Linear(2, 2)(logits)",
    "compared": "logits = F.softmax(x, 1) > 0.5",
    "product of matrices": "logits = F.softmax(x, 1) @ x",
    "matmul": "logits = torch.matmul(F.softmax(x, 1), x)",
    "unused": "probs = F.softmax(x, 1)\n    logits = x",
    "index": "logits = x[F.softmax(x, 1).argmax()]",
}
HOT = {
    "direct": "logits = F.softmax(x, 1)",
    "method": "logits = x.softmax(-1)",
    "in place": "logits = x.sigmoid_()",
    "layer": "logits = nn.Sigmoid()(x)",
    "through view": "logits = torch.sigmoid(x).view(-1, 2).float()",
    "in a branch": "logits = x\n    if y is None:\n        logits = F.softmax(x, 1)",
    "in a loop": "logits = x\n    for _ in range(2):\n        F.cross_entropy(logits, y)\n        logits = F.softmax(x, 1)",
    "in a tuple": "a, logits = x, F.softmax(x, 1)",
    "in a list": "several = []\n    several.append(F.softmax(x, 1))\n    logits = several[0]",
    "in a dict": "held = {}\n    held['p'] = F.softmax(x, 1)\n    logits = held['p']",
    "in an object": "y.probs = F.softmax(x, 1)\n    logits = y.probs",
    "arithmetic": "logits = 2 * F.softmax(x, 1) + 1",
    "conditional expression": "logits = x if y is None else F.softmax(x, 1)",
    "walrus": "logits = 0\n    print(logits := F.softmax(x, 1))",
    "with": "with torch.no_grad() as logits, F.softmax(x, 1) as logits:\n        pass",
    "comprehension": "logits = [F.softmax(each, 1) for each in x][0]",
    "helper": "logits = helper(x)",
    "helper of a helper": "logits = twice(x)",
    "through a helper": "logits = same(F.softmax(x, 1))",
    "through a keyword": "logits = same(value=F.softmax(x, 1))",
    "through unpacking": "logits = same(*[F.softmax(x, 1)])",
    "through the unknown": "logits = unknown(F.softmax(x, 1))",
    "nested function": "probs = F.softmax(x, 1)\n    def inner():\n        return probs\n    logits = inner()",
    "lambda": "logits = (lambda value: F.softmax(value, 1))(x)",
    "function passed on": "logits = applied(F.softmax, x)",
    "function in a variable": "act = torch.sigmoid\n    logits = act(x)",
    "decorated": "logits = decorated(x)",
    "generator": "logits = next(generated(x))",
    "recursive": "logits = recursive(x)",
}
HELPERS = """
def helper(x):
    return F.softmax(x, 1)
def twice(x):
    return helper(x)
def same(value):
    return value
def applied(function, value):
    return function(value)
def wrapper(function):
    return lambda x: function(x).softmax(1)
@wrapper
def decorated(x):
    return x
def generated(x):
    yield F.softmax(x, 1)
def recursive(x):
    return recursive(x) if x else 0
def train(x, y):
    {body}
    return F.cross_entropy(logits, y)
"""


@pytest.mark.parametrize("body", COLD.values(), ids=COLD)
def test_cold(body: str) -> None:
    assert kept(HELPERS.replace("{body}", body)) == {}


@pytest.mark.parametrize("body", HOT.values(), ids=HOT)
def test_hot(body: str) -> None:
    assert kept(HELPERS.replace("{body}", body)) == {"train": None}


OBJECTS = {
    "loss object passed on": "def train(x, y):\n    return fit(nn.CrossEntropyLoss(), x)",
    "loss function passed on": "def train(x, y):\n    return fit(F.cross_entropy, x)",
    "loss in a list": "def train(x, y):\n    losses = [nn.CrossEntropyLoss()]\n    return losses[0](F.softmax(x, 1), y)",
    "loss made and called": "def train(x, y):\n    return nn.CrossEntropyLoss()(F.softmax(x, 1), y)",
    "backward beside an unknown loss": "def train(x, y, criterion):\n    criterion(x, y).backward()",
    "loss of a helper": "def ce(p, y):\n    return F.cross_entropy(p, y)\ndef train(x, y):\n    return ce(F.softmax(x, 1), y)",
}


@pytest.mark.parametrize("text", OBJECTS.values(), ids=OBJECTS)
def test_losses_that_go_somewhere(text: str) -> None:
    assert "train" in kept(text)


CLASSES = {
    "loss in self": ("self.loss = nn.CrossEntropyLoss()", "return self.loss(F.softmax(x, 1), y)"),
    "activation in self": ("self.act = nn.Softmax(1)", "return F.cross_entropy(self.act(x), y)"),
    "value in self": ("pass", "self.p = F.softmax(x, 1)\n        return F.cross_entropy(self.p, y)"),
    "own method": ("pass", "return F.cross_entropy(self.soft(x), y)"),
    "inherited method": ("pass", "return F.cross_entropy(self.above(x), y)"),
    "super": ("pass", "return F.cross_entropy(super().step(x), y)"),
    "property": ("pass", "return F.cross_entropy(self.prop, y)"),
}


@pytest.mark.parametrize(("init", "step"), CLASSES.values(), ids=CLASSES)
def test_classes(init: str, step: str) -> None:
    text = f"""
class Above(nn.Module):
    def above(self, x):
        return x.softmax(1)
    def step(self, x):
        return x.softmax(1)
class Model(Above):
    def __init__(self):
        {init}
    def soft(self, x):
        return torch.sigmoid(x)
    @property
    def prop(self):
        return torch.sigmoid(self.x)
    def step(self, x, y):
        {step}
"""
    found = kept(text)
    assert "Model" in found
    methods = found["Model"]
    assert methods is None or "step" in methods


ONE = {
    "linear with one output": ("nn.Linear(8, 1)", True),
    "keyword": ("nn.Linear(8, out_features=1)", True),
    "variable": ("nn.Linear(8, n)", True),
    "two outputs": ("nn.Linear(8, 2)", False),
    "of a configuration": ("nn.Linear(8, config.labels)", False),
    "behind another layer": ("nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(1, 4))", False),
}


@pytest.mark.parametrize(("layer", "stays"), ONE.values(), ids=ONE)
def test_one_output(layer: str, *, stays: bool) -> None:
    text = f"def run(x, n, config):\n    head = {layer}\n    return F.softmax(head(x), dim=-1)\n"
    assert ("run" in kept(text, "one output", CLASS_AXIS)) == stays


def test_a_size_of_one_somewhere_makes_every_named_size_suspect() -> None:
    text = "ONE = dict(num_labels=1)\ndef run(x, config):\n    return F.softmax(nn.Linear(8, config.num_labels)(x), -1)\n"
    assert "run" in kept(text, "one output", CLASS_AXIS)
