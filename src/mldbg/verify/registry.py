"""Which checks exist: every module in `checks/` holds one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from mldbg.verify import checks as package
from mldbg.verify.check import Check


@cache
def checks() -> tuple[type[Check], ...]:
    """All checks in gate order, within a stage by their ids."""
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found += [
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Check) and each.__module__ == module.__name__
        ]
    return tuple(sorted(found, key=lambda check: (check.stage, check.id[0], int(check.id[1:]))))
