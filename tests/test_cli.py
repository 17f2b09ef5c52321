"""The command as a user types it, in processes of their own."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from conftest import COMMAND, Run

SOFTMAX = "import torch.nn.functional as F\n\n\ndef loss(x, y):\n    return F.cross_entropy(F.softmax(x, dim=-1), y)\n"
LOG = "import torch\n\n\ndef entropy(x):\n    return torch.log(torch.softmax(x, dim=-1))\n"
CLEAN = "import torch.nn.functional as F\n\n\ndef loss(x, y):\n    return F.cross_entropy(x, y)\n"
DATA = Path(__file__).parent / "data"


def write(project: Path, **texts: str) -> None:
    for name, text in texts.items():
        (project / f"{name}.py").write_text(text, encoding="utf-8")


def rules_of(output: str) -> list[str]:
    return [finding["rule"] for finding in json.loads(output)["findings"]]


# --- exit codes and reports ---


def test_a_clean_project(project: Path, lint: Run) -> None:
    write(project, a=CLEAN)
    result = lint()
    assert (result.returncode, result.stdout, result.stderr) == (0, "no findings in 1 file\n", "")


def test_a_finding(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b=CLEAN)
    result = lint(".")
    assert result.returncode == 1
    assert result.stdout.startswith("a.py:5:")
    assert "[softmax-before-cross-entropy]" in result.stdout
    assert "  5 |     return F.cross_entropy(F.softmax(x, dim=-1), y)\n" in result.stdout
    assert "\n  hint: " in result.stdout
    assert "\x1b" not in result.stdout
    assert "1 finding in 2 files" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("form", ["text", "concise", "json", "github", "sarif"])
def test_every_format_names_the_finding(project: Path, lint: Run, form: str) -> None:
    write(project, a=SOFTMAX)
    result = lint("a.py", "--format", form)
    assert result.returncode == 1
    assert "softmax-before-cross-entropy" in result.stdout
    assert "a.py" in result.stdout


def test_json_is_as_promised(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b="def f(:\n    cross_entropy\n")
    found = json.loads(lint("--format", "json").stdout)
    jsonschema.validate(found, json.loads((DATA / "report.json").read_text(encoding="utf-8")))
    assert [error["path"] for error in found["errors"]] == ["b.py"]


def test_sarif_is_valid(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b=LOG, c="def f(:\n    cross_entropy\n")
    log = json.loads(lint("--format", "sarif").stdout)
    jsonschema.validate(log, json.loads((DATA / "sarif-2.1.0.json").read_text(encoding="utf-8")))
    assert len(log["runs"][0]["results"]) == 2


def test_output_goes_to_a_file(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX)
    result = lint("--format", "json", "--output", "report.json")
    assert (result.returncode, result.stdout) == (1, "")
    assert rules_of((project / "report.json").read_text(encoding="utf-8")) == ["softmax-before-cross-entropy"]


def test_an_output_that_cannot_be_written(project: Path, lint: Run) -> None:
    write(project, a=CLEAN)
    result = lint("--output", "missing/report.txt")
    assert result.returncode == 2
    assert result.stderr == "mldebug-lint: --output: missing/report.txt cannot be written: No such file or directory\n"


def test_exit_zero_forgives_findings_but_not_problems(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX)
    assert lint("--exit-zero").returncode == 0
    assert lint("--exit-zero", "a.py", "gone.py").returncode == 2


def test_statistics(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b=SOFTMAX, c=LOG)
    assert lint("--statistics").stdout.splitlines()[:2] == ["     2  softmax-before-cross-entropy", "     1  log-of-softmax"]


def test_colour_is_for_terminals_and_for_those_who_ask(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX)
    assert "\x1b[" in lint("--color", "always").stdout
    assert "\x1b[" in lint(FORCE_COLOR="1").stdout
    assert "\x1b[" not in lint("--color", "never", FORCE_COLOR="1").stdout
    assert "\x1b[" not in lint(FORCE_COLOR="1", NO_COLOR="1").stdout


def test_the_number_of_processes_changes_nothing(project: Path, lint: Run) -> None:
    write(project, **{f"m{number}": SOFTMAX if number % 3 else LOG for number in range(60)})
    one, many = (lint("--format", "json", "--jobs", jobs) for jobs in ("1", "3"))
    assert one.stdout == many.stdout == lint("--format", "json").stdout
    assert len(rules_of(one.stdout)) == 60


def test_a_closed_pipe_is_no_traceback(project: Path) -> None:
    write(project, **{f"m{number}": SOFTMAX for number in range(20)})
    shell = f"{COMMAND} --format sarif | head -c 1"
    result = subprocess.run(["bash", "-c", shell], cwd=project, capture_output=True, encoding="utf-8", check=False)
    assert result.stderr == ""


def test_a_terminal_gets_colour(project: Path) -> None:
    write(project, a=SOFTMAX)
    master, slave = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")} | {"TERM": "xterm"}
    process = subprocess.Popen([COMMAND, "a.py"], cwd=project, stdout=slave, stderr=slave, env=variables)
    assert process.wait(timeout=60) == 1
    os.close(slave)
    with os.fdopen(master, "rb") as terminal:
        assert b"\x1b[" in terminal.read1(100_000)


# --- selection and configuration ---


def test_select_and_ignore(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b=LOG)
    assert rules_of(lint("--format", "json", "--select", "log-of-softmax").stdout) == ["log-of-softmax"]
    assert rules_of(lint("--format", "json", "--select", "ALL", "--ignore", "log-of-softmax").stdout) == [
        "softmax-before-cross-entropy"
    ]
    both = lint("--format", "json", "--select", "log-of-softmax,softmax-before-cross-entropy").stdout
    assert rules_of(both) == ["softmax-before-cross-entropy", "log-of-softmax"]
    assert rules_of(lint("--format", "json", "--select", "ALL", "--ignore", "correctness").stdout) == []


def test_an_unknown_rule_is_one_line_with_advice(project: Path, lint: Run) -> None:
    write(project, a=CLEAN)
    result = lint("--select", "log-of-sofmax")
    assert result.returncode == 2
    assert result.stderr == ('mldebug-lint: --select: unknown rule or group "log-of-sofmax"; did you mean "log-of-softmax"?\n')


def test_the_configuration_of_the_project_is_used(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b=LOG, test_c=LOG, gen=LOG)
    (project / "pyproject.toml").write_text(
        '[tool.mldebug-lint]\nignore = ["softmax-before-cross-entropy"]\nexclude = ["gen.py"]\n'
        'per-file-ignores = { "test_*.py" = ["correctness"] }\n',
        encoding="utf-8",
    )
    found = json.loads(lint("--format", "json").stdout)["findings"]
    assert [(each["path"], each["rule"]) for each in found] == [("b.py", "log-of-softmax")]


def test_the_command_line_wins_over_select_and_adds_to_ignore(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b=LOG)
    text = '[tool.mldebug-lint]\nselect = ["redundant"]\nignore = ["log-of-softmax"]\n'
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    assert rules_of(lint("--format", "json").stdout) == []
    assert rules_of(lint("--format", "json", "--select", "ALL").stdout) == ["softmax-before-cross-entropy"]


def test_the_configuration_lies_beside_what_is_checked(project: Path, lint: Run) -> None:
    inner = project / "inner"
    inner.mkdir()
    write(inner, b=LOG)
    (inner / "pyproject.toml").write_text('[tool.mldebug-lint]\nignore = ["log-of-softmax"]\n', encoding="utf-8")
    assert lint("inner").returncode == 0
    assert lint("inner", "--config", "pyproject.toml").returncode == 1


def test_a_bad_key_in_the_configuration(project: Path, lint: Run) -> None:
    (project / "pyproject.toml").write_text("[tool.mldebug-lint]\nignor = []\n", encoding="utf-8")
    result = lint()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f'mldebug-lint: {project}/pyproject.toml: ignor: unknown key in [tool.mldebug-lint]; did you mean "ignore"?\n'
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frmat", "json"],
        ["--format", "xml"],
        ["--jobs", "0"],
        ["-", "a.py"],
        ["--stdin-filename", "a.py", "b.py"],
        ["--fix", "--diff"],
        ["--unsafe-fixes"],
        ["--statistics", "--format", "json"],
        ["--config", "gone.toml"],
        ["--explain", "no-such-rule"],
    ],
)
def test_a_wrong_command_is_one_line(lint: Run, arguments: list[str]) -> None:
    result = lint(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("mldebug-lint: ")
    assert result.stderr.count("\n") == 1


# --- suppression ---


def test_a_comment_allows_a_finding(project: Path, lint: Run) -> None:
    write(project, a=LOG.rstrip() + "  # mldebug: allow[log-of-softmax] only plotted\n")
    assert lint().returncode == 0


IDLE = "x = 1  # mldebug: allow[log-of-softmax] once\ny = 2  # mldebug: allow[lgo-of-softmax]\n"
TODAY = ("unused-suppression", "invalid-suppression")
FORMERLY = ("unused-allowance", "unknown-allowance")


def test_comments_that_suppress_nothing_are_findings_until_ignored(project: Path, lint: Run) -> None:
    write(project, a=IDLE)
    result = lint("--format", "concise")
    assert result.returncode == 1
    assert "a.py:1:8: nothing to suppress here for log-of-softmax [unused-suppression]" in result.stdout
    assert 'a.py:2:8: unknown rule "lgo-of-softmax" (did you mean "log-of-softmax"?) [invalid-suppression]' in result.stdout
    for names in (TODAY, FORMERLY):
        assert lint("--ignore", ",".join(names)).returncode == 0


@pytest.mark.parametrize("names", [TODAY, FORMERLY], ids=["today", "formerly"])
@pytest.mark.parametrize("key", ["ignore", "per-file-ignores.'a.py'"])
def test_their_reports_can_be_ignored_by_either_name(project: Path, lint: Run, key: str, names: tuple[str, ...]) -> None:
    write(project, a=IDLE)
    (project / "pyproject.toml").write_text(f"[tool.mldebug-lint]\n{key} = {list(names)}\n", encoding="utf-8")
    assert lint().returncode == 0
    (project / "pyproject.toml").write_text(f"[tool.mldebug-lint]\n{key} = {list(names[:1])}\n", encoding="utf-8")
    assert [line.rpartition(" ")[2] for line in lint("--format", "concise").stdout.splitlines()[:-1]] == ["[invalid-suppression]"]


@pytest.mark.parametrize("name", [*TODAY, *FORMERLY])
def test_their_reports_may_be_selected_and_explained(project: Path, lint: Run, name: str) -> None:
    write(project, a="x = 1\n")
    assert lint("--select", name).returncode == 0
    title = dict(zip(FORMERLY, TODAY, strict=True)).get(name, name)
    assert lint("--explain", name).stdout.startswith(f"{title}\n\nGroup suspicious, on by default.\n")


@pytest.mark.parametrize("name", [TODAY[0], FORMERLY[0]])
def test_their_reports_may_be_all_that_is_wanted(project: Path, lint: Run, name: str) -> None:
    write(project, a=LOG + IDLE, b=LOG.rstrip() + "  # mldebug: allow[log-of-softmax] only plotted\n")
    result = lint("--select", name, "--format", "json")
    assert (result.returncode, rules_of(result.stdout)) == (1, ["unused-suppression"])


def test_a_run_without_a_rule_is_refused(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX)
    (project / "pyproject.toml").write_text('[tool.mldebug-lint]\nignore = ["ALL"]\n', encoding="utf-8")
    for arguments in ((), ("--select", "log-of-softmax")):
        result = lint(*arguments)
        assert (result.returncode, result.stdout, result.stderr) == (2, "", "mldebug-lint: no rule is selected\n")


def test_a_suppression_of_a_rule_that_is_not_selected_is_not_unused(project: Path, lint: Run) -> None:
    write(project, a="x = 1  # mldebug: allow[log-of-softmax] once\n")
    assert lint("--select", "fit-on-test").returncode == 0
    assert lint("--ignore", "log-of-softmax").returncode == 0
    assert lint().returncode == 1


def test_a_finding_suppressed_on_an_inner_line_is_not_fixed_either(project: Path, lint: Run) -> None:
    text = LOG.replace(
        "torch.softmax(x, dim=-1))", "torch.softmax(x, dim=-1)  # noqa  # mldebug: allow[log-of-softmax] plotted\n    )"
    )
    assert text != LOG
    write(project, a=text)
    assert lint("--fix").returncode == 0
    assert (project / "a.py").read_text(encoding="utf-8") == text


# --- fixes ---

FIXED = LOG.replace("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)")


def test_fix(project: Path, lint: Run) -> None:
    write(project, a=LOG)
    result = lint("--fix")
    assert (result.returncode, result.stdout) == (0, "no findings in 1 file\n")
    assert result.stderr == "mldebug-lint: fixed a.py\n"
    assert (project / "a.py").read_text(encoding="utf-8") == FIXED
    assert lint("--fix").stderr == ""


def test_fix_keeps_line_ends_encoding_and_byte_order_mark(project: Path, lint: Run) -> None:
    before = b"\xef\xbb\xbf" + LOG.replace("\n", "\r\n").encode()
    (project / "a.py").write_bytes(before)
    assert lint("--fix").returncode == 0
    assert (project / "a.py").read_bytes() == b"\xef\xbb\xbf" + FIXED.replace("\n", "\r\n").encode()


def test_fix_keeps_the_declared_encoding(project: Path, lint: Run) -> None:
    (project / "a.py").write_bytes(f"# coding: latin-1\n# é\n{LOG}".encode("latin-1"))
    assert lint("--fix").returncode == 0
    assert (project / "a.py").read_bytes() == f"# coding: latin-1\n# é\n{FIXED}".encode("latin-1")


def test_what_is_allowed_is_not_fixed(project: Path, lint: Run) -> None:
    text = LOG.rstrip() + "  # mldebug: allow[log-of-softmax] only plotted\n"
    write(project, a=text + LOG.replace("entropy", "other"))
    assert lint("--fix").returncode == 0
    assert (project / "a.py").read_text(encoding="utf-8") == text + FIXED.replace("entropy", "other")


def test_diff_changes_nothing(project: Path, lint: Run) -> None:
    write(project, a=LOG)
    result = lint("--diff")
    assert result.returncode == 1
    assert "-    return torch.log(torch.softmax(x, dim=-1))\n+    return torch.log_softmax(x, dim=-1)\n" in result.stdout
    assert (project / "a.py").read_text(encoding="utf-8") == LOG


def test_diff_says_why_it_is_empty(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX, b=SOFTMAX)
    assert lint("--diff", "a.py").stderr == "mldebug-lint: 1 finding, no safe fix; try --unsafe-fixes\n"
    assert lint("--diff").stderr == "mldebug-lint: 2 findings in a.py, b.py, no safe fix; try --unsafe-fixes\n"


@pytest.mark.parametrize("text", ["x = (\n", "x = 1\0\n"])
def test_diff_names_what_could_not_be_checked(project: Path, lint: Run, text: str) -> None:
    write(project, a=LOG, broken=text)
    result = lint("--diff")
    assert result.returncode == 2
    assert result.stdout == lint("--diff", "a.py").stdout != ""
    [line] = result.stderr.splitlines()
    assert line.startswith(("broken.py:1: syntax error: ", "broken.py: line 1 contains a null byte"))
    alone = lint("-", "--stdin-filename", "broken.py", "--diff", stdin=text)
    assert (alone.returncode, alone.stdout, alone.stderr) == (2, "", line + "\n")


def test_unsafe_fixes_are_for_those_who_ask(project: Path, lint: Run) -> None:
    write(project, a=SOFTMAX)
    assert lint("--fix").returncode == 1
    assert (project / "a.py").read_text(encoding="utf-8") == SOFTMAX
    assert lint("--fix", "--unsafe-fixes").returncode == 0
    assert (project / "a.py").read_text(encoding="utf-8") == CLEAN


# --- standard input ---


def test_stdin(lint: Run) -> None:
    result = lint("-", "--format", "concise", "--stdin-filename", "pkg/a.py", stdin=SOFTMAX)
    assert result.returncode == 1
    assert result.stdout.startswith("pkg/a.py:5:")


def test_stdin_is_fixed_to_stdout(lint: Run) -> None:
    result = lint("-", "--fix", stdin=LOG)
    assert (result.returncode, result.stdout) == (0, FIXED)
    assert "no findings" in result.stderr


def test_stdin_that_needs_no_fix_is_passed_through(lint: Run) -> None:
    assert lint("-", "--fix", stdin=CLEAN).stdout == CLEAN


def test_diff_of_stdin(lint: Run) -> None:
    result = lint("-", "--diff", stdin=LOG)
    assert result.returncode == 1
    assert "+    return torch.log_softmax(x, dim=-1)\n" in result.stdout


def test_stdin_that_is_excluded_is_not_checked(project: Path, lint: Run) -> None:
    (project / "pyproject.toml").write_text('[tool.mldebug-lint]\nexclude = ["gen/"]\n', encoding="utf-8")
    assert lint("-", "--stdin-filename", "gen/a.py", stdin=SOFTMAX).returncode == 0
    assert lint("-", "--stdin-filename", "gen/a.py", "--fix", stdin=LOG).stdout == LOG


# --- any syntax and layout that some Python reads ---

NEWER = """\
import torch
import torch.nn.functional as F
from torch import nn

