"""Notebooks end to end: what is read of them, where findings are said to be, and that fixes change nothing else."""

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import Run
from mldbg.lint import files, ipynb, magics, notebook, registry, run
from mldbg.lint.config import Config
from mldbg.lint.files import Foreign, Source
from mldbg.lint.finding import Edit, Problem, Span
from mldbg.lint.notebook import NotANotebookError, Notebook
from mldbg.lint.run import Fixed, Result, Task

FIXTURES = Path(__file__).parent.parent / "fixtures" / "notebooks"
DATA = Path(__file__).parent / "data"
GOOD = sorted(FIXTURES.glob("good_*.ipynb"))
BAD = sorted(path for path in FIXTURES.glob("bad_*.ipynb") if not path.name.endswith(".fixed.ipynb"))
EXPECTED = re.compile(r"  # expect: ([\w-]+)")

TORCH = "import torch\nimport torch.nn.functional as F"
LOG = "def entropy(x):\n    return torch.log(torch.softmax(x, dim=-1))"
CLEAN = "def entropy(x):\n    return torch.log_softmax(x, dim=-1)"


def code(source: str | list[str], **more: Any) -> dict[str, Any]:
    lines = source.splitlines(keepends=True) if isinstance(source, str) else source
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": lines} | more


def text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)}


