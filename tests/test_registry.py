"""Rules of other packages come in through the same door, and a broken one is named in one line."""

from pathlib import Path

import pytest

from conftest import Run

RULE = '''
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, calls


class HouseRule(Rule):
    """the house forbids it"""

    group = Group.SUSPICIOUS
    listens_to = calls("torch.nn.functional.cross_entropy")
'''


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    return tmp_path / "packages"


def install(packages: Path, entry: str, **modules: str) -> None:
    """What an installer leaves behind, as far as rules are concerned."""
    info = packages / "house_rules-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-rules\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[mldbg.rules]\n{entry}\n", encoding="utf-8")
    for name, text in modules.items():
        (packages / f"{name}.py").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("entry", ["house-rule = house_rule", "house-rule = house_rule:HouseRule"])
def test_a_rule_of_another_package_is_listed_and_selectable(packages: Path, lint: Run, entry: str) -> None:
    install(packages, entry, house_rule=RULE)
    listed = lint("--list", PYTHONPATH=str(packages)).stdout
    assert "the house forbids it" in listed
    assert lint("--select", "house-rule", PYTHONPATH=str(packages)).returncode == 0


@pytest.mark.parametrize(
    ("entry", "text", "message"),
    [
        (
            "broken = broken",
            "import no_such_package\n",
            "cannot be loaded: ModuleNotFoundError: No module named 'no_such_package'",
        ),
        ("broken = broken:thing", "thing = 3\n", "is not a subclass of mldbg.lint.rule.Rule"),
    ],
)
def test_a_broken_plug_in_is_one_line(packages: Path, lint: Run, entry: str, text: str, message: str) -> None:
    install(packages, entry, broken=text)
    result = lint(PYTHONPATH=str(packages))
    assert (result.returncode, result.stderr) == (2, f'mldebug-lint: rule "broken" of house-rules {message}\n')


def test_a_module_without_a_rule_is_refused(packages: Path, lint: Run) -> None:
    install(packages, "empty = empty", empty="")
    assert lint(PYTHONPATH=str(packages)).stderr == "mldebug-lint: empty must define exactly one rule, but defines 0\n"


def test_a_name_that_is_taken_is_refused(packages: Path, lint: Run) -> None:
    install(packages, "log-of-softmax = log_of_softmax", log_of_softmax=RULE)
    result = lint(PYTHONPATH=str(packages))
    assert result.returncode == 2
    assert result.stderr.startswith('mldebug-lint: two rules are called "log-of-softmax": ')
