"""Comments addressed to the linter: what each one says, and which lines of code it is about.

The form is `# mldebug: allow[names] reason`, or `allow-file` for a whole file. Others' comments may stand before and after it:
`# noqa: E501  # mldebug: allow[...] reason  # type: ignore`.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from mldbg.lint.finding import Span
from mldbg.lint.suggest import aside, did_you_mean

LINE, FILE = "allow", "allow-file"
FORM = "# mldebug: allow[rule-name] reason"

_LINE_END = re.compile(r"\r\n?")
_OURS = re.compile(r"#\s*mldebug:\s*(?P<said>[^#]*)")
_NEARLY_OURS = re.compile(
    r"(?:#\s*(?:mldebug(?:-lint)?|mldbg)\b[\s:]*|\bmldebug:\s*)allow(?:[-_ ]file)?\s*[\[(]"
    r"|#\s*(?:mldebug(?:-lint)?|mldbg)\b[\s:]*(?:disable|ignore|noqa|skip|suppress)\s*(?:[\[(:#]|$)",  # as others say it
    re.IGNORECASE | re.MULTILINE,
)
_SAID = re.compile(r"(?P<word>[\w-]*)\s*(?P<rest>.*)", re.DOTALL)
_OTHER_TOOL = re.compile(
    r"#\s*(?:noqa|type:|pyright:|mypy:|ruff:|flake8:|pylint:|pyre-|pytype:|fmt:|yapf:|isort:|pragma:|nosec|NOSONAR|cspell:)"
)


@dataclass(frozen=True, slots=True)
class Reach:
    """The statement, from its first to its last line, that a comment is about; with `line`, only what touches that line."""

    first: int
    last: int
    line: int | None = None

    def __contains__(self, span: Span) -> bool:
        return self.first <= span.line <= self.last and (self.line is None or span.line <= self.line <= span.end_line)


EVERYWHERE = Reach(1, 10**9)
NOWHERE = Reach(0, -1)


@dataclass(frozen=True, slots=True)
class Directive:
    """One suppression.

    Attributes:
        names: rules and groups as they are written.
        problem: why it suppresses nothing, or "".
        meant: False where it may be part of code that was commented out, so that nothing should be said about it.
    """

    span: Span
    reach: Reach
    names: tuple[str, ...]
    problem: str = ""
    meant: bool = True

    @property
    def of_file(self) -> bool:
        """Whether it is about the whole file."""
        return self.reach is EVERYWHERE


def may_stand_in(data: bytes) -> bool:
    """Whether a file can hold a directive: a quick look, so that most files are not tokenized."""
    text = data.lower()
    return b"mldebug" in text or b"mldbg" in text


@lru_cache(maxsize=8)  # fixes ask for the same text once for each finding
def directives(text: str, path: str) -> tuple[Directive, ...]:
    """All suppressions of a file, in their order."""
    if not (_OURS.search(text) or _NEARLY_OURS.search(text)):
        return ()
    return tuple(_directives(_layout(_LINE_END.sub("\n", text)), path))


# --- layout: comments and statements ---


@dataclass(frozen=True, slots=True)
class _Comment:
    line: int
    column: int
    text: str
    alone: bool
    next_code: int | None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where comments and statements stand.

    Attributes:
        statements: by line, the first and last line of the statement there; of compound ones, of the header and its decorators.
        ends: the first and last lines of logical lines.
        first_code: where the first statement starts that is no docstring.
    """

    comments: tuple[_Comment, ...]
    statements: dict[int, tuple[int, int]]
    ends: frozenset[int]
    first_code: int


_NO_CODE = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER})


def _layout(text: str) -> _Layout:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return _layout_of_broken_text(text)
    logical = list(_logical_lines(tokens))
    ends = frozenset(line for each in logical for line in (each[0].start[0], each[-1].end[0]))
    first_code = next((each[0].start[0] for each in logical if not _is_docstring(each, logical[0])), EVERYWHERE.last)
    return _Layout(tuple(_comments(tokens)), _statements(logical), ends, first_code)


