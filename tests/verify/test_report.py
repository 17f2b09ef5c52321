"""The three reports of one run: they agree, they are valid, and the page needs nothing else."""

import json
import math
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import click
import html5lib
import jsonschema
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure as Canvas

from mldbg.verify import catalogue, draw
from mldbg.verify.bench import Floor
from mldbg.verify.outcome import Figure, Outcome, Verdict
from mldbg.verify.report import Record, html, svg, terminal
from mldbg.verify.report import json as as_json
from mldbg.verify.run import Problem, Report


def curve(canvas: Canvas) -> None:
    ax = draw.axes(canvas, "step", "loss [nats]", log_y=True)
    ax.plot([1, 2, 3], [1.0, 0.1, 0.01], color=draw.SEEN, label="measured")
    draw.band(ax, 0.5, 0.7, "null")
    draw.line(ax, 0.2, "threshold", color=draw.BAD)
    draw.legend(ax)


FIGURE = Figure("A curve <with> marks & lines", curve, "Blue: measured.")
FAILED = Outcome(
    "pairing",
    Verdict.FAIL,
    "mse-broadcast",
    2e-16,
    "0 <= x",
    1e-6,
    "the loss & the `targets` <script>alert(1)</script>",
    "squeeze it",
    FIGURE,
)
OUTCOMES = (
    Outcome("contact-sheet", Verdict.PASS, why="twelve rows", figure=FIGURE),
    Outcome("loss-at-init", Verdict.PASS, statistic=0.3, why="as by chance", figure=FIGURE, p_value=0.4),
    FAILED,
    Outcome("loss-input-range", Verdict.WARN, "softmax-before-cross-entropy", 1.0, why="rows sum to 1", next_step="remove it"),
    Outcome("optimizer-ledger", Verdict.CANNOT_TELL, statistic=math.nan, why="too few", next_step="give more", figure=FIGURE),
    Outcome("gradient-reach", Verdict.SKIP, why="needs loader", next_step="give loader", details={"needs": ["loader"]}),
    Outcome("seed-variance", Verdict.SKIP, why="after pairing", next_step="first", details={"depends_on": "pairing"}),
    Outcome("overfit-one-batch", Verdict.SKIP, why="after pairing", next_step="first", details={"depends_on": "pairing"}),
    Outcome("learning-rate", Verdict.SKIP, why="over budget", next_step="more", details={"over_budget": True}),
)
REPORT = Report(
    OUTCOMES,
    (Problem("learning-rate", "loader() raised ValueError: <no>"),),
    dtype="float32",
    seconds=1.25,
    floor=Floor(0.0, 3e-8, 0.1),
    spent={"pairing": 0.5},
)
SVG = "{http://www.w3.org/2000/svg}"
RECORD = Record("user.py:<it>", REPORT)


def with_outcomes(*outcomes: Outcome) -> Record:
    return replace(RECORD, report=replace(REPORT, outcomes=outcomes, problems=()))


# --- data ---


def loaded(record: Record = RECORD) -> Any:
    return json.loads(as_json.render(record))


def test_the_schema_is_a_schema_and_the_report_follows_it() -> None:
    jsonschema.Draft202012Validator.check_schema(as_json.schema())
    jsonschema.validate(loaded(), as_json.schema(), jsonschema.Draft202012Validator)


def test_every_number_of_an_outcome_is_there() -> None:
    outcome = loaded()["outcomes"][2]
    assert outcome == {
        "check": "pairing",
        "id": "U4",
        "stage": "loss",
        "kind": "exact",
        "verdict": "FAIL",
        "cause": "mse-broadcast",
        "statistic": 2e-16,
        "null": "0 <= x",
        "threshold": 1e-6,
        "p_value": None,
        "seed": 0,
        "why": FAILED.why,
        "next_step": "squeeze it",
        "figure": {"title": FIGURE.title, "caption": FIGURE.caption},
        "details": {},
        "seconds": 0.5,
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "1 was expected"),
        ({"outcomes": [{}]}, "is a required property"),
        ({"verdict": "GOOD"}, "is not one of"),
        ({"problems": [{"check": "a", "message": "two\nlines"}]}, "does not match"),
    ],
)
def test_the_schema_refuses_what_is_wrong(change: dict[str, Any], told: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=told):
        jsonschema.validate(loaded() | change, as_json.schema(), jsonschema.Draft202012Validator)


