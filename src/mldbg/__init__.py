"""Tools against silent bugs in machine-learning code; `mldbg.lint` reads code and runs nothing.

Importing this package loads nothing else. The names of the contract layer, which need torch, load on first use:
`from mldbg import contract, check, attach, sanitize, ContractError`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mldbg.contracts import ContractError, attach, check, contract
    from mldbg.contracts.sanitize import sanitize

__all__ = ["ContractError", "__version__", "attach", "check", "contract", "sanitize"]
__version__ = "0.1.0"

_HOMES = {
    "ContractError": "mldbg.contracts",
    "attach": "mldbg.contracts",
    "check": "mldbg.contracts",
    "contract": "mldbg.contracts",
    "sanitize": "mldbg.contracts.sanitize",
}


def __getattr__(name: str) -> Any:
    """A name of the contract layer.

    Raises ImportError, saying what to install, where torch or jaxtyping is missing.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in {"torch", "jaxtyping", "beartype"}:
            raise ImportError(f"mldbg.{name} needs {error.name}: pip install 'mldebug-lint[contracts]'") from error
        raise
