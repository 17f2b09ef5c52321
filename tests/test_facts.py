"""What the interpreter tells the rules besides values: under which conditions a fact holds, and whose scheduler steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from mldbg.lint import engine, files
from mldbg.lint.interpret.facts import Fact, GradientUse, Loop, ModelCall, SchedulerStep
from mldbg.lint.interpret.interpreter import Interpreter
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.roots import Root
from mldbg.lint.interpret.value import Object, Value
from mldbg.lint.outline import Kind


def facts_of(text: str, root: Path) -> Iterator[Fact]:
    """All facts of a file, those of loops once."""
    project = engine.Project(root)
    module = Module("case.py", None, dedent(text))
    project.modules.add(module)
    run = Interpreter(project.modules, project.effects)
    roots = [Root(part) for part in module.parts if part.statement.kind is not Kind.IMPORT]
    for _, enter in engine._entry_points(run, module, roots):
        run.facts.clear()
        enter()
        yield from list(run.facts)


def conditions_of_the_step(text: str, root: Path) -> list[str]:
    """The conditions of the only optimizer step, as the source says them; those that must fail begin with "not"."""
    (step,) = (fact for fact in facts_of(text, root) if isinstance(fact, GradientUse))
    said = [(one.test.part.span(one.test.node), one.holds) for one in step.place.conditions]
    lines = dedent(text).splitlines()
    return [("" if holds else "not ") + lines[span.line - 1][span.column - 1 : span.end_column - 1] for span, holds in said]


PROGRAM = """
    import torch

    def train(optimizer, batches, every, warm):
        for i, batch in enumerate(batches):
{body}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("optimizer.step()", []),
        ("if i % every == 0:\n    optimizer.step()", ["i % every == 0"]),
        ("if i % every:\n    pass\nelse:\n    optimizer.step()", ["not i % every"]),
        ("if i % every:\n    pass\nelif warm:\n    optimizer.step()", ["not i % every", "warm"]),
        ("if i % every:\n    print(i)\noptimizer.step()", []),
        ("if i % every:\n    continue\noptimizer.step()", ["not i % every"]),
        ("if i % every:\n    raise ValueError\noptimizer.step()", []),
        ("if warm:\n    print(i)\nelse:\n    return\noptimizer.step()", ["warm"]),
        ("with torch.autocast('cuda'):\n    if i % every:\n        break\noptimizer.step()", ["not i % every"]),
        ("if warm:\n    if i % every:\n        continue\noptimizer.step()", []),
        ("if True:\n    optimizer.step()", []),
        ("warm and optimizer.step()", ["warm"]),
        ("warm or optimizer.step()", ["not warm"]),
        ("optimizer.step() if warm else None", ["warm"]),
        ("print(i) if warm else optimizer.step()", ["not warm"]),
        ("match warm:\n    case 1:\n        optimizer.step()", ["1"]),
        ("match warm:\n    case _:\n        optimizer.step()", []),
    ],
)
def test_a_fact_says_on_which_tests_it_depends(body: str, expected: list[str], tmp_path: Path) -> None:
    indented = "\n".join(" " * 12 + line for line in body.splitlines())
    assert conditions_of_the_step(PROGRAM.format(body=indented), tmp_path) == expected


def test_conditions_reach_into_functions_and_end_with_them(tmp_path: Path) -> None:
    text = """
        def maybe(optimizer, ready):
            if not ready:
                return
            optimizer.step()

        def train(optimizer, batches, warm):
            for batch in batches:
                if warm:
                    maybe(optimizer, batch)
    """
    assert conditions_of_the_step(text.replace("optimizer.step()", "torch.optim.Adam(optimizer).step()"), tmp_path) == [
        "warm",
        "not not ready",
    ]
    text = """
        def maybe(ready):
            if not ready:
                return
            print(ready)

        def train(model, ready):
            optimizer = torch.optim.Adam(model.parameters())
            maybe(ready)
            optimizer.step()
    """
    assert conditions_of_the_step(text, tmp_path) == []


