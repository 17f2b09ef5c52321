"""Files of settings are read as their own programs read them, and nothing that stands in them stops the linter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import laws
import mldbg.lint.rules
from mldbg.lint import registry
from mldbg.lint.settings import (
    DEEPEST_SETTING,
    MOST_BYTES,
    MOST_SHIPPED,
    UNRESOLVED,
    agreed,
    composed,
    merge,
    parsed,
    resolved,
    shipped,
)
from mldbg.operations.configuration import Language

RULES = tuple(registry.built_in(mldbg.lint.rules))

UNSAID = "<only the run says it>"

Tree = dict[str, str]


def plain(content: Any) -> Any:
    """Settings with a text in place of what is not resolved."""
    if isinstance(content, Mapping):
        return {key: plain(each) for key, each in content.items()}
    if isinstance(content, list):
        return [plain(each) for each in content]
    return UNSAID if content is UNRESOLVED else content


def written(folder: Path, files: Tree) -> Path:
    for name, text in files.items():
        file = folder / (name if Path(name).suffix else f"{name}.yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


# --- Hydra ---

A_AND_B = {"model/a": "act: a\n", "model/b": "act: b\n"}
MODEL_A = {"config": "defaults:\n  - model: a\n", "head/h": "act: h\n", "model/head/h": "act: inner\n"}

TREES: dict[str, tuple[Tree, Any]] = {
    "itself last": (
        {"config": "defaults:\n  - model: a\n  - _self_\nmodel:\n  act: own\n", "model/a": "act: group\nwidth: 3\n"},
        {"model": {"act": "own", "width": 3}},
    ),
    "itself first": (
        {"config": "defaults:\n  - _self_\n  - model: a\nmodel:\n  act: own\n", "model/a": "act: group\nwidth: 3\n"},
        {"model": {"act": "group", "width": 3}},
    ),
    "itself not named": (
        {"config": "defaults:\n  - model: a\nmodel:\n  act: own\n", "model/a": "act: group\nwidth: 3\n"},
        {"model": {"act": "own", "width": 3}},
    ),
    "itself first in a group": (
        {**MODEL_A, "model/a": "defaults:\n  - _self_\n  - base\nwidth: 3\n", "model/base": "width: 1\ndepth: 2\n"},
        {"model": {"width": 1, "depth": 2}},
    ),
    "no option": ({"config": "defaults:\n  - model: null\n  - _self_\nlr: 1\n", **A_AND_B}, {"lr": 1}),
    "optional and there": ({"config": "defaults:\n  - optional model: a\nlr: 1\n", **A_AND_B}, {"model": {"act": "a"}, "lr": 1}),
    "optional and missing": ({"config": "defaults:\n  - optional model: c\nlr: 1\n", **A_AND_B}, {"lr": 1}),
    "an option with a suffix": ({"config": "defaults:\n  - model: a.yaml\n", **A_AND_B}, {"model": {"act": "a"}}),
    "an option in a folder": (
        {"config": "defaults:\n  - model: small/a\n", "model/small/a": "act: a\n"},
        {"model": {"act": "a"}},
    ),
    "a group in a group": ({"config": "defaults:\n  - db/sql: my\n", "db/sql/my": "port: 1\n"}, {"db": {"sql": {"port": 1}}}),
    "another configuration": (
        {"config": "defaults:\n  - base\n  - _self_\nlr: 1\n", "base": "lr: 0\nepochs: 5\n"},
        {"lr": 1, "epochs": 5},
    ),
    "a configuration of a group": ({"config": "defaults:\n  - /model/a\n", **A_AND_B}, {"model": {"act": "a"}}),
    "overridden beside it": (
        {
            "config": "defaults:\n  - base\n  - override model: b\n  - _self_\nlr: 1\n",
            "base": "defaults:\n  - model: a\n",
            **A_AND_B,
        },
        {"model": {"act": "b"}, "lr": 1},
    ),
    "overridden to none": (
        {"config": "defaults:\n  - base\n  - override model: null\n", "base": "defaults:\n  - model: a\nlr: 1\n", **A_AND_B},
        {"lr": 1},
    ),
    "overridden by an experiment": (
        {
            "config": "defaults:\n  - model: a\n  - experiment: e\n  - _self_\nepochs: 1\n",
            "experiment/e": "# @package _global_\ndefaults:\n  - override /model: b\nlr: 2\n",
            **A_AND_B,
        },
        {"model": {"act": "b"}, "lr": 2, "epochs": 1},
    ),
    "overridden by an experiment after itself": (
        {
            "config": "defaults:\n  - model: a\n  - _self_\n  - experiment: e\nlr: 1\n",
            "experiment/e": "# @package _global_\ndefaults:\n  - override /model: b\nlr: 2\nmodel:\n  width: 7\n",
            **A_AND_B,
        },
        {"model": {"act": "b", "width": 7}, "lr": 2},
    ),
    "overridden in a package": (
        {
            "config": "defaults:\n  - base\n  - override model@student: b\n",
            "base": "defaults:\n  - model@student: a\n  - model@teacher: a\n",
            **A_AND_B,
        },
        {"student": {"act": "b"}, "teacher": {"act": "a"}},
    ),
    "overridden in a package by an experiment": (
        {
            "config": "defaults:\n  - model@student: a\n  - experiment: e\n",
            "experiment/e": "# @package _global_\ndefaults:\n  - override /model@student: b\n",
            **A_AND_B,
        },
        {"student": {"act": "b"}},
    ),
    "overridden inside a group": (
        {
            "config": "defaults:\n  - model: a\n  - override model/head: k\n",
            "model/a": "defaults:\n  - head: h\nwidth: 1\n",
            "model/head/h": "act: h\n",
            "model/head/k": "act: k\n",
        },
        {"model": {"head": {"act": "k"}, "width": 1}},
    ),
    "a group with defaults": (
        {
            "config": "defaults:\n  - model: a\n  - _self_\n",
            "model/a": "defaults:\n  - base\n  - head: h\n  - _self_\nwidth: 3\n",
            "model/base": "width: 1\ndepth: 2\n",
            "model/head/h": "act: h\n",
        },
        {"model": {"width": 3, "depth": 2, "head": {"act": "h"}}},
    ),
    "a group of the top in a group": (
        {**MODEL_A, "model/a": "defaults:\n  - /head: h\nwidth: 1\n"},
        {"model": {"head": {"act": "h"}, "width": 1}},
    ),
    "a configuration of the top in a group": (
        {**MODEL_A, "model/a": "defaults:\n  - /head/h\nwidth: 1\n"},
        {"model": {"head": {"act": "h"}, "width": 1}},
    ),
    "a group of the top in a package of a group": (
        {**MODEL_A, "model/a": "defaults:\n  - /head@neck: h\nwidth: 1\n"},
        {"model": {"neck": {"act": "h"}, "width": 1}},
    ),
    "a group of the top in a package of the top": (
        {**MODEL_A, "model/a": "defaults:\n  - /head@_global_.neck: h\nwidth: 1\n"},
        {"neck": {"act": "h"}, "model": {"width": 1}},
    ),
    "a group of the top here": (
        {**MODEL_A, "model/a": "defaults:\n  - /head@_here_: h\nwidth: 1\n"},
        {"model": {"act": "h", "width": 1}},
    ),
    "a group in a package of a group": (
        {**MODEL_A, "model/a": "defaults:\n  - head@neck: h\nwidth: 1\n"},
        {"model": {"neck": {"act": "inner"}, "width": 1}},
    ),
    "a package of the top": (
        {"config": "defaults:\n  - model: a\n  - _self_\nlr: 1\n", "model/a": "# @package _global_\nact: a\n"},
        {"act": "a", "lr": 1},
    ),
    "a named package": (
        {"config": "defaults:\n  - model: a\n", "model/a": "# @package net.body\nact: a\n"},
        {"net": {"body": {"act": "a"}}},
    ),
    "a package of the first configuration": ({"config": "# @package net\nact: a\n"}, {"net": {"act": "a"}}),
    "a package that is named too late": (
        {"config": "defaults:\n  - model: a\n", "model/a": "act: a\n# @package _global_\n"},
        {"model": {"act": "a"}},
    ),
    "a package of the top in an inner group": (
        {
            "config": "defaults:\n  - server: s\n",
            "server/s": "defaults:\n  - db: d\nname: s\n",
            "server/db/d": "# @package _global_\nport: 1\n",
        },
        {"server": {"name": "s"}, "port": 1},
    ),
    "an experiment that names its groups": (
        {
            "config": "defaults:\n  - experiment: e\n",
            "experiment/e": "# @package _global_\ndefaults:\n  - /model: a\n  - _self_\nmodel:\n  width: 9\n",
            "model/a": "act: a\nwidth: 1\n",
        },
        {"model": {"act": "a", "width": 9}},
    ),
    "several options": (
        {"config": "defaults:\n  - parts: [a, b]\n", "parts/a": "x: 1\nboth: a\n", "parts/b": "y: 2\nboth: b\n"},
        {"parts": {"x": 1, "both": "b", "y": 2}},
    ),
    "several options, fewer in the end": (
        {"config": "defaults:\n  - base\n  - override model: [b]\n", "base": "defaults:\n  - model: [a, b]\n", **A_AND_B},
        {"model": {"act": "b"}},
    ),
    "a group in two packages": (
        {"config": "defaults:\n  - model@teacher: a\n  - model@student: b\n", **A_AND_B},
        {"teacher": {"act": "a"}, "student": {"act": "b"}},
    ),
    "a group in a package in a package": (
        {"config": "defaults:\n  - model@net.body: a\n", **A_AND_B},
        {"net": {"body": {"act": "a"}}},
    ),
    "a group in the package of the top": ({"config": "defaults:\n  - model@_global_: a\n", **A_AND_B}, {"act": "a"}),
    "a configuration in a package": ({"config": "defaults:\n  - base@net\n", "base": "act: a\n"}, {"net": {"act": "a"}}),
    "a configuration of a group in a package": ({"config": "defaults:\n  - model/a@net\n", **A_AND_B}, {"net": {"act": "a"}}),
    "an option named by another": (
        {"config": "defaults:\n  - data: d\n  - model: ${data}_net\n", "data/d": "n: 1\n", "model/d_net": "act: a\n"},
        {"data": {"n": 1}, "model": {"act": "a"}},
    ),
    "settings of Hydra": (
        {
            "config": "defaults:\n  - model: a\n  - override hydra/job_logging: disabled\nhydra:\n  run:\n    dir: out\n",
            **A_AND_B,
        },
        {"model": {"act": "a"}},
    ),
    "a list in place of another": (
        {"config": "defaults:\n  - base\n  - _self_\nsizes: [1]\n", "base": "sizes: [3, 4, 5]\n"},
        {"sizes": [1]},
    ),
    "nothing in place of a group": (
        {"config": "defaults:\n  - base\n  - _self_\nmodel: null\n", "base": "model:\n  act: a\n"},
        {"model": None},
    ),
    "a group in place of a text": (
        {"config": "defaults:\n  - _self_\n  - model: a\nmodel: plain\n", **A_AND_B},
        {"model": {"act": "a"}},
    ),
    "an anchor in one of two places": (
        {"config": "defaults:\n  - base\n  - _self_\nx:\n  act: own\n", "base": "x: &x\n  act: base\ny: *x\n"},
        {"x": {"act": "own"}, "y": {"act": "base"}},
    ),
    "a reference": (
        {
            "config": "defaults:\n  - model: a\n  - _self_\nact: z\nname: run_${act}_${model.width}\n",
            "model/a": "act: ${act}\nwidth: 3\n",
        },
        {"model": {"act": "z", "width": 3}, "act": "z", "name": "run_z_3"},
    ),
    "a reference to a group": (
        {"config": "defaults:\n  - model: a\n  - _self_\nhead: ${model}\n", **A_AND_B},
        {"model": {"act": "a"}, "head": {"act": "a"}},
    ),
    "a reference with blanks": ({"config": "act: z\nother: ${ act }\n"}, {"act": "z", "other": "z"}),
    "a reference in a list": ({"config": 'act: z\nacts: ["${act}", y]\n'}, {"act": "z", "acts": ["z", "y"]}),
    "a chain of references": ({"config": "a: ${b}\nb: ${c}\nc: z\n"}, {"a": "z", "b": "z", "c": "z"}),
    "a circle of references": ({"config": "a: ${b}\nb: ${a}\nc: z\n"}, {"a": UNSAID, "b": UNSAID, "c": "z"}),
    "a reference to what stands beside it": (
        {"config": "model:\n  act: z\n  head: ${.act}\nother: ${model.head}\n"},
        {"model": {"act": "z", "head": "z"}, "other": "z"},
    ),
    "a reference to what stands above it": (
        {"config": "act: z\nmodel:\n  head: ${..act}\n"},
        {"act": "z", "model": {"head": "z"}},
    ),
    "a reference that is none": ({"config": "a: \\${b}\nb: 1\n"}, {"a": "${b}", "b": 1}),
    "a reference keeps the type": (
        {"config": "n: 3\nm: ${n}\nflag: true\ntext: x${flag}_${n}\n"},
        {"n": 3, "m": 3, "flag": True, "text": "xTrue_3"},
    ),
    "to be given": ({"config": "act: ???\nother: ${act}\nlr: 1\n"}, {"act": UNSAID, "other": UNSAID, "lr": 1}),
    "given by the first configuration": (
        {"config": "defaults:\n  - model: a\n  - _self_\nmodel:\n  act: z\n", "model/a": "act: ???\nwidth: 1\n"},
        {"model": {"act": "z", "width": 1}},
    ),
    "given already": ({"config": "defaults:\n  - base\n  - _self_\nact: ???\n", "base": "act: a\n"}, {"act": "a"}),
    "numbers with an exponent": ({"config": "lr: 1e-3\nwidth: 0x10\n"}, {"lr": 0.001, "width": 16}),
    "dates are texts": ({"config": "day: 2020-01-01\n"}, {"day": "2020-01-01"}),
}
"""Configurations, and what Hydra makes of them."""

NOT_FOLLOWED: dict[str, Tree] = {
    "the environment": {"config": "act: ${oc.env:MLDBG_NO_SUCH,softmax}\nlr: 1\n"},
    "a choice with a default": {"config": "b: 2\na: ${oc.select:b,3}\n"},
    "an element of a list": {"config": "acts: [y, z]\nfirst: ${acts[0]}\nsecond: ${acts.1}\n"},
    "a reference in a reference": {"config": "name: act\nact: s\na: ${${name}}\n"},
    "a name with a hyphen": {"config": "my-act: softmax\nother: ${my-act}\n"},
    "nothing in a text": {"config": "z: null\nt: q${z}\n"},
    "an empty file of a group": {"config": "defaults:\n  - model: a\nlr: 1\n", "model/a": ""},
}
"""Configurations of which less is known than Hydra knows."""


def of_hydra(folder: Path) -> Any:
    hydra, omegaconf = pytest.importorskip("hydra"), pytest.importorskip("omegaconf")

    def settings(node: Any) -> Any:
        if isinstance(node, omegaconf.DictConfig):
            return {key: setting(node, key) for key in node}
        if isinstance(node, omegaconf.ListConfig):
            return [setting(node, index) for index in range(len(node))]
        return node

    def setting(node: Any, key: Any) -> Any:
        try:
            return UNSAID if omegaconf.OmegaConf.is_missing(node, key) else settings(node[key])
        except omegaconf.errors.OmegaConfBaseException:
            return UNSAID

    with hydra.initialize_config_dir(str(folder), version_base=None):
        return settings(hydra.compose("config"))


def ours(folder: Path) -> Any:
    made = composed(folder, "config")
    assert made is not None
    return plain(made.content)


@pytest.mark.parametrize("name", TREES)
def test_what_hydra_makes_is_known(name: str, tmp_path: Path) -> None:
    files, expected = TREES[name]
    assert ours(written(tmp_path, files)) == expected


@pytest.mark.filterwarnings("ignore::UserWarning")  # Hydra warns of lists of defaults without `_self_`
@pytest.mark.parametrize("name", TREES)
def test_hydra_really_makes_it(name: str, tmp_path: Path) -> None:
    files, expected = TREES[name]
    assert of_hydra(written(tmp_path, files)) == expected


@pytest.mark.filterwarnings("ignore::UserWarning")  # Hydra warns of lists of defaults without `_self_`
@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_what_is_not_followed_is_not_guessed(name: str, tmp_path: Path) -> None:
    written(tmp_path, NOT_FOLLOWED[name])
    assert is_sound(ours(tmp_path), of_hydra(tmp_path))


def is_sound(mine: Any, theirs: Any) -> bool:
    """Whether everything that is said is true."""
    if isinstance(mine, dict):
        return isinstance(theirs, dict) and all(
            each == UNSAID or (key in theirs and is_sound(each, theirs[key])) for key, each in mine.items()
        )
    if isinstance(mine, list):
        return isinstance(theirs, list) and len(mine) == len(theirs) and all(map(is_sound, mine, theirs))
    return mine in (UNSAID, theirs)


def test_no_configuration_is_none(tmp_path: Path) -> None:
    assert composed(tmp_path, "config") is None
    assert composed(tmp_path / "nowhere", "config") is None


def test_files_that_are_read_or_missing_are_named(tmp_path: Path) -> None:
    made = composed(written(tmp_path, {"config": "defaults:\n  - model: a\n  - data: d\n", "model/a": "act: a\n"}), "config.yaml")
    assert made is not None
    assert made.files == {tmp_path / "config.yaml", tmp_path / "model" / "a.yaml"}
    assert made.missing == {tmp_path / "data" / "d.yaml"}


# --- merging, references, agreement ---

KEYS = st.sampled_from(["act", "model", "lr", "width"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["relu", "softmax", ""])
SETTINGS = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3), lambda inner: st.dictionaries(KEYS, LEAVES | inner, max_size=3)
)


@given(SETTINGS, SETTINGS)
def test_settings_are_merged_as_by_omegaconf(one: dict[str, Any], two: dict[str, Any]) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    expected = omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.merge(one, two))
    merge(one, two)
    assert one == expected


@given(SETTINGS)
def test_settings_without_references_are_what_they_are(settings: dict[str, Any]) -> None:
    assert resolved(settings) == settings


@given(st.lists(SETTINGS, min_size=1, max_size=4))
def test_all_files_say_what_is_agreed(files: list[dict[str, Any]]) -> None:
    common = agreed(files)  # type: ignore[arg-type]  # a list of dicts is one of mappings
    assert common is not None
    assert all(is_sound(plain(common), file) for file in files)


@given(st.lists(SETTINGS, min_size=1, max_size=4))
def test_the_order_of_files_changes_nothing(files: list[dict[str, Any]]) -> None:
    assert plain(agreed(files)) == plain(agreed(files[::-1]))  # type: ignore[arg-type]  # as above


def test_a_file_agrees_with_itself() -> None:
    settings = {"model": {"act": "softmax"}, "sizes": [1, 2]}
    assert agreed([settings]) == agreed([settings, settings]) == settings
    assert agreed([]) is None


def test_what_differs_or_is_missing_is_not_agreed() -> None:
    one, two = {"model": {"act": "softmax", "width": 1}, "lr": 1}, {"model": {"act": "softmax", "width": 2}, "seed": 0}
    assert plain(agreed([one, two])) == {"model": {"act": "softmax", "width": UNSAID}, "lr": UNSAID, "seed": UNSAID}
    assert plain(agreed([{"model": {"act": "softmax"}}, {"model": "softmax"}])) == {"model": UNSAID}


def test_a_long_chain_of_references_is_not_followed() -> None:
    chain = {f"a{number}": f"${{a{number + 1}}}" for number in range(2 * DEEPEST_SETTING)}
    assert plain(resolved({**chain, f"a{2 * DEEPEST_SETTING}": "z"}))["a0"] == UNSAID


def test_files_of_settings_are_found_beside_a_program(tmp_path: Path) -> None:
    files = ["a.yaml", "b.yml", "conf/c.yaml", "configs/d.yaml"]
    others = ["environment.yml", ".hidden.yaml", "data/e.yaml", "f.json", "conf/deeper/g.yaml"]
    written(tmp_path, dict.fromkeys([*files, *others], "a: 1\n"))
    assert {file.relative_to(tmp_path).as_posix() for file in shipped(tmp_path, Language.YAML)} == set(files)


def test_many_files_of_settings_are_data(tmp_path: Path) -> None:
    written(tmp_path, {f"{number}.json": "{}" for number in range(MOST_SHIPPED)})
    assert len(shipped(tmp_path, Language.JSON)) == MOST_SHIPPED
    written(tmp_path, {"more.json": "{}"})
    assert shipped(tmp_path, Language.JSON) == []


# --- what is no file of settings ---

EACH = (Language.JSON, Language.YAML, Language.TOML)

NO_SETTINGS: dict[str, bytes] = {
    "broken": b"{[",
    "binary": bytes(range(256)),
    "a zero": b"a\0b",
    "latin-1": "\N{LATIN SMALL LETTER A WITH DIAERESIS}: 1".encode("latin-1"),
    "utf-16": "a: 1".encode("utf-16"),
    "long": b"a" * (MOST_BYTES + 1),
    "a long number": b'{"a": ' + b"1" * 5000 + b"}",
}

OF_YAML: dict[str, tuple[str, Any]] = {
    "empty": ("", None),
    "a text": ("text", None),
    "a list": ("[1, 2]", None),
    "names that stand twice": ("a: 1\na: 2\n", {"a": 2}),
    "a merge": ("a: &a {x: 1}\nb: {<<: *a, y: 2}\n", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
    "a function that is called": ('a: !!python/object/apply:os.system ["exit 1"]\n', None),
    "a class": ("a: !!python/name:os.system\n", None),
    "an own tag": ("a: !Own {b: 1}\n", None),
    "several documents": ("a: 1\n---\nb: 2\n", None),
    "a list as a name": ("? [a]\n: b\n", None),
    "no day": ("a: 2020-13-45\n", None),
    "no time": ("a: !!timestamp x\n", None),
    "no zone": ("a: 2001-01-01T00:00:00+99:99\n", None),
    "no whole number": ('a: !!int ""\n', None),
    "a line as a number": ("a: !!int _\n", None),
    "no number": ('a: !!float ""\n', None),
    "a word as a number": ("a: !!float x\n", None),
    "neither true nor false": ("a: !!bool perhaps\n", None),
    "a very long time": ("a: 1" + ":00" * 250 + ".0\n", None),
    "an alias of nothing": ("a: *x\n", None),
}


@pytest.mark.parametrize("language", EACH, ids=lambda language: language.value)
@pytest.mark.parametrize("name", NO_SETTINGS)
def test_what_is_no_file_of_settings_is_none(name: str, language: Language, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_bytes(NO_SETTINGS[name])
    assert parsed(file, language) is None


@pytest.mark.parametrize("name", OF_YAML)
def test_yaml_is_read_or_none(name: str, tmp_path: Path) -> None:
    text, expected = OF_YAML[name]
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert parsed(tmp_path / "config.yaml", Language.YAML) == expected
    made = composed(tmp_path, "config")
    assert made is not None
    assert made.content == (expected if isinstance(expected, dict) else {})


def test_json_and_toml_are_read_or_none(tmp_path: Path) -> None:
    for language, text, expected in [
        (Language.JSON, '{"a": 1, "a": 2}', {"a": 2}),
        (Language.JSON, "", None),
        (Language.JSON, "[1]", None),
        (Language.JSON, '{"a": 1,}', None),
        (Language.JSON, "[" * 30_000, None),
        (Language.TOML, "", {}),
        (Language.TOML, "a = 1\na = 2\n", None),
        (Language.TOML, "a = " + "[" * 5_000 + "]" * 5_000, None),
    ]:
        (tmp_path / "file").write_text(text, encoding="utf-8")
        assert parsed(tmp_path / "file", language) == expected


def test_no_file_is_none(tmp_path: Path) -> None:
    for language in EACH:
        assert parsed(tmp_path / "nowhere", language) is None
        assert parsed(tmp_path, language) is None


# --- what would stop the linter ---

WORST = 10
"""Seconds after which a run counts as one that never ends."""

NINE = ("b", "c", "d", "e", "f", "g", "h", "i", "j")

READS_YAML = 'import yaml\n\nwith open("config.yaml") as file:\n    settings = yaml.safe_load(file)\ntrain(settings["act"])\n'
READS_TOML = (
    'import tomllib\n\nwith open("config.toml", "rb") as file:\n    settings = tomllib.load(file)\ntrain(settings["act"])\n'
)
READS_HYDRA = """import hydra


