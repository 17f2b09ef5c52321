"""The pytest plugin: the mode of contracts for a run, `sanitize` around tests, and a short report where a contract is broken.

pytest loads it in every project that has the package installed, be it for the linter alone. So it loads nothing else, until an
option, a setting, a marker or the fixture asks for it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import _pytest
import pluggy
import pytest

if TYPE_CHECKING:
    from mldbg.contracts import Coverage
    from mldbg.contracts.sanitize import Report
    from mldbg.contracts.sanitize.mode import Sanitizer

MODES = ("off", "shapes", "sampled", "full", "sync")
SANITIZED = ("0", "1", "collect")
"""What contracts and sanitize may be told. Their own modules, which know it, would load torch."""

_NEEDED = ("torch", "jaxtyping", "beartype")
_SENT = "mldbg_coverage"
"""Under which name a worker of pytest-xdist sends what it has counted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the settings of pytest.ini or pyproject.toml."""
    group = parser.getgroup("mldbg", "contracts and sanitize (mldebug-lint)")
    group.addoption(
        "--mldbg-contracts", metavar="|".join(MODES), help="how much contracts check in this run; full:0.05 sets a budget"
    )
    group.addoption("--mldbg-sanitize", action="store_true", help="run each test inside sanitize()")
    group.addoption("--mldbg-coverage", action="store_true", help="say what contracts have checked, and which were never met")
    parser.addini("mldbg_contracts", "as --mldbg-contracts", default="")
    parser.addini("mldbg_sanitize", "as --mldbg-sanitize", type="bool", default=False)
    parser.addini("mldbg_coverage", "as --mldbg-coverage", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set the mode before any conftest.py loads the contracts, which read it then: `off` leaves functions undecorated."""
    mode = early_config.known_args_namespace.mldbg_contracts or _setting(early_config)
    if _is_mode(mode):
        _set_mode(early_config, mode)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be done, each with one line. Raises UsageError."""
    config.addinivalue_line(
        "markers",
        "mldbg_sanitize(on=True, ignore=(), include=()): run the test inside sanitize() with these options; False: outside",
    )
    for name, is_known, known in (("MLDBG_CONTRACTS", _is_mode, MODES), ("MLDBG_SANITIZE", SANITIZED.__contains__, SANITIZED)):
        value = os.environ.get(name, "").strip().lower()
        if value and not is_known(value):
            raise pytest.UsageError(f"{name}: unknown value {os.environ[name]!r}; it is one of {', '.join(known)}")
    option = config.getoption("mldbg_contracts")
    mode = _setting(config) if option is None else option
    if (mode or option is not None) and not _is_mode(mode):
        place = "the setting mldbg_contracts" if option is None else "--mldbg-contracts"
        raise pytest.UsageError(f"{place}: unknown mode {mode!r}; the modes are {', '.join(MODES)}")
    wishes = {"contracts": mode, "sanitize": _wants(config, "mldbg_sanitize"), "coverage": _wants(config, "mldbg_coverage")}
    missing = _missing() if any(wishes.values()) else None
    if missing is not None:
        wish = next(name for name, wanted in wishes.items() if wanted)
        raise pytest.UsageError(f"--mldbg-{wish} needs {missing}: pip install 'mldebug-lint[contracts]'")
    if mode:
        _set_mode(config, mode)
    if wishes["coverage"]:
        config.pluginmanager.register(_Counting(config), "mldbg-coverage")


def _is_mode(text: str) -> bool:
    """Whether it is a mode, or one with a budget: a share of the time behind a colon."""
    mode, colon, share = text.partition(":")
    try:
        return mode in MODES and (not colon or 0 <= float(share) <= 1)
    except ValueError:
        return False


def _wants(config: pytest.Config, name: str) -> bool:
    return bool(config.getoption(name) or config.getini(name))


def _setting(config: pytest.Config) -> str:
    """The mode of the settings file, which an environment variable outweighs."""
    return "" if os.environ.get("MLDBG_CONTRACTS") else str(config.getini("mldbg_contracts")).strip().lower()


def _missing() -> str | None:
    return next((name for name in _NEEDED if importlib.util.find_spec(name) is None), None)


# --- the mode ---

_MODE_SET = pytest.StashKey[bool]()


def _set_mode(config: pytest.Config, mode: str) -> None:
    """For this process, and by the environment for those that it starts; until pytest ends."""
    if config.stash.get(_MODE_SET, False):
        return
    config.stash[_MODE_SET] = True
    before = os.environ.get("MLDBG_CONTRACTS")
    os.environ["MLDBG_CONTRACTS"] = mode
    setting = _setting_of_contracts()
    was = None if setting is None else (setting.level, setting.budget)
    if setting is not None:
        setting.follow_environment()

    def restore() -> None:
        if before is None:
            os.environ.pop("MLDBG_CONTRACTS", None)
        else:
            os.environ["MLDBG_CONTRACTS"] = before
        setting = _setting_of_contracts()
        if setting is not None and was is not None:
            setting.level, setting.budget = was
        elif setting is not None:
            setting.follow_environment()

    config.add_cleanup(restore)


def _setting_of_contracts() -> Any:
    """The mode of contracts that are loaded already."""
    return getattr(sys.modules.get("mldbg.contracts.modes"), "SETTING", None)


# --- sanitize ---


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    """Run a test inside `sanitize()`: functions, coroutines and methods of TestCase alike; not its fixtures.

    A fixture of a wider scope may begin in one test and end after another, so it cannot lie within a block around one test.
    """
    block = _block_of(item)
    if block is None:
        yield
        return
    block.__enter__()
    outcome = yield
    try:
        block.__exit__(*(outcome.excinfo or (None, None, None)))
    except Exception as error:  # noqa: BLE001 (what a thread of the test has found)
        outcome.force_exception(error)


def _block_of(item: pytest.Item) -> Sanitizer | None:
    marker = item.get_closest_marker("mldbg_sanitize")
    if "sanitize" in getattr(item, "fixturenames", ()):
        return None  # the fixture has begun one
    if marker is None:
        return _sanitizer() if _wants(item.config, "mldbg_sanitize") else None
    return _sanitizer(*marker.args, **marker.kwargs)


def _sanitizer(on: object = True, **options: Any) -> Sanitizer | None:
    if not on:
        return None
    _need("mldbg_sanitize")
    from mldbg.contracts.sanitize import sanitize

    try:
        return sanitize(**options)
    except (TypeError, ValueError) as error:
        reason = str(error)
    pytest.fail(f"mldbg_sanitize: {reason}", pytrace=False)


@pytest.fixture
def sanitize() -> Iterator[Report]:
    """Run one test, and the fixtures that are made after this one, inside `sanitize()`; gives its report."""
    _need("the fixture sanitize")
    from mldbg.contracts.sanitize import sanitize as block

    with block() as report:
        yield report


def _need(what: str) -> None:
    missing = _missing()
    if missing is not None:
        pytest.fail(f"{what} needs {missing}: pip install 'mldebug-lint[contracts]'", pytrace=False)


# --- the report of a failure ---


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Show a broken contract with the lines of the user's code only, unless `--full-trace` asks for all."""
    outcome = yield
    known = sys.modules.get("mldbg.contracts.error")
    if known is None or call.excinfo is None or not isinstance(call.excinfo.value, known.ContractError) or outcome.excinfo:
        return
    report, error = outcome.get_result(), call.excinfo.value
    if not report.failed:
        return
    if not item.config.getoption("fulltrace"):
        lines = _users_lines(call.excinfo.tb)
        shown = pytest.ExceptionInfo.from_exc_info((type(error), error, lines)) if lines is not None else None
        report.longrepr = item.repr_failure(shown) if shown is not None else str(error)  # a thread of the test has found it
    if "contracts.mode('sync')" in error.advice:
        report.sections.append(("next", f"for the line that broke it: pytest --mldbg-contracts=sync '{item.nodeid}'"))


