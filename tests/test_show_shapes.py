"""`--show-shapes` prints what torch computes, and `--annotate` what a checker of annotations agrees with."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import click
import pytest
import torch

from conftest import COMMAND, Run
from mldbg.lint import cli

FIXTURES = Path(__file__).parent.parent / "fixtures" / "shapes"
Note = dict[str, Any]

SMALL = """\
import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.width = width
        self.linear = nn.Linear(width, classes)

    def forward(self, x, mask=None):
        b, t, d = x.shape
        halves = x.view(b, t, 2, d // 2)
        logits = self.linear(x)
        probs = F.softmax(logits, dim=-1)
        return probs, halves.shape
"""


# --- against torch ---


@dataclass
class Comparison:
    """Runs a program line by line, and compares what each name holds then with what was shown of it.

    names: what sizes are called that a function knows under no name of its own, by the qualified name of the function.
    """

    path: Path
    notes: list[Note]
    names: Mapping[str, Mapping[str, int]]
    compared: set[tuple[int, str, str]] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)
    vague: set[str] = field(default_factory=set)
    before: dict[FrameType, int] = field(default_factory=dict)
    kept: dict[FrameType, list[tuple[Note, object]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.targets: dict[int, set[str]] = {}
        for node in ast.walk(ast.parse(self.path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id != "_":
                self.targets.setdefault(node.lineno, set()).add(node.id)

    def at(self, line: int, kind: str) -> list[Note]:
        return [note for note in self.notes if note["line"] == line and note["kind"] == kind]

    def trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != str(self.path) or frame.f_code.co_name.startswith("<"):
            return None
        line = frame.f_lineno
        if event == "line" and frame not in self.before:
            for header in range(frame.f_code.co_firstlineno, line):
                self.keep(self.at(header, "parameter"), frame)
        elif event in ("line", "return") and frame in self.before:
            self.keep(self.at(self.before[frame], "assigned"), frame)
            self.look_for_unseen(self.before[frame], frame)
        if event == "line":
            self.before[frame] = line
        elif event == "return":
            for note in self.at(line, "returned"):
                self.kept.setdefault(frame, []).append((note, argument))
            names = self.sizes(frame)  # by now the function has named the sizes that it names
            for note, value in self.kept.pop(frame, ()):
                self.compare(note, value, names)
            self.before.pop(frame, None)
        return self.trace

    def keep(self, notes: list[Note], frame: FrameType) -> None:
        values = [(note, eval(note["name"], frame.f_globals, dict(frame.f_locals))) for note in notes]
        self.kept.setdefault(frame, []).extend(values)

    def compare(self, note: Note, value: object, names: dict[str, int]) -> None:
        if value is None:
            return
        if not any(matches(known, value, names) for known in note["values"]):
            seen = tuple(value.shape) if isinstance(value, torch.Tensor) else value
            self.wrong.append(f"{note['line']} {note['name']}: {note['values']} and not {seen}")
        self.compared.add((note["line"], note["kind"], note["name"]))

    def sizes(self, frame: FrameType) -> dict[str, int]:
        receiver = frame.f_locals.get("self")
        attributes = {} if receiver is None else vars(receiver)
        every = {**attributes, **frame.f_locals, **self.names.get(frame.f_code.co_qualname, {}), **self.names.get("", {})}
        return {name: value for name, value in every.items() if isinstance(value, int)}

    def look_for_unseen(self, line: int, frame: FrameType) -> None:
        for name in self.targets.get(line, ()):
            if isinstance(frame.f_locals.get(name), torch.Tensor):
                shapes = [
                    known.get("shape") for note in self.at(line, "assigned") if note["name"] == name for known in note["values"]
                ]
                where = f"{frame.f_code.co_qualname}: {name}"
                if all(shape is None for shape in shapes):
                    self.unseen.add(where)
                elif any({"...", "?"} & set(shape) for shape in shapes if shape):
                    self.vague.add(where)


def matches(known: Note, value: object, names: dict[str, int]) -> bool:
    if "elements" in known:
        assert isinstance(value, tuple)
        nothing = {"shape": None, "dtype": None, "meaning": None, "optional": False}
        pairs = zip(known["elements"], value, strict=True)
        return all(one is None or part == nothing or matches(part, one, names) for part, one in pairs)
    if "size" in known:
        return bool(eval(known["size"], {}, dict(names)) == value)
    assert isinstance(value, torch.Tensor)
    shape = known["shape"]
    return (shape is None or fits(shape, list(value.shape), names)) and of_type(known["dtype"], value) and lawful(known, value)


def fits(shape: list[int | str], sizes: list[int], names: dict[str, int]) -> bool:
    """Whether a shape is the one that was shown. A name that nothing explains stands for one size as long as a function runs."""
    if "..." in shape:
        cut = shape.index("...")
        back = len(shape) - cut - 1
        front = fits(shape[:cut], sizes[:cut], names)
        return len(sizes) >= len(shape) - 1 and front and fits(shape[cut + 1 :], sizes[len(sizes) - back :], names)
    if len(shape) != len(sizes):
        return False
    for size, real in zip(shape, sizes, strict=True):
        if isinstance(size, str) and size.isidentifier():
            names.setdefault(size, real)
        if size != "?" and real != (eval(size, {}, names) if isinstance(size, str) else size):
            return False
    return True


def of_type(dtype: str | None, value: torch.Tensor) -> bool:
    kinds = {None: True, "float": value.is_floating_point(), "int": not value.is_floating_point() and value.dtype != torch.bool}
    return kinds[dtype] if dtype in kinds else str(value.dtype) == f"torch.{dtype}"


def lawful(known: Note, value: torch.Tensor) -> bool:
    match known["meaning"]:
        case "probs" | "unit-interval":
            return bool(((value >= 0) & (value <= 1)).all())
        case "non-negative":
            return bool((value >= 0).all())
        case "scalar-loss":
            return value.ndim == 0
        case _:
            return True


@contextmanager
def traced(comparison: Comparison) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(comparison.trace)
    try:
        yield
    finally:
        sys.settrace(before)


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@cache
def shown(path: Path) -> list[Note]:
    command: list[str | Path] = [COMMAND, "--show-shapes", path, "--format", "json"]
    result = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    report: dict[str, Any] = json.loads(result.stdout)
    assert report.keys() == {"version", "path", "shapes", "errors"}
    assert (report["version"], report["errors"]) == (1, [])
    shapes: list[Note] = report["shapes"]
    return shapes


def run_nano(module: ModuleType) -> None:
    model = module.Gpt(module.Settings(block=17, vocab=31, layers=2, heads=5, width=55))
    ids = torch.randint(31, (3, 13))
    model(ids)
    model(ids, ids)
    model.eval()
    model.generate(ids, 2, top=7)


def run_mini(module: ModuleType) -> None:
    ids = torch.randint(31, (3, 13))
    module.Gpt(vocab_size=31, n_embd=55, n_head=5, n_layer=2, block_size=17)(ids, ids)


def run_plain(module: ModuleType) -> None:
    module.run()


NANO_NAMES = {"": {"width": 55, "heads": 5, "vocab": 31, "block": 17}}
PLAIN_NAMES = {"Pool.forward": {"classes": 13}, "Tagger.forward": {"width": 31, "tags": 37}}
MINI_NAMES = {"": {"n_embd": 55, "vocab_size": 31, "block_size": 17}}


@pytest.mark.parametrize(
    ("name", "run", "names", "unseen", "vague"),
    [
        (
            "nano_gpt",
            run_nano,
            NANO_NAMES,
            {"Gpt.generate: best", "Gpt.generate: drawn"},
            {"Attention.forward: allowed", "Block.forward: x", "Gpt.forward: logits"}
            | {f"Gpt.generate: {name}" for name in ("recent", "logits", "last", "probs", "ids")},
        ),
        (
            "min_gpt",
            run_mini,
            MINI_NAMES,
            {"Gpt.forward: x", "Gpt.forward: guess", "Gpt.forward: right"},
            {"Block.forward: x"} | {f"Gpt.forward: {name}" for name in ("position_embeddings", "logits", "probs")},
        ),
        ("plain", run_plain, PLAIN_NAMES, {"Pool.forward: scores"}, {"Patches.forward: x", "pairwise: difference"}),
        ("optional_layers", run_plain, {"Head.forward": {"classes": 7}}, set(), {"Narrow.forward: states"}),
        ("windows", run_plain, {}, set(), {"renamed: q", "windows: q", "windows: pairs"}),
    ],
)
def test_each_shape_is_the_one_that_torch_computes(
    name: str,
    run: Callable[[ModuleType], None],
    names: Mapping[str, Mapping[str, int]],
    unseen: set[str],
    vague: set[str],
) -> None:
    path = FIXTURES / f"{name}.py"
    notes = shown(path)
    module = loaded(path)
    comparison = Comparison(path, notes, names)
    with traced(comparison):
        run(module)
    assert comparison.wrong == []
    assert {(note["line"], note["kind"], note["name"]) for note in notes} == comparison.compared, "each note was compared"
    assert comparison.unseen <= unseen
    assert comparison.vague <= vague


def test_a_wrong_shape_is_noticed() -> None:
    path = FIXTURES / "plain.py"
    wrong = json.loads(json.dumps(shown(path)).replace('"length"', '"n"').replace("37", "41"))
    comparison = Comparison(path, wrong, PLAIN_NAMES)
    with traced(comparison):
        run_plain(loaded(path))
    assert len(comparison.wrong) > 5


# --- the command ---


def test_the_text_shows_each_line_with_what_is_known(project: Path, lint: Run) -> None:
    (project / "head.py").write_text(SMALL, encoding="utf-8")
    result = lint("--show-shapes", "head.py", "--color", "always")
    assert (result.returncode, result.stderr, result.stdout.count("\x1b[36m")) == (0, "", 6)
    lines = click.unstyle(result.stdout).splitlines()
    code = SMALL.splitlines()
    assert [line[: len(before)] for line, before in zip(lines, code, strict=True)] == code
    beside = {number: line.partition("# ")[2] for number, line in enumerate(lines, start=1) if "# " in line}
    assert beside == {
        12: "x: (b, t, d)",
        13: "x: (b, t, d)",
        14: "halves: (b, t, 2, d//2)",
        15: "logits: (b, t, classes) logits",
        16: "probs: (b, t, classes) probs",
        17: "return: [(b, t, classes) probs, [b, t, 2, d//2]]",
    }
    assert {line.index("# ") for line in lines if "# " in line} == {62}


def test_programs_get_the_same_as_json(project: Path, lint: Run) -> None:
    (project / "head.py").write_text(SMALL, encoding="utf-8")
    result = lint("--show-shapes", "head.py", "--format", "json")
    report = json.loads(result.stdout)
    assert (report["version"], report["path"], report["errors"]) == (1, "head.py", [])
    assert [(note["line"], note["kind"], note["name"]) for note in report["shapes"]] == [
        (12, "parameter", "x"),
        (13, "assigned", "x"),
        (14, "assigned", "halves"),
        (15, "assigned", "logits"),
        (16, "assigned", "probs"),
        (17, "returned", "return"),
    ]
    assert report["shapes"][2]["values"] == [{"shape": ["b", "t", 2, "d//2"], "dtype": None, "meaning": None, "optional": False}]
    assert report["shapes"][4]["values"][0]["meaning"] == "probs"
    assert report["shapes"][5]["values"][0]["elements"][1]["elements"][1] == {"size": "t"}


CALLS = """\
import torch


def twice(x):
    y = x + x
    return y


def scaled(x):
    b, d = x.shape
    return x / d


def each(x):
    return x.sum(-1)


twice(torch.zeros(2, 3))
twice(torch.zeros(5, 7))
scaled(torch.zeros(2, 3))
scaled(torch.zeros(5, 7))
each(torch.zeros(2, 3))
each(torch.zeros(5, 3))
each(torch.zeros(7, 3))
for size in (2, 4):
    z = torch.zeros(size, 9)
"""


def test_several_calls_are_shown_side_by_side_or_by_what_they_have_in_common(project: Path, lint: Run) -> None:
    (project / "calls.py").write_text(CALLS, encoding="utf-8")
    beside = [line.partition("# ")[2] for line in lint("--show-shapes", "calls.py").stdout.splitlines()]
    assert beside[3:5] == ["x: (2, 3) float32 | (5, 7) float32", "y: (2, 3) float32 | (5, 7) float32"]
    assert beside[8:9] == ["x: (b, d)"], "what a function says by itself comes first"
    assert beside[13:15] == ["x: (?, 3) float32", "return: (?,) float32"]
    assert beside[-1] == "z: (2, 9) float32 | (4, 9) float32"


def test_standard_input_and_a_file_for_the_output(project: Path, lint: Run) -> None:
    (project / "head.py").write_text(SMALL, encoding="utf-8")
    whole = lint("--show-shapes", "head.py").stdout
    assert lint("--show-shapes", "-", stdin=SMALL).stdout == whole
    result = lint("--show-shapes", "head.py", "--output", "shown.txt")
    assert (result.stdout, (project / "shown.txt").read_text(encoding="utf-8")) == ("", whole)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--show-shapes", "mldebug-lint: --show-shapes takes one file, and none is named"),
        ("--show-shapes a.py broken.py", "mldebug-lint: --show-shapes takes one file, and 2 paths are named"),
        ("--show-shapes .", "mldebug-lint: --show-shapes takes one file, and . is a folder"),
        ("--show-shapes none.py", "none.py: cannot be read: no such file or directory"),
        ("--show-shapes broken.py", "broken.py:1: syntax error: '(' was never closed"),
        ("--show-shapes a.ipynb", "a.ipynb: is a notebook; --show-shapes shows files of Python only"),
        ("--show-shapes --fix a.py", "mldebug-lint: --show-shapes and --fix cannot be combined"),
        ("--show-shapes --format sarif a.py", "mldebug-lint: --show-shapes cannot be combined with --format sarif"),
        (
            "--show-shapes --annotate -f json a.py",
            "mldebug-lint: --annotate prints a diff, and cannot be combined with --format or --output",
        ),
        ("--annotate a.py", "mldebug-lint: --annotate requires --show-shapes"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(
    arguments: str, said: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    (project / "a.py").write_text("x = 1\n", encoding="utf-8")
    (project / "broken.py").write_text("x = (\n", encoding="utf-8")
    shutil.copy(FIXTURES.parent.parent / "examples" / "flats.ipynb", project / "a.ipynb")
    code = cli._guarded(arguments.split())
    out, err = capsys.readouterr()
    assert (code, out, err.splitlines()) == (2, "", [said])


# --- annotations ---


def annotated(project: Path, lint: Run, name: str) -> str:
    """The file after the diff was applied, as a user does it."""
    result = lint("--show-shapes", "--annotate", name)
    assert (result.returncode, result.stderr) == (0, "")
    for tool in (["git", "apply", "-p0", "--check", "-"], ["patch", "-p0", "-s"]):
        subprocess.run(tool, cwd=project, input=result.stdout, check=True, encoding="utf-8")
    return (project / name).read_text(encoding="utf-8")


def headers(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith(("def ", "from jaxtyping", "from torch"))]


def test_a_diff_adds_annotations_that_hold_when_the_program_runs(project: Path, lint: Run) -> None:
    shutil.copy(FIXTURES / "plain.py", project)
    text = annotated(project, lint, "plain.py")
    expected = (
        "from jaxtyping import Bool, Float, Int, Shaped",
        "from torch import Tensor, nn",
        'def forward(self, images: Float[Tensor, "b c h w"]) -> Shaped[Tensor, "b _ {self.width}"]:',
        'def forward(self, x: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"] | None = None)',
        'def forward(self, ids: Int[Tensor, "n length"]) -> tuple[Float[Tensor, "n length tags"], Float[Tensor, "n _"]]:',
        'def pairwise(one: Shaped[Tensor, "n d"], two: Shaped[Tensor, "m d"]) -> Shaped[Tensor, "n m"]:',
    )
    found = [header for header in headers(text) if "__init__" not in header]
    assert all(map(str.startswith, found, expected)), found
    assert lint("plain.py", "--select", "ALL").returncode == 0
    checked = (
        "import jaxtyping\nwith jaxtyping.install_import_hook('plain', 'beartype.beartype'):\n    import plain\nplain.run()\n"
    )
    subprocess.run([sys.executable, "-c", checked], cwd=project, check=True)
    again = lint("--show-shapes", "--annotate", "plain.py")
    assert (again.stdout, again.stderr.count("\n"), again.returncode) == ("", 1, 0)


def test_what_the_calls_of_a_block_have_in_common_becomes_its_annotation(project: Path, lint: Run) -> None:
    text = (FIXTURES / "nano_gpt.py").read_text(encoding="utf-8")
    for annotation in ('Float[Tensor, "b t d"]', 'Int[Tensor, "b t"]'):
        text = (
            text.replace(f": {annotation} | None = None", "=None").replace(f": {annotation}", "").replace(f" -> {annotation}", "")
        )
    text = text.replace("from jaxtyping import Float, Int\nfrom torch import Tensor\n", "")
    (project / "nano.py").write_text(text, encoding="utf-8")
    assert [header for header in headers(annotated(project, lint, "nano.py")) if "Tensor" in header][1:4] == [
        'def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t {self.width}"]:',
        'def forward(self, x: Float[Tensor, "b t width"]) -> Float[Tensor, "b t width"]:',
        'def forward(self, x: Float[Tensor, "b t width"]) -> Float[Tensor, "b t width"]:',
    ]
    run = "import jaxtyping\nwith jaxtyping.install_import_hook('nano', 'beartype.beartype'):\n    import nano\nimport torch\n"
    run += "ids = torch.randint(31, (3, 13))\nnano.Gpt(nano.Settings(17, 31, 2, 5, 55))(ids, ids)\n"
    subprocess.run([sys.executable, "-c", run], cwd=project, check=True)


HINTED = """\
from typing import Optional

import torch
from torch import nn


class Mixer(nn.Module):
    def __init__(self, width: int, classes: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv2d(width, classes, 1)

    def pooled(self, x: torch.Tensor, mask: Optional[torch.Tensor] = None, *rest: int, scale=1.0) -> torch.Tensor:
        \"\"\"Docstring.\"\"\"
        b, input, c = x.shape  # a comment
        if mask is not None:
            b, input = mask.shape
            x = x * mask[:, :, None]
        return x.sum(1)

    def map(self, x: torch.Tensor) -> torch.Tensor | None:
        return self.conv(x)

    def forward(self, tokens, image):
        return self.pooled(self.norm(tokens)), self.map(image)
"""


def test_hints_that_only_say_tensor_say_which_one_and_others_stay(project: Path, lint: Run) -> None:
    (project / "hinted.py").write_text(HINTED, encoding="utf-8")
    text = annotated(project, lint, "hinted.py")
    assert [header for header in headers(text) if "__init__" not in header] == [
        "from jaxtyping import Float, Shaped",
        "from torch import nn",
        (
            'def pooled(self, x: Shaped[torch.Tensor, "b _ c"], mask: Optional[torch.Tensor] = None, *rest: int, scale=1.0) '
            '-> Float[torch.Tensor, "b c"]:'
        ),
        'def map(self, x: torch.Tensor) -> Float[torch.Tensor, "_ classes _ _"] | None:',
        'def forward(self, tokens, image) -> tuple[Float[torch.Tensor, "_ _"], Float[torch.Tensor, "_ classes _ _"]]:',
    ]
    run = (
        "import jaxtyping\nwith jaxtyping.install_import_hook('hinted', 'beartype.beartype'):\n    import hinted\n"
        "import torch\nmodel = hinted.Mixer(5, 7)\nmodel(torch.randn(2, 3, 5), torch.randn(2, 5, 11, 13))\n"
        "model.pooled(torch.randn(2, 3, 5), torch.ones(2, 3))\n"
    )
    subprocess.run([sys.executable, "-c", run], cwd=project, check=True)
    wrong = subprocess.run(
        [sys.executable, "-c", run + "model.pooled(torch.randn(2, 5))\n"], cwd=project, check=False, capture_output=True
    )
    assert b"TypeCheckError" in wrong.stderr


TWICE = """\
import torch
from torch import nn


class Reader(nn.Module):
    def __init__(self, width, queries_width):
        super().__init__()
        self.width = width
        self.keys = nn.Linear(width, queries_width)

    def forward(self, data, queries=None):
        keys = self.keys(data)
        return keys if queries is None else queries @ keys.mT


def to_itself(ids, width):
    embed = nn.Embedding(31, width)
    x = embed(ids)
    return Reader(width, width)(x, queries=x)
"""


def test_a_tensor_that_a_call_gives_twice_does_not_make_two_sizes_one(project: Path, lint: Run) -> None:
    (project / "twice.py").write_text(TWICE, encoding="utf-8")
    text = annotated(project, lint, "twice.py")
    run = (
        "import jaxtyping\nwith jaxtyping.install_import_hook('twice', 'beartype.beartype'):\n    import twice\n"
        "import torch\ntwice.to_itself(torch.randint(31, (2, 3)), 13)\n"
        "twice.Reader(5, 7)(torch.randn(2, 3, 5), torch.randn(2, 11, 7))\n"
    )
    assert "data: Float" in text
    subprocess.run([sys.executable, "-c", run], cwd=project, check=True)


STAYS = {
    "annotated already": (
        "from jaxtyping import Shaped\nfrom torch import Tensor\n\n\n"
        'def f(x: Shaped[Tensor, "b d"]) -> Shaped[Tensor, "b d"]:\n    b, d = x.shape\n    return x\n'
    ),
    "other hints": "from typing import Any\n\n\ndef f(x: Any) -> object:\n    b, d = x.shape\n    return x\n",
    "only the number of axes known": "def f(x):\n    _, _ = x.shape\n    return x\n",
    "compiled by torch.jit": "import torch\n\n\n@torch.jit.script\ndef f(x):\n    b, d = x.shape\n    return x\n",
    "unpacked in a branch": "def f(x, flat):\n    if flat:\n        b, d = x.shape\n        print(b, d)\n    return 1\n",
    "names are taken": "from sizes import Shaped, Float\n\n\ndef f(x):\n    b, d = x.shape\n    return x\n",
    "nothing known": "def f(x):\n    return x\n",
}


@pytest.mark.parametrize("text", STAYS.values(), ids=STAYS.keys())
def test_nothing_uncertain_is_proposed(
    text: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    (project / "a.py").write_text(text, encoding="utf-8")
    code = cli._guarded(["--show-shapes", "--annotate", "a.py"])
    assert (code, *capsys.readouterr()) == (0, "", "mldebug-lint: no annotation is certain enough to be proposed for a.py\n")


def test_line_ends_and_places_of_imports_are_those_of_the_file(project: Path, lint: Run) -> None:
    text = '"""Text."""\n\nimport os\n\n\ndef f(\n    x,\n    *,\n    y=None,\n):\n    b, d = x.shape\n    return x[0]\n'
    (project / "a.py").write_bytes(text.replace("\n", "\r\n").encode())
    diff = lint("--show-shapes", "--annotate", "a.py").stdout
    assert [line for line in diff.splitlines() if line.startswith(("+", "-"))][2:] == [
        "+from jaxtyping import Shaped",
        "+from torch import Tensor",
        "-    x,",
        '+    x: Shaped[Tensor, "b d"],',
        "-):",
        '+) -> Shaped[Tensor, "d"]:',
    ]
