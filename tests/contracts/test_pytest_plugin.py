"""The pytest plugin, in runs of its own: options, settings, the fixture, reports of failures, coverage, what it loads."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mldbg import pytest_plugin
from mldbg.contracts import Coverage, Mode
from mldbg.contracts.counting import Line

SOURCE = str(Path(__file__).parents[2] / "src")
IS_REGISTERED = any(point.value == "mldbg.pytest_plugin" for point in importlib.metadata.entry_points(group="pytest11"))
NET = """
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from jaxtyping import Float
from mldbg import contract
from mldbg.contracts import Logits

class Net(nn.Module):
    @contract
    def forward(self, x: Float[Tensor, "b 3"]) -> Logits[Tensor, "b c"]:
        return x

@contract
def unused(x: Float[Tensor, "b 3"]) -> None: ...

def loss():
    p = torch.randn(16, 3).softmax(1)
    return F.cross_entropy(p, torch.zeros(16, dtype=torch.long))
"""
HIDE = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else find(name, *rest)
"""
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest on the text of a test file; gives what it prints."""

    def run(text: str, *options: str, files: dict[str, str] | None = None, **environment: str) -> str:
        for name, content in {"test_it.py": text, "net.py": NET, **(files or {})}.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        plugin = [] if IS_REGISTERED else ["-p", "mldbg.pytest_plugin"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", *plugin, *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": SOURCE, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    return run


def test_the_names_that_it_knows_without_torch() -> None:
    assert tuple(mode.name.lower() for mode in Mode) == pytest_plugin.MODES


def test_a_project_that_uses_none_of_it_loads_nothing(run: Run) -> None:
    text = """
import sys
def test():
    assert "mldbg.pytest_plugin" in sys.modules
    assert not {"torch", "libcst", "mldbg.contracts"} & set(sys.modules)
"""
    assert "1 passed" in run(text)


def test_options_load_nothing_before_a_test_does(run: Run) -> None:
    text = "import sys\ndef test(): assert 'torch' not in sys.modules\n"
    assert "1 passed" in run(text, "--mldbg-contracts=full")


def test_off_leaves_functions_as_they_are_also_in_a_conftest(run: Run) -> None:
    text = "from conftest import unused\ndef test(): assert not hasattr(unused, '__contract__')\n"
    assert "1 passed" in run(text, "--mldbg-contracts=off", files={"conftest.py": "from net import unused\n"})


MODE = "import os\nfrom mldbg.contracts import modes\ndef test(): print(os.environ['MLDBG_CONTRACTS'], modes.current().name)\n"


def test_the_option_outweighs_the_environment_which_outweighs_the_setting(run: Run) -> None:
    setting = ["-o", "mldbg_contracts=shapes", "-s"]
    assert "shapes SHAPES" in run(MODE, *setting)
    assert "sync SYNC" in run(MODE, *setting, MLDBG_CONTRACTS="sync")
    assert "full FULL" in run(MODE, *setting, "--mldbg-contracts", "full", MLDBG_CONTRACTS="sync")


BUDGET = "from mldbg.contracts.modes import SETTING\ndef test(): print(SETTING.budget.level.name, SETTING.budget.share)\n"


@pytest.mark.parametrize(
    "way", [{"MLDBG_CONTRACTS": "full:0.05"}, ["--mldbg-contracts=full:0.05"], ["-o", "mldbg_contracts=full:0.05"]]
)
def test_a_mode_may_have_a_budget(run: Run, way: dict[str, str] | list[str]) -> None:
    printed = run(BUDGET, "-s", **way) if isinstance(way, dict) else run(BUDGET, "-s", *way)
    assert "FULL 0.05" in printed


@pytest.mark.parametrize(
    ("options", "environment", "line"),
    [
        (["--mldbg-contracts=full:2"], {}, "--mldbg-contracts: unknown mode 'full:2'; the modes are"),
        ([], {"MLDBG_CONTRACTS": "full:much"}, "MLDBG_CONTRACTS: unknown value 'full:much'; it is one of"),
        (["--mldbg-contracts=ful"], {}, "--mldbg-contracts: unknown mode 'ful'; the modes are off, shapes, sampled, full, sync"),
        (["--mldbg-contracts="], {}, "--mldbg-contracts: unknown mode ''; the modes are off, shapes, sampled, full, sync"),
        (["-o", "mldbg_contracts=x"], {}, "the setting mldbg_contracts: unknown mode 'x'; the modes are"),
        ([], {"MLDBG_CONTRACTS": "x"}, "MLDBG_CONTRACTS: unknown value 'x'; it is one of off, shapes"),
        ([], {"MLDBG_SANITIZE": "yes"}, "MLDBG_SANITIZE: unknown value 'yes'; it is one of 0, 1, collect"),
    ],
)
def test_a_wrong_value_is_one_line(run: Run, options: list[str], environment: dict[str, str], line: str) -> None:
    printed = run("def test(): ...\n", *options, **environment).strip()
    assert printed.startswith(f"ERROR: {line}")
    assert "\n" not in printed


@pytest.mark.parametrize("option", ["--mldbg-contracts=full", "--mldbg-sanitize", "--mldbg-coverage"])
def test_without_torch_an_option_is_one_line(run: Run, option: str) -> None:
    printed = run("def test(): ...\n", "-p", "hide", option, files={"hide.py": HIDE}).strip()
    assert printed == f"ERROR: {option.partition('=')[0]} needs torch: pip install 'mldebug-lint[contracts]'"


def test_without_torch_the_fixture_is_one_line(run: Run) -> None:
    printed = run("def test(sanitize): ...\n", "-p", "hide", files={"hide.py": HIDE})
    assert "\nthe fixture sanitize needs torch: pip install 'mldebug-lint[contracts]'\n" in printed
    assert "Traceback" not in printed


KINDS = """
import asyncio, threading, unittest
import pytest
from net import loss

