"""What operations of torch, numpy, scikit-learn and their helpers do: pure data for the linter, the contracts and the bench.

It lies directly above the vocabulary, `mldbg.semantics`, and imports nothing else but the standard library.
"""
