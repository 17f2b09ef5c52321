"""A promise of `attach` that nothing can check is refused, or named after the first forward pass, or when it ends."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mldbg import contracts
from mldbg.contracts import ContractError, NeverChecked, attach

ROWS = Float[Tensor, "b d"]


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


class Alone(nn.Module):
    def __call__(self, x: Tensor) -> Tensor:
        return x.sum(-1)


class ToForward(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(-1)

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)


class Renamed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(-1)

    __call__ = forward


class Decorated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(-1)

    @decorated
    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)


class Inheriting(Alone):
    pass


@pytest.mark.parametrize("cls", [Alone, ToForward, Renamed, Decorated, Inheriting])
def test_a_module_whose_call_passes_hooks_by_is_refused(cls: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=rf"attach: '': {cls.__name__} has its own __call__, which passes hooks by"):
        attach(cls(), {"": {"return": ROWS}})
    model = nn.Sequential(cls())
    with pytest.raises(ValueError, match=r"attach: '\*': .* its own __call__"):
        attach(model, {"*": {"return": ROWS}})
    model.append(nn.Identity())
    with pytest.warns(NeverChecked, match=rf"attach: '\*\*': {cls.__name__} has its own __call__"):
        attach(model, {"**": {"return": Float[Tensor, "..."]}})
    model(torch.zeros(2, 3))


class Calls(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(-1)


class Super(Calls):
    def __call__(self, x: Tensor) -> Any:
        return super().__call__(x)


class Named(Calls):
    def __call__(self, x: Tensor) -> Any:
        return nn.Module.__call__(self, x)


class ByMethod(Calls):
    def run(self, x: Tensor) -> Any:
        return super().__call__(x)

    def __call__(self, x: Tensor) -> Any:
        return self.run(x)


class DecoratedSuper(Calls):
    @decorated
    def __call__(self, x: Tensor) -> Any:
        return super().__call__(x)


class Partial(Calls):
    __call__ = functools.partialmethod(nn.Module.__call__)


@pytest.mark.parametrize("cls", [Super, Named, ByMethod, DecoratedSuper, Partial])
def test_a_call_of_its_own_that_comes_to_the_hooks_is_checked(cls: type[nn.Module]) -> None:
    model = cls()
    attach(model, {"": {"return": ROWS}})
    with pytest.raises(ContractError):
        model(torch.zeros(2, 3))


def test_modules_of_a_root_that_passes_hooks_by() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def __call__(self, x: Tensor) -> Any:
            return self.inner(x)

    model = Root()
    with pytest.warns(NeverChecked, match=r"Root has its own __call__.*; nor do its modules share the sizes"):
        attach(model, {"inner": {"input": Float[Tensor, "b 4"]}})
    with pytest.raises(ContractError):
        model(torch.zeros(2, 3))


@pytest.mark.parametrize("model", [nn.ModuleList([nn.Linear(3, 3)]), nn.ModuleDict({"0": nn.Linear(3, 3)}), nn.ParameterList()])
def test_a_container_is_refused_alone_and_left_out_of_a_pattern(model: nn.Module) -> None:
    with pytest.raises(ValueError, match="has no forward, so it is never called"):
        attach(model, {"": {"return": ROWS}})
    whole = nn.Sequential(nn.Linear(3, 3))
    whole[0].add_module("parts", model)
    attach(whole, {"**": {"return": Float[Tensor, "..."]}, "0": {"return": ROWS}})
    with pytest.raises(ContractError, match=r"0\.return"):
        whole(torch.zeros(2, 3, 3))


class Direct(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner.forward(x)


class ByWeights(Direct):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.inner.weight, self.inner.bias)


class Unused(Direct):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("cls", [Direct, ByWeights, Unused])
@pytest.mark.parametrize("compiled", ["", "compiled", "fullgraph"])
def test_a_module_that_is_not_called_is_named_after_the_first_pass(cls: type[nn.Module], compiled: str) -> None:
    torch.compiler.reset()
    model = cls()
    handle = attach(model, {"inner": {"input": Float[Tensor, "b 4"]}})
    run: Any = torch.compile(model, backend="eager", fullgraph=compiled == "fullgraph") if compiled else model
    with pytest.warns(
        NeverChecked, match=rf"attach: {cls.__name__}: never checked in the first forward pass: 'inner' \(input\)"
    ) as seen:
        run(torch.zeros(2, 3))
    assert [one.filename for one in seen if one.category is NeverChecked] == [__file__]
    run(torch.zeros(2, 3))
    run(torch.zeros(5, 3))
    handle.remove()


def test_modules_of_torch_whose_weights_alone_are_used() -> None:
    model = nn.MultiheadAttention(4, 2)
    attach(model, {"out_proj": {"return": Float[Tensor, "t b d"]}})
    x = torch.zeros(3, 2, 4)
    with pytest.warns(NeverChecked, match="'out_proj'"):
        model(x, x, x)


def test_a_module_that_was_replaced() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    attach(model, {"1": {"return": ROWS}})
    model[1] = nn.Linear(3, 5)
    with pytest.warns(NeverChecked, match=r"'1' \(return\).* replaced after attach"):
        model(torch.zeros(2, 3))


def test_a_model_that_was_compiled_before() -> None:
    torch.compiler.reset()
    model = nn.Sequential(nn.Linear(3, 3))
    run: Any = torch.compile(model, backend="eager")
    run(torch.zeros(2, 3))
    handle = attach(model, {"0": {"input": Float[Tensor, "b 4"]}})
    run(torch.zeros(2, 3))
    with pytest.warns(NeverChecked, match=r"'0' \(input\).* compiled before it"):
        handle.remove()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused() -> None:
    model = torch.jit.script(nn.Sequential(nn.Linear(3, 3)))
    for pattern in ("", "0", "**"):
        with pytest.raises(ValueError, match="is TorchScript, which runs without hooks"):
            attach(model, {pattern: {"input": ROWS}})


def test_a_star_stands_for_one_segment_and_the_model_has_none() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    attach(model, {"*": {"return": Float[Tensor, "b 4"]}})
    with pytest.raises(ContractError, match=r"0\.return"):
        model(torch.zeros(2, 3))


def test_some_modules_of_a_pattern_are_enough() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))

        def forward(self, x: Tensor) -> Any:
            return self.experts[1](x)

    model = Experts()
    attach(model, {"experts.*": {"return": ROWS}})
    model(torch.zeros(2, 3))


class Block(nn.Module):
    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        return hidden_states


class Caller(nn.Module):
    def __init__(self, **passed: Any) -> None:
        super().__init__()
        self.block = Block()
        self.passed = passed

    def forward(self, x: Tensor) -> Any:
        return self.block(x, **self.passed)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_name_that_is_never_passed_is_said_with_the_one_that_is_near(compiled: bool) -> None:
    torch.compiler.reset()
    model = Caller(positions=torch.zeros(2))
    attach(model, {"block": {"hidden_state": ROWS, "positions": Float[Tensor, "p"], "position": ROWS}})
    run: Any = torch.compile(model, backend="eager", fullgraph=True) if compiled else model
    with pytest.warns(NeverChecked) as seen:
        run(torch.zeros(2, 3))
    (text,) = [str(one.message) for one in seen if one.category is NeverChecked]
    assert "'block': hidden_state was not passed; Block.forward has hidden_states" in text
    assert "'block': position was not passed" in text
    assert "positions" not in text
    run(torch.zeros(2, 3))


def test_what_is_passed_or_may_be_left_out_is_not_said() -> None:
    model = Caller(positions=torch.zeros(2))
    attach(model, {"block": {"hidden_states": ROWS, "attention_mask": ROWS, "positions": Float[Tensor, "p"], "return": ROWS}})
    model(torch.zeros(2, 3))


def test_names_of_args_and_kwargs_promise_each_of_what_they_hold() -> None:
    class Many(nn.Module):
        def forward(self, x: Tensor, *others: Tensor, scale: float = 1.0, **named: Tensor) -> Tensor:
            return x

    model = Many()
    attach(model, {"": {"x": Float[Tensor, "b d"], "others": Float[Tensor, "b d"], "named": Float[Tensor, "b"]}})
    x, y = torch.zeros(2, 3), torch.zeros(2)
    model(x)
    model(x, x, x, scale=2.0, one=y, two=y)
    with pytest.raises(ContractError, match=r"others\[1\]"):
        model(x, x, y)
    with pytest.raises(ContractError, match=r"named\['two'\]"):
        model(x, one=y, two=x)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(3, 3), nn.Linear(3, 3)

    def encode_image(self, x: Tensor) -> Any:
        return self.image(x)

    def forward(self, x: Tensor) -> Any:
        return self.text(self.image(x))


def test_a_model_that_is_never_called_itself_says_so_when_its_promises_end() -> None:
    model = Encoder()
    handle = attach(model, {"image": {"input": ROWS}, "text": {"input": ROWS}})
    model.encode_image(torch.zeros(2, 3))
    with pytest.warns(NeverChecked, match=r"attach: Encoder: never checked while they held: 'text' \(input\)") as seen:
        handle.remove()
    assert "'image'" not in str(seen[0].message)
    handle.remove()


def test_a_copy_that_is_called_meets_the_promises() -> None:
    model = Encoder()
    handle = attach(model, {"text": {"input": ROWS}})
    copy.deepcopy(model)(torch.zeros(2, 3))
    handle.remove()
    model = Encoder()
    handle = attach(model, {"text": {"input": ROWS}})
    again = pickle.loads(pickle.dumps(model))  # another process knows what its copy meets
    handle.remove()
    with pytest.raises(ContractError):
        again(torch.zeros(3))


def test_nothing_is_said_while_checks_are_off_nor_after_a_pass_that_failed() -> None:
    model: nn.Module = Unused()
    handle = attach(model, {"inner": {"input": ROWS}})
    with contracts.mode("off"):
        model(torch.zeros(2, 3))
    handle.remove()
    model = Direct()
    handle = attach(model, {"inner": {"input": ROWS}})
    with pytest.raises(RuntimeError):
        model(torch.zeros(2, 4))
    handle.remove()


def test_a_model_that_is_gone() -> None:
    model = Encoder()
    attach(model, {"text": {"input": ROWS}})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        del model
        gc.collect()
    assert [one.category for one in seen] == [NeverChecked]


PROGRAM = """
import torch
from jaxtyping import Float
from torch import Tensor, nn
from mldbg import attach

model = nn.Sequential(nn.Linear(3, 3))
attach(model, {"0": {"return": Float[Tensor, "b d"]}})
model.forward(torch.zeros(2, 3)) if CALLS else None
FAILS
"""


@pytest.mark.parametrize(("calls", "fails", "said"), [(True, "", False), (False, "", True), (False, "1 / 0", False)])
def test_a_program_that_ends(calls: bool, fails: str, said: bool) -> None:
    text = PROGRAM.replace("CALLS", str(calls)).replace("FAILS", fails)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert ("NeverChecked: attach: Sequential: never checked" in done.stderr) == said
    assert (done.returncode == 0) == (not fails)
