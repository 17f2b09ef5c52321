import json
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from mldbg.lint import registry, report
from mldbg.lint.finding import Edit, Finding, Fix, Group, Partly, Problem, Span, Step
from mldbg.lint.run import Result

DATA = Path(__file__).parent / "data"
RULES = registry.rules()

TEXT = "def f(self, x):\n\treturn cross_entropy(model(x), y)\n"
SPAN = Span("src/train it.py", 2, 9, 2, 22)
FIX = Fix(safe=False, edits=(Edit(Span("src/model.py", 1, 5, 1, 5), "F."), Edit(SPAN, "loss")))
FINDINGS = (
    Finding(
        SPAN,
        "softmax-before-cross-entropy",
        "cross_entropy gets probabilities: 100%, really",
        Group.CORRECTNESS,
        "return the logits",
        (Step(Span("src/model.py", 1, 1, 1, 4), "softmax"), Step(SPAN, "loss")),
        FIX,
    ),
    Finding(Span("src/train it.py", 1, 1, 2, 7), "unused-suppression", "nothing here", Group.SUSPICIOUS, "remove it"),
)
RESULT = Result(
    findings=FINDINGS,
    problems=(Problem("a,b.py", 0, "line 3 is not valid UTF-8; not checked"), Problem("c.py", 7, "syntax error: invalid syntax")),
    texts={"src/train it.py": TEXT, "src/model.py": "def f(): ...\n"},
    checked=2,
)


def rendered(name: str, result: Result = RESULT) -> str:
    return click.unstyle(report.render(name, result, RULES))


def loaded(name: str) -> Any:
    return json.loads(rendered(name))


@pytest.mark.parametrize("name", [*report.FORMATS, "statistics"])
def test_an_empty_result_has_a_report(name: str) -> None:
    assert isinstance(rendered(name, Result(checked=1)), str)


def test_text() -> None:
    assert rendered("text") == (
        "src/train it.py:2:9: cross_entropy gets probabilities: 100%, really [softmax-before-cross-entropy]\n"
        "  2 | \treturn cross_entropy(model(x), y)\n"
        "    | \t       ^^^^^^^^^^^^^\n"
        "  path:\n"
        "    1. src/model.py:1     softmax  def f(): ...\n"
        "    2. src/train it.py:2  loss     return cross_entropy(model(x), y)\n"
        "  hint: return the logits\n"
        "  fix: available with --fix --unsafe-fixes; review the change before keeping it\n"
        "\n"
        "src/train it.py:1:1: nothing here [unused-suppression]\n"
        "  1 | def f(self, x):\n"
        "    | ^^^^^^^^^^^^^^^\n"
        "  hint: remove it\n"
        "\n"
        "a,b.py: line 3 is not valid UTF-8; not checked\n"
        "c.py:7: syntax error: invalid syntax\n"
        "\n"
        "2 findings in 2 files; 1 fixable with --fix --unsafe-fixes; 2 files could not be checked\n"
    )


def test_text_is_coloured_and_loses_nothing_without_colour() -> None:
    assert "\x1b[" in report.render("text", RESULT, RULES)


def test_the_caret_stands_below_wide_characters() -> None:
    finding = Finding(Span("a.py", 1, 5, 1, 8), "x", "m", Group.CORRECTNESS, "h")
    lines = rendered("text", Result((finding,), (), {"a.py": "'日本'f(x)"}, 1)).split("\n")
    assert lines[1:3] == ["  1 | '日本'f(x)", "    |       ^^^"]


def test_concise() -> None:
    assert rendered("concise").splitlines() == [
        "src/train it.py:2:9: cross_entropy gets probabilities: 100%, really [softmax-before-cross-entropy]",
        "src/train it.py:1:1: nothing here [unused-suppression]",
        "a,b.py: line 3 is not valid UTF-8; not checked",
        "c.py:7: syntax error: invalid syntax",
        "2 findings in 2 files; 1 fixable with --fix --unsafe-fixes; 2 files could not be checked",
    ]


def test_statistics() -> None:
    more = Result(findings=(*FINDINGS, FINDINGS[1]), checked=1)
    assert rendered("statistics", more).splitlines()[:2] == ["     2  unused-suppression", "     1  softmax-before-cross-entropy"]


