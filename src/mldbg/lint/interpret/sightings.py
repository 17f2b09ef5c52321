"""What is told to somebody who watches the execution: which value stands behind a name, and where."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.value import Value


class Seen(Enum):
    """What happens to a value."""

    ENTERED = "a function is entered, its parameters have their values"
    ASSIGNED = "a target gets it"
    LEARNED = "a name holds it already; more is known of it from here on"
    RETURNED = "a function returns it"
    APPLIED = "a layer is applied to it; the name is that of the layer's class"
    GIVEN = "a layer gives it; the name is that of the layer's class"


Watcher = Callable[[Seen, Site, str, Value], None]
"""Gets what happens, where, the name as the source says it, and the value."""