def test_of_a_loop_only_the_conditions_inside_it_count(tmp_path: Path) -> None:
    text = """
        def train(model, batches, warm, every):
            optimizer = torch.optim.Adam(model.parameters())
            if warm:
                for i, batch in enumerate(batches):
                    if i % every == 0:
                        optimizer.step()
    """
    (loop,) = (fact for fact in facts_of(text, tmp_path) if isinstance(fact, Loop))
    (step,) = (fact for fact in loop.facts if isinstance(fact, GradientUse))
    assert len(step.place.conditions) == 2
    assert len(step.place.conditions_inside(loop.place)) == 1


SCHEDULERS = [
    "torch.optim.lr_scheduler.StepLR(second, 30)",
    "torch.optim.lr_scheduler.LambdaLR(lr_lambda=len, optimizer=second)",
    "lr_scheduler.OneCycleLR(second, max_lr=0.1, total_steps=9)",
    "transformers.get_linear_schedule_with_warmup(second, 10, 100)",
    "transformers.get_scheduler('linear', optimizer=second, num_warmup_steps=0, num_training_steps=9)",
    "get_cosine_schedule_with_warmup(optimizer=second, num_warmup_steps=10, num_training_steps=100)",
    "lr_scheduler.SequentialLR(second, [lr_scheduler.ConstantLR(second)], milestones=[3])",
    "lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(second), lr_scheduler.StepLR(second, 3)])",
    "Own(second)",
]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_scheduler_knows_its_optimizer(scheduler: str, tmp_path: Path) -> None:
    text = f"""
        import torch
        import transformers
        from torch.optim import lr_scheduler
        from transformers import get_cosine_schedule_with_warmup

        class Own(lr_scheduler.LRScheduler):
            def get_lr(self):
                return [0.1]

        def train(one, two, epochs):
            first = torch.optim.SGD(one.parameters(), lr=0.1)
            second = torch.optim.Adam(two.parameters())
            scheduler = {scheduler}
            for epoch in range(epochs):
                first.step()
                if epoch > 0:
                    scheduler.step()
    """
    facts = list(facts_of(text, tmp_path))
    (step,) = (fact for fact in facts if isinstance(fact, SchedulerStep))
    assert len(step.place.conditions) == 1
    assert cls_of(step.optimizer) == "torch.optim.Adam"
    (use,) = (fact for fact in facts if isinstance(fact, GradientUse))
    assert cls_of(use.optimizer) == "torch.optim.SGD"


def cls_of(value: Value) -> object:
    return value.thing.cls if isinstance(value.thing, Object) else None


@pytest.mark.parametrize(
    ("call", "steps"),
    [
        ("scheduler.step()", 1),
        ("self.lr_scheduler.step(loss)", 1),
        ("scheduler.step(noise, t, latents)", 0),
        ("thing.step()", 0),
        ("optimizer.step()", 0),
    ],
)
def test_what_is_called_a_scheduler_steps_for_an_unknown_optimizer(call: str, steps: int, tmp_path: Path) -> None:
    text = f"import torch\n\ndef train(self, scheduler, thing, optimizer, loss, noise, t, latents):\n    {call}\n"
    told = [fact for fact in facts_of(text, tmp_path) if isinstance(fact, SchedulerStep)]
    assert len(told) == steps
    assert all(cls_of(fact.optimizer) is None for fact in told)


