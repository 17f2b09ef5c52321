"""`python -m mldbg.verify` is `mldebug-verify`."""

from mldbg.verify.cli import main

if __name__ == "__main__":
    main()
