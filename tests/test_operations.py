"""The rows that linter, sanitizer and bench share: all three know the same names, and torch agrees. Each law can be broken."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch.nn import functional

import mldbg.lint.rules
from mldbg.contracts.sanitize import OPTIONAL, RULES
from mldbg.contracts.sanitize import tables as sanitized
from mldbg.lint import misuse, registry
from mldbg.lint.interpret import along, carried
from mldbg.operations import tables
from mldbg.operations import torch as rows
from mldbg.operations.effect import Effect, Gives, Keeps, Loss, Maps, Move, Moves
from mldbg.operations.losses import LOSSES, MADE_OF, MISUSES, Misuse, misuse_of
from mldbg.semantics import Semantic
from mldbg.verify import probe
from mldbg.verify.checks import loss_input_range

ROOT = Path(__file__).parent.parent
LINTED = {rule.name: rule for rule in registry.built_in(mldbg.lint.rules)}
OWNERS = ("torch", "torch.Tensor", "torch.nn.functional", "torch.special")


# --- torch agrees ---


def missing_in_torch(names: Iterable[str]) -> list[str]:
    """Names that this release of torch does not have."""
    missing = []
    for module in ("torch.distributed.fsdp", "torch.nn.utils.prune"):
        importlib.import_module(module)
    for name in names:
        plain = name.removesuffix(".__call__")
        try:
            attrgetter(plain.removeprefix("torch."))(torch)
        except AttributeError:
            missing.append(name)
    return missing


def test_every_name_exists_in_torch() -> None:
    assert missing_in_torch(rows.ROWS) == []
    assert missing_in_torch(["torch.sofmax"]) == ["torch.sofmax"]


def unknown_parameters(name: str, params: Iterable[str]) -> list[str]:
    """Parameters that neither the signature nor the documentation of a torch function names."""
    function = attrgetter(name.removeprefix("torch."))(torch)
    schemas = torch._C._jit_get_schemas_for_operator(f"aten::{name.rpartition('.')[2]}")
    known = {"input" if each.name == "self" else each.name for schema in schemas for each in schema.arguments}
    known |= set(re.findall(r"\w+", (function.__doc__ or "").strip().partition("\n\n")[0]))
    if inspect.isfunction(function):
        known |= set(inspect.signature(function).parameters)
    return [each for each in params if each not in known]


FUNCTIONS = [
    name
    for name, row in rows.ROWS.items()
    if name.rpartition(".")[0] in ("torch", "torch.nn.functional") and getattr(row, "params", None)
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_are_those_of_torch(name: str) -> None:
    assert unknown_parameters(name, rows.ROWS[name].params) == []  # type: ignore[union-attr] # rows with parameters only


def test_a_wrong_parameter_is_noticed() -> None:
    assert unknown_parameters("torch.nn.functional.softmax", ("input", "axes")) == ["axes"]


@pytest.mark.parametrize("name", rows.CONSTRUCTOR_PARAMETERS)
def test_constructor_parameters_stand_in_torchs_order(name: str) -> None:
    cls = attrgetter(name.removeprefix("torch."))(torch)
    parameters = [each for each in inspect.signature(cls).parameters if each not in ("args", "kwargs")]
    parameters = parameters or list(inspect.signature(torch.nn.RNNBase).parameters)[1:]  # its subclasses fill in the mode
    assert list(rows.CONSTRUCTOR_PARAMETERS[name]) == parameters[: len(rows.CONSTRUCTOR_PARAMETERS[name])]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=attrgetter("name"))
def test_losses_are_those_of_torch(loss: Loss) -> None:
    assert list(inspect.signature(getattr(functional, loss.name)).parameters) == list(loss.params)
    assert issubclass(getattr(torch.nn, loss.cls), torch.nn.Module)
    assert loss.fused is None or LOSSES[loss.fused].takes is Semantic.LOGITS


def test_classes_of_a_package_have_the_base_whose_rows_they_inherit() -> None:
    for package, base in tables.BASES.items():
        owner = attrgetter(package.removeprefix("torch.").rstrip("."))(torch)
        expected = attrgetter(base.removeprefix("torch."))(torch)
        classes = [
            each for each in vars(owner).values() if inspect.isclass(each) and each.__module__.startswith(package.rstrip("."))
        ]
        plain = [each for each in classes if not each.__name__.startswith("_") and hasattr(each, "step")]
        assert plain
        assert all(issubclass(each, expected) for each in plain)
    assert tables.effect_of("torch.optim.lr_scheduler.StepLR.step") is tables.ROWS["torch.optim.lr_scheduler.LRScheduler.step"]
    assert tables.effect_of("torch.optim.AdamW.state_dict") is tables.ROWS["torch.optim.Optimizer.state_dict"]
    assert tables.effect_of("torch.optim.lr_scheduler.StepLR.stop") is None


# --- the three readers know the same names ---


def says_something(row: Effect) -> bool:
    """Whether something of a meaning can be left, or a misuse be seen."""
    if isinstance(row, Gives):
        return row.meaning is not None
    if isinstance(row, Maps):
        return bool(row.meanings)
    if isinstance(row, Loss):
        return row.takes is not None or row.elementwise
    return type(row) not in sanitized.NOT_CARRIED_OUT


def unsanitized(names: Mapping[str, Effect]) -> list[str]:
    """Operations of tensors that `sanitize` does not follow, though something of their meaning could be left."""
    unknown = []
    for name, row in names.items():
        owner, _, last = name.rpartition(".")
        function = attrgetter(name.removeprefix("torch."))(torch)
        if owner in OWNERS and says_something(row) and not isinstance(function, type):
            is_attribute = owner == "torch.Tensor" and last in " ".join(rows.ATTRIBUTES).split()
            unknown += [name] if (function.__get__ if is_attribute else function) not in sanitized.EFFECTS else []
    return unknown


def test_sanitize_follows_all_that_the_linter_follows() -> None:
    tensors = {name: row for name, row in rows.ROWS.items() if name.rpartition(".")[0] in OWNERS}
    assert len(tensors) > 250
    assert unsanitized(tensors) == []
    assert unsanitized({"torch.erf": Keeps()}) == ["torch.erf"]


def unlinted(functions: Iterable[Any]) -> list[str]:
    """Functions that `sanitize` follows and of which the linter has no row."""
    known = {attrgetter(name.removeprefix("torch."))(torch) for name in rows.ROWS if name.rpartition(".")[0] in OWNERS}
    methods = {torch.Tensor.data.__set__}  # type: ignore[attr-defined] # a descriptor
    attributes = {getattr(torch.Tensor, name).__get__ for name in " ".join(rows.ATTRIBUTES).split()}
    return [repr(each) for each in functions if each not in known | methods | attributes]


def test_the_linter_knows_all_that_sanitize_follows() -> None:
    assert unlinted(sanitized.EFFECTS) == []
    assert unlinted([torch.erf]) != []


def test_every_kind_of_effect_is_carried_out_or_named_as_none() -> None:
    kinds = set(get_args(Effect))
    assert kinds == set(sanitized._CARRIED_OUT) | sanitized.NOT_CARRIED_OUT
    assert set(get_args(carried.Carrying)) <= kinds
    assert set(along._MOVES) == set(Move) - {Move.REGROUP, Move.FLATTEN, Move.REPEAT}  # which are told by sizes, or beside it


def test_the_bench_hears_every_loss_that_takes_a_meaning() -> None:
    heard = {loss.name for loss in probe._LOSSES.values()}
    assert {loss.name for loss in LOSSES.values() if loss.takes is not None or loss.elementwise} <= heard
    assert set(MADE_OF.values()) <= heard
    assert {probe.wanted(loss) for loss in LOSSES.values()} == {
        probe.LOGITS,
        probe.BCE_LOGITS,
        probe.BCE,
        probe.LOG_PROBS,
        probe.KL_DIV,
        probe.VALUES,
    }


def test_the_bench_calls_misuses_by_their_names() -> None:
    causes = set(re.findall(r'_Fault\(\s*"([\w-]+)"', inspect.getsource(loss_input_range)))
    assert causes - {each.rule for each in MISUSES} == {"targets-out-of-range"}


# --- misuses ---


def faults_of(each: Misuse) -> Iterator[str]:
    """What is missing for a misuse in one of the readers."""
    if each.rule not in RULES:
        yield "sanitize has no such rule"
    if each.rule not in LINTED:
        yield "the linter has no such rule"
        return
    if not (ROOT / "docs" / "rules" / f"{each.rule}.md").exists():
        yield "no page"
    if each.losses and not set(misuse.calls_of(each)) <= LINTED[each.rule].listens_to.names:
        yield "its rule does not hear all losses"
    for loss in each.losses:
        if each.gets and each.parameter not in loss.params:
            yield f"{loss.name} has no parameter {each.parameter}"
        if each.gets and probe.wanted(loss) == probe.VALUES:
            yield f"the bench does not know what {loss.name} wants"


@pytest.mark.parametrize("each", MISUSES, ids=attrgetter("rule"))
def test_every_misuse_is_known_to_all_readers(each: Misuse) -> None:
    assert list(faults_of(each)) == []


def test_an_unknown_misuse_is_noticed() -> None:
    some = next(each for each in MISUSES if each.rule == "softmax-before-cross-entropy")
    assert list(faults_of(replace(some, rule="unheard-of"))) == ["sanitize has no such rule", "the linter has no such rule"]
    assert list(faults_of(replace(some, at=("mse_loss",)))) == [
        "its rule does not hear all losses",
        "the bench does not know what mse_loss wants",
    ]


def test_optional_rules_of_sanitize_are_those_of_the_rows() -> None:
    assert {"log-softmax-before-cross-entropy", "log-of-softmax"} == OPTIONAL


def test_what_a_loss_takes_is_no_misuse_of_it() -> None:
    for loss in LOSSES.values():
        assert misuse_of(loss, loss.takes) is None
        if loss.takes is not None:
            assert any(misuse_of(loss, meaning) is not None for meaning in Semantic)


@pytest.mark.parametrize("each", MISUSES, ids=attrgetter("rule"))
def test_the_sentences_can_be_filled_in(each: Misuse) -> None:
    for meaning in (*each.gets, None):
        for text in (each.message_on(meaning, what="softmax"), each.hint_on(meaning)):
            assert not re.search(r"[{}]|\.$", text)
            assert not text[0].isupper()


# --- what the package needs ---

CHECK = """
import importlib, pkgutil, sys
import mldbg.operations
for module in pkgutil.iter_modules(mldbg.operations.__path__):
    importlib.import_module(f"mldbg.operations.{module.name}")