def _users_lines(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without what runs the test, torch, the standard library and this package."""
    from mldbg.contracts.sanitize.site import is_users

    if trace is None:
        return None
    rest = _users_lines(trace.tb_next)
    file = trace.tb_frame.f_code.co_filename
    if not is_users(file) or file.startswith(_RUNNERS):
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


_RUNNERS = tuple(f"{Path(module.__file__ or '').parent}{os.sep}" for module in (_pytest, pluggy))


# --- coverage ---


class _Counting:
    """Counts what contracts check in this run; where pytest-xdist distributes it, its workers do, and it adds up."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._open = ExitStack()
        self._seen: Coverage | None = None
        self._found: list[_Data] = []

    def pytest_sessionstart(self) -> None:
        if not self._config.pluginmanager.hasplugin("dsession"):
            from mldbg.contracts import coverage

            self._seen = self._open.enter_context(coverage())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._open.close()
        if self._seen is not None:
            self._found.append(_as_data(self._seen))
        sent = getattr(self._config, "workeroutput", None)
        if sent is not None:
            sent[_SENT] = self._found

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._found += getattr(node, "workeroutput", {}).get(_SENT, [])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("contracts")
        terminalreporter.write_line(str(_merged(self._found)))


_Data = dict[str, list[Any]]
"""A `Coverage` as pytest-xdist can send it."""


def _as_data(seen: Coverage) -> _Data:
    return {
        "lines": [
            [line.contract, line.parameter, line.calls, line.judged, line.sampled, dict(line.left_out)] for line in seen.lines
        ],
        "never": list(seen.never),
    }


def _merged(found: Iterable[_Data]) -> Coverage:
    """What several processes have counted. A promise was met if a process that knows its contract has met it."""
    from mldbg.contracts import Coverage
    from mldbg.contracts.counting import Line

    numbers: dict[tuple[str, str], list[int]] = {}
    left_out: dict[tuple[str, str], Counter[str]] = {}
    never: dict[str, None] = {}
    met: set[str] = set()
    for one in found:
        for contract, parameter, *counts, reasons in one["lines"]:
            key = contract, parameter
            numbers[key] = [sum(pair) for pair in zip(numbers.get(key, (0, 0, 0)), counts, strict=True)]
            left_out.setdefault(key, Counter()).update(reasons)
        never |= dict.fromkeys(one["never"])
    for one in found:
        called = {contract for contract, *_ in one["lines"]}
        met |= {name for name in never if name not in one["never"] and name.partition(": ")[0] in called}
    names = list(dict.fromkeys(contract for contract, _ in numbers))
    order = sorted(numbers, key=lambda key: names.index(key[0]))  # the lines of one contract may come from different processes
    lines = [Line(*key, calls, judged, sampled, left_out[key]) for key in order for calls, judged, sampled in [numbers[key]]]
    return Coverage(tuple(lines), tuple(name for name in never if name not in met))
