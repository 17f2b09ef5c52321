"""A row of `[tool.mldebug-lint.semantics]` takes precedence over the source of what it describes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from conftest import Run

MODELS = """
    import torch.nn.functional as F
    from torch import nn


    class Classifier(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.out = nn.Linear(width, 3)

        def forward(self, x):
            return F.softmax(self.out(x), dim=1)

        def scores(self, x):
            return F.softmax(self.out(x), dim=1)

        @staticmethod
        def squashed(z):
            return F.softmax(z, dim=1)


    class Larger(Classifier):
        pass


    class Calibrated(Classifier):
        def forward(self, x):
            return F.softmax(self.out(x) * 2, dim=1)


    class Head:
        def __call__(self, x):
            return F.softmax(x, dim=1)


    def normalised(z):
        return F.softmax(z, dim=1)
"""

USES = {
    "object": "Classifier(8)(x)",
    "forward": "Classifier(8).forward(x)",
    "inherited": "Larger(8)(x)",
    "overridden": "Calibrated(8)(x)",
    "method": "Classifier(8).scores(x)",
    "inherited method": "Larger(8).scores(x)",
    "static": "Classifier.squashed(x)",
    "plain object": "Head()(x)",
    "function": "normalised(x)",
}


IMPORTED = "from shop.models import Calibrated, Classifier, Head, Larger, normalised"


def reported(project: Path, lint: Run, row: str) -> set[str]:
    """The uses whose result cross-entropy is said to get as probabilities."""
    (project / "pyproject.toml").write_text(f"[tool.mldebug-lint.semantics]\n{row}\n", encoding="utf-8")
    (project / "shop").mkdir()
    (project / "shop" / "__init__.py").touch()
    (project / "shop" / "models.py").write_text(dedent(MODELS), encoding="utf-8")
    lines = [
        "from torch.nn.functional import cross_entropy",
        "from shop.models import Calibrated, Classifier, Head, Larger, normalised",
        "",
    ]
    for index, use in enumerate(USES.values()):
        lines += [f"def loss{index}(x, y): return cross_entropy({use}, y)"]
    (project / "train.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = lint("train.py", "--format", "concise")
    assert found.returncode in (0, 1), found.stderr
    places = [int(line.split(":")[1]) for line in found.stdout.splitlines() if line.startswith("train.py:")]
    return {name for number, name in enumerate(USES, start=4) if number in places}


@pytest.mark.parametrize(
    ("row", "silenced"),
    [
        ("", set()),
        ('"elsewhere.f" = { gives = "logits" }', set()),
        ('"shop.models.Classifier.__call__" = { gives = "logits" }', {"object", "forward", "inherited"}),
        ('"shop.models.Classifier.forward" = { gives = "logits" }', {"object", "forward", "inherited"}),
        ('"shop.models.Larger.__call__" = { gives = "logits" }', {"inherited"}),
        ('"shop.models.Calibrated.__call__" = { gives = "logits" }', {"overridden"}),
        ('"shop.models.Classifier.scores" = { gives = "logits" }', {"method", "inherited method"}),
        ('"shop.models.Larger.scores" = { gives = "logits" }', {"inherited method"}),
        ('"shop.models.Classifier.squashed" = { gives = "logits" }', {"static"}),
        ('"shop.models.Head.__call__" = { gives = "logits" }', {"plain object"}),
        ('"shop.models.Head.__call__" = { keeps = 0 }', {"plain object"}),
        ('"shop.models.normalised" = { gives = "logits" }', {"function"}),
    ],
)
def test_a_row_wins_over_the_source(row: str, silenced: set[str], project: Path, lint: Run) -> None:
    assert reported(project, lint, row) == set(USES) - silenced