def test_function(): loss()
@pytest.mark.mldbg_sanitize(False)
def test_outside(): loss()
@pytest.mark.mldbg_sanitize(ignore=["softmax-before-cross-entropy"])
def test_ignored(): loss()
def test_coroutine(): asyncio.run(asyncio.to_thread(lambda: None)); asyncio.run(coroutine())
async def coroutine(): loss()
def test_thread():
    thread = threading.Thread(target=loss)
    thread.start()
    thread.join()
class TestMethods:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def prepared(cls): loss()
    def test_method(self): loss()
class Case(unittest.TestCase):
    def test_case(self): loss()
class Later(unittest.IsolatedAsyncioTestCase):
    async def test_later(self): loss()
"""
QUIET = ["-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning"]


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["here", "xdist"])
def test_every_kind_of_test_is_sanitized(run: Run, workers: list[str]) -> None:
    printed = run(KINDS, "--mldbg-sanitize", *QUIET, *workers)
    failed = {name.rpartition("::")[2] for name in re.findall(r"^FAILED (\S+)", printed, re.MULTILINE)}
    assert failed == {"test_function", "test_coroutine", "test_thread", "test_method", "test_case", "test_later"}, printed
    assert "2 passed" in printed


def test_without_the_option_no_test_is_sanitized(run: Run) -> None:
    assert "8 passed" in run(KINDS)


def test_the_setting_sanitizes(run: Run) -> None:
    assert "1 failed" in run(
        "from net import loss\ndef test(): loss()\n", files={"pytest.ini": "[pytest]\nmldbg_sanitize = true\n"}
    )


def test_the_fixture_gives_the_report_of_its_block(run: Run) -> None:
    text = """
import pytest
from mldbg import ContractError
from net import loss
def test(sanitize):
    with pytest.raises(ContractError):
        loss()
    assert [finding.rule for finding in sanitize.findings] == ["softmax-before-cross-entropy"]
