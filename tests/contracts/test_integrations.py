"""The callbacks, in real trainers of the libraries that they are for. `make test-integrations` has those."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode_stack
from torch.utils.data import DataLoader, TensorDataset

from mldbg.contracts import ContractError, Logits, TokenIds, below, contract, flags
from mldbg.contracts.integrations.steps import Steps
from mldbg.contracts.sanitize import surroundings

LIGHTNINGS = {"lightning": "lightning.pytorch", "pytorch_lightning": "pytorch_lightning"}
pytestmark = pytest.mark.filterwarnings("default")  # those of the libraries are their own


class Net(nn.Module):
    """Embeds ids. wrong: what goes wrong, from the fourth batch on (`sanitize`: at once)."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.table, self.wrong = nn.Embedding(10, 3), wrong
        self.seen: list[tuple[bool, int, int]] = []

    @contract
    def scores(self, x: TokenIds[Tensor, "b", below(10)]) -> Logits[Tensor, "b c"]:
        return self.table(x)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.seen.append((self.training, flags.PENDING.here().steps, surroundings._blocks))
        late = len([1 for training, *_ in self.seen if training]) == 4
        scores = self.scores(x + 20 if self.wrong == "ids" and late else x)
        if self.wrong == "sanitize":
            scores = scores.softmax(-1)
        if self.wrong == "crash" and late:
            raise KeyError("boom")
        return {"loss": F.cross_entropy(scores, labels), "logits": scores}


def assert_nothing_is_open() -> None:
    assert flags.PENDING.here().steps == surroundings._blocks == 0
    assert _get_current_function_mode_stack() == []  # type: ignore[no-untyped-call]


def in_training(net: Net) -> list[tuple[int, int]]:
    """Open steps and blocks of sanitize in each batch of the training."""
    return [(steps, blocks) for training, steps, blocks in net.seen if training]


def in_validation(net: Net) -> set[tuple[int, int]]:
    return {(steps, blocks) for training, steps, blocks in net.seen if not training}


EIGHT = [(1, 1)] * 2 + [(1, 0)] * 6
"""Two sanitized steps, and six that are not."""


# --- Lightning ---


def fit(name: str, wrong: str = "", *, stops_at: int = -1, path: str | None = None, **options: Any) -> tuple[Net, Any]:
    library: Any = pytest.importorskip(LIGHTNINGS[name], reason=f"{name} is not installed; make test-integrations")
    callback = importlib.import_module(f"mldbg.contracts.integrations.{name}").ContractsCallback(sanitize_steps=2)

    class Module(library.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = Net(wrong)

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return self.net(*batch)["loss"]

        def on_train_batch_start(self, batch: list[Tensor], index: int) -> int | None:
            return -1 if index == stops_at else None

        def validation_step(self, batch: list[Tensor], index: int) -> None:
            self.net(*batch)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    usual = {"max_epochs": 1, "accelerator": "cpu", "callbacks": [callback], "val_check_interval": 0.5, **quiet}
    trainer = library.Trainer(**usual | options)
    data = TensorDataset(torch.randint(0, 10, (64,)), torch.randint(0, 3, (64,)))
    module = Module()
    try:
        trainer.fit(module, DataLoader(data, 8), DataLoader(data, 32), ckpt_path=path)
    except Exception as error:  # noqa: BLE001 (each test looks at its own)
        return module.net, error
    return module.net, trainer


@pytest.mark.parametrize("name", LIGHTNINGS)
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}])
def test_lightning_has_a_step_for_each_batch_and_none_in_validation(name: str, options: dict[str, Any]) -> None:
    net, _ = fit(name, **options)
    assert in_training(net) == EIGHT
    assert in_validation(net) == {(0, 0)}
    assert_nothing_is_open()


@pytest.mark.parametrize("name", LIGHTNINGS)
def test_lightning_raises_what_the_first_steps_find(name: str) -> None:
    net, error = fit(name, "sanitize")
    assert isinstance(error, ContractError)
    assert error.rule == "softmax-before-cross-entropy"
    assert len(in_training(net)) == 1
    assert_nothing_is_open()


@pytest.mark.parametrize("name", LIGHTNINGS)
def test_lightning_tidies_up_after_a_failure_which_gets_a_note(name: str) -> None:
    _, error = fit(name, "ids")
    assert isinstance(error, IndexError)
    assert error.__notes__[0].startswith("before that, a contract was broken: Net.scores: x\n")
    assert_nothing_is_open()
    _, error = fit(name, "crash")
    assert isinstance(error, KeyError)
    assert not hasattr(error, "__notes__")
    assert_nothing_is_open()