def test_a_failure_without_a_cause_is_against_the_schema() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(loaded(with_outcomes(replace(FAILED, cause=None))), as_json.schema())


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1.0, np.nan]), [1.0, "NaN"]),
        (np.zeros(10_000), "array of shape (10000,)"),
        (torch.tensor([1, 2]), [1, 2]),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        ({1: (Verdict.PASS, None)}, {"1": ["PASS", None]}),
        ({"b", "a"}, ["a", "b"]),
        (torch.float32, "torch.float32"),
    ],
)
def test_details_of_every_kind_become_json(value: object, plain: object) -> None:
    assert as_json.plain(value) == plain
    json.dumps(as_json.plain(value), allow_nan=False)


@pytest.mark.parametrize(
    ("verdicts", "problems", "expected"),
    [
        ("PASS SKIP", 0, "PASS"),
        ("PASS WARN CANNOT-TELL", 0, "WARN"),
        ("PASS CANNOT-TELL", 0, "CANNOT-TELL"),
        ("PASS", 1, "INCOMPLETE"),
        ("FAIL PASS", 1, "FAIL"),
        ("SKIP", 0, "SKIP"),
        ("", 0, "SKIP"),
    ],
)
def test_the_verdict_on_a_run(verdicts: str, problems: int, expected: str) -> None:
    outcomes = tuple(Outcome("pairing", Verdict(verdict)) for verdict in verdicts.split())
    report = replace(REPORT, outcomes=outcomes, problems=REPORT.problems[:problems])
    assert Record("x", report).verdict == expected


# --- terminal ---


def test_terminal() -> None:
    assert click.unstyle(terminal.render(RECORD)).splitlines() == [
        "FAIL  user.py:<it>  (cpu, float32, seed 0, 1.2 s)",
        "noise floor of the loss: repeatability 0, rounding 3e-08, over seeds 0.1",
        "9 checks: 1 FAIL, 1 WARN, 1 CANNOT-TELL, 2 PASS, 4 SKIP",
        f"FAIL  pairing: mse-broadcast: {FAILED.why}",
        "      -> squeeze it",
        "WARN  loss-input-range: softmax-before-cross-entropy: rows sum to 1",
        "      -> remove it",
        "CANNOT-TELL  optimizer-ledger: too few",
        "SKIP  after pairing: seed-variance, overfit-one-batch",
        "SKIP  1 check more with Experiment(..., loader)",
        "SKIP  learning-rate",
    ]


def test_the_summary_stays_short() -> None:
    many = with_outcomes(*(replace(FAILED, check=name) for name in catalogue.entries()))
    lines = terminal.render(many).splitlines()
    assert len(lines) <= 20
    assert f"and {len(catalogue.entries()) - terminal.MOST_TOLD} more: " in "\n".join(lines)


# --- page ---


