"""The laws that every check obeys. Each is a plain function that raises AssertionError, so that a test can feed it a fault.

A fixture folder `fixtures/verify/<check>/` holds files `bad_*.py` and `good_*.py` with a function `experiment()`. The first line
of a bad one names what is wrong: `# cause: mse-broadcast`. What is a control for one check may be a fault for others; it says so
in its first line: `# fails: parameters-move`.
"""

import importlib.util
import random
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import torch
from torch import Tensor, nn

from mldbg.verify import Experiment, Outcome, Report, Verdict, catalogue, page
from mldbg.verify.bench import copied, mapped, tensors_in
from mldbg.verify.catalogue import Entry
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.report import Record, svg
from mldbg.verify.report import json as as_json
from mldbg.verify.run import run

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures" / "verify"
PAGES = ROOT / "docs" / "checks"

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
CAUSE = re.compile(r"# cause: ([\w\-]+)")
OTHERS = re.compile(r"# fails: ([\w\-]+(?:, [\w\-]+)*)")
FACTOR = 1000.0

CheckClass = type[Check]


# --- cases ---


def cases(folder: Path, prefix: str) -> list[Path]:
    return sorted(folder.glob(f"{prefix}_*.py"))


def marked_cause(case: Path) -> str:
    """The cause in the first line of a bad case."""
    first = case.read_text(encoding="utf-8").partition("\n")[0]
    match = CAUSE.fullmatch(first)
    assert match, f"{case.name}: the first line must name the cause, like `# cause: mse-broadcast`"
    return match[1]


def others_that_fail(case: Path) -> set[str]:
    """The checks for which a good case is a bad one, from its first line."""
    match = OTHERS.fullmatch(case.read_text(encoding="utf-8").partition("\n")[0])
    return set(match[1].split(", ")) if match else set()


@cache
def experiment_in(case: Path) -> Experiment:
    name = f"_case_{case.parent.name}_{case.stem}".replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, case)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    made: Experiment = module.experiment()
    return made


