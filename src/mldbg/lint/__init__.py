"""The linter: reads code, runs nothing, never imports torch."""
