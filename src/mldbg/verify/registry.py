"""Which checks exist: every module in `checks/` holds one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from mldbg.verify import checks as package
from mldbg.verify.check import Check, gate_order


@cache
def checks() -> tuple[type[Check], ...]:
    """All checks in gate order."""
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found += [
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Check) and each.__module__ == module.__name__
        ]
    return tuple(sorted(found, key=lambda check: gate_order(check.stage, check.kind, check.id)))
