"""One line for each finding, as compilers write them."""

from __future__ import annotations

from collections.abc import Sequence

from click import style

from mldbg.lint.report.summary import closing, place
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """Findings, problems and a closing line."""
    del rules
    findings = [
        f"{style(f'{finding.span.path}:{finding.span.line}:{finding.span.column}', bold=True)}: "
        f"{finding.message} {style(f'[{finding.rule}]', fg='red')}"
        for finding in result.findings
    ]
    problems = [f"{style(place(problem), bold=True)}: {problem.message}" for problem in result.problems]
    return "\n".join([*findings, *problems, closing(result)]) + "\n"
