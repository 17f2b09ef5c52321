"""What is executed of a module: chosen from its words."""

from __future__ import annotations

from textwrap import dedent

import pytest

from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.roots import roots_of

WORDS = frozenset({"CrossEntropyLoss"})


def methods(text: str) -> set[str] | None:
    """The methods of the only class that are executed; None: all."""
    (root,) = roots_of(Module("case.py", None, dedent(text)), WORDS)
    return None if root.methods is None else set(root.methods)


@pytest.mark.parametrize(
    "binding",
    [
        "self.criterion = CrossEntropyLoss()",
        "self.criterion: object = CrossEntropyLoss()",
        "self.criterion = nn.ModuleList(\n            [\n                CrossEntropyLoss(),\n            ]\n        )",
        "self.criterion = \\\n            CrossEntropyLoss()",
        'self.criterion["ce"] = CrossEntropyLoss()',
        "self.criterion.append(CrossEntropyLoss())",
        "made = CrossEntropyLoss()\n        self.criterion = made",
    ],
)
def test_methods_that_read_the_attribute_are_of_interest(binding: str) -> None:
    text = f"""
class Net(Base):
    def __init__(self):
        {binding}
        self.other = 1

    def loss(self, x, y):
        return self.criterion(x, y)

    def step(self, batch):
        return self.loss(*batch)

    def unrelated(self):
        return self.other
"""
    assert methods(text) == {"__init__", "loss", "step"}


def test_a_class_attribute_counts_like_one_of_init() -> None:
    text = """
    class Net(Base):
        criterion = CrossEntropyLoss()

        def loss(self, x, y):
            return self.criterion(x, y)

        def unrelated(self):
            return 1
    """
    assert methods(text) == {"loss"}


@pytest.mark.parametrize("use", ["self.add_module('loss', CrossEntropyLoss())", "register(self, CrossEntropyLoss)"])
def test_where_it_goes_elsewhere_every_method_may_be_of_interest(use: str) -> None:
    text = f"""
    class Net(Base):
        def __init__(self):
            {use}

        def loss(self, x, y):
            return self.loss_of(x, y)
    """
    assert methods(text) is None


def test_running_the_object_is_running_its_forward() -> None:
    text = """
    class Net(Base):
        def forward(self, x, y):
            return CrossEntropyLoss()(x, y)

        def step(self, batch):
            return self(*batch)

        def unrelated(self):
            return 1
    """
    assert methods(text) == {"forward", "step"}


def test_a_base_of_interest_makes_no_method_so() -> None:
    text = """
    class Base:
        def loss(self, x, y):
            return CrossEntropyLoss()(x, y)


    @registered
    class Net(Base):
        def score(self, x, y):
            return self.loss(x, y)

        def unrelated(self):
            return 1
    """
    _, root = roots_of(Module("case.py", None, dedent(text)), WORDS)
    assert root.methods is not None
    assert "unrelated" not in root.methods