def measured(experiment: Experiment, select: Sequence[str], ignore: Sequence[str] = ()) -> Report:
    """The report of some checks; what the user's code warns of is no part of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(experiment, select=select, ignore=ignore)


@cache
def outcome_of(case: Path) -> Outcome:
    """What the check that a case is about says of it."""
    return only(measured(experiment_in(case), [case.parent.name]))


def only(report: Report) -> Outcome:
    assert not report.problems, report.problems
    [outcome] = report.outcomes
    return outcome


# --- laws about a check ---


def name_is_that_of_the_module(check: CheckClass) -> None:
    assert NAME.fullmatch(check.name), check.name
    assert check.name == check.__module__.rpartition(".")[2].replace("_", "-")


def ids_are_unique(checks: Iterable[CheckClass]) -> None:
    ids = [check.id for check in checks]
    assert all(re.fullmatch(r"[A-Z]\d+", each) for each in ids), ids
    assert len(ids) == len(set(ids)), sorted(ids)


def place_is_stated(check: CheckClass) -> None:
    assert isinstance(check.stage, Stage)
    assert isinstance(check.kind, Kind)
    assert check.cost > 0


def needs_are_fields_of_an_experiment(check: CheckClass) -> None:
    assert set(check.needs) <= {field.name for field in fields(Experiment)}, check.needs


def waits_for_what_comes_before(check: CheckClass, checks: Sequence[CheckClass]) -> None:
    order = [each.name for each in checks]
    for earlier in check.after:
        if isinstance(earlier, Stage):
            assert earlier < check.stage, f"{check.name} waits for its own stage or a later one"
        else:
            assert earlier in order, f"{check.name} waits for {earlier}, which does not exist"
            assert order.index(earlier) < order.index(check.name), f"{check.name} waits for {earlier}, which comes later"


def docstring_has_all_sections(entry: Entry) -> None:
    assert entry.summary, "no summary"
    assert not entry.summary.endswith("."), "the summary is a claim, without a full stop"
    assert tuple(entry.sections) == page.SECTIONS, f"sections are {tuple(entry.sections)}"
    assert all(entry.sections.values()), "an empty section"
    assert all(NAME.fullmatch(name) and meaning for name, meaning in entry.causes.items()), entry.causes


def page_is_up_to_date(entry: Entry, pages: Path) -> None:
    file = pages / f"{entry.name}.md"
    assert file.is_file(), f"{file.name} is missing: run `make docs`"
    assert file.read_text(encoding="utf-8") == page.render(entry), f"{file.name} is stale: run `make docs`"


# --- laws about fixtures ---


def has_enough_cases(folder: Path, entry: Entry) -> None:
    """A check without causes only shows something: there is nothing to inject."""
    assert len(cases(folder, "bad")) >= bool(entry.causes), f"{entry.name}: at least one fault that it must catch"
    assert len(cases(folder, "good")) >= 2, f"{entry.name}: at least two controls that it must pass"


def holds_nothing_but_cases(folder: Path) -> None:
    known = {*cases(folder, "bad"), *cases(folder, "good")}
    strays = sorted(path.name for path in folder.iterdir() if path not in known and path.name != "__pycache__")
    assert not strays, f"{strays} are no cases"


def no_folder_is_an_orphan(folder: Path, checks: Iterable[CheckClass]) -> None:
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {check.name for check in checks}


def case_is_about_a_documented_cause(case: Path, entry: Entry) -> None:
    assert marked_cause(case) in entry.causes, f"{marked_cause(case)} is not among the causes of {entry.name}"


# --- laws about outcomes ---


def fault_is_named(outcome: Outcome, cause: str, check: CheckClass) -> None:
    """With its cause, by a FAIL, or by a WARN where it may be meant so; a heuristic never fails a run."""
    wanted = (Verdict.WARN,) if check.kind is Kind.HEURISTIC else (Verdict.FAIL, Verdict.WARN)
    assert outcome.verdict in wanted, (outcome.verdict, outcome.why)
    assert outcome.cause == cause, (outcome.cause, outcome.why)


def some_fault_fails(outcomes: Sequence[Outcome], check: CheckClass) -> None:
    """A check that is no heuristic and has faults to show fails a run for at least one of them."""
    verdicts = {outcome.verdict for outcome in outcomes}
    assert not outcomes or check.kind is Kind.HEURISTIC or Verdict.FAIL in verdicts, f"{check.name} only warns"


def control_passes(outcomes: Sequence[Outcome]) -> None:
    """At least two controls are really measured, and none raises an alarm."""
    alarms = [outcome.why for outcome in outcomes if outcome.verdict in (Verdict.FAIL, Verdict.WARN)]
    assert not alarms
    assert sum(outcome.verdict is Verdict.PASS for outcome in outcomes) >= 2, [str(outcome.verdict) for outcome in outcomes]


def nothing_fails(report: Report, but: Iterable[str] = ()) -> None:
    assert not report.problems, report.problems
    alarms = [outcome for outcome in report.failed if outcome.check not in set(but)]
    assert not alarms, [(outcome.check, outcome.cause, outcome.why) for outcome in alarms]


def outcome_is_complete(outcome: Outcome, entry: Entry) -> None:
    """Verdict, cause, numbers and texts go together, and the data follows the schema."""
    alarm = outcome.verdict in (Verdict.FAIL, Verdict.WARN)
    assert (outcome.cause is not None) == alarm
    assert outcome.cause is None or outcome.cause in entry.causes, f"{outcome.cause} is not documented in {entry.name}"
    assert text_is_a_clause(outcome.why), outcome.why
    assert outcome.next_step or outcome.verdict is Verdict.PASS
    assert not outcome.next_step or text_is_a_clause(outcome.next_step), outcome.next_step
    if alarm or (outcome.verdict is Verdict.PASS and entry.causes):
        assert outcome.statistic is not None
        assert outcome.null
    assert outcome.figure or outcome.verdict in (Verdict.SKIP, Verdict.CANNOT_TELL)
    record = Record("case", Report((outcome,)))
    jsonschema.validate(as_json.data(record), as_json.schema())


def text_is_a_clause(text: str) -> bool:
    """One line, that does not end in a full stop: reports put it into sentences of their own."""
    return bool(text) and "\n" not in text and text == text.strip() and not text.endswith(".")


def picture_can_be_published(outcome: Outcome) -> None:
    """It is drawn, every pair of axes with data says what it shows, and it is small."""
    assert outcome.figure
    assert outcome.figure.title
    assert not outcome.figure.title.endswith(".")
    canvas = svg.drawn(outcome.figure)
    assert canvas.axes
    assert any(axes.get_xlabel() or axes.get_ylabel() or not axes.axison for axes in canvas.axes), "axes without a label"
    assert len(svg.picture(outcome.figure, outcome.check)) < 150_000


def same(one: Outcome, other: Outcome) -> None:
    """All numbers and texts are equal, to the last bit."""
    for field in fields(Outcome):
        if field.name != "figure":
            left, right = (as_json.plain(getattr(outcome, field.name)) for outcome in (one, other))
            assert left == right, field.name


def same_verdict(one: Outcome, other: Outcome) -> None:
    assert (one.verdict, one.cause) == (other.verdict, other.cause), (one.why, other.why)


# --- other units ---


def loss_in_other_units(experiment: Experiment, factor: float = FACTOR) -> Experiment:
    """The same experiment with a loss that is larger by a factor, and an optimizer that makes the same steps of it."""

    def loss(output: Any, targets: Any) -> Tensor:
        return experiment.loss(output, targets) * factor

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        assert experiment.optimizer
        made = experiment.optimizer(model)
        for group in made.param_groups:
            if "eps" in group:
                group["eps"] *= factor
            else:
                group["lr"] /= factor
            if not isinstance(made, torch.optim.AdamW):
                group["weight_decay"] = group.get("weight_decay", 0.0) * factor
        return made

    def accumulate(model: nn.Module, inputs: Any, targets: Any) -> None:
        assert experiment.accumulate
        experiment.accumulate(model, inputs, targets)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad *= factor

    return replace(
        experiment,
        loss=loss,
        optimizer=optimizer if experiment.optimizer else None,
        accumulate=accumulate if experiment.accumulate else None,
    )


def inputs_in_other_units(experiment: Experiment, factor: float = FACTOR) -> Experiment:
    """The same experiment with inputs that are larger by a factor, and a model that knows the unit."""

    def to_new(value: Any) -> Any:
        return mapped(value, lambda x: x * factor if x.is_floating_point() else x)

    def to_old(value: Any) -> Any:
        return mapped(value, lambda x: x / factor if x.is_floating_point() else x)

    def converted(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return to_old(args), to_old(kwargs)

    def model() -> nn.Module:
        made = experiment.model()
        made.register_forward_pre_hook(converted, with_kwargs=True)
        return made

    def batch() -> tuple[Any, Any]:
        inputs, targets = experiment.batch()
        return to_new(inputs), targets

    def pad(inputs: Any, targets: Any) -> tuple[Any, Any]:
        assert experiment.pad
        inputs, targets = experiment.pad(to_old(inputs), targets)
        return to_new(inputs), targets

    def arrays(part: Callable[[], tuple[Any, Any]] | None) -> Callable[[], tuple[Any, Any]] | None:
        if part is None:
            return None

        def scaled() -> tuple[Any, Any]:
            x, y = part()
            return x * factor, y

        return scaled

    return replace(
        experiment,
        model=model,
        batch=batch,
        pad=pad if experiment.pad else None,
        train=arrays(experiment.train),
        test=arrays(experiment.test),
    )


# --- traces ---


def shared(experiment: Experiment) -> tuple[Experiment, nn.Module, Any]:
    """The same experiment with factories that hand out the same objects each time, and these objects."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(experiment.seed)
        model, batch = experiment.model(), experiment.batch()
    return replace(experiment, model=lambda: model, batch=lambda: batch), model, batch


