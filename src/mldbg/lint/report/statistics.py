"""How often each rule fired, and what was seen only in part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mldbg.lint.finding import Partly, cell_name
from mldbg.lint.report.summary import closing, counted, problem_line
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """A line for each rule that fired, the most frequent first; what was followed only in part, problems and a closing line."""
    del rules
    counts = Counter(finding.rule for finding in result.findings)
    rows = [f"{count:6}  {rule}" for rule, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    problems = [problem_line(problem) for problem in result.problems]
    return "\n".join([*rows, *_in_part(result.partly), *problems, closing(result)]) + "\n"


def _in_part(partly: Sequence[Partly]) -> list[str]:
    """Where no finding does not mean that there is none."""
    if not partly:
        return []
    return [f"{counted(len(partly), 'definition')} followed only in part, because of how much they call:", *map(_named, partly)]


def _named(code: Partly) -> str:
    where = cell_name(code.path, code.cell)
    return f"  {where}:{code.line} {code.name}" if code.line else f"  {where} {code.name}"