@pytest.mark.parametrize("name", LIGHTNINGS)
def test_lightning_ends_a_step_that_a_hook_has_skipped(name: str) -> None:
    net, _ = fit(name, stops_at=3)
    assert in_training(net) == EIGHT[:3]
    assert_nothing_is_open()


@pytest.mark.parametrize("name", LIGHTNINGS)
def test_lightning_sanitizes_the_first_steps_of_a_resumed_training(name: str, tmp_path: Path) -> None:
    _, trainer = fit(name, max_steps=4)
    trainer.save_checkpoint(tmp_path / "at.ckpt")
    net, _ = fit(name, path=str(tmp_path / "at.ckpt"), max_epochs=2)
    first, others = in_training(net)[:2], in_training(net)[2:]  # of how many batches are left, releases differ
    assert (first, set(others)) == ([(1, 1)] * 2, {(1, 0)})
    assert_nothing_is_open()


# --- transformers ---


def train(tmp_path: Path, wrong: str = "", *, resumed: str | None = None, **options: Any) -> tuple[Net, Any, Any]:
    library: Any = pytest.importorskip("transformers", reason="transformers is not installed; make test-integrations")
    pytest.importorskip("accelerate", reason="accelerate is not installed; make test-integrations")
    from mldbg.contracts.integrations.transformers import ContractsCallback

    data = [{"x": torch.randint(0, 10, ()), "labels": torch.randint(0, 3, ())} for _ in range(64)]
    quiet = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "eval_strategy": "epoch", "num_train_epochs": 1}
    arguments = library.TrainingArguments(str(tmp_path), per_device_train_batch_size=8, **quiet, **options)
    net = Net(wrong)
    trainer = library.Trainer(
        net, arguments, train_dataset=data, eval_dataset=data, callbacks=[ContractsCallback(sanitize_steps=2)]
    )
    try:
        trainer.train(resume_from_checkpoint=resumed)
    except Exception as error:  # noqa: BLE001 (each test looks at its own)
        return net, trainer, error
    return net, trainer, None


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}])
def test_trainer_has_a_step_for_each_batch_and_none_in_evaluation(tmp_path: Path, options: dict[str, Any]) -> None:
    net, trainer, _ = train(tmp_path, save_strategy="no", **options)
    assert in_training(net) == EIGHT
    assert in_validation(net) == {(0, 0)}
    assert "training_step" not in vars(trainer)
    assert_nothing_is_open()


def test_trainer_raises_what_the_first_steps_find(tmp_path: Path) -> None:
    _, _, error = train(tmp_path, "sanitize", save_strategy="no")
    assert isinstance(error, ContractError)
    assert error.rule == "softmax-before-cross-entropy"
    assert_nothing_is_open()


def test_trainer_raises_the_broken_contract_behind_a_failure(tmp_path: Path) -> None:
    _, _, error = train(tmp_path, "ids", save_strategy="no")
    assert isinstance(error, ContractError)
    assert error.parameter == "x"
    assert isinstance(error.__cause__, IndexError)
    assert_nothing_is_open()


def test_trainer_can_train_again_after_a_failure(tmp_path: Path) -> None:
    net, trainer, error = train(tmp_path, "crash", save_strategy="no")
    assert isinstance(error, KeyError)
    net.seen.clear()
    net.wrong = ""
    trainer.train()
    assert in_training(net) == EIGHT
    assert "training_step" not in vars(trainer)
    assert_nothing_is_open()


def test_trainer_sanitizes_the_first_steps_of_a_resumed_training(tmp_path: Path) -> None:
    train(tmp_path, save_strategy="steps", save_steps=5)
    net, _, _ = train(tmp_path, save_strategy="steps", resumed=str(tmp_path / "checkpoint-5"))
    assert in_training(net) == EIGHT[:3]
    assert_nothing_is_open()


# --- what they share ---


def test_a_step_that_was_never_ended_ends_with_the_next() -> None:
    steps = Steps(1)
    steps.begin()
    steps.begin()
    assert flags.PENDING.here().steps == 1
    steps.end()
    steps.end()
    assert_nothing_is_open()


def test_a_negative_number_of_steps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^sanitize_steps is a number of steps, at least 0, not -1$"):
        Steps(-1)
