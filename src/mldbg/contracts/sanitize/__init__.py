"""`sanitize`: no annotations at all. Follows logits, probabilities and log-probabilities through torch's operations."""

from mldbg.contracts.sanitize.finding import Finding, Report
from mldbg.contracts.sanitize.mode import OPTIONAL, RULES, sanitize

__all__ = ["OPTIONAL", "RULES", "Finding", "Report", "sanitize"]
