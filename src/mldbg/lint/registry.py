"""Which rules exist: one in each module of `mldbg.lint.rules`, then those of installed packages (entry points `mldbg.rules`)."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import mldbg.lint.comment_rules
import mldbg.lint.rules
from mldbg.lint.config import ALL, current_name
from mldbg.lint.finding import Finding, Group
from mldbg.lint.rule import Rule
from mldbg.lint.suggest import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "mldbg.rules"
DEFAULT = (Group.CORRECTNESS.value,)


class RegistryError(Exception):
    """A rule cannot be loaded, or a name is no rule's; the message is one line."""


@cache
def rules() -> tuple[type[Rule], ...]:
    """All rules, sorted by name."""
    found: dict[str, type[Rule]] = {}
    for rule in (*about_comments(), *built_in(mldbg.lint.rules), *_plugged_in()):
        if rule.name in found:
            raise RegistryError(f'two rules are called "{rule.name}": {found[rule.name].__module__} and {rule.__module__}')
        found[rule.name] = rule
    return tuple(found[name] for name in sorted(found) if found[name] not in about_comments())


@cache
def about_comments() -> tuple[type[Rule], ...]:
    """The rules about suppressions. They need not be selected, and `suppress` finds what they report."""
    return tuple(built_in(mldbg.lint.comment_rules))


def is_on(rule: type[Rule]) -> bool:
    """Whether a rule runs without being selected."""
    return rule.group.value in DEFAULT or rule in about_comments()


def known_names(known: Iterable[type[Rule]]) -> frozenset[str]:
    """All names that may be selected or ignored: rules, groups, and ALL."""
    return frozenset({ALL, *(group.value for group in Group), *(rule.name for rule in known)})


def selected(known: Sequence[type[Rule]], select: Collection[str], ignore: Collection[str]) -> tuple[type[Rule], ...]:
    """The rules to run: those selected (by default the group correctness) without those ignored."""
    wanted = _members(known, select or DEFAULT)
    if Group.SUSPICIOUS.value in select:  # of any rule what holds in some branch only
        wanted |= {rule.name for rule in known if rule not in about_comments()}
    unwanted = _members(known, ignore)
    return tuple(rule for rule in known if rule.name in wanted - unwanted)


def is_shown(finding: Finding, rule: type[Rule], select: Collection[str]) -> bool:
    """Whether a finding of a rule that runs was asked for: it may be in another group than the rule.

    Of a rule that is selected by its own name everything is shown that it finds; without a selection what is in its own group.
    """
    if finding.group is rule.group:
        return not select or not names_of(rule).isdisjoint(select)
    return not {ALL, finding.group.value, rule.name}.isdisjoint(select)


def _members(known: Sequence[type[Rule]], names: Collection[str]) -> set[str]:
    return {rule.name for rule in known if not names_of(rule).isdisjoint(names)}


def names_of(rule: type[Rule]) -> frozenset[str]:
    """The names by which a rule can be selected or ignored."""
    return frozenset({ALL, rule.group.value, rule.name})


def named(known: Sequence[type[Rule]], name: str) -> type[Rule]:
    """The rule with a name, which may be one of earlier times."""
    for rule in known:
        if rule.name == current_name(name):
            return rule
    raise RegistryError(f'unknown rule "{name}"{did_you_mean(name, [rule.name for rule in known])}')


def built_in(package: ModuleType) -> Iterator[type[Rule]]:
    """The rules in a package: one public module, one rule."""
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        yield rule_in(importlib.import_module(module.name))


def is_built_in(rule: type[Rule]) -> bool:
    """Whether a rule is one of this package's own."""
    return rule.__module__.startswith(f"{mldbg.lint.rules.__name__}.")


def rule_in(module: ModuleType) -> type[Rule]:
    """The one rule that a module defines."""
    defined = [value for value in vars(module).values() if _is_rule(value) and value.__module__ == module.__name__]
    if len(defined) != 1:
        raise RegistryError(f"{module.__name__} must define exactly one rule, but defines {len(defined)}")
    rule: type[Rule] = defined[0]
    return rule


def _is_rule(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Rule) and value is not Rule


# --- rules of other packages ---


def _plugged_in() -> Iterator[type[Rule]]:
    if not _some_package_offers_rules(sys.path):
        return
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        yield plug_in(entry)


def plug_in(entry: EntryPoint) -> type[Rule]:
    """The rule behind an entry point, which names a rule or a module that defines one."""
    package = entry.dist.name if entry.dist else "an unknown package"
    try:
        loaded = entry.load()
    except Exception as error:  # noqa: BLE001  # whatever a plug-in does when imported, the user gets one line
        raise RegistryError(f'rule "{entry.name}" of {package} cannot be loaded: {type(error).__name__}: {error}') from None
    if isinstance(loaded, ModuleType):
        return rule_in(loaded)
    if not _is_rule(loaded):
        raise RegistryError(f'rule "{entry.name}" of {package} is not a subclass of mldbg.lint.rule.Rule')
    rule: type[Rule] = loaded
    return rule


def _some_package_offers_rules(search_path: Iterable[str]) -> bool:
    """A look at the files in which packages list their entry points: 2 ms, where importlib.metadata takes 30."""
    return any(
        f"[{ENTRY_POINTS}]" in file.read_text(encoding="utf-8", errors="replace")
        for folder in search_path
        for file in _entry_point_files(folder or os.curdir)
    )


def _entry_point_files(folder: str) -> Iterator[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208  # half the time of Path.iterdir
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")) and (file := Path(folder, name, "entry_points.txt")).is_file():
            yield file
