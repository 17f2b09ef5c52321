"""Contracts do not load torch.compile, which takes longer to import than torch, until somebody compiles."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from mldbg.contracts import dynamo

PROGRAM = """
import sys
import torch
from jaxtyping import Float
from torch import Tensor

before = {name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))}
from mldbg import attach, check, contract, contracts
from mldbg.contracts import ContractError, Probs


@contract
def passed(x: tuple[Float[Tensor, "b d"], ...], p: Probs[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    return check(x[0], Float[Tensor, "b d"])


p = torch.full((2, 4), 0.25)
with contracts.mode("full"), contracts.coverage(), contracts.step():
    passed((p, p), p)
try:
    passed((p, p), p * 2)
except ContractError:
    pass
else:
    raise SystemExit("not refused")
model = torch.nn.Linear(4, 4)
attach(model, {"": {"return": Float[Tensor, "b d"]}})
model(p)
{planted}
print(sorted({name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))} - before))
"""


@pytest.mark.parametrize(("planted", "loaded"), [("", False), ("torch.compile(passed, backend='eager')((p, p), p)", True)])
def test_torch_compile_is_not_loaded_by_calls_in_eager_code(planted: str, loaded: bool) -> None:
    program = PROGRAM.replace("{planted}", planted)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("torch._dynamo" in done.stdout) == loaded


def test_the_marks_are_those_of_torch() -> None:
    def function() -> int:
        return 1

    def other() -> int:
        return 1

    ours, theirs = dynamo.constant(function), torch.compiler.assume_constant_result(other)  # type: ignore[no-untyped-call]
    assert vars(ours) == vars(theirs)
    for recursive in (True, False):
        untraced = dynamo.untraced("why", recursive=recursive)(function)
        disabled = torch.compiler.disable(function, recursive=recursive, reason="why")  # type: ignore[no-untyped-call]
        for mark in ("_torchdynamo_disable", "_torchdynamo_disable_msg"):
            assert getattr(untraced, mark) == getattr(disabled, mark)
        assert untraced() == 1