def test_after(): loss()
"""
    assert "2 passed" in run(text)
    assert "1 failed, 1 passed" in run(text, "--mldbg-sanitize")  # the fixture is the only block of its test


def test_wrong_options_of_the_marker_are_one_line(run: Run) -> None:
    text = "import pytest\n@pytest.mark.mldbg_sanitize(ignore=['softmx'])\ndef test(): ...\n"
    printed = run(text)
    assert "\nmldbg_sanitize: sanitize has no rule 'softmx'; the rules are " in printed
    assert "pytest_plugin.py" not in printed


BROKEN = """
import torch
from torch import nn
from net import Net, loss
def test_shape(): nn.Sequential(nn.Identity(), Net())(torch.randn(16, 5))
def test_values(): Net()(torch.randn(16, 3).softmax(1))
def test_meaning(): loss()
"""


def test_a_failure_shows_the_reason_and_the_lines_of_the_user_only(run: Run) -> None:
    printed = run(BROKEN, "--mldbg-sanitize", "--mldbg-contracts=full")
    files = set(re.findall(r"^(\S+?):\d+: ", printed, re.MULTILINE)) - {"FAILED"}
    assert files == {"test_it.py", "net.py"}, printed
    assert not re.search(r"site-packages|src/mldbg", re.sub(r"^E .*", "", printed, flags=re.MULTILINE))
    for line in ("expected +Float\\[Tensor", "actual +float32 \\(16, 5\\)", "cause +these are probabilities", "do +return the"):
        assert re.search(f"^E +{line}", printed, re.MULTILINE), printed
    assert re.search(r"^E +produced +.*net\.py:18\nE +consumed +.*net\.py:19$", printed, re.MULTILINE), printed


def test_full_trace_shows_all(run: Run) -> None:
    assert "nn/modules/module.py:" in run(BROKEN, "-k", "shape", "--full-trace")


def test_a_verdict_that_came_later_says_how_to_get_the_line(run: Run) -> None:
    text = """
import torch
from mldbg import contracts
from net import Net
def test():
    with contracts.step():
        Net()(torch.randn(16, 3).softmax(1))
"""
    printed = run(text, "--mldbg-contracts=full")
    assert "for the line that broke it: pytest --mldbg-contracts=sync 'test_it.py::test'" in printed
    assert "for the line that broke it" not in run(text, "--mldbg-contracts=sync")


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["here", "xdist"])
def test_coverage_is_counted_over_the_whole_run(run: Run, workers: list[str]) -> None:
    text = "import torch\nfrom net import Net\n" + "".join(f"def test_{i}(): Net()(torch.randn(4, 3))\n" for i in range(6))
    printed = run(text, "--mldbg-coverage", "--mldbg-contracts=full", *workers)
    assert re.search(r"^Net\.forward +6$", printed, re.MULTILINE), printed
    assert re.search(r"^  return +6$", printed, re.MULTILINE)
    assert "\nnever met: unused\n" in printed
    assert "never met" not in run(text, *workers)


def data(*lines: list[Any], never: list[str]) -> dict[str, list[Any]]:
    return {"lines": list(lines), "never": never}


def test_what_one_worker_has_met_is_met() -> None:
    first = data(["f", "", 2, 0, 0, {}], ["f", "x", 0, 1, 1, {"mode shapes": 1}], never=["g", "h", "Net (attached): a.return"])
    second = data(
        ["g", "", 1, 0, 0, {}], ["Net (attached)", "a", 3, 0, 0, {}], ["f", "x", 0, 1, 0, {"mode shapes": 2}], never=["f", "h"]
    )
    assert pytest_plugin._merged([first, second]) == Coverage(
        lines=(
            Line("f", calls=2),
            Line("f", "x", judged=2, sampled=1, left_out={"mode shapes": 3}),
            Line("g", calls=1),
            Line("Net (attached)", "a", calls=3),
        ),
        never=("h",),
    )