print(*sorted(sys.modules))
"""
HEAVY = {"torch", "jaxtyping", "beartype", "numpy", "sklearn", "pandas", "libcst", "click"}


def loaded(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return set(run.stdout.split())


def test_the_package_imports_nothing_heavy() -> None:
    modules = loaded(CHECK)
    assert "mldbg.operations.losses" in modules
    assert modules & HEAVY == set()
    assert {name for name in modules if name.startswith("mldbg.")} <= {
        "mldbg.semantics",
        "mldbg.operations",
        *(f"mldbg.operations.{file.stem}" for file in (ROOT / "src/mldbg/operations").glob("*.py")),
        "mldbg.operations.transfers",
        *(f"mldbg.operations.transfers.{file.stem}" for file in (ROOT / "src/mldbg/operations/transfers").glob("*.py")),
    }


def test_a_heavy_import_is_noticed() -> None:
    assert "click" in loaded("import click\n" + CHECK)


def test_the_rows_are_data() -> None:
    for file in (ROOT / "src/mldbg/operations").glob("*.py"):
        names = {
            node.module.partition(".")[0] if isinstance(node, ast.ImportFrom) and node.module else alias.name.partition(".")[0]
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert names <= {"mldbg", "__future__", *sys.stdlib_module_names}


def test_a_move_names_what_it_moves_by() -> None:
    by_axes = {Move.TRANSPOSE, Move.PERMUTE, Move.MOVE, Move.SQUEEZE, Move.UNSQUEEZE}
    assert all(len(row.params) > 1 for row in rows.ROWS.values() if isinstance(row, Moves) and row.how in by_axes)
