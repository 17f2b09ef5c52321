"""Run one tool over the faults and the healthy hosts, in that tool's own environment; one line of JSON for each run.

    python rivals_judges.py torchtest2 --seeds 3

Every tool is used as its documentation shows, and is given all that it can take: the loss, the optimizer, declared frozen layers.
An alarm is whatever a user would read as "something is wrong": a failed assertion, a FAIL or WARN, a finding of WARN or above.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from rivals_faults import FAULTS, healthy

from mldbg.verify.experiment import Experiment
from mldbg.verify.hosts import HOSTS

SECONDS = 120
"""After which a run is stopped; the alarms it gave so far count."""

Alarm = dict[str, str]


def _seeded(make: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    return make()


def _alarm(name: str, level: str, text: object) -> Alarm:
    return {"name": name, "level": level, "text": str(text).strip().split("\n")[0][:200]}


def _asserted(name: str, check: Callable[[], object]) -> list[Alarm]:
    """An assertion that fails is an alarm; so is any other exception, as the tool then gives no result."""
    try:
        check()
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001  # see above
        return [_alarm(name, "FAIL", f"{type(error).__name__}: {error}")]
    return []


# ------------------------------------------------------------------------------------------------------------------ the tools
def mldebug(e: Experiment) -> list[Alarm]:
    from mldbg.verify import run

    found = run(e)
    return [
        _alarm(o.check, o.verdict.value, o.cause) | {"cause": o.cause or ""}
        for o in found.outcomes
        if o.verdict.value in ("FAIL", "WARN")
    ]


def torchtest2(e: Experiment) -> list[Alarm]:
    import torchtest2 as tool

    model = _seeded(e.model)
    inputs, targets = _seeded(e.batch)
    assert e.optimizer
    assert e.output_shape
    report = tool.check_model(
        model,
        inputs,
        targets,
        loss_fn=e.loss,
        optimizer=e.optimizer(model),
        output_shape=[None if size == -1 else size for size in e.output_shape],
    )
    return [_alarm(r.name, str(r.status), r.message) for r in report.results if str(r.status) in ("FAIL", "WARN")]


def pytest_torch(e: Experiment) -> list[Alarm]:
    import pytest_torch as tool

    inputs, targets = _seeded(e.batch)
    assert e.optimizer
    optimizer = e.optimizer

    def loss(output: Any) -> Any:
        return e.loss(output, targets)

    def fresh(*, training: bool) -> Any:
        return _seeded(e.model).train(training)

    model = fresh(training=True)
    user = optimizer(model)
    same = {"optimizer": lambda parameters: type(user)(list(parameters), lr=user.param_groups[0]["lr"])}
    found = _asserted("inference_contract", lambda: tool.check_inference_contract(fresh(training=False), inputs))
    found += _asserted("gradients_finite", lambda: tool.assert_gradients_finite(fresh(training=True), inputs, loss))
    found += _asserted("all_params_receive_grad", lambda: tool.assert_all_params_receive_grad(fresh(training=True), inputs, loss))
    found += _asserted("loss_decreases", lambda: tool.assert_loss_decreases(fresh(training=True), inputs, loss, **same))
    found += _asserted("overfits_one_batch", lambda: tool.assert_overfits_one_batch(fresh(training=True), inputs, loss, **same))
    found += _asserted("optimizer_coverage", lambda: tool.assert_optimizer_coverage(model, user))
    if e.frozen:
        found += _asserted("frozen", lambda: tool.assert_frozen(fresh(training=True), inputs, loss, list(e.frozen)))

    def setup() -> Any:
        made = fresh(training=True)
        return tool.TrainingSetup(made, optimizer(made))

    def run() -> None:
        tool.run_training(setup, (inputs, targets), loss_fn=lambda m, batch: e.loss(m(batch[0]), batch[1])).assert_healthy()

    return found + _asserted("training_run", run)


def neural_net_checklist(e: Experiment) -> Iterator[Alarm]:
    from neural_net_checklist import torch_diagnostics as tool

    batch = _seeded(e.batch)
    inputs, targets = batch

    def model() -> Any:
        return e.model()

    torch.manual_seed(0)
    if not inputs.is_floating_point() and targets.ndim == 2:  # a language model: its own function, which has its own loss
        yield from _asserted(
            "causal_llm",
            lambda: tool.assert_all_for_causal_llm_cross_entropy_loss(model, batch, embedding_layer_name="tokens", vocab_size=13),
        )
        return
    classes = int(model()(inputs).shape[1]) if not targets.is_floating_point() else None
    if classes is not None:
        yield from _asserted(
            "loss_at_init",
            lambda: tool.assert_balanced_classification_cross_entropy_loss_at_init(
                model(), batch, num_classes=classes, loss_fn=e.loss
            ),
        )
        yield from _asserted(
            "init_calibrated",
            lambda: tool.assert_balanced_classification_cross_entropy_init_calibrated(model(), batch, num_classes=classes),
        )
    yield from _asserted("forward_batch_independence", lambda: tool.assert_forward_batch_independence(model, batch))
    yield from _asserted("non_zero_gradients", lambda: tool.assert_non_zero_gradients(model(), batch))
    if inputs.is_floating_point():
        yield from _asserted("backward_batch_independence", lambda: tool.assert_backward_batch_independence(model, batch))
    yield from _asserted("input_baseline", lambda: tool.assert_input_independent_baseline_worse(model, batch, loss_fn=e.loss))
    yield from _asserted("overfit", lambda: tool.assert_overfit_to_batch(model(), batch, loss_fn=e.loss))


def torch_audit(e: Experiment) -> list[Alarm]:
    import torch_audit as tool

    model = _seeded(e.model).train()
    assert e.optimizer
    assert e.loader
    optimizer = e.optimizer(model)
    with tool.audit_dynamic(model, optimizer=optimizer, every_n_steps=1) as auditor:
        auditor.audit_static()
        auditor.audit_init()
        for _, (inputs, targets) in zip(range(20), _endless(e.loader), strict=False):
            auditor.audit_data(inputs)
            optimizer.zero_grad(set_to_none=True)
            value = e.loss(auditor.forward(inputs), targets)
            auditor.backward(value)
            auditor.optimizer_step()
    findings = auditor.finish(report=False).findings
    found = {f.rule_id: _alarm(f.rule_id, str(f.severity.value), f.message) for f in findings if f.severity >= tool.Severity.WARN}
    return list(found.values())


def _endless(loader: Callable[[], Any]) -> Iterator[Any]:
    while True:
        yield from loader()


TOOLS = {
    "mldebug": mldebug,
    "torchtest2": torchtest2,
    "pytest-torch": pytest_torch,
    "neural-net-checklist": neural_net_checklist,
    "torch-audit": torch_audit,
}


# -------------------------------------------------------------------------------------------------------------------- running
def _judged(tool: str, experiment: Experiment) -> tuple[list[Alarm], str]:
    def late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    found: list[Alarm] = []
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for alarm in TOOLS[tool](experiment):
                found.append(alarm)  # noqa: PERF402  # what came before an exception counts
    except TimeoutError:
        return found, f"stopped after {SECONDS} s"
    except Exception as error:  # noqa: BLE001  # the tool itself stopped: the user sees that something is wrong
        return [*found, _alarm("exception", "FAIL", f"{type(error).__name__}: {error}")], ""
    finally:
        signal.alarm(0)
    return found, ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for seed in range(arguments.seeds):
        runs = [("", host.name, lambda e: e) for host in HOSTS]
        runs += [(case.name, case.host, case.inject) for case in FAULTS]
        for fault, host, inject in runs:
            if arguments.only not in (fault or host):
                continue
            start = time.monotonic()
            alarms, note = _judged(arguments.tool, inject(healthy(host, seed)))
            result = {"fault": fault, "host": host, "seed": seed, "alarms": alarms, "note": note}
            print(json.dumps(result | {"seconds": round(time.monotonic() - start, 2)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