def page(record: Record = RECORD) -> ET.Element:
    """The page, parsed as a browser does, but strictly."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root = parser.parse(html.render(record))
    assert isinstance(root, ET.Element)
    return root


def text_of(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def by_id(root: ET.Element, name: str) -> ET.Element:
    found = [element for element in root.iter() if element.get("id") == name]
    assert len(found) == 1, name
    return found[0]


def test_the_page_is_well_formed_and_ids_are_unique() -> None:
    root = page()
    ids = [name for element in root.iter() if (name := element.get("id"))]
    assert len(ids) == len(set(ids))
    targets = {link.removeprefix("#") for element in root.iter() if (link := element.get("href", "")).startswith("#")}
    assert targets <= set(ids)
    labels = {name for element in root.iter() for name in element.get("aria-labelledby", "").split()}
    assert labels
    assert labels <= set(ids)


def test_the_page_needs_nothing_else() -> None:
    text = html.render(RECORD)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<iframe|<object|javascript:", text)
    references = re.findall(r"""(?:src|href)=["']([^"']*)|url\(["']?([^"')]*)""", text)
    assert references
    assert all((link or url).startswith(("#", "data:")) for link, url in references)


def test_what_users_wrote_is_escaped() -> None:
    root = page()
    assert not list(root.iter("script"))
    assert [text_of(heading) for heading in root.iter("h1")] == ["user.py:<it>"]
    assert "the loss & the targets <script>alert(1)</script>" in text_of(by_id(root, "check-pairing"))


def test_a_failed_check_shows_cause_picture_and_next_step() -> None:
    article = by_id(page(), "check-pairing")
    assert "mse-broadcast: " + catalogue.entries()["pairing"].causes["mse-broadcast"].replace("`", "") in text_of(article)
    assert "squeeze it" in text_of(article)
    picture = next(article.iter(f"{SVG}svg"))
    assert text_of(picture[0]) == FIGURE.title
    assert text_of(picture[1]) == FIGURE.caption
    assert {"step", "loss [nats]", "measured"} <= {text_of(each) for each in picture.iter(f"{SVG}text")}


def test_failures_come_first_in_each_stage() -> None:
    order = [name for element in page().iter() if (name := element.get("id", "")).startswith("check-")]
    wanted = ["contact-sheet", "pairing", "loss-input-range", "loss-at-init", "optimizer-ledger", "gradient-reach"]
    assert order[:6] == [f"check-{name}" for name in wanted]


def test_greyed_checks_that_share_a_reason_share_a_line() -> None:
    assert "seed-variance, overfit-one-batch: after pairing; first" in [text_of(item) for item in page().iter("li")]


def test_a_picture_that_cannot_be_drawn_says_so() -> None:
    def broken(_: Canvas) -> None:
        raise ValueError("no <data>")

    text = html.render(with_outcomes(replace(FAILED, figure=Figure("broken", broken))))
    assert "The picture could not be drawn: ValueError: no &lt;data&gt;" in text


def heavy(canvas: Canvas) -> None:
    rng = np.random.default_rng(0)
    canvas.add_subplot().scatter(*rng.normal(size=(2, 50_000)))


def noise(canvas: Canvas) -> None:
    canvas.add_subplot().imshow(np.random.default_rng(0).random((600, 600)), interpolation="none")


def test_many_points_become_an_image() -> None:
    picture = svg.picture(Figure("points", heavy), "points")
    assert "data:image/png" in picture
    assert len(picture) < 300_000


def test_the_page_stays_below_two_megabytes() -> None:
    passed = [Outcome(name, Verdict.PASS, statistic=0.0, figure=Figure(name, noise)) for name in list(catalogue.entries())[:10]]
    failed = replace(FAILED, check="unknown-check", figure=Figure("kept", noise))
    text = html.render(with_outcomes(*passed, failed))
    assert len(text.encode()) < 2_000_000
    assert "The picture was omitted" in text
    assert 'aria-labelledby="unknown-check-title"' in text, "the picture of a failed check stays"


def test_an_empty_run_has_a_page() -> None:
    assert "Nothing was measured" in text_of(page(with_outcomes()))


# --- pictures ---


def test_role_colours_become_variables() -> None:
    picture = svg.picture(FIGURE, "one")
    for role in ("--ink", "--seen", "--null", "--bad"):
        assert f"var({role})" in picture
    for colour in svg.ROLES:
        assert colour not in picture.lower()


def test_ids_of_two_pictures_differ() -> None:
    one, two = (set(re.findall(r'id="([^"]+)"', svg.picture(FIGURE, name))) for name in ("one", "two"))
    assert one
    assert not one & two


def test_references_inside_a_picture_hold() -> None:
    root = ET.fromstring(svg.picture(FIGURE, "one"))
    ids = {element.get("id") for element in root.iter()}
    used = {name for element in root.iter() for value in element.attrib.values() for name in re.findall(r"#([\w\-]+)", value)}
    assert used
    assert used <= ids


def test_a_picture_is_the_same_each_time_and_leaves_no_trace() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert svg.picture(FIGURE, "one") == svg.picture(FIGURE, "one")
    assert dict(mpl.rcParams) == before