def test_containers_and_names_may_be_made_of_themselves(tmp_path: Path) -> None:
    text = """
        import torch
        from torch import nn
        from torch.optim.lr_scheduler import ChainedScheduler

        class Net(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.body = [nn.Linear(8, width), nn.Dropout(0.1)]
                self.body = nn.Sequential(*self.body)
                self.body = nn.Sequential(self.body, self.body)
                self.all = nn.ModuleList([self.body, self])
                self.all.append(self.all)

            def forward(self, x):
                return self.body(x) + len(self.all)

        def main(batches, scheduler):
            layers = nn.Sequential()
            layers = nn.Sequential(layers, *[layers, layers])
            for batch in batches:
                layers = nn.Sequential(layers, nn.ReLU())
                scheduler = ChainedScheduler([scheduler])
            scheduler.step()
            net = Net(4)
            net.train()
            net(layers(batches))
    """
    call = next(fact for fact in facts_of(text, tmp_path) if isinstance(fact, ModelCall) and fact.dependent_in_training)
    assert call.dependent_in_training == "nn.Dropout"


def test_modules_that_hold_each_other_are_looked_at_once(tmp_path: Path) -> None:
    names = [f"part{number}" for number in range(12)]
    text = "from torch import nn\n\nclass Part(nn.Module):\n    def forward(self, x):\n        return x\n\n"
    text += "def main(x):\n" + "".join(f"    {name} = Part()\n" for name in names)
    text += "".join(f"    {one}.{two} = {two}\n" for one in names for two in names)
    text += "    part0.eval()\n    return part7.part3(x)\n"
    (call,) = (fact for fact in facts_of(text, tmp_path) if isinstance(fact, ModelCall))
    assert call.training is False


# --- what facts rest on ---


TRAINING = (
    "from torch import nn\n\nfrom helpers import net\n\n\ndef loss_of(x, y):\n    return nn.CrossEntropyLoss()(net(x), y)\n"
)


def facts_in(root: Path) -> engine.Facts:
    source = files.read(root / "train.py")
    assert isinstance(source, files.Source)
    return engine.facts_of(source, engine.Project(root))


def test_the_files_that_facts_rest_on_are_known(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINING, encoding="utf-8")
    (tmp_path / "helpers.py").write_text("from layers import head\n\n\ndef net(x):\n    return head(x)\n", encoding="utf-8")
    (tmp_path / "layers.py").write_text("def head(x):\n    return x.softmax(1)\n", encoding="utf-8")
    (tmp_path / "unrelated.py").write_text("x = 1\n", encoding="utf-8")
    assert {file.name for file in facts_in(tmp_path).consulted} == {"helpers.py", "layers.py"}


def test_files_that_were_looked_for_in_vain_are_known(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINING, encoding="utf-8")
    without = facts_in(tmp_path)
    helper = tmp_path / "helpers.py"
    assert not without.consulted
    assert helper in without.missing
    helper.write_text("def net(x):\n    return x.softmax(1)\n", encoding="utf-8")
    assert facts_in(tmp_path).consulted == {helper}


def test_a_folder_that_becomes_a_package_changes_the_names_in_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINING, encoding="utf-8")
    (tmp_path / "helpers.py").write_text("def net(x):\n    return x.softmax(1)\n", encoding="utf-8")
    assert tmp_path / "__init__.py" in facts_in(tmp_path).missing
    (tmp_path / "__init__.py").touch()
    after = facts_in(tmp_path).missing
    assert tmp_path / "__init__.py" not in after
    assert tmp_path.parent / "__init__.py" in after


def test_a_shared_project_forgets_no_dependency(tmp_path: Path) -> None:
    """What another file has looked up already counts for the next one, too."""
    (tmp_path / "train.py").write_text(TRAINING, encoding="utf-8")
    (tmp_path / "again.py").write_text(TRAINING, encoding="utf-8")
    (tmp_path / "helpers.py").write_text("from layers import head\n\n\ndef net(x):\n    return head(x)\n", encoding="utf-8")
    (tmp_path / "layers.py").write_text("def head(x):\n    return x.softmax(1)\n", encoding="utf-8")
    project = engine.Project(tmp_path)
    for name in ("train.py", "again.py"):
        source = files.read(tmp_path / name)
        assert isinstance(source, files.Source)
        assert {file.name for file in engine.facts_of(source, project).consulted} == {"helpers.py", "layers.py"}