@hydra.main(config_path="conf", config_name="config")
def main(settings):
    train(settings.act)


main()
"""
READS_ARGUMENT = (
    'import json\nimport sys\n\nwith open(sys.argv[1]) as file:\n    settings = json.load(file)\ntrain(settings["act"])\n'
)

TRAINING = """
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.last = nn.Linear(8, 4)
        self.act = act

    def forward(self, x):
        return self.last(x).softmax(dim=1) if self.act == "softmax" else self.last(x)


def train(act):
    network = Network(act)
    for x, y in torch.load("batches.pt"):
        nn.CrossEntropyLoss()(network(x), y).backward()


"""


def bomb(inner: Callable[[str], str]) -> str:
    """Nine settings, each of which holds the one before nine times."""
    lines = ["a: &a {x: 1, y: 2}"]
    lines += [f"{name}: &{name} {inner(before)}" for before, name in zip(("a", *NINE), NINE, strict=False)]
    return "\n".join(lines) + "\n"


def nine(alias: str) -> str:
    return "{" + ", ".join(f"k{number}: *{alias}" for number in range(9)) + "}"


HAZARDS: dict[str, tuple[str, Tree]] = {
    "lists in lists": (READS_YAML, {"config.yaml": bomb(lambda name: "[" + ", ".join([f"*{name}"] * 9) + "]")}),
    "dicts in dicts": (READS_YAML, {"config.yaml": bomb(nine)}),
    "merges of merges": (READS_YAML, {"config.yaml": bomb(lambda name: "{<<: [" + ", ".join([f"*{name}"] * 9) + "]}")}),
    "a list that holds itself": (READS_YAML, {"config.yaml": "a: &a [" + ", ".join(["*a"] * 8) + "]\n"}),
    "a dict that holds itself": (READS_YAML, {"config.yaml": f"a: &a {nine('a')}\n"}),
    "settings that hold themselves": (READS_YAML, {"config.yaml": "&a {b: *a}\n"}),
    "many brackets": (READS_YAML, {"config.yaml": "[" * 30_000}),
    "many braces": (READS_YAML, {"config.yaml": "{a: " * 10_000 + "1" + "}" * 10_000}),
    "many hyphens": (READS_YAML, {"config.yaml": "- " * 20_000 + "a\n"}),
    "a long name in TOML": (READS_TOML, {"config.toml": ".".join("a" * 30_000) + " = 1\n"}),
    "settings of Hydra that hold themselves": (READS_HYDRA, {"conf/config.yaml": f"a: &a {nine('a')}\n"}),
    "a bomb for Hydra": (READS_HYDRA, {"conf/config.yaml": bomb(nine)}),
    "two that hold themselves": (
        READS_HYDRA,
        {"conf/config.yaml": "defaults:\n  - base\na: &a {a: *a}\n", "conf/base.yaml": "a: &a {a: *a}\n"},
    ),
    "a configuration that names itself": (READS_HYDRA, {"conf/config.yaml": "defaults:\n  - config\n  - config\n  - config\n"}),
    "odd defaults": (
        READS_HYDRA,
        {"conf/config.yaml": 'defaults:\n  - ""\n  - {}\n  - 3\n  - [a]\n  - {3: 4}\n  - null: x\n  - "a\\0": "b\\0"\n'},
    ),
    "a long option": (READS_HYDRA, {"conf/config.yaml": f"defaults:\n  - model: {'a' * 300}\n", "conf/model/b.yaml": "x: 1\n"}),
    "a wrong number": (READS_YAML, {"config.yaml": 'a: !!int ""\n'}),
}


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the command says of the program in a folder; a process of its own, which may die."""
    (folder / "pyproject.toml").touch()
    return subprocess.run(
        [sys.executable, "-m", "mldbg.lint", "--format", "json", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WORST,
        check=False,
    )


@pytest.mark.parametrize("name", HAZARDS)
def test_nothing_stops_the_command(name: str, tmp_path: Path) -> None:
    program, files = HAZARDS[name]
    written(tmp_path, {**files, "main.py": TRAINING + program})
    result = linted(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    written(tmp_path, {"main.py": TRAINING + READS_ARGUMENT})
    os.mkfifo(tmp_path / "settings.json")
    assert linted(tmp_path).returncode == 0


# --- what lies outside of the project ---

INSIDE: dict[str, str] = {
    "beside": 'json.load(open("secret.json"))["act"]',
    "of OmegaConf": 'OmegaConf.load("secret.yaml").act',
}

OUTSIDE: dict[str, str] = {
    "above": 'json.load(open("../secret.json"))["act"]',
    "above by detours": 'json.load(open("conf/../../secret.json"))["act"]',
    "above the program": 'json.loads((Path(__file__).parent.parent / "secret.json").read_text())["act"]',
    "an absolute path": 'json.load(open("ABOVE/secret.json"))["act"]',
    "an absolute path behind another": 'json.load(open(os.path.join("conf", "ABOVE/secret.json")))["act"]',
    "of OmegaConf": 'OmegaConf.load("../secret.yaml").act',
}

IMPORTS = "import json\nimport os\nfrom pathlib import Path\n\nimport hydra\nfrom omegaconf import OmegaConf\n"

HYDRA_INSIDE = (".", "secret")
HYDRA_OUTSIDE = [("..", "secret"), (".", "../secret"), ("conf", "../../secret"), ("conf", "config"), ("ABOVE", "secret")]


def of_expression(expression: str) -> str:
    return f"{IMPORTS}{TRAINING}train({expression})\n"


def of_configuration(folder: str, name: str) -> str:
    return IMPORTS + TRAINING + READS_HYDRA.replace('"conf"', f'"{folder}"').replace('"config"', f'"{name}"')


def findings(folder: Path) -> list[str]:
    return [finding.rule for finding in laws.check_case(folder, RULES).findings]


SECRETS = {"secret.json": '{"act": "softmax"}', "secret.yaml": "act: softmax\n"}


@pytest.mark.parametrize(
    "program", [*map(of_expression, INSIDE.values()), of_configuration(*HYDRA_INSIDE)], ids=[*INSIDE, "of Hydra"]
)
def test_settings_of_the_project_are_read(program: str, tmp_path: Path) -> None:
    written(tmp_path, {"main.py": program, **SECRETS})
    assert findings(tmp_path) == ["softmax-before-cross-entropy"]


@pytest.mark.parametrize(
    "program",
    [*map(of_expression, OUTSIDE.values()), *(of_configuration(*each) for each in HYDRA_OUTSIDE)],
    ids=[*OUTSIDE, *(f"{folder} and {name} of Hydra" for folder, name in HYDRA_OUTSIDE)],
)
def test_nothing_outside_of_the_project_is_read(program: str, tmp_path: Path) -> None:
    written(tmp_path, SECRETS)
    project = written(
        tmp_path / "project",
        {
            "main.py": program.replace("ABOVE", tmp_path.as_posix()),
            "conf/config.yaml": "defaults:\n  - ../..@_global_: secret\n",
        },
    )
    assert findings(project) == []
