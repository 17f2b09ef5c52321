"""`attach`: promises about the modules of somebody else's model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mldbg import contracts
from mldbg.contracts import ContractError, Logits, Probs, attach, check, contract


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return check(x, Float[Tensor, "batch t d"])


class Model(nn.Module):
    def __init__(self, cut: int = 0) -> None:
        super().__init__()
        self.encoder, self.head, self.cut = Encoder(), nn.Linear(6, 5), cut

    def forward(self, x: Tensor) -> Tensor:
        h = self.encoder(x, mask=torch.ones(x.shape[:2], dtype=torch.bool))
        return self.head(h[:, self.cut :])


PROMISES: dict[str, dict[str, Any]] = {
    "encoder.layers.*": {"return": Float[Tensor, "batch t {self.out_features}"]},
    "encoder": {"x": Float[Tensor, "batch t d"], "mask": Bool[Tensor, "batch t"]},
    "head": {"input": Float[Tensor, "batch t d"], "return": Logits[Tensor, "batch t classes"]},
    "": {"x": Float[Tensor, "batch t d"]},
}


def test_a_model_that_keeps_its_promises() -> None:
    model = Model()
    handle = attach(model, PROMISES)
    assert model(torch.randn(2, 3, 6)).shape == (2, 3, 5)
    assert model(torch.randn(4, 7, 6)).shape == (4, 7, 5)  # each forward pass has sizes of its own
    handle.remove()
    handle.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_axes_mean_the_same_in_all_modules() -> None:
    model = Model(cut=1)
    attach(model, PROMISES)
    with pytest.raises(ContractError) as caught:
        model(torch.randn(2, 3, 6))
    error = caught.value
    assert (error.contract, error.parameter, error.axis) == ("Model (attached)", "head.input", "axis 1 (t)")
    assert "t = 3 from x, axis 1" in str(error)
    assert model(torch.randn(2, 3, 6)[:, :0]).shape == (2, 0, 5)  # nothing is left over from the failure


def test_a_module_by_itself_is_checked_too() -> None:
    model = Model()
    attach(model, {"head": PROMISES["head"]})
    model.head(torch.randn(2, 3, 6))
    with pytest.raises(ContractError, match=r"head\.input"):
        model.head(torch.randn(3, 6))


def test_values() -> None:
    model = Model()
    attach(model, {"head": {"return": Probs[Tensor, "batch t classes"]}})
    with pytest.raises(ContractError, match=r"Model \(attached\): head\.return"):
        model(torch.randn(2, 3, 6))
    with contracts.mode("shapes"):
        model(torch.randn(2, 3, 6))
    with contracts.mode("off"):
        model(torch.randn(3, 6)[None])


def test_a_contract_inside_keeps_its_own_names() -> None:
    class Inner(nn.Module):
        @contract
        def forward(self, x: Float[Tensor, "t batch d"]) -> Float[Tensor, "t batch d"]:
            return check(x, Float[Tensor, "t batch d"])

    model = nn.Sequential(Inner(), nn.Linear(6, 5))
    attach(model, {"0": {"x": Float[Tensor, "batch t d"]}, "1": {"return": Float[Tensor, "batch t c"]}})
    model(torch.randn(2, 3, 6))


def test_segments_are_matched_one_by_one() -> None:
    model = nn.Sequential()
    model.add_module("a", nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))))
    wrong = {"return": Float[Tensor, "batch 7"]}

    def broken(pattern: str) -> str:
        handle = attach(model, {pattern: wrong})
        try:
            model(torch.randn(1, 2))
        except ContractError as error:
            return error.parameter
        finally:
            handle.remove()
        return ""

    assert broken("a.*") == "a.0.return"
    assert broken("a.1.*") == "a.1.0.return"
    assert broken("**.0") == "a.0.return"
    assert broken("?") == "a.return"


@pytest.mark.parametrize(
    ("promises", "message"),
    [
        (
            {"encodr.layers.*": {"return": Float[Tensor, "b"]}},
            r"no module matches 'encodr\.layers\.\*'; similar: encoder\.layers",
        ),
        ({"*.layers": {"x": Float[Tensor, "b"]}}, r"attach: '\*\.layers': ModuleList has no forward, so it is never called"),
        ({"head": {"x": Float[Tensor, "b"]}}, r"attach: head: x is not a parameter of Linear\.forward\(input\)"),
        ({}, r"attach: no promises; pass {pattern: {parameter or 'return': annotation}}"),
        ({"head": {}}, r"attach: 'head' promises nothing; pass {parameter or 'return': annotation}"),
        ({"head": {"input": int}}, "says nothing about a tensor"),
        ({"head": {"input": Float[Tensor, "2* b"]}}, "attach: head: input: axis '2\\*' is not a name"),
    ],
)
def test_bad_use_is_refused_at_once(promises: dict[str, dict[str, Any]], message: str) -> None:
    model = Model()
    with pytest.raises(ValueError, match=message):
        attach(model, promises)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_interrupted_pass_leaves_no_sizes_behind() -> None:
    model = Model()
    attach(model, {"encoder": {"x": Float[Tensor, "batch t d"]}})

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    hook = model.head.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(torch.randn(2, 3, 6))
    hook.remove()
    model(torch.randn(4, 5, 6))


def test_somebody_elses_hook_may_raise_first() -> None:
    model = Model()

    def fail(*_: object) -> None:
        raise LookupError

    hook = model.register_forward_pre_hook(fail)
    attach(model, {"head": {"return": Probs[Tensor, "batch t classes"]}})
    for _ in range(2):
        with pytest.raises(LookupError):
            model(torch.randn(2, 3, 6))
    hook.remove()
    with pytest.raises(ContractError):
        model(torch.randn(2, 3, 6))


def test_what_is_no_model_or_no_promise_is_refused() -> None:
    wrong: Any = Float[Tensor, "batch d"]
    with pytest.raises(TypeError, match="a model must be a torch"):
        attach(wrong, {})
    with pytest.raises(TypeError, match=r"'head' needs {parameter or 'return': annotation}"):
        attach(Model(), {"head": wrong})
    with pytest.raises(TypeError, match=r"promises must be {pattern: {parameter or 'return': annotation}}, not"):
        attach(Model(), wrong)


class Judged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        attach(self, {"inner": {"input": Float[Tensor, "b 4"]}, "": {"return": Probs[Tensor, "b c"]}})

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).softmax(1)


@pytest.mark.parametrize("dynamic", [None, True, False])
@torch.no_grad()
def test_one_graph_whatever_is_dynamic(dynamic: bool | None) -> None:
    torch.compiler.reset()
    model: Any = torch.compile(Judged(), backend="eager", fullgraph=True, dynamic=dynamic)
    for batch in (2, 3, 5):
        model(torch.zeros(batch, 4))
    with pytest.raises(ContractError, match="NaN among the values"):
        model(torch.full((2, 4), float("nan")))
