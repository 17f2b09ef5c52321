"""Import the user's file and take the experiment out of it."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from mldbg.verify.experiment import Experiment, ExperimentError

NAME = "experiment"


class LoadError(Exception):
    """There is no experiment to run; the text is one clear line."""


def split(target: str) -> tuple[Path, str | None]:
    """The file and the name in `experiment.py[:name]`."""
    file, colon, name = target.rpartition(":")
    if colon and re.fullmatch(r"[^\W\d]\w*", name) and not Path(target).exists():
        return Path(file), name
    return Path(target), None


def load(target: str) -> Experiment:
    """The experiment in `experiment.py[:name]`.

    Without a name it is the file's `experiment`, or else its only one. A function without parameters that makes one will do.

    Raises:
        LoadError: the file cannot be read or imported, or it is not clear which experiment is meant.
    """
    file, name = split(target)
    module = _imported(file)
    if name is not None:
        if not hasattr(module, name):
            raise LoadError(f'{file} has no "{name}"{_it_has(module)}')
        return _made(module, name, file)
    if _may_be_one(getattr(module, NAME, None)):
        return _made(module, NAME, file)
    names = _experiments(module)
    if not names:
        raise LoadError(f"{file} has no experiment: add a line like experiment = Experiment(model, batch, loss)")
    if len(names) > 1:
        raise LoadError(f"{file} has several experiments: {', '.join(names)}; select one, as in {file}:{names[0]}")
    return _made(module, names[0], file)


def _imported(file: Path) -> ModuleType:
    """The file's module; its folder is on the path, as when Python runs the file."""
    if not file.is_file():
        raise LoadError(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}")
    name = file.stem if file.stem.isidentifier() and file.stem not in sys.modules else f"_experiment_{abs(hash(file.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise LoadError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise LoadError(f"{error.filename or file}:{error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise LoadError(f"{_place(error, file)}: {described(error)}") from error
    return module


def _made(module: ModuleType, name: str, file: Path) -> Experiment:
    found = getattr(module, name)
    if isinstance(found, type) or not (isinstance(found, Experiment) or callable(found)):
        kind = "class" if isinstance(found, type) else type(found).__name__
        raise LoadError(f'{file}: "{name}" is a {kind}, not an Experiment')
    if isinstance(found, Experiment):
        return found
    try:
        made = found()
    except (Exception, SystemExit) as error:
        raise LoadError(f"{_place(error, file)}: {name}() raised {described(error)}") from error
    if not isinstance(made, Experiment):
        raise LoadError(f"{file}: {name}() returned {_a(made)}, not an Experiment")
    return made


def _experiments(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, Experiment) and not name.startswith("_")]


def _may_be_one(found: object) -> bool:
    if isinstance(found, Experiment):
        return True
    return inspect.isfunction(found) and not inspect.signature(found).parameters


def _it_has(module: ModuleType) -> str:
    names = _experiments(module)
    return f"; it has {', '.join(names)}" if names else ""


def _place(error: BaseException, file: Path) -> str:
    """The line of the user's file where it went wrong."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).resolve() == file.resolve()]
    return f"{file}:{frames[-1].lineno}" if frames else str(file)


def described(error: BaseException) -> str:
    """An exception on one line; what this package says itself speaks for itself."""
    text = " ".join(str(error).split())
    if isinstance(error, ExperimentError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _a(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