def document(*cells: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    made = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    return {"cells": made, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 4} | more


def written(folder: Path, name: str, *cells: str | dict[str, Any], **more: Any) -> Path:
    file = folder / name
    file.write_text(json.dumps(document(*cells, **more), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def opened(*cells: str | dict[str, Any], **more: Any) -> Notebook:
    return notebook.opened(json.dumps(document(*cells, **more)).encode())


def task(folder: Path) -> Task:
    rules = registry.rules()
    return Task(Config(root=folder), registry.selected(rules, (), ()), rules)


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Checks notebooks made of cells, beside other files."""
    monkeypatch.chdir(tmp_path)

    def checked(*cells: str | dict[str, Any], **others: str) -> Result:
        written(tmp_path, "n.ipynb", *cells)
        for name, source in others.items():
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        return run.check_files([Path("n.ipynb")], task(tmp_path), jobs=1)

    return checked


def places(result: Result) -> list[tuple[int, int, str]]:
    return [(finding.span.cell, finding.span.line, finding.rule) for finding in result.findings]


def python_of(*cells: str) -> list[str]:
    """The lines that stand for those of some cells, without marks."""
    lines = [line for cell in opened(*cells).cells for line in cell.lines]
    return [line.python.removesuffix(line.mark).rstrip() if line.mark else line.python for line in lines]


# --- fixtures: whole notebooks, as people write them ---


def checked_fixture(file: Path) -> Result:
    return run.check_files([file], task(FIXTURES), jobs=1)


def expected(file: Path) -> list[tuple[int, int, str]]:
    found = []
    for number, cell in enumerate(json.loads(file.read_text(encoding="utf-8"))["cells"], start=1):
        for line_number, line in enumerate("".join(cell["source"]).split("\n"), start=1):
            found += [(number, line_number, rule) for rule in EXPECTED.findall(line)]
    return found


def test_there_are_fixtures() -> None:
    assert len(GOOD) >= 6
    assert len(BAD) >= 4


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_right_notebook_is_clean(file: Path) -> None:
    result = checked_fixture(file)
    assert (result.findings, result.problems, result.checked) == ((), (), 1)


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_wrong_notebook_has_its_findings_and_no_other(file: Path) -> None:
    result = checked_fixture(file)
    assert places(result) == expected(file) != []
    assert result.problems == ()


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_fixes_change_the_lines_they_are_about_and_no_other_byte(file: Path) -> None:
    right = file.with_suffix(".fixed.ipynb")
    fixed, problems = run.fix_files(checked_fixture(file), task(FIXTURES), unsafe=True)
    assert problems == []
    if not right.exists():
        assert fixed == []
        return
    [change] = fixed
    after = change.source.contents(change.text).decode()
    assert EXPECTED.sub("", after) == right.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_notebook_that_is_not_changed_is_written_as_it_was(file: Path) -> None:
    data = file.read_bytes()
    found = notebook.opened(data)
    assert found.contents(found.module) == data
    assert found.sources(found.module) == {}


# --- commands ---


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("%matplotlib inline", ""),
        ("!pip install torch", ""),
        ("!!ls", ""),
        ("?torch", ""),
        ("torch.nn?", ""),
        ("torch.nn.Linear??", ""),
        ("%timeit?", ""),
        ("layers[0].weight?  # which?", ""),
        (",f a b", ""),
        ("/f 1 2", ""),
        ("x = !ls", "x = get_ipython()"),
        ("a, b = %sql SELECT 1", "a, b = get_ipython()"),
        ('found["x"] = !cat x', 'found["x"] = get_ipython()'),
        ("%time y = f(x)", "y = f(x)"),
        ("y = %time f(x)", "y = f(x)"),
        ("%time !ls", ""),
        ("%timeit f(x)", ""),
        ("%run helpers.py", "from helpers import *"),
        ("%run ./lib/helpers.py --epochs 3", "from lib.helpers import *"),
        ("%run -i 'helpers'", "from helpers import *"),
        ("%run ../helpers.py", "from helpers import *"),
        ("%run -m lib.helpers", "from lib.helpers import *"),
        ("%run helpers.ipynb", ""),
        ("%run {name}.py", ""),
        ("pip install torch", ""),
        ("cd ..", ""),
    ],
)
def test_a_command_and_what_stands_for_it(line: str, python: str) -> None:
    assert python_of(line) == [python]


@pytest.mark.parametrize(
    "source",
    [
        'x = """\n%d items\n!\n"""',
        "x = (a\n% b)",
        "x = a \\\n% b",
        "x %= 3",
        "x != y",
        "x = a != b",
        "x = a % b",
        "f(a, x=b % c)",
        "print('%s' % x)  # why?",
        "x = '''a''' '''\n!ls'''",
        "x = 'it\\'s ['\ny = [\n% x]",
        "pip = 3\ncd = pip - 1",
        "ls -l",
    ],
)
def test_what_only_looks_like_a_command(source: str) -> None:
    assert python_of(source) == source.split("\n")


def test_a_command_is_carried_on_by_backslashes_and_lines_keep_their_numbers() -> None:
    assert python_of("!apt install \\\n    a \\\n  b\nx = 1") == ["", "", "", "x = 1"]


def test_a_block_that_holds_only_commands_stays_one() -> None:
    assert python_of("if colab:\n    !pip install x\n    %cd y\nelse:\n    z = !ls") == [
        "if colab:",
        "    pass",
        "    pass",
        "else:",
        "    z = get_ipython()",
    ]


@pytest.mark.parametrize(
    "magic", ["%%bash", "%%html", "%%writefile a.py", "%%sql", "%%script false", "%%whatever", "%md", "%sql"]
)
def test_a_cell_in_another_language_is_empty(magic: str) -> None:
    assert python_of(f"# set up\n{magic}\nx = 1\n") == ["", "", ""]


@pytest.mark.parametrize("magic", ["%%time", "%%timeit -n 3", "%%capture out", "%%prun"])
def test_a_cell_that_is_timed_or_captured_is_python(magic: str) -> None:
    assert python_of(f"\n{magic}\nx = 1\n%ls") == ["", "", "x = 1", ""]


def test_cells_that_an_editor_gave_another_language_are_empty() -> None:
    cell = code("ls -l | wc", metadata={"vscode": {"languageId": "shellscript"}})
    [shell, python] = opened(cell, code("x = 1", metadata={"vscode": {"languageId": "python"}})).cells
    assert (shell.text, python.text) == ("\n", "x = 1\n")


# --- one module ---


def test_cells_are_one_module_in_their_order(check: Callable[..., Result]) -> None:
    result = check(
        text("# Title"), TORCH, "p = torch.softmax(x, dim=1)", text("then"), "display(p)\np", "loss = F.cross_entropy(p, y)"
    )
    assert places(result) == [(6, 1, "softmax-before-cross-entropy")]
    assert [(step.span.cell, step.span.line) for step in result.findings[0].steps] == [(3, 1), (6, 1)]


def test_a_name_that_is_bound_again_is_a_new_value(check: Callable[..., Result]) -> None:
    assert places(check(TORCH, "p = torch.softmax(x, dim=1)", "p = model(x)", "loss = F.cross_entropy(p, y)")) == []
    assert places(check(TORCH, "p = torch.softmax(x, dim=1)", "p = !cat p", "loss = F.cross_entropy(p, y)")) == []


def test_showing_something_excuses_nothing(check: Callable[..., Result]) -> None:
    loop = "for x, y in loader:\n    loss = F.mse_loss(model(x), y)\n    loss.backward()\n    optimizer.step()"
    cells = (
        f"{TORCH}\nfrom torch import nn, optim",
        "model = nn.Linear(3, 1)\noptimizer = optim.SGD(model.parameters(), lr=0.1)",
    )
    for shown in ("display(optimizer)", "optimizer", "display(model, optimizer);", "%time optimizer"):
        assert places(check(*cells, shown, loop)) == [(4, 3, "missing-zero-grad")], shown


def test_await_stands_at_the_top_level(check: Callable[..., Result]) -> None:
    cells = ("x = await fetch()", "async with session() as s:\n    y = [row async for row in s]", LOG)
    result = check(TORCH, *cells)
    assert (places(result), result.problems) == ([(4, 2, "log-of-softmax")], ())
    assert check("await nothing()").problems == ()


def test_ipython_takes_away_the_indentation_of_a_cell(check: Callable[..., Result]) -> None:
    log = "torch.log(torch.softmax(x, dim=1))"
    result = check(TORCH, f"    p = {log[10:-1]}\n    %time q = {log}\n    {log}")
    assert [(cell, line) for cell, line, _ in places(result)] == [(2, 2), (2, 3)]
    assert result.findings[1].span.column == 5


def test_imports_and_run_are_followed(check: Callable[..., Result]) -> None:
    helpers = "import torch\n\n\ndef shares(x):\n    return torch.softmax(x, dim=1)\n"
    for line in ("from helpers import shares", "%run helpers.py"):
        result = check(line, "import torch.nn.functional as F", "loss = F.cross_entropy(shares(x), y)", helpers=helpers)
        assert places(result) == [(3, 1, "softmax-before-cross-entropy")], line
        cause = result.findings[0].steps[0].span
        assert (cause.path, cause.cell, cause.line) == ("helpers.py", 0, 5)


def test_a_coding_comment_says_nothing_in_a_notebook(check: Callable[..., Result]) -> None:
    result = check("# -*- coding: latin-1 -*-", TORCH, "größe = torch.log(torch.softmax(x, dim=-1))")
    assert [finding.span.column for finding in result.findings] == [9]


def test_suppression_works_in_cells(check: Callable[..., Result]) -> None:
    beside = LOG + "  # mldebug: allow[log-of-softmax] small logits"
    above = LOG.replace("    return", "    # mldebug: allow[log-of-softmax] small logits\n    return")
    for cell in (beside, above):
        assert places(check(TORCH, cell)) == []
    result = check(TORCH, "x = 1  # mldebug: allow[log-of-softmax] no longer")
    assert places(result) == [(2, 1, "unused-suppression")]
    of_file = "# mldebug: allow-file[log-of-softmax] small logits\n"
    assert places(check(text("# Title"), f"%matplotlib inline\n{of_file}{TORCH}", LOG)) == []
    assert "invalid-suppression" in {rule for _, _, rule in places(check(TORCH, f"{of_file}{LOG}"))}


# --- what cannot be read ---


def test_cells_that_are_no_python_are_told_of_and_the_others_checked(check: Callable[..., Result]) -> None:
    result = check(TORCH, "x = [1,\n\ny = 2", LOG, "print 3")
    assert places(result) == [(3, 2, "log-of-softmax")]
    [problem] = result.problems
    assert (problem.path, problem.cell) == ("n.ipynb", 2)
    assert re.fullmatch(r"syntax error: .* \(nor can 1 more cell be read\)", problem.message)
    assert result.checked == 0


def test_the_line_of_a_syntax_error_is_one_of_its_cell(check: Callable[..., Result]) -> None:
    for cells in ((TORCH, "x = 1\ny = = 2"), (LOG, "x = 1\ny = = 2")):
        [problem] = check(*cells).problems
        assert (problem.cell, problem.line) == (2, 2)


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b'{"cells": [', 1, "is not a notebook: invalid JSON (expecting value)"),
        (b"x = 1\n", 1, "is not a notebook: invalid JSON (expecting value)"),
        (b'{"cells": []}\n}', 1, "is not a notebook: invalid JSON (something stands behind its end)"),
        (b"[]", 0, "is not a notebook: its JSON is no object"),
        (b"{}", 0, "is not a notebook: it has no cells"),
        (b'{"cells": [\n3]}', 2, "is not a notebook: cell 1 is no object"),
        (b'{"cells": [{},\n{"cell_type": "code"}]}', 2, "is not a notebook: cell 2 has no source"),
        (b'{"cells": [{"cell_type": "code", "source": [1]}]}', 1, "is not a notebook: cell 1 has no source"),
        (b'{"worksheets": 1}', 0, "is not a notebook: it has no cells"),
        (b'{"cells": []}\n"\xff"', 2, "is not a notebook: not valid UTF-8"),
        (b"[" * 100_000, 0, "is not a notebook: its JSON cannot be read"),
    ],
)
def test_what_is_no_notebook_gets_one_line(data: bytes, line: int, reason: str) -> None:
    with pytest.raises(NotANotebookError) as error:
        notebook.opened(data)
    assert (error.value.line, error.value.reason) == (line, reason)


@pytest.mark.parametrize(
    "data", [b"", b" \n", b"\xef\xbb\xbf", json.dumps(document()).encode(), json.dumps(document("")).encode()]
)
def test_an_empty_notebook_is_clean(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "n.ipynb").write_bytes(data)
    result = run.check_files([tmp_path], task(tmp_path), jobs=1)
    assert (result.findings, result.problems, result.checked) == ((), (), 1)
    assert notebook.opened(data).contents(notebook.opened(data).module) == data


def test_pictures_do_not_count_against_the_limit_of_a_source(tmp_path: Path) -> None:
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 3_000_000}}
    assert isinstance(files.read(written(tmp_path, "a.ipynb", code("x = 1", outputs=[picture]))), Source)
    large = files.read(written(tmp_path, "b.ipynb", "x = 1\n" * 500_000))
    assert isinstance(large, Problem)
    assert large.message == "file too large (3.0 MB, limit 2 MB); not checked"


def test_a_null_byte_is_told_with_its_cell(check: Callable[..., Result]) -> None:
    [problem] = check("x = 1", 'x = 1\ny = "\0"').problems
    assert (problem.cell, problem.line, problem.message) == (2, 2, "contains a null byte; not checked")


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"language_info": {"name": "R"}}, "R"),
        ({"kernelspec": {"language": "julia", "name": "julia-1.9"}}, "julia"),
        ({"kernelspec": {"name": "ir", "display_name": "R"}}, "R"),
        ({"kernelspec": {"name": "bash"}}, "bash"),
    ],
)
def test_other_languages_are_passed_over(tmp_path: Path, metadata: dict[str, Any], language: str) -> None:
    assert files.read(written(tmp_path, "n.ipynb", "x <- 1", metadata=metadata)) == Foreign(str(tmp_path / "n.ipynb"), language)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kernelspec": {"name": "python3"}},
        {"kernelspec": {"name": "my-env", "language": "python"}},
        {"language_info": {"name": "ipython"}},
        {"kernelspec": {"name": "irene"}},
        {"language_info": {"name": "Python 3.11"}},
        {"kernelspec": None, "language_info": []},
    ],
)
def test_python_under_all_its_names(tmp_path: Path, metadata: dict[str, Any]) -> None:
    assert isinstance(files.read(written(tmp_path, "n.ipynb", "x = 1", metadata=metadata)), Source)


def test_the_third_format_says_the_language_in_each_cell(tmp_path: Path) -> None:
    def sheet(language: str) -> bytes:
        cell = {"cell_type": "code", "input": ["x = 1"], "language": language, "metadata": {}, "outputs": []}
        return json.dumps({"metadata": {"name": ""}, "nbformat": 3, "worksheets": [{"cells": [cell]}, {"metadata": {}}]}).encode()

    assert notebook.opened(sheet("python")).module.endswith("x = 1\n")
    assert notebook.opened(sheet("julia")).language == "julia"
    (tmp_path / "n.ipynb").write_bytes(sheet("ruby"))
    assert run.check_files([tmp_path], task(tmp_path), jobs=1).foreign == (Foreign(str(tmp_path / "n.ipynb"), "ruby"),)


# --- scripts cut into cells ---

SCRIPTS = [
    next(iter(sorted(folder.glob(f"{kind}_*.py"))))
    for folder in sorted((FIXTURES.parent / "lint").iterdir())
    for kind in ("bad", "good")
    if any(folder.glob(f"{kind}_*.py"))
]


def in_cells(source: str) -> dict[int, str]:
    """A script as cells, one for each statement with the comments above it, by the line of the script on which they begin."""
    lines = source.splitlines(keepends=True)
    starts: list[int] = []
    for node in ast.parse(source).body:
        start = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        while start > 1 and lines[start - 2].startswith("#"):
            start -= 1
        starts.append(start)
    starts[:1] = [1]
    return {start: "".join(lines[start - 1 : end - 1]) for start, end in zip(starts, [*starts[1:], len(lines) + 1], strict=True)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script.parent.name}/{script.stem}")
def test_a_script_cut_into_cells_has_the_findings_of_the_script(script: Path, tmp_path: Path) -> None:
    source = script.read_text(encoding="utf-8")
    (tmp_path / "a.py").write_text(source, encoding="utf-8")
    cells = in_cells(source)
    assert len(cells) > 1
    written(tmp_path, "n.ipynb", *(f"%matplotlib inline\n{cell}" for cell in cells.values()))
    rules = registry.rules()
    everything = Task(Config(root=tmp_path), rules, rules)
    plain, cut = (run.check_files([tmp_path / name], everything, jobs=1).findings for name in ("a.py", "n.ipynb"))
    starts = list(cells)
    there = [(starts[each.span.cell - 1] + each.span.line - 2, each.span.column, each.rule) for each in cut]
    assert there == [(each.span.line, each.span.column, each.rule) for each in plain]


# --- any notebook ---

PIECES = [
    *(
        "%ls",
        "!ls \\",
        "%%time",
        "%%bash",
        "x?",
        "y = !ls",
        "%time f(x)",
        "x = 1",
        "if x:",
        "    ",
        "'",
        '"',
        '"""',
        "(",
        "]",
        "\\",
    ),
    *("\t", "\r\n", "\r", "\n", "\f", "\x85", "\u2028", "é", "🌿", "# %1.", "# %cell 2", "%", "?", "!", "\x00", "/", "{"),
]
SOURCES = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@example(["\r%%bash"], False, False, None)
@given(st.lists(SOURCES, max_size=4), st.booleans(), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_any_notebook_is_as_many_lines_as_it_was_and_comes_back_as_it_was(
    sources: list[str],
    as_text: bool,
    ascii_only: bool,
    indent: int | str | None,
) -> None:
    cells = [code(source) | ({"source": source} if as_text else {}) for source in sources]
    data = json.dumps(document(*cells), ensure_ascii=ascii_only, indent=indent)
    found = notebook.opened(data.encode())
    lines = magics.split_lines(found.module)
    assert len(lines) == 1 + sum(1 + len(magics.split_lines(source)) for source in sources)
    assert found.contents(found.module) == data.encode()
    assert found.sources(found.module) == {}
    layout = found.layout()
    rows = data.split("\n")
    for number, (cell, source) in enumerate(zip(found.cells, sources, strict=True), start=1):
        written = [line.rstrip("\r\n") for line in magics.split_lines(source)]
        assert [line.written for line in cell.lines] == written
        for row, line in enumerate(written, start=1):
            for column, character in enumerate(line, start=1):
                region = layout.region(Span("n.ipynb", row, column, row, column + 1, number))
                behind = rows[region.line - 1][region.column - 1 :]
                assert json.JSONDecoder().raw_decode(f'"{behind}"')[0][0] == character


# --- fixes ---


def fixed(file: Path) -> Fixed:
    root = file.parent
    [change] = run.fix_files(run.check_files([file], task(root), jobs=1), task(root), unsafe=True)[0]
    return change


@pytest.mark.parametrize("as_text", [True, False], ids=["string", "list"])
@pytest.mark.parametrize(
    "layout", [{"indent": 1}, {"indent": 4, "sort_keys": True}, {"separators": (",", ":")}, {"indent": "\t"}]
)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_layout_of_the_file_is_kept(
    tmp_path: Path, layout: dict[str, Any], end: str, *, as_text: bool, ascii_only: bool
) -> None:
    def data(cell: str) -> bytes:
        source = cell if as_text else cell.splitlines(keepends=True)
        cells = (TORCH, text("größer 🌿"), {**code(cell), "source": source, "outputs": [{"text": ["ß\n"]}]}, "%ls")
        made = json.dumps(document(*cells), ensure_ascii=ascii_only, **layout) + end
        return (b"\xef\xbb\xbf" if end else b"") + (made.replace("\n", "\r\n") if end == "\r\n" else made).encode()

    file = tmp_path / "n.ipynb"
    tail = "  # größer 🌿\n%time x = 'ü'\n"
    file.write_bytes(data(LOG + tail))
    change = fixed(file)
    assert files.write(change.source, change.text) is None
    assert file.read_bytes() == data(CLEAN + tail)


def test_odd_lists_and_line_ends_are_kept(tmp_path: Path) -> None:
    source = ["import ", "torch\r\nx = 1\r\n", "", "p = torch.log(torch.softmax(x, dim=1))\r\n", "\x0c\r\n"]
    file = written(tmp_path, "n.ipynb", code(source))
    change = fixed(file)
    after = json.loads(change.source.contents(change.text))
    assert "".join(after["cells"][0]["source"]) == "".join(source).replace(
        "torch.log(torch.softmax(x, dim=1))", "torch.log_softmax(x, dim=1)"
    )


def test_a_fix_never_takes_a_command_along() -> None:
    found = opened("x = 1\n!ls\ny = 2", "%%bash\nls")
    module = found.module
    [command] = [line for line in found.cells[0].lines if line.mark]
    assert found.sources(module.replace("x = 1", "x = 3")) == {1: "x = 3\n!ls\ny = 2"}
    assert found.sources(module.replace(command.python + "\n", "")) is None
    assert found.sources(module.replace(command.python, command.python * 2)) is None
    assert found.sources(module.replace(found.cells[1].header, "")) is None
    assert found.sources(module + "z = 1\n") is None
    assert found.sources("z = 1\n" + module) is None
    lacking = opened("%time f(x)")
    assert lacking.sources(lacking.module.replace("f(x)", "g(x)")) == {1: "%time g(x)"}


def test_the_marks_of_commands_stand_nowhere_else() -> None:
    cells = ("# %1.\n!ls", "# %%cell 2\n%ls", "x = '# %%%'")
    found = opened(*cells)
    assert found.sources(found.module) == {}
    assert found.sources(found.module.replace("x = ", "y = ")) == {3: "y = '# %%%'"}
    assert found.mark == "%%%%"


def test_half_a_character_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "n.ipynb"
    file.write_text(json.dumps(document(TORCH, LOG + "  # \ud83d")), encoding="utf-8")
    before = run.check_files([file], task(tmp_path), jobs=1)
    assert places(before) == [(2, 2, "log-of-softmax")]
    assert run.fix_files(before, task(tmp_path), unsafe=True) == ([], [])


def edited(data: str, replacements: list[dict[str, Any]]) -> str:
    """A text after the replacements that SARIF asks for."""
    starts = [0, *(found.end() for found in re.finditer("\n", data))]

    def at(region: dict[str, int], end: str) -> int:
        return starts[region[f"{end}Line"] - 1] + region[f"{end}Column"] - 1

    for each in sorted(replacements, key=lambda each: at(each["deletedRegion"], "start"), reverse=True):
        region = each["deletedRegion"]
        data = data[: at(region, "start")] + each["insertedContent"]["text"] + data[at(region, "end") :]
    return data


def test_sarif_tells_places_and_fixes_of_the_file(project: Path, lint: Run) -> None:
    shutil.copy(FIXTURES / "bad_logarithm_of_softmax.ipynb", project / "n.ipynb")
    shutil.copy(FIXTURES / "bad_never_cleared.ipynb", project / "m.ipynb")
    log = json.loads(lint("--format", "sarif").stdout)
    jsonschema.validate(log, json.loads((DATA / "sarif-2.1.0.json").read_text(encoding="utf-8")))
    results = log["runs"][0]["results"]
    assert len(results) == 3
    for name in ("n", "m"):
        data = (project / f"{name}.ipynb").read_text(encoding="utf-8")
        ours = [
            each for each in results if each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"{name}.ipynb"
        ]
        changes = [change for each in ours for fix in each["fixes"] for change in fix["artifactChanges"]]
        after = json.loads(edited(data, [one for change in changes for one in change["replacements"]]))
        right = "bad_logarithm_of_softmax" if name == "n" else "bad_never_cleared"
        fixture = json.loads((FIXTURES / f"{right}.fixed.ipynb").read_text(encoding="utf-8"))
        for cell, other in zip(after["cells"], fixture["cells"], strict=True):
            assert EXPECTED.sub("", "".join(cell["source"])) == "".join(other["source"])
    region = results[1]["locations"][0]["physicalLocation"]["region"]
    line = (project / "n.ipynb").read_text(encoding="utf-8").split("\n")[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "torch.log(torch.softmax(logits, dim=-1))"
    assert results[1]["message"]["text"].startswith("cell 3, line 5: logarithm of a softmax")
    assert results[1]["locations"][0]["logicalLocations"] == [{"name": "cell 3", "fullyQualifiedName": "n.ipynb:cell 3"}]


def test_a_fix_may_change_two_cells(project: Path, lint: Run) -> None:
    imports = (
        "linear_model import LogisticRegression",
        "model_selection import train_test_split",
        "preprocessing import StandardScaler",
    )
    cells = (
        "\n".join([*(f"from sklearn.{each}" for each in imports), "X, y = load()"]),
        text("## Scale"),
        "scaler = StandardScaler()\nX = scaler.fit_transform(X)",
        text("## Split"),
        "X_train, X_test, y_train, y_test = train_test_split(X, y)",
        "LogisticRegression().fit(X_train, y_train).score(X_test, y_test)",
    )
    file = written(project, "n.ipynb", *cells)
    [finding] = json.loads(lint("--format", "sarif").stdout)["runs"][0]["results"]
    replacements = [one for change in finding["fixes"][0]["artifactChanges"] for one in change["replacements"]]
    by_sarif = json.loads(edited(file.read_text(encoding="utf-8"), replacements))["cells"]
    assert lint("--fix", "--unsafe-fixes").returncode == 0
    after = json.loads(file.read_text(encoding="utf-8"))["cells"]
    assert "".join(after[2]["source"]) == "scaler = StandardScaler()"
    assert after[4]["source"] == [
        "X_train, X_test, y_train, y_test = train_test_split(X, y)\n",
        "X_train = scaler.fit_transform(X_train)\n",
        "X_test = scaler.transform(X_test)",
    ]
    assert ["".join(cell["source"]).strip() for cell in by_sarif] == ["".join(cell["source"]) for cell in after]


def test_an_insertion_behind_a_cell_is_one_behind_its_last_line() -> None:
    found = opened("x = 1\ny = 2", "z = 3")
    layout = found.layout()
    behind = layout.span(Span("n.ipynb", 5, 1, 5, 1))
    assert (behind.cell, behind.line, behind.column) == (1, 3, 1)
    region, inserted = layout.edit(Edit(behind, "w = 0\n"))
    data = found.document.text.replace("\n", "")
    assert data[: region.column - 1].endswith('"y = 2')
    assert inserted == "\\nw = 0"


def test_characters_and_their_spelling_in_the_file() -> None:
    for ascii_only in (True, False):
        data = json.dumps(document('a = "\\t\U0001f33f"; torch'), ensure_ascii=ascii_only)
        found = ipynb.document(data)
        where = ipynb.places(data, found.cells[0])
        assert len(where) == len(found.cells[0].source) + 1
        assert data[where[found.cells[0].source.index("torch")] :].startswith("torch")


# --- the command ---


def test_text_json_github_and_concise(project: Path, lint: Run) -> None:
    file = written(project, "n.ipynb", text("# Title"), TORCH, f"%matplotlib inline\n{LOG}\n")
    result = lint("n.ipynb")
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.splitlines()[:5] == [
        "n.ipynb:cell 3:3:12: logarithm of a softmax: -inf where the softmax underflows to 0 [log-of-softmax]",
        "  3 |     return torch.log(torch.softmax(x, dim=-1))",
        "    |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "  path:",
        "    1. n.ipynb:cell 3:3  softmax returns probabilities  return torch.log(torch.softmax(x, dim=-1))",
    ]
    assert lint("--format", "concise").stdout.startswith("n.ipynb:cell 3:3:12: logarithm")
    found = json.loads(lint("--format", "json").stdout)
    jsonschema.validate(found, json.loads((DATA / "report.json").read_text(encoding="utf-8")))
    [finding] = found["findings"]
    assert (finding["path"], finding["cell"], finding["line"], finding["column"], finding["end_column"]) == (
        "n.ipynb",
        3,
        3,
        12,
        47,
    )
    assert {each["cell"] for each in (*finding["steps"], *finding["fix"]["edits"])} == {3}
    lines = file.read_text(encoding="utf-8").split("\n")
    [line] = [number for number, each in enumerate(lines, start=1) if "torch.log(" in each]
    column = lines[line - 1].index("torch.log(") + 1
    place = f"file=n.ipynb,line={line},endLine={line},col={column},endColumn={column + 35},title=log-of-softmax"
    assert lint("--format", "github").stdout.startswith(f"::error {place}::cell 3, line 3: logarithm of a softmax")


def test_fix_and_diff(project: Path, lint: Run) -> None:
    file = written(project, "n.ipynb", TORCH, f"%matplotlib inline\n{LOG}")
    before = file.read_text(encoding="utf-8")
    assert lint("--diff").stdout == (
        "--- n.ipynb:cell 2\n+++ n.ipynb:cell 2\n@@ -1,3 +1,3 @@\n %matplotlib inline\n def entropy(x):\n"
        "-    return torch.log(torch.softmax(x, dim=-1))\n\\ No newline at end of file\n"
        "+    return torch.log_softmax(x, dim=-1)\n\\ No newline at end of file\n"
    )
    assert file.read_text(encoding="utf-8") == before
    result = lint("--fix")
    assert (result.returncode, result.stderr) == (0, "mldebug-lint: fixed n.ipynb\n")
    assert file.read_text(encoding="utf-8") == before.replace(
        "torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)"
    )


def test_standard_input(project: Path, lint: Run) -> None:
    data = written(project, "n.ipynb", TORCH, LOG).read_text(encoding="utf-8")
    arguments = ("-", "--stdin-filename", "x.ipynb")
    assert lint(*arguments, stdin=data).stdout.startswith("x.ipynb:cell 2:2:12: ")
    result = lint(*arguments, "--fix", stdin=data)
    assert (result.returncode, result.stdout) == (
        0,
        data.replace("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)"),
    )
    broken = lint(*arguments, "--fix", stdin=data[:50])
    assert (broken.returncode, broken.stdout) == (2, data[:50])
    foreign = lint(*arguments, stdin=json.dumps(document("x", metadata={"language_info": {"name": "R"}})))
    assert foreign.returncode == 0
    assert foreign.stderr == "mldebug-lint: a notebook was not checked, because it is not in Python: x.ipynb (R)\n"


def test_a_file_that_a_notebook_uses_is_checked_with_it(project: Path, lint: Run) -> None:
    model = "import torch\n\n\ndef shares(x):\n    return torch.softmax(x, dim=1)\n"
    (project / "model.py").write_text(model, encoding="utf-8")
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 40_000_000}}
    written(project, "large.ipynb", code("from model import shares", outputs=[picture]))
    written(
        project, "train.ipynb", "from model import shares\nfrom torch.nn import functional as F", "F.cross_entropy(shares(x), y)"
    )
    result = lint("model.py", "--format", "concise")
    assert result.stdout.startswith("train.ipynb:cell 2:1:1: cross-entropy gets probabilities")


def test_which_notebooks_are_checked(project: Path, lint: Run) -> None:
    for name in ("a.ipynb", "sub/b.ipynb", ".ipynb_checkpoints/a-checkpoint.ipynb", "ignored.ipynb", "left/c.ipynb"):
        (project / name).parent.mkdir(exist_ok=True)
        written(project, name, TORCH, LOG)
    (project / ".gitignore").write_text("ignored*\n", encoding="utf-8")
    (project / "pyproject.toml").write_text('[tool.mldebug-lint]\nexclude = ["left/"]\n', encoding="utf-8")
    found = lint("--format", "concise").stdout.splitlines()
    assert [line.partition(":")[0] for line in found[:-1]] == ["a.ipynb", "sub/b.ipynb"]
    named = lint("--format", "concise", "ignored.ipynb", "left/c.ipynb").stdout.splitlines()
    assert [line.partition(":")[0] for line in named[:-1]] == ["ignored.ipynb"]
    (project / "pyproject.toml").write_text('[tool.mldebug-lint.per-file-ignores]\n"*.ipynb" = ["ALL"]\n', encoding="utf-8")
    assert lint("a.ipynb").returncode == 0


def test_notebooks_in_other_languages_are_told_in_one_line(project: Path, lint: Run) -> None:
    for name in "abcde":
        written(project, f"{name}.ipynb", "x <- 1", metadata={"kernelspec": {"language": "R"}})
    listed = "5 notebooks were not checked, because they are not in Python: a.ipynb (R), b.ipynb (R), c.ipynb (R), ..."
    result = lint()
    assert (result.returncode, result.stdout, result.stderr) == (0, "no files were checked\n", f"mldebug-lint: {listed}\n")
    (project / "a.py").write_text("x = 1\n", encoding="utf-8")
    result = lint("a.py", "a.ipynb")
    assert (result.returncode, result.stdout) == (0, "no findings in 1 file\n")


def test_what_is_no_notebook_ends_with_code_2(project: Path, lint: Run) -> None:
    (project / "n.ipynb").write_text('{"cells": [\n', encoding="utf-8")
    result = lint("n.ipynb")
    assert (result.returncode, result.stderr) == (2, "")
    assert result.stdout.splitlines()[0] == "n.ipynb:2: is not a notebook: invalid JSON (expecting value); not checked"
    written(project, "n.ipynb", TORCH, "x = 1\ny = = 2")
    assert lint("n.ipynb").stdout.splitlines()[0] == "n.ipynb:cell 2:2: syntax error: invalid syntax"
    assert "file=n.ipynb,line=" in lint("n.ipynb", "--format", "github").stdout
    assert lint("n.ipynb", "--format", "sarif").returncode == 2
