"""How often each rule fired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mldbg.lint.report.summary import closing, problem_line
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """A line for each rule that fired, the most frequent first; problems and a closing line."""
    del rules
    counts = Counter(finding.rule for finding in result.findings)
    rows = [f"{count:6}  {rule}" for rule, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    problems = [problem_line(problem) for problem in result.problems]
    return "\n".join([*rows, *problems, closing(result)]) + "\n"
