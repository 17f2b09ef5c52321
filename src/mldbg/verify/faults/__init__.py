"""Faults that are injected on purpose, to find out what the checks can see: one module for each stage."""
