"""`python -m mldbg.contracts.sanitize train.py --epochs 3`: a program under `sanitize`, which need not import it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy
import sys
from pathlib import Path

from mldbg.contracts.sanitize import everywhere


def main() -> None:
    """Run the program that the command line names, as `python` itself would."""
    parser = argparse.ArgumentParser(
        prog="python -m mldbg.contracts.sanitize", description="Run a program under sanitize(): logits, probabilities and masks."
    )
    parser.add_argument("--collect", action="store_true", help="report all findings at exit, in place of raising the first")
    parser.add_argument("-m", dest="is_module", action="store_true", help="TARGET is the name of a module")
    parser.add_argument("target", metavar="TARGET", help="a script, or with -m a module")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="arguments of the program")
    options = parser.parse_args()
    if not (_is_module(options.target) if options.is_module else Path(options.target).exists()):
        parser.error(f"there is no {'module' if options.is_module else 'file'} {options.target}")
    os.environ[everywhere.VARIABLE] = "collect" if options.collect else "1"  # for processes that it starts
    everywhere.start(collect=options.collect)
    sys.argv = [options.target, *options.arguments]
    if options.is_module:
        runpy.run_module(options.target, run_name="__main__", alter_sys=True)
    else:
        if not sys.flags.safe_path:
            sys.path[0] = str(Path(options.target).resolve().parent)
        runpy.run_path(options.target, run_name="__main__")


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


if __name__ == "__main__":
    main()
