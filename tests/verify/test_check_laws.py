"""Every check obeys every law, and every law can be broken."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure as Canvas
from torch import nn

import check_laws as laws
from mldbg.verify import Experiment, Figure, Outcome, Report, Verdict, catalogue, draw, page
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.registry import checks
from mldbg.verify.run import Problem

CHECKS = checks()
CLASS = {check.name: check for check in CHECKS}
BAD = [case for check in CHECKS for case in laws.cases(laws.FIXTURES / check.name, "bad")]
GOOD = [case for check in CHECKS for case in laws.cases(laws.FIXTURES / check.name, "good")]
WITNESSES = [
    case for check in CHECKS for prefix in ("bad", "good") for case in laws.cases(laws.FIXTURES / check.name, prefix)[:1]
]
"""The first bad and the first good case of each check."""

DEAR = 1.0
"""Seconds from which a check takes fewer turns on the controls of others: every 24th control instead of every 6th."""

each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)


def each_case(cases: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"{case.parent.name}/{case.name}")


def check_of(case: Path) -> type[Check]:
    return CLASS[case.parent.name]


# --- the laws hold ---


@each_check
def test_name_and_place(check: type[Check]) -> None:
    laws.name_is_that_of_the_module(check)
    laws.place_is_stated(check)
    laws.needs_are_fields_of_an_experiment(check)
    laws.waits_for_what_comes_before(check, CHECKS)


def test_ids() -> None:
    laws.ids_are_unique(CHECKS)


@each_check
def test_docstring(check: type[Check]) -> None:
    laws.docstring_has_all_sections(laws.entry_of(check))


@each_check
def test_page(check: type[Check]) -> None:
    laws.page_is_up_to_date(laws.entry_of(check), laws.PAGES)


def test_no_page_without_a_check() -> None:
    assert {file.stem for file in laws.PAGES.glob("*.md")} == set(CLASS)


@each_check
def test_fixture_folder(check: type[Check]) -> None:
    folder = laws.FIXTURES / check.name
    laws.has_enough_cases(folder, laws.entry_of(check))
    laws.holds_nothing_but_cases(folder)


def test_no_orphans() -> None:
    laws.no_folder_is_an_orphan(laws.FIXTURES, CHECKS)


@each_case(BAD)
def test_fault_is_caught(case: Path) -> None:
    check = check_of(case)
    laws.case_is_about_a_documented_cause(case, laws.entry_of(check))
    outcome = laws.outcome_of(case)
    laws.fault_is_named(outcome, laws.marked_cause(case), check)
    laws.outcome_is_complete(outcome, laws.entry_of(check))
    laws.picture_can_be_published(outcome)


@each_check
def test_some_fault_fails(check: type[Check]) -> None:
    laws.some_fault_fails([laws.outcome_of(case) for case in laws.cases(laws.FIXTURES / check.name, "bad")], check)


@each_check
def test_controls_pass(check: type[Check]) -> None:
    outcomes = [laws.outcome_of(case) for case in laws.cases(laws.FIXTURES / check.name, "good")]
    laws.control_passes(outcomes)
    for outcome in outcomes:
        laws.outcome_is_complete(outcome, laws.entry_of(check))
    laws.picture_can_be_published(next(outcome for outcome in outcomes if outcome.verdict is Verdict.PASS))


@each_case(GOOD)
def test_no_check_raises_an_alarm_on_a_control(case: Path) -> None:
    turn = GOOD.index(case)
    every = bool(os.environ.get("MLDBG_ALL_LAWS"))  # all checks on all controls: six minutes more
    select = [check.name for place, check in enumerate(CHECKS) if every or (turn + place) % (24 if check.cost > DEAR else 6) == 0]
    others = laws.others_that_fail(case)
    assert case.parent.name not in others
    laws.nothing_fails(laws.measured(laws.experiment_in(case), select), others)


@each_case(WITNESSES)
def test_same_seed_same_outcome_and_no_trace(case: Path) -> None:
    experiment, model, batch = laws.shared(laws.experiment_in(case))
    outcomes = []
    for _ in range(2):
        with laws.leaves_no_trace(model, batch):
            outcomes.append(laws.only(laws.measured(experiment, [case.parent.name])))
    laws.same(*outcomes)


@each_case(WITNESSES)
def test_the_unit_of_the_loss_changes_no_verdict(case: Path) -> None:
    scaled = laws.loss_in_other_units(laws.experiment_in(case))
    laws.same_verdict(laws.outcome_of(case), laws.only(laws.measured(scaled, [case.parent.name])))


@each_case(WITNESSES)
def test_the_unit_of_the_inputs_changes_no_verdict(case: Path) -> None:
    scaled = laws.inputs_in_other_units(laws.experiment_in(case))
    laws.same_verdict(laws.outcome_of(case), laws.only(laws.measured(scaled, [case.parent.name])))


# --- each law can be broken ---

WITNESS = CLASS["loss-at-init"]
ENTRY = laws.entry_of(WITNESS)


def breaks(law: Callable[[], None], match: str | None = None) -> None:
    with pytest.raises(AssertionError, match=match):
        law()


def altered(**attributes: Any) -> type[Check]:
    """The witness with other attributes."""
    made = type(WITNESS.__name__, (WITNESS,), {"__module__": WITNESS.__module__, **attributes})
    made.name = attributes.get("name", WITNESS.name)  # type: ignore[attr-defined]
    return made


def docstring(*, summary: str = "a claim", **sections: str) -> str:
    texts = {"Why": "Because.", "Measures": "A ratio.", "Causes": "- `a-b`: it is so.", "Limits": "Few."} | sections
    return "\n\n".join([summary, *(f"## {title}\n{text}" for title, text in texts.items() if text)])


def experiment(**changes: Any) -> Experiment:
    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(32, 5), torch.randint(0, 3, (32,))

    given = {"model": lambda: nn.Linear(5, 3), "batch": batch, "loss": nn.functional.cross_entropy} | changes
    return Experiment(**given)


def picture(canvas: Canvas) -> None:
    draw.axes(canvas, "step", "loss [nats]")


GOOD_OUTCOME = Outcome("loss-at-init", Verdict.PASS, statistic=0.1, null="0", why="as by chance", figure=Figure("a", picture))
BAD_OUTCOME = replace(GOOD_OUTCOME, verdict=Verdict.FAIL, cause="pretrained-weights", next_step="look")


def test_a_wrong_name_place_or_dependence_is_noticed() -> None:
    breaks(partial(laws.name_is_that_of_the_module, altered(name="another-name")))
    breaks(partial(laws.place_is_stated, altered(cost=0)))
    breaks(partial(laws.place_is_stated, altered(kind="exact")))
    breaks(partial(laws.needs_are_fields_of_an_experiment, altered(needs=("lodaer",))))
    breaks(partial(laws.waits_for_what_comes_before, altered(after=("no-such-check",)), CHECKS), "does not exist")
    breaks(partial(laws.waits_for_what_comes_before, altered(after=(CHECKS[-1].name,)), CHECKS), "comes later")
    breaks(partial(laws.waits_for_what_comes_before, altered(after=(Stage.LEARNING,)), CHECKS), "a later one")


def test_an_id_that_is_used_twice_is_noticed() -> None:
    breaks(partial(laws.ids_are_unique, [WITNESS, altered()]))
    breaks(partial(laws.ids_are_unique, [altered(id="first")]))


@pytest.mark.parametrize(
    "faulty",
    [
        docstring(Limits=""),
        docstring(summary=""),
        docstring(summary="A sentence."),
        docstring(Notes="A section too many."),
        docstring(Why=" "),
        docstring(Causes="- `Not A Name`: it is so."),
    ],
)
def test_a_faulty_docstring_is_noticed(faulty: str) -> None:
    laws.docstring_has_all_sections(replace(ENTRY, docstring=docstring()))
    breaks(partial(laws.docstring_has_all_sections, replace(ENTRY, docstring=faulty)))


def test_sections_in_another_order_are_noticed() -> None:
    first, *rest = docstring().split("\n\n## ")
    breaks(partial(laws.docstring_has_all_sections, replace(ENTRY, docstring="\n\n## ".join([first, *reversed(rest)]))))


def test_a_stale_or_missing_page_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("old", encoding="utf-8")
    page.write([ENTRY], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"{WITNESS.name}.md"]
    laws.page_is_up_to_date(ENTRY, tmp_path)
    breaks(partial(laws.page_is_up_to_date, replace(ENTRY, docstring=docstring()), tmp_path), "stale")
    (tmp_path / f"{WITNESS.name}.md").unlink()
    breaks(partial(laws.page_is_up_to_date, ENTRY, tmp_path), "missing")


def test_missing_cases_and_stray_files_are_noticed(tmp_path: Path) -> None:
    for name in ("good_1.py", "good_2.py"):
        (tmp_path / name).touch()
    breaks(partial(laws.has_enough_cases, tmp_path, ENTRY), "fault")
    laws.has_enough_cases(tmp_path, replace(ENTRY, docstring=docstring(Causes="None: it only shows something.")))
    (tmp_path / "bad_1.py").touch()
    laws.has_enough_cases(tmp_path, ENTRY)
    laws.holds_nothing_but_cases(tmp_path)
    (tmp_path / "good_2.py").rename(tmp_path / "notes.txt")
    breaks(partial(laws.has_enough_cases, tmp_path, ENTRY), "controls")
    breaks(partial(laws.holds_nothing_but_cases, tmp_path))


def test_an_orphan_is_noticed(tmp_path: Path) -> None:
    (tmp_path / WITNESS.name).mkdir()
    laws.no_folder_is_an_orphan(tmp_path, [WITNESS])
    (tmp_path / "gone").mkdir()
    breaks(partial(laws.no_folder_is_an_orphan, tmp_path, [WITNESS]))


def test_an_unmarked_or_undocumented_cause_is_noticed(tmp_path: Path) -> None:
    case = tmp_path / "bad_1.py"
    case.write_text("import torch\n", encoding="utf-8")
    breaks(partial(laws.case_is_about_a_documented_cause, case, ENTRY), "first line")
    case.write_text("# cause: unheard-of\n", encoding="utf-8")
    breaks(partial(laws.case_is_about_a_documented_cause, case, ENTRY), "not among")
    case.write_text("# cause: pretrained-weights\n", encoding="utf-8")
    laws.case_is_about_a_documented_cause(case, ENTRY)


def test_a_missed_or_misnamed_fault_is_noticed() -> None:
    laws.fault_is_named(BAD_OUTCOME, "pretrained-weights", WITNESS)
    breaks(partial(laws.fault_is_named, GOOD_OUTCOME, "pretrained-weights", WITNESS))
    breaks(partial(laws.fault_is_named, BAD_OUTCOME, "worse-than-chance", WITNESS))
    breaks(partial(laws.fault_is_named, replace(BAD_OUTCOME, verdict=Verdict.CANNOT_TELL), "pretrained-weights", WITNESS))
    breaks(partial(laws.fault_is_named, BAD_OUTCOME, "pretrained-weights", altered(kind=Kind.HEURISTIC)))


def test_a_check_that_only_warns_is_noticed() -> None:
    warned = replace(BAD_OUTCOME, verdict=Verdict.WARN)
    laws.some_fault_fails([warned, BAD_OUTCOME], WITNESS)
    laws.some_fault_fails([warned], altered(kind=Kind.HEURISTIC))
    breaks(partial(laws.some_fault_fails, [warned], WITNESS))


def test_a_false_alarm_and_a_check_that_never_measures_are_noticed() -> None:
    laws.control_passes([GOOD_OUTCOME, GOOD_OUTCOME])
    breaks(partial(laws.control_passes, [GOOD_OUTCOME, GOOD_OUTCOME, BAD_OUTCOME]))
    breaks(partial(laws.control_passes, [GOOD_OUTCOME, replace(GOOD_OUTCOME, verdict=Verdict.SKIP)]))
    laws.nothing_fails(Report((GOOD_OUTCOME,)))
    breaks(partial(laws.nothing_fails, Report((BAD_OUTCOME,))))
    laws.nothing_fails(Report((BAD_OUTCOME,)), [BAD_OUTCOME.check])
    breaks(partial(laws.nothing_fails, Report((BAD_OUTCOME,)), ["another-check"]))
    breaks(partial(laws.nothing_fails, Report((GOOD_OUTCOME,), (Problem("a", "b"),))))


@pytest.mark.parametrize(
    "faulty",
    [
        replace(BAD_OUTCOME, cause=None),
        replace(BAD_OUTCOME, cause="unheard-of"),
        replace(BAD_OUTCOME, next_step=""),
        replace(BAD_OUTCOME, statistic=None),
        replace(BAD_OUTCOME, null=""),
        replace(BAD_OUTCOME, figure=None),
        replace(GOOD_OUTCOME, cause="pretrained-weights"),
        replace(GOOD_OUTCOME, why=""),
        replace(GOOD_OUTCOME, why="a sentence."),
        replace(GOOD_OUTCOME, why="two\nlines"),
        replace(GOOD_OUTCOME, statistic=None),
        replace(GOOD_OUTCOME, verdict=Verdict.SKIP),
    ],
)
def test_an_incomplete_outcome_is_noticed(faulty: Outcome) -> None:
    laws.outcome_is_complete(GOOD_OUTCOME, ENTRY)
    laws.outcome_is_complete(BAD_OUTCOME, ENTRY)
    breaks(partial(laws.outcome_is_complete, faulty, ENTRY))


def test_a_poor_picture_is_noticed() -> None:
    def unlabelled(canvas: Canvas) -> None:
        canvas.add_subplot().plot([1, 2])

    def heavy(canvas: Canvas) -> None:
        draw.axes(canvas, "x", "y").imshow(np.random.default_rng(0).random((500, 500)), interpolation="none")

    laws.picture_can_be_published(GOOD_OUTCOME)
    for faulty in (Figure("a", unlabelled), Figure("a", heavy), Figure("a", lambda _: None), Figure("A sentence.", picture)):
        breaks(partial(laws.picture_can_be_published, replace(GOOD_OUTCOME, figure=faulty)))


def test_an_outcome_that_differs_is_noticed() -> None:
    nan = replace(GOOD_OUTCOME, statistic=float("nan"))
    laws.same(nan, replace(nan))
    breaks(partial(laws.same, GOOD_OUTCOME, replace(GOOD_OUTCOME, statistic=0.1 + 1e-16)))
    breaks(partial(laws.same, GOOD_OUTCOME, replace(GOOD_OUTCOME, details={"a": 1})))
    breaks(partial(laws.same_verdict, GOOD_OUTCOME, BAD_OUTCOME))


def test_a_threshold_with_a_unit_is_noticed() -> None:
    class Absolute(Check):
        kind, stage = Kind.EXACT, Stage.LOSS

        def run(self, bench: Any) -> Outcome:
            inputs, targets = bench.first
            loss = float(bench.loss(bench.run(bench.model(), inputs), targets).detach())
            return self.passed("small") if loss < 10 and float(inputs.max()) < 10 else self.failed("large", "large", "less")

    from mldbg.verify.bench import Bench

    as_it_is = Absolute().run(Bench(experiment()))
    for scaled in (laws.loss_in_other_units(experiment()), laws.inputs_in_other_units(experiment())):
        breaks(partial(laws.same_verdict, as_it_is, Absolute().run(Bench(scaled))))


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_other_units_are_the_same_experiment(kind: Callable[..., torch.optim.Optimizer]) -> None:
    """Else the laws about units would blame the checks for what the law itself changes."""
    from mldbg.verify.bench import Bench

    plain = experiment(optimizer=lambda model: kind(model.parameters(), lr=0.01, weight_decay=0.1))
    as_it_is = np.array(Bench(plain).overfit(40).losses)
    loss, inputs = (Bench(change(plain)).overfit(40).losses for change in (laws.loss_in_other_units, laws.inputs_in_other_units))
    assert np.allclose(np.array(loss) / laws.FACTOR, as_it_is, rtol=1e-4)
    assert np.allclose(np.array(inputs), as_it_is, rtol=1e-4)


@pytest.mark.parametrize(
    "trace",
    [
        lambda model, batch: random.random(),
        lambda model, batch: np.random.rand(),  # noqa: NPY002  # the generator that users draw from
        lambda model, batch: torch.rand(1),
        lambda model, batch: model.eval(),
        lambda model, batch: model.weight.data.add_(1),
        lambda model, batch: model.weight.requires_grad_(False),
        lambda model, batch: setattr(model.weight, "grad", torch.ones(3, 5)),
        lambda model, batch: model.register_forward_hook(print),
        lambda model, batch: setattr(model, "forward", print),
        lambda model, batch: batch[0].add_(1),
        lambda model, batch: batch[0].requires_grad_(),
    ],
)
def test_a_trace_is_noticed(trace: Callable[[nn.Module, Any], object]) -> None:
    _, model, batch = laws.shared(experiment())
    with laws.leaves_no_trace(model, batch):
        pass
    with pytest.raises(AssertionError), laws.leaves_no_trace(model, batch):
        trace(model, batch)


def test_gradient_mode_and_dtype_are_part_of_the_trace() -> None:
    _, model, batch = laws.shared(experiment())
    for change, back in (
        (partial(torch.set_grad_enabled, False), partial(torch.set_grad_enabled, True)),
        (partial(torch.set_default_dtype, torch.float64), partial(torch.set_default_dtype, torch.float32)),
    ):
        try:
            with pytest.raises(AssertionError, match="process"), laws.leaves_no_trace(model, batch):
                change()
        finally:
            back()


def test_the_catalogue_reads_what_stands_in_a_module(tmp_path: Path) -> None:
    (tmp_path / "a_check.py").write_text(
        'class ACheck(Check):\n    """a claim\n\n    ## Why\n    So.\n    """\n\n'
        '    id = "U1"\n    stage = Stage.LOSS\n    kind = Kind.EXACT\n    needs = ("loader",)\n\n\nclass Helper:\n    pass\n',
        encoding="utf-8",
    )
    [entry] = catalogue.read(tmp_path / "a_check.py")
    assert (entry.name, entry.id, entry.stage, entry.kind, entry.needs) == ("a-check", "U1", Stage.LOSS, Kind.EXACT, ("loader",))
    assert (entry.summary, entry.sections, entry.causes) == ("a claim", {"Why": "So."}, {})