def test_statistics_tell_what_was_followed_only_in_part() -> None:
    partly = (Partly("a.py", 0, "the top level"), Partly("a.py", 12, "train"), Partly("b.ipynb", 3, "Net.fit", cell=2))
    assert rendered("statistics", Result(checked=2, partly=partly)).splitlines() == [
        "3 definitions followed only in part, because of how much they call:",
        "  a.py the top level",
        "  a.py:12 train",
        "  b.ipynb:cell 2:3 Net.fit",
        "no findings in 2 files",
    ]


def test_json() -> None:
    found = loaded("json")
    jsonschema.validate(found, json.loads((DATA / "report.json").read_text(encoding="utf-8")))
    assert found["findings"][0] == {
        "rule": "softmax-before-cross-entropy",
        "group": "correctness",
        "path": "src/train it.py",
        "line": 2,
        "column": 9,
        "end_line": 2,
        "end_column": 22,
        "message": "cross_entropy gets probabilities: 100%, really",
        "hint": "return the logits",
        "steps": [
            {"path": "src/model.py", "line": 1, "column": 1, "text": "softmax"},
            {"path": "src/train it.py", "line": 2, "column": 9, "text": "loss"},
        ],
        "fix": {
            "safe": False,
            "edits": [
                {"path": "src/model.py", "line": 1, "column": 5, "end_line": 1, "end_column": 5, "replacement": "F."},
                {"path": "src/train it.py", "line": 2, "column": 9, "end_line": 2, "end_column": 22, "replacement": "loss"},
            ],
        },
    }
    assert found["findings"][1]["fix"] is None
    assert found["errors"] == [
        {"path": "a,b.py", "line": 0, "message": "line 3 is not valid UTF-8; not checked"},
        {"path": "c.py", "line": 7, "message": "syntax error: invalid syntax"},
    ]


def test_github() -> None:
    place = "file=src/train it.py,line=2,endLine=2,col=9,endColumn=22,title=softmax-before-cross-entropy"
    steps = "%0A1. src/model.py:1 softmax%0A2. src/train it.py:2 loss"
    assert rendered("github").splitlines() == [
        f"::error {place}::cross_entropy gets probabilities: 100%25, really{steps}%0Ahint: return the logits",
        "::error file=src/train it.py,line=1,endLine=2,title=unused-suppression::nothing here%0Ahint: remove it",
        "::warning file=a%2Cb.py,title=not checked::line 3 is not valid UTF-8; not checked",
        "::warning file=c.py,line=7,title=not checked::syntax error: invalid syntax",
    ]


def sarif_schema() -> Any:
    return json.loads((DATA / "sarif-2.1.0.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("result", [RESULT, Result()])
def test_sarif_is_valid(result: Result) -> None:
    jsonschema.validate(json.loads(rendered("sarif", result)), sarif_schema())


def test_the_sarif_schema_can_refuse() -> None:
    log = loaded("sarif")
    log["runs"][0]["results"][0]["locations"] = "here"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(log, sarif_schema())


def test_sarif_says_what_we_know() -> None:
    [run] = loaded("sarif")["runs"]
    driver = run["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == [rule.name for rule in RULES]
    assert all(rule["help"]["markdown"] and rule["help"]["text"] for rule in driver["rules"])

    first, second = run["results"]
    assert driver["rules"][first["ruleIndex"]]["id"] == first["ruleId"] == "softmax-before-cross-entropy"
    assert (first["level"], second["level"]) == ("error", "warning")
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "src/train%20it.py"},
        "region": {"startLine": 2, "startColumn": 9, "endLine": 2, "endColumn": 22},
    }
    stations = first["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [station["location"]["message"]["text"] for station in stations] == ["softmax", "loss"]
    changes = first["fixes"][0]["artifactChanges"]
    assert [change["artifactLocation"]["uri"] for change in changes] == ["src/model.py", "src/train%20it.py"]
    assert changes[0]["replacements"][0]["insertedContent"] == {"text": "F."}

    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [each["message"]["text"] for each in invocation["toolExecutionNotifications"]] == [
        "line 3 is not valid UTF-8; not checked",
        "syntax error: invalid syntax",
    ]


def test_sarif_of_a_file_elsewhere_has_an_absolute_uri() -> None:
    finding = Finding(Span("/else where/a.py", 1, 1, 1, 2), "x", "m", Group.SECURITY, "h")
    [run] = json.loads(rendered("sarif", Result((finding,))))["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///else%20where/a.py"
