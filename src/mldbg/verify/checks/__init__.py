"""One check in each module; `mldbg.verify.registry` finds them."""
