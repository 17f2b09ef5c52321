"""The examples on real data: the healthy ones pass, and each fault is named by the report."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mldbg.verify import Outcome, Verdict, run
from mldbg.verify.load import load
from mldbg.verify.report import Record
from mldbg.verify.report import json as report

FOLDER = Path(__file__).parents[2] / "examples" / "verify"

FAULTS = {
    "digits.py:double_softmax": "softmax-before-cross-entropy",
    "digits.py:summed_loss": "sum-reduction",
    "digits.py:detached_backbone": "detached",
    "digits.py:frozen_layer": "undeclared-frozen",
    "digits.py:optimizer_without_head": "not-in-optimizer",
    "digits.py:shuffled_labels": "labels-do-not-match-inputs",
    "diabetes.py:broadcast_loss": "mse-broadcast",
    "diabetes.py:flipped_sign": "loss-sign-flipped",
    "diabetes.py:scaled_before_split": "fit-before-split",
    "diabetes.py:target_in_features": "target-in-features",
    "diabetes.py:train_rows_in_test": "train-test-overlap",
    "diabetes.py:learning_rate_of_10": "learning-rate-too-high",
    "breast_cancer.py:sigmoid_twice": "sigmoid-before-bce-with-logits",
    "breast_cancer.py:unscaled_features": "unscaled-input",
    "breast_cancer.py:normalised_by_hand": "batch-mixing",
    "breast_cancer.py:learning_rate_of_1e_7": "learning-rate-too-low",
    "breast_cancer.py:dead_units": "dead-units",
    "breast_cancer.py:missing_values": "non-finite-input",
}


def fails(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.verdict is Verdict.FAIL for outcome in outcomes)


@pytest.mark.parametrize("name", ["digits.py", "diabetes.py", "breast_cancer.py"])
def test_healthy(name: str) -> None:
    found = run(load(str(FOLDER / name)))
    assert not found.failed
    assert not found.problems


@pytest.mark.filterwarnings("ignore:Using a target size")  # what PyTorch says of the broadcast
@pytest.mark.parametrize("target", FAULTS)
def test_fault_is_named(target: str) -> None:
    found = run(load(str(FOLDER / target)), enough=fails)
    written = json.loads(report.render(Record(target, found)))
    assert written["verdict"] == "FAIL"
    first = next(outcome for outcome in written["outcomes"] if outcome["verdict"] == "FAIL")
    assert first["cause"] == FAULTS[target]
    assert first["why"]
    assert first["next_step"]
    assert first["figure"]


def test_every_example_is_tried() -> None:
    for file in FOLDER.glob("*.py"):
        functions = file.read_text(encoding="utf-8").split("the same with a fault")[1]
        names = {line[4:].partition("(")[0] for line in functions.splitlines() if line.startswith("def ")}
        assert {target.partition(":")[2] for target in FAULTS if target.startswith(file.name)} == names
        assert len(names) == 6
