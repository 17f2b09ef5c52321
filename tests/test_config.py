from pathlib import Path

import pytest

from mldbg.lint.config import Config, ConfigError, load, load_file

KNOWN = frozenset({"ALL", "correctness", "log-of-softmax", "fit-before-split"})


def project(folder: Path, text: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(text, encoding="utf-8")
    return file


def error_of(folder: Path, text: str) -> str:
    file = project(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(folder, KNOWN)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


def test_all_settings_are_read(tmp_path: Path) -> None:
    project(
        tmp_path,
        """
        [tool.mldebug-lint]
        select = ["ALL"]
        ignore = ["fit-before-split"]
        exclude = ["generated/"]
        [tool.mldebug-lint.per-file-ignores]
        "tests/*" = ["correctness"]
        [tool.mldebug-lint.semantics]
        "my.pkg.classify" = { gives = "probs" }
        "my.pkg.clean" = { keeps = 0 }
        """,
    )
    assert load(tmp_path, KNOWN) == Config(
        root=tmp_path,
        select=("ALL",),
        ignore=("fit-before-split",),
        exclude=("generated/",),
        per_file_ignores=(("tests/*", ("correctness",)),),
        semantics={"my.pkg.classify": {"gives": "probs"}, "my.pkg.clean": {"keeps": 0}},
    )


def test_the_nearest_table_wins_and_nothing_is_inherited(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    project(tmp_path, '[tool.mldebug-lint]\nselect = ["ALL"]\nexclude = ["a"]')
    project(inner, '[tool.mldebug-lint]\nselect = ["correctness"]')
    assert load(inner, KNOWN) == Config(root=inner, select=("correctness",))


def test_a_file_without_our_table_is_passed_over(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    project(tmp_path, '[tool.mldebug-lint]\nselect = ["ALL"]')
    project(inner, '[project]\nname = "inner"')
    assert load(inner, KNOWN).root == tmp_path


def test_a_file_without_our_table_marks_the_root_when_there_is_no_other(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    project(tmp_path, '[project]\nname = "x"')
    assert load(inner, KNOWN) == Config(root=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selekt = []", 'selekt: unknown key in [tool.mldebug-lint]; did you mean "select"?'),
        ('select = "ALL"', "select: must be a list of strings"),
        ("exclude = [1]", "exclude: must be a list of strings"),
        ('select = ["log-of-sofmax"]', 'select: unknown rule or group "log-of-sofmax"; did you mean "log-of-softmax"?'),
        ('ignore = ["corectness"]', 'ignore: unknown rule or group "corectness"; did you mean "correctness"?'),
        ('exclude = ["gen/", "!"]', 'exclude: invalid pattern "!"'),
        ('exclude = ["[z-a].py"]', 'exclude: invalid pattern "[z-a].py"'),
        ('per-file-ignores = { "!" = ["log-of-softmax"] }', 'per-file-ignores: invalid pattern "!"'),
        ("per-file-ignores = []", "per-file-ignores: must be a table"),
        ('per-file-ignores = { "a.py" = ["x"] }', 'per-file-ignores."a.py": unknown rule or group "x"'),
        ('semantics = { f = "probs" }', 'semantics."f": must be a table'),
        (
            'semantics = { f = { gives = "prob" } }',
            'semantics."f".gives: unknown meaning "prob"; did you mean "probs"?',
        ),
        ('semantics = { f = { give = "probs" } }', 'semantics."f".give: unknown key; did you mean "gives"?'),
        ("semantics = { f = { keeps = -1 } }", 'semantics."f".keeps: must be an argument index, counting from 0'),
        ("semantics = { f = { keeps = true } }", 'semantics."f".keeps: must be an argument index, counting from 0'),
        (
            "semantics = { f = {} }",
            'semantics."f": must be { gives = "<meaning>" } or { keeps = <argument index> }',
        ),
    ],
)
def test_a_bad_setting_gives_file_key_and_advice(tmp_path: Path, text: str, message: str) -> None:
    assert error_of(tmp_path, f"[tool.mldebug-lint]\n{text}") == message


def test_a_wrong_meaning_lists_the_right_ones(tmp_path: Path) -> None:
    message = error_of(tmp_path, "[tool.mldebug-lint]\nsemantics = { f = { gives = 1 } }")
    assert message.startswith('semantics."f".gives: must be one of logits, probs, ')


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    assert error_of(tmp_path, "[tool]\nmldebug-lint = 3") == "tool.mldebug-lint must be a table"


def test_broken_toml_is_one_line(tmp_path: Path) -> None:
    assert error_of(tmp_path, "[tool.mldebug-lint\n").startswith("is not valid TOML: ")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"# \xff\n[tool.mldebug-lint]")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(tmp_path, KNOWN)


def test_a_named_file_must_have_the_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no \[tool.mldebug-lint\] table"):
        load_file(project(tmp_path, ""), KNOWN)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_file(tmp_path / "missing.toml", KNOWN)
