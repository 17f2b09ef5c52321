"""`python -m mldbg.lint` is `mldebug-lint`."""

from mldbg.lint.cli import main

main()