type Batch[T: (int, str) = int] = tuple[T, T]
names = {"a": 1}
p = torch.softmax(torch.randn(2), dim=-1); loss = F.cross_entropy(p, names)


class Net[T = int](nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward[S](self, x: S):
        print(f"{names["a"]} {f"{1}"}", t"{x!r:>{4}}")
        return self.head(x).softmax(1)


def train[T, *Ts, **P](x: T, y):
    net = Net()
    try:
        z = net(x)
    except ValueError, TypeError:
        raise
    return F.cross_entropy(z, y), f"é{"é"}", torch.log(torch.softmax(x, dim=-1))


print(train(p, p))
"""


def test_syntax_newer_than_the_running_python_is_checked(project: Path, lint: Run) -> None:
    write(project, a=NEWER)
    report = json.loads(lint("--format", "json").stdout)
    assert report["errors"] == []
    assert [(each["rule"], each["line"], each["column"]) for each in report["findings"]] == [
        ("softmax-before-cross-entropy", 7, 51),
        ("wrong-in-features", 17, 16),
        ("softmax-before-cross-entropy", 26, 12),
        ("log-of-softmax", 26, 46),
        ("softmax-of-probabilities", 26, 56),
    ]


def test_syntax_newer_than_the_running_python_is_fixed(project: Path, lint: Run) -> None:
    write(project, a=NEWER)
    assert lint("--fix").stderr == "mldebug-lint: fixed a.py\n"
    fixed = NEWER.replace("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)")
    assert (project / "a.py").read_text(encoding="utf-8") == fixed


def test_syntax_that_nobody_reads_is_said_in_one_line(project: Path, lint: Run) -> None:
    write(project, a=f"{LOG}x = 1 if else 2\n")
    result = lint()
    assert result.returncode == 2
    assert result.stdout.splitlines()[0] == "a.py:6: syntax error: invalid syntax"


@pytest.mark.parametrize(
    "text",
    [
        f"import torch\nx = torch.ones(3)\\\n\n{LOG}",
        f"import torch\nx = torch.ones(3) ; \\\n   \n{LOG}",
        f"\\\nimport torch\n\f\n{LOG}",
        LOG.replace("    return", "\f    return"),
        LOG.replace("def", "@ \\\ntorch.compile\n# why\n@(\ntorch.no_grad())\ndef"),
        LOG.replace("    return", "    y = 1; \\\n    return"),
        LOG.rstrip(),
        LOG.replace("\n", "\r\n"),
        LOG.replace("\n", "\r"),
        LOG.replace("    ", "\t"),
        f"\ufeff{LOG}",
    ],
    ids=["backslash", "semicolon", "leading", "feed", "decorators", "same-line", "no-end", "crlf", "cr", "tabs", "mark"],
)
def test_no_layout_loses_a_file_or_its_fix(project: Path, lint: Run, text: str) -> None:
    (project / "a.py").write_bytes(text.encode())
    found = lint("--format", "json")
    assert (found.returncode, json.loads(found.stdout)["errors"]) == (1, [])
    lint("--fix")
    fixed = text.replace("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)")
    assert (project / "a.py").read_bytes() == fixed.encode()


# --- input that cannot be checked ---


def bad_inputs(project: Path) -> dict[str, str]:
    """Files that cannot be checked, and a part of what is said about each."""
    (project / "broken.py").write_text("def f(:\n    pass\n", encoding="utf-8")
    (project / "latin.py").write_bytes(b"x = 1\ny = 2\nname = 'caf\xe9'\n")
    (project / "null.py").write_bytes(b"x = 1\0\n")
    (project / "table.py").write_bytes(b"ROW = 1\n" * 650_000)
    (project / "deep.py").write_text(f"cross_entropy = {'(' * 3000}1{')' * 3000}\n", encoding="utf-8")
    (project / "loop.py").symlink_to("loop.py")
    (project / "folder").mkdir()
    (project / "folder" / "up").symlink_to(project)
    os.mkfifo(project / "pipe.py")
    return {
        "broken.py": "syntax",
        "latin.py": "line 3 is not valid UTF-8",
        "null.py": "null byte",
        "table.py": "file too large (5.2 MB",
        "deep.py": "nested",
        "loop.py": "symbolic links",
        "folder/up": "symlink loop",
        "pipe.py": "not a regular file",
    }


def test_every_bad_input_gives_one_line_and_the_rest_is_checked(project: Path, lint: Run) -> None:
    expected = bad_inputs(project)
    write(project, a=SOFTMAX, b=CLEAN)
    result = lint("--format", "json")
    report = json.loads(result.stdout)
    errors = {error["path"]: error["message"] for error in report["errors"]}
    assert result.returncode == 2
    assert len(errors) == len(report["errors"])
    assert {path: part for path, part in expected.items() if part not in errors.get(path, "")} == {}
    assert errors.keys() == expected.keys()
    assert [finding["path"] for finding in report["findings"]] == ["a.py"]


def test_problems_are_lines_of_the_text_report(project: Path, lint: Run) -> None:
    (project / "null.py").write_bytes(b"x = 1\0\n")
    result = lint("null.py", "gone.py")
    assert result.returncode == 2
    assert result.stdout.splitlines() == [
        "gone.py: cannot be read: no such file or directory",
        "null.py: line 1 contains a null byte, so this is not Python source; not checked",
        "",
        "no files were checked; 2 files could not be checked",
    ]


def test_deep_nesting_of_statements_and_operators(project: Path, lint: Run) -> None:
    ifs = "".join(f"{' ' * depth}if x:\n" for depth in range(90)) + " " * 90 + "cross_entropy(x)\n"
    write(project, ifs=ifs, sums=f"cross_entropy({'1 + ' * 5000}1)\n", calls=f"cross_entropy({'f(' * 150}x{')' * 150})\n")
    assert lint().returncode in (0, 2)


def test_an_empty_folder(project: Path, lint: Run) -> None:
    (project / "README.md").write_text("softmax", encoding="utf-8")
    result = lint()
    assert (result.returncode, result.stdout) == (2, "no files were checked\n")
    assert result.stderr == "mldebug-lint: nothing was checked: no Python files found\n"
    assert lint("--exit-zero").returncode == 2


def test_files_that_the_configuration_excludes_are_no_reason_to_fail(project: Path, lint: Run) -> None:
    (project / "pyproject.toml").write_text('[tool.mldebug-lint]\nexclude = ["gen/", "*.ipynb"]\n', encoding="utf-8")
    (project / "gen").mkdir()
    write(project / "gen", a=SOFTMAX)
    (project / "n.ipynb").write_text("{}", encoding="utf-8")
    for paths in (("gen/a.py",), ("gen",), (), ("n.ipynb",), ("gen/a.py", "n.ipynb")):
        result = lint(*paths)
        assert (result.returncode, result.stdout) == (0, "no files were checked\n")
        assert result.stderr == "mldebug-lint: nothing was checked: the configuration excludes everything\n"


@pytest.mark.parametrize("rest", [b"x = (\n", b"# \xff\n"])
def test_an_imported_file_that_cannot_be_read_is_named_once(project: Path, lint: Run, rest: bytes) -> None:
    net = "from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x.softmax(1)\n"
    use = "import torch.nn.functional as F\n\nfrom net import Net\n\n\ndef loss(x, y):\n    return F.cross_entropy(Net()(x), y)\n"
    write(project, net=net, a=use, b=use)
    assert rules_of(lint("a.py", "--format", "json").stdout) == ["softmax-before-cross-entropy"]
    (project / "net.py").write_bytes(net.encode() + rest)
    result = lint("a.py", "b.py")
    assert (result.returncode, result.stdout) == (0, "no findings in 2 files\n")
    [line] = result.stderr.splitlines()
    assert line.startswith("mldebug-lint: an imported file could not be read, so what it defines is unknown: net.py")
    whole = lint()
    assert (whole.returncode, whole.stderr) == (2, "")
    assert whole.stdout.count("net.py") == 1


# --- interrupts ---

# One statement that keeps libcst's parser, which is not Python code and hears no signal, busy for seconds.
SLOW = (
    f"import torch.nn.functional as F\n\nTABLE = [F.cross_entropy, {'(1, -2, x), ' * 40_000}]\nF.cross_entropy(F.softmax(x), y)\n"
)
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("module", ["mldbg.lint.cli", "libcst._nodes.expression"])
def test_ctrl_c_while_something_is_loaded_leaves_nothing_half_loaded(project: Path, module: str) -> None:
    write(project, bad="import torch.nn.functional as F\n\nF.cross_entropy(F.softmax(x), y)\n")
    interrupted = f"""
import sys
from importlib.abc import MetaPathFinder

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            raise KeyboardInterrupt

sys.argv = ["mldebug-lint", "--jobs", "1"]
sys.meta_path.insert(0, Finder())
from mldbg.lint.__main__ import main
main()
"""
    run = subprocess.run([sys.executable, "-c", interrupted], cwd=project, capture_output=True, encoding="utf-8", check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "\nmldebug-lint: interrupted\n")


def interruptible() -> None:
    """A job in the background ignores the signal, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def seconds_of_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def workers_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("to_all", [True, False], ids=["group", "parent"])
@pytest.mark.parametrize("jobs", [1, 3])
def test_ctrl_c_ends_a_run_at_once(project: Path, jobs: int, to_all: bool) -> None:
    write(project, **{f"slow{number}": SLOW for number in range(60)})
    with subprocess.Popen(
        [COMMAND, "--jobs", str(jobs)],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=interruptible,  # noqa: PLW1509  # no other thread runs here
    ) as process:
        workers: list[int] = []
        while sum(seconds_of_cpu(pid) > 0.5 for pid in workers or [process.pid]) < jobs:
            assert process.poll() is None
            time.sleep(0.05)
            workers = workers_of(process.pid) if jobs > 1 else []
        if to_all:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert errors == "\nmldebug-lint: interrupted\n", "the empty line ends the one in which a terminal shows ^C"
    assert [pid for pid in workers if is_alive(pid)] == []


# --- questions ---


def test_list(lint: Run) -> None:
    result = lint("--list")
    assert result.returncode == 0
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == sorted(names)
    assert "softmax-before-cross-entropy" in names


def test_explain(lint: Run) -> None:
    result = lint("--explain", "log-of-softmax")
    assert result.returncode == 0
    assert result.stdout.startswith("log-of-softmax\n\nGroup correctness, on by default.\n\n")
    assert [heading in result.stdout.splitlines() for heading in ("Why", "Bad", "Good", "Limits")] == [True] * 4


def test_version_and_help(lint: Run) -> None:
    assert lint("--version").stdout.startswith("mldebug-lint, version ")
    assert "Exit codes" in lint("--help").stdout
