"""Tools against silent bugs in machine-learning code; `mldbg.lint` reads code and runs nothing.

Importing this package loads nothing else: what needs torch is imported by name from the subpackage that needs it.
"""

__all__ = ["__version__"]
__version__ = "0.1.0"