def _logical_lines(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[list[tokenize.TokenInfo]]:
    """The tokens of code of each logical line."""
    line: list[tokenize.TokenInfo] = []
    for token in tokens:
        if token.type not in _NO_CODE:
            line.append(token)
        elif token.type == tokenize.NEWLINE and line:
            yield line
            line = []


def _is_docstring(line: list[tokenize.TokenInfo], first: list[tokenize.TokenInfo]) -> bool:
    return line is first and all(token.type == tokenize.STRING for token in line)


def _statements(logical: list[list[tokenize.TokenInfo]]) -> dict[int, tuple[int, int]]:
    """The extent of the statement on each line; decorators belong to the `def` or `class` below them."""
    found: dict[int, tuple[int, int]] = {}
    first = None
    for line in logical:
        first = first or line[0].start[0]
        last = line[-1].end[0]
        found |= dict.fromkeys(range(first, last + 1), (first, last))
        if line[0].string != "@":
            first = None
    return found


def _comments(tokens: list[tokenize.TokenInfo]) -> Iterator[_Comment]:
    next_code: int | None = None
    found = []
    for token in reversed(tokens):
        if token.type == tokenize.COMMENT:
            (line, column), text = token.start, token.string
            found.append(_Comment(line, column + 1, text, not token.line[:column].strip(), next_code))
        elif token.type not in _NO_CODE:
            next_code = token.start[0]
    return reversed(found)


def _layout_of_broken_text(text: str) -> _Layout:
    """Each line is a statement, and comments are sought where they cannot stand inside a string."""
    lines = text.split("\n")
    code = [number for number, line in enumerate(lines, start=1) if line.strip() and not line.lstrip().startswith("#")]
    comments = [
        _Comment(number, at + 1, line[at:].rstrip(), not line[:at].strip(), next((each for each in code if each > number), None))
        for number, line in enumerate(lines, start=1)
        if (at := line.find("#")) >= 0 and not set("\"'") & set(line[:at])
    ]
    return _Layout(tuple(comments), {number: (number, number) for number in code}, frozenset(code), min(code, default=1))


# --- what a comment says ---


def _directives(layout: _Layout, path: str) -> Iterator[Directive]:
    for comment in layout.comments:
        ours = list(_OURS.finditer(comment.text))
        for match in ours:
            span = _span(comment, match.start(), match.start() + len(match[0].rstrip()), path)
            meant = not comment.alone or _only_other_tools(comment.text[: match.start()])
            yield _understood(match["said"], span, comment, layout, meant=meant)
        nearly = _NEARLY_OURS.search(comment.text)
        if nearly and not ours and (not comment.alone or _only_other_tools(comment.text[: nearly.start()])):
            span = _span(comment, nearly.start(), len(comment.text.rstrip()), path)
            yield Directive(span, NOWHERE, (), 'a suppression starts with "# mldebug: allow["')


def _span(comment: _Comment, start: int, end: int, path: str) -> Span:
    return Span(path, comment.line, comment.column + start, comment.line, comment.column + end)


def _only_other_tools(text: str) -> bool:
    """Whether text before a directive holds nothing but comments for other tools."""
    return all(_OTHER_TOOL.match("#" + part) for part in text.split("#")[1:] if part.strip())


def _understood(said: str, span: Span, comment: _Comment, layout: _Layout, *, meant: bool) -> Directive:
    match = _SAID.match(said)
    word, rest = (match["word"], match["rest"]) if match else ("", "")
    if word not in (LINE, FILE):
        return Directive(span, NOWHERE, (), _problem_of_word(word), meant)
    names = tuple(name.strip() for name in rest[1:].partition("]")[0].split(",") if name.strip())
    problem = _problem_of_brackets(rest, names)
    if not problem and word == FILE and comment.line >= layout.first_code:
        problem = "allow-file counts only above the first statement of a file"
    if problem:
        return Directive(span, NOWHERE, (), problem, meant)
    return Directive(span, EVERYWHERE if word == FILE else _reach(comment, layout), names, "", meant)


def _problem_of_word(word: str) -> str:
    if not word:
        return "the directive is missing"
    of_line = word.lower().startswith(LINE) and "file" not in word.lower()  # nobody is led to hide a whole file by chance
    return f'unknown directive "{word}"' + aside(did_you_mean(word, (LINE,) if of_line else (LINE, FILE)))


def _problem_of_brackets(rest: str, names: tuple[str, ...]) -> str:
    if rest.startswith("("):
        return "names of rules go in square brackets"
    if not rest.startswith("["):
        return "no rule is named"
    if "]" not in rest:
        return "the closing bracket is missing"
    return "" if names else "there is no name between the brackets"


def _reach(comment: _Comment, layout: _Layout) -> Reach:
    """A comment on a line of its own is about the code below it, even after blank lines; another one is about its own line.

    Inside a statement of several lines, only what touches that line counts; on the first and last line, the whole statement.
    """
    inside = layout.statements.get(comment.line)
    line = comment.next_code if comment.alone else comment.line
    statement = layout.statements.get(line) if line is not None else None
    if statement is None or line is None:
        return NOWHERE
    whole = inside is None if comment.alone else line in layout.ends
    return Reach(*statement, None if whole else line)
