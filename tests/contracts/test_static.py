"""What mypy and pyright make of contracts: annotations with a meaning are tensors, and decorators keep signatures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = """
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from mldbg import ContractError, attach, check, contract
from mldbg.contracts import ClassIds, Logits, OneHot, Probs, TokenIds, along, below, ignoring, mode, step


@dataclass
class Batch:
    tokens: TokenIds[Tensor, "batch t", below("{self.vocab}")]


class Net(nn.Module):
    @contract
    def forward(
        self, x: Logits[Tensor, "b c"], y: ClassIds[Tensor, "b", below("c"), ignoring(255)] | None = None
    ) -> Probs[Tensor, "b c", along("c")]:
        reveal_type(x)
        reveal_type(y)
        return check(x.softmax(-1), OneHot[Tensor, "b c"])


@contract(mode="full")
def lowered(x: Float[Tensor, "b c"], by: float) -> Float[Tensor, "b c"]:
    return x - by


reveal_type(Batch(Tensor()).tokens)
reveal_type(lowered(Tensor(), 1.0))
reveal_type(check(Tensor(), Probs[Tensor, "b c"]))
with mode("full"), step():
    attach(Net(), {"": {"x": Logits[Tensor, "b c"]}}).remove()
try:
    lowered(Tensor(), "text")  # an error for both
except ContractError as error:
    reveal_type(error.axis)
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE, encoding="utf-8")
    return path


def run(*command: str, folder: Path) -> str:
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False).stdout


def test_mypy(sample: Path) -> None:
    pytest.importorskip("mypy")
    output = run("mypy", "--strict", "--cache-dir", str(sample.parent / "cache"), str(sample), folder=sample.parent)
    revealed = [line.partition("Revealed type is ")[2].strip('"') for line in output.splitlines() if "Revealed" in line]
    tensor = "torch._tensor.Tensor"
    assert [text.removeprefix("builtins.") for text in revealed] == [tensor, f"{tensor} | None", tensor, tensor, tensor, "str"]
    assert 'Argument 2 to "lowered" has incompatible type "str"' in output
    assert output.count("error:") == 1, output


def test_pyright(sample: Path) -> None:
    pytest.importorskip("pyright")
    output = run("pyright", "--pythonpath", sys.executable, str(sample), folder=sample.parent)
    revealed = [line.rpartition(" is ")[2].strip('"') for line in output.splitlines() if "Type of" in line]
    assert revealed == ["Tensor", "Tensor | None", "Tensor", "Tensor", "Tensor", "str"]
    assert "(reportArgumentType)" in output
    assert "1 error, 0 warnings" in output, output
