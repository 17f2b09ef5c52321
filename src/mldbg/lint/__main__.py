"""What the command `mldebug-lint` starts, and `python -m mldbg.lint`: the linter, unless somebody interrupts its loading."""

import sys

INTERRUPTED = 130
"""The exit code that `cli` has for it, too; here nothing of it is loaded yet."""


def main() -> None:
    """Run the command."""
    try:
        from mldbg.lint.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("\nmldebug-lint: interrupted\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
