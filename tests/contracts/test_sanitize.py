"""`sanitize` as a user meets it: what it raises, what it leaves behind, what it costs in memory."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import optimizer as optimizers
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

import mldbg
from mldbg.contracts import ContractError
from mldbg.contracts.sanitize import RULES, Finding, sanitize, surroundings
from mldbg.contracts.sanitize.follow import FollowMeanings
from mldbg.contracts.sanitize.mode import Sanitizer

HERE = Path(__file__)
HEAD = nn.Linear(8, 3)
X, Y = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 2])


def modes() -> list[TorchFunctionMode]:
    """The function modes of this thread, the innermost last."""
    stack: list[TorchFunctionMode] = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return stack


def probabilities() -> Tensor:
    return F.softmax(HEAD(X), dim=1)


def misuse() -> Tensor:
    return F.cross_entropy(probabilities(), Y)


def line_of(function: Callable[..., object]) -> str:
    return f"{HERE}:{function.__code__.co_firstlineno + 1}"


@pytest.fixture(autouse=True)
def _nothing_stays_installed() -> Iterator[None]:
    start, stance = threading.Thread.start, torch._dynamo.eval_frame._stance.stance
    yield
    assert modes() == []
    assert threading.Thread.start is start
    assert torch._dynamo.eval_frame._stance.stance == stance
    assert not optimizers._global_optimizer_pre_hooks
    assert not optimizers._global_optimizer_post_hooks
    assert surroundings._blocks == 0


def test_the_public_name() -> None:
    assert mldbg.sanitize is sanitize


def test_raises_at_the_consumer() -> None:
    reached: list[str] = []

    def program() -> None:
        reached.append("producer")
        p = probabilities()
        reached.append("consumer")
        F.cross_entropy(p, Y)
        reached.append("behind")

    with pytest.raises(ContractError) as caught, sanitize():
        program()
    assert reached == ["producer", "consumer"]
    assert caught.value.rule == "softmax-before-cross-entropy"
    assert caught.value.producer == line_of(probabilities)
    assert caught.value.consumer.startswith(f"{HERE}:")


def test_wording() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ContractError) as caught, sanitize():
        F.cross_entropy(F.softmax(logits, dim=0), torch.tensor([0, 1]))
    line = caught.value.producer.rpartition(":")[2]
    assert str(caught.value) == (
        "cross_entropy: input\n"
        "  expected  logits (unbounded values)\n"
        "  actual    probabilities, shape (2, 2)\n"
        "  axis      axis 1 (classes); the activation ran over axis 0\n"
        "  values    min 0.119203, max 0.880797\n"
        f"  produced  {HERE}:{line}\n"
        f"  consumed  {HERE}:{line}\n"
        "  cause     cross-entropy gets probabilities: softmax is applied twice\n"
        "  do        pass the logits: drop the softmax before the loss and apply it only for predictions\n"
        "  rule      softmax-before-cross-entropy"
    )
    assert pickle.loads(pickle.dumps(caught.value)).rule == "softmax-before-cross-entropy"


def test_report_reads_as_lines() -> None:
    with sanitize(collect=True) as report:
        assert str(report) == "no findings"
        misuse()
    assert str(report) == (
        f"{line_of(misuse)}: cross-entropy gets probabilities: softmax is applied twice "
        f"(made at {line_of(probabilities)}) [softmax-before-cross-entropy]"
    )


def test_a_loop_gives_one_finding() -> None:
    with sanitize(collect=True) as report:
        for _ in range(5):
            misuse()
            F.cross_entropy(probabilities(), Y) + F.cross_entropy(probabilities(), Y)
    assert len(report.findings) == 2


def test_one_mistake_does_not_hide_another() -> None:
    with sanitize(collect=True) as report:
        p = probabilities()
        F.cross_entropy(p, Y)
        F.nll_loss(p, Y)
    assert [finding.rule for finding in report.findings] == ["softmax-before-cross-entropy", "nll-without-log-probs"]


def test_optional_rules_are_silent_unless_asked_for() -> None:
    def program() -> None:
        F.cross_entropy(HEAD(X).log_softmax(1), Y)
        probabilities().log()

    with sanitize():
        program()
    with sanitize(collect=True, include=["log-softmax-before-cross-entropy", "log-of-softmax"]) as report:
        program()
    assert [finding.rule for finding in report.findings] == ["log-softmax-before-cross-entropy", "log-of-softmax"]


def test_rules_can_be_ignored() -> None:
    with sanitize(ignore={"softmax-before-cross-entropy"}):
        misuse()


def test_an_unknown_rule_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="sanitize has no rule 'softmax-before-crossentropy'; the rules are bce-on-logits, "):
        sanitize(ignore=["softmax-before-crossentropy"])


ONLY_LINTED = {"from-logits-mismatch", "activation-after-logits"}
"""Of Keras the one; the other speaks of layers that the code names, not of values."""


def test_rules_have_the_linters_names() -> None:
    linted = {path.stem.replace("_", "-") for path in (HERE.parents[2] / "src/mldbg/lint/rules").glob("*_*.py")}
    about_losses = {rule for rule in linted if any(word in rule for word in ("softmax", "logits", "log-probs", "sigmoid"))}
    assert about_losses - ONLY_LINTED <= RULES


def test_decorator_guards_each_call() -> None:
    @sanitize()
    def step() -> Tensor:
        """One step."""
        return misuse()

    for _ in range(2):
        with pytest.raises(ContractError):
            step()
    assert step.__doc__ == "One step."
    misuse()


def test_decorator_has_no_place_for_a_report() -> None:
    with pytest.raises(TypeError, match="returns its report from a with statement"):
        sanitize(collect=True)(misuse)


def test_blocks_nest() -> None:
    with sanitize(collect=True) as outer:
        with sanitize(collect=True) as inner:
            misuse()
        assert len(modes()) == 1
        F.nll_loss(probabilities(), Y)
    assert [len(report.findings) for report in (outer, inner)] == [2, 1]


def test_one_object_cannot_be_entered_twice() -> None:
    block: Sanitizer = sanitize()
    with block, pytest.raises(RuntimeError, match="already in use"):
        block.__enter__()
    with block:
        pass


def test_an_exception_of_the_program_comes_through() -> None:
    with pytest.raises(ZeroDivisionError), sanitize():
        1 / 0  # noqa: B018


def test_tensors_from_before_the_block_are_unknown() -> None:
    p = probabilities()
    with sanitize(collect=True) as report:
        F.cross_entropy(p, Y)
    assert report.findings == []


def test_no_tensor_is_kept_alive() -> None:
    with sanitize(collect=True) as report:
        (mode,) = modes()
        assert isinstance(mode, FollowMeanings)
        references = []
        for _ in range(50):
            p = probabilities()
            references.append(weakref.ref(p))
            misuse().backward()  # type: ignore[no-untyped-call]
            del p
        gc.collect()
        assert [reference() for reference in references] == [None] * 50
        assert len(mode._watch.tags) == 0
    assert len(report.findings) == 1


def test_nothing_is_put_on_tensors() -> None:
    with sanitize():
        assert vars(probabilities()) == {}


def test_a_thread_is_followed_and_its_error_comes_out_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: raised.append(arguments.exc_type))

    def in_a_thread() -> None:
        thread = threading.Thread(target=misuse)
        thread.start()
        thread.join()

    with pytest.raises(ContractError) as caught, sanitize():
        in_a_thread()
    assert raised == [ContractError]
    assert caught.value.consumer == line_of(misuse)


def test_a_future_hands_the_error_over() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ContractError), sanitize():
        pool.submit(misuse).result()


def test_a_thread_that_outlives_the_block_is_left_alone() -> None:
    go, losses = threading.Event(), []

    def late() -> None:
        go.wait()
        losses.append(misuse())

    with sanitize():
        thread = threading.Thread(target=late)
        thread.start()
    go.set()
    thread.join()
    assert len(losses) == 1


def test_blocks_in_several_threads_do_not_disturb_each_other() -> None:
    inside, leave = threading.Barrier(2), threading.Event()
    reports: list[list[Finding]] = []

    def first() -> None:
        with sanitize(collect=True) as report:
            inside.wait()
            leave.wait()
            misuse()
        reports.append(report.findings)

    thread = threading.Thread(target=first)
    thread.start()
    with sanitize(collect=True) as report:
        inside.wait()
    leave.set()
    thread.join()
    assert report.findings == []
    assert [len(findings) for findings in reports] == [1]


def test_optimizer_steps_are_passed_over_and_closures_are_not() -> None:
    seen: list[int] = []

    class Probe(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            seen.append(len(modes()))
            return super().step(closure)

    optimizer = Probe(HEAD.parameters(), lr=0.0)
    with sanitize(collect=True) as report:
        optimizer.step()
        assert len(modes()) == 1
        optimizer.step(lambda: misuse().item())
    assert seen == [0, 1]
    assert len(report.findings) == 1


def test_an_optimizer_that_raises_leaves_nothing_behind() -> None:
    class Fails(torch.optim.SGD):
        fails = True

        def step(self, closure: Any = None) -> Any:
            if self.fails:
                raise ArithmeticError
            return super().step(closure)

    optimizer = Fails(HEAD.parameters(), lr=0.0)
    with pytest.raises(ArithmeticError), sanitize():
        optimizer.step()
    with sanitize(collect=True) as report:
        with pytest.raises(ArithmeticError):
            optimizer.step()
        optimizer.fails = False
        optimizer.step()
        misuse()
    assert len(report.findings) == 1


def test_compiled_functions_run_eagerly_inside_and_compiled_outside() -> None:
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
        compiled.append(len(graph.graph.nodes))
        return graph.forward

    function = torch.compile(misuse, backend=backend)
    with sanitize(collect=True) as report:
        function()
    assert (len(report.findings), compiled) == (1, [])
    function()
    assert compiled != []


def test_values_can_refute() -> None:
    with sanitize(collect=True) as report:
        p = probabilities().detach()
        p.numpy()[:] = 5.0  # raises no version
        F.cross_entropy(p, Y)
    assert report.findings == []


def test_values_that_cannot_be_read_prove_nothing() -> None:
    head, x, y = nn.Linear(8, 3, device="meta"), X.to("meta"), Y.to("meta")
    with sanitize(collect=True) as report:
        F.nll_loss(head(x), y)
    assert report.findings == []
    with sanitize(collect=True) as report:
        F.nll_loss(head(x).softmax(1), y)
    assert len(report.findings) == 1


def test_export_and_tracing_work_inside() -> None:
    model = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))
    with sanitize():
        program = torch.export.export(model, (X,))
        assert torch.equal(program.module()(X), model(X))
    bare = torch.fx.symbolic_trace(model)
    with sanitize(collect=True) as report:
        F.cross_entropy(bare(X), Y)
    assert [finding.producer.partition(":")[0] for finding in report.findings] == [str(HERE)]
