"""One line for each finding, as compilers write them."""

from __future__ import annotations

from collections.abc import Sequence

from click import style

from mldbg.lint.report.summary import closing, place, problem_line
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """Findings, problems and a closing line."""
    del rules
    findings = [f"{place(each.span)}: {each.message} {style(f'[{each.rule}]', fg='red')}" for each in result.findings]
    problems = [problem_line(problem) for problem in result.problems]
    return "\n".join([*findings, *problems, closing(result)]) + "\n"