@contextmanager
def leaves_no_trace(model: nn.Module, batch: Any) -> Iterator[None]:
    """The user's objects and the process are afterwards what they were before."""
    process, objects = _process(), _objects(model, batch)
    yield
    assert _equal(process, _process()), "the state of the process has changed"
    assert _equal(objects, _objects(model, batch)), "the user's objects have changed"


def _process() -> dict[str, Any]:
    python, (_, words, position, *_) = random.getstate(), np.random.get_state()  # noqa: NPY002  # the one that users draw from
    return {
        "python": python,
        "numpy": (np.array(words), position),
        "torch": torch.get_rng_state(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
        "alarm": (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0),
    }


def _objects(model: nn.Module, batch: Any) -> dict[str, Any]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "state": copied(dict(model.state_dict())),
        "training": [module.training for module in model.modules()],
        "trainable": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()],
        "hooks": [len(getattr(module, name)) for module in model.modules() for name in hooks],
        "methods": [sorted(key for key in vars(module) if not key.startswith("_")) for module in model.modules()],
        "batch": [tensor.detach().clone() for tensor in tensors_in(batch)],
        "leaves": [(tensor.requires_grad, tensor.grad is None, tensor.device) for tensor in tensors_in(batch)],
    }


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.equal(torch.nan_to_num(one.double()), torch.nan_to_num(other.double()))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_equal(left, right) for left, right in zip(one, other, strict=True))
    return bool(one == other)


def entry_of(check: CheckClass) -> Entry:
    return catalogue.entries()[check.name]
