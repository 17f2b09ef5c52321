"""Puts annotations into source files, and touches nothing else in them."""

from __future__ import annotations

import ast
import difflib
import io
import os
import re
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType

import torch

from mldbg.contracts.propose.axes import FAMILY_NAMES, free
from mldbg.contracts.propose.writing import names_in

Function = ast.FunctionDef | ast.AsyncFunctionDef
_Placed = ast.expr | ast.stmt | ast.arg


@dataclass(frozen=True, slots=True)
class Annotated:
    """A function, and what is put into its source.

    code: of the function. parameters, result: the text of each new annotation. decorated: whether it has a contract already.
    """

    code: CodeType
    parameters: Mapping[str, str]
    result: str | None
    decorated: bool


@dataclass(frozen=True, slots=True)
class _Edit:
    """Bytes of a file that are replaced."""

    start: int
    end: int
    text: str


class File:
    """A source file of the user's."""

    def __init__(self, path: str, text: str) -> None:
        """Raises SyntaxError for what is no Python."""
        self.path = path
        self.text = text
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        self.tree = ast.parse(text.removeprefix(self._mark))
        self._bytes = text.removeprefix(self._mark).encode("utf-8", "surrogatepass")
        lines = self._bytes.splitlines(keepends=True)
        self._starts: list[int] = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self.end = "\r\n" if b"\r\n" in self._bytes else "\n"
        longest = max((len(line.rstrip(b"\r\n")) for line in lines), default=0)
        self.width = min(max(88, longest), 130)

    def function(self, code: CodeType) -> tuple[Function, list[ast.ClassDef]] | None:
        """The definition of a function, and the classes around it; None where the file has another one there by now."""
        waiting: list[tuple[ast.AST, list[ast.ClassDef]]] = [(self.tree, [])]
        while waiting:
            node, around = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                count = code.co_argcount + code.co_kwonlyargcount
                if (node.name, first) == (code.co_name, code.co_firstlineno) and tuple(names) == code.co_varnames[:count]:
                    return node, around
            inner = [*around, node] if isinstance(node, ast.ClassDef) else around
            waiting += [(child, inner) for child in ast.iter_child_nodes(node)]
        return None

    def annotated(self, functions: Sequence[Annotated]) -> str:
        """The text with annotations, decorators and the imports that they need."""
        names = _Names(self, functions)
        edits: list[_Edit] = []
        for one in functions:
            found = self.function(one.code)
            if found is not None and (one.parameters or one.result):
                edits += self._edits(found[0], one, names)
        if not edits:
            return self.text
        edits += self._imports(names)
        data = self._bytes
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end), reverse=True):
            data = data[: edit.start] + edit.text.encode() + data[edit.end :]
        return self._mark + data.decode("utf-8", "surrogatepass")

    # --- one function ---

    def _edits(self, node: Function, one: Annotated, names: _Names) -> Iterator[_Edit]:
        header = list(self._header(node, one, names))
        yield from self._fitted(node, header)
        if not one.decorated:
            start = self._starts[node.lineno - 1]
            line = self._bytes[start : self._start(node)].decode()
            yield _Edit(start, start, f"{line}@{names.of('contract')}{self.end}")

    def _header(self, node: Function, one: Annotated, names: _Names) -> Iterator[_Edit]:
        args = node.args
        defaults = dict(zip(reversed([*args.posonlyargs, *args.args]), reversed(args.defaults), strict=False))
        defaults |= {arg: value for arg, value in zip(args.kwonlyargs, args.kw_defaults, strict=True) if value is not None}
        for arg in (*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg):
            if arg is None or arg.arg not in one.parameters:
                continue
            text = names.renamed(one.parameters[arg.arg])
            if arg.annotation is not None:
                yield _Edit(self._start(arg.annotation), self._stop(arg.annotation), text)
                continue
            end = self._stop(arg)
            default = defaults.get(arg)
            until = self._start(default) if default is not None else end
            between = self._bytes[end:until]
            if between.strip() == b"=" and b"\n" not in between:
                yield _Edit(end, until, f": {text} = ")
            else:
                yield _Edit(end, end, f": {text}")
        if one.result is not None:
            text = names.renamed(one.result)
            if node.returns is not None:
                yield _Edit(self._start(node.returns), self._stop(node.returns), text)
            else:
                end = self._end_of_parameters(node)
                yield _Edit(end, end, f" -> {text}")

    def _fitted(self, node: Function, edits: Sequence[_Edit]) -> Iterable[_Edit]:
        """The edits, or one that sets each parameter on a line of its own, where all would make one line too long."""
        start = self._start(node)
        lines = self._bytes[start : self._starts[node.lineno]]
        close = self._end_of_parameters(node)
        colon = self._colon(node)
        is_one_line = colon < self._starts[node.lineno] and b"#" not in lines
        grown = sum(len(edit.text) - (edit.end - edit.start) for edit in edits)
        indent = start - self._starts[node.lineno - 1]
        until = len(lines.rstrip()) if self._starts[node.lineno] > self._start(node.body[0]) else colon - start + 1
        if not is_one_line or indent + until + grown <= self.width:
            return edits
        pieces = self._parts(node, edits, close)
        margin = self._bytes[self._starts[node.lineno - 1] : start].decode()
        step = "\t" if "\t" in margin else "    "
        opening = self._bytes.index(b"(", start)
        inside = "".join(f"{self.end}{margin}{step}{piece}," for piece in pieces)
        if pieces and pieces[-1].startswith("**"):
            inside = inside.removesuffix(",")
        returned = [edit for edit in edits if edit.start >= close]
        new = _Edit(opening + 1, close - 1, f"{inside}{self.end}{margin}")
        return [new, *returned]

    def _parts(self, node: Function, edits: Sequence[_Edit], close: int) -> list[str]:
        """The parameters with their annotations, one by one, `/` and `*` among them."""
        opening = self._bytes.index(b"(", self._start(node))
        data = self._bytes[: close - 1]
        for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
            if edit.start < close:
                data = data[: edit.start] + edit.text.encode() + data[edit.end :]
        text, pieces, depth, last, quote = data[opening + 1 :].decode(), [], 0, 0, ""
        for index, letter in enumerate(text):
            if quote:
                quote = "" if letter == quote and text[index - 1] != "\\" else quote
            elif letter in "\"'":
                quote = letter
            elif letter in "([{":
                depth += 1
            elif letter in ")]}":
                depth -= 1
            elif letter == "," and not depth:
                pieces.append(text[last:index].strip())
                last = index + 1
        return [piece for piece in (*pieces, text[last:].strip()) if piece]

    def _tokens(self, node: Function) -> Iterator[tuple[tokenize.TokenInfo, int]]:
        """The tokens of a definition, and the byte behind each."""
        text = self._bytes[self._starts[node.lineno - 1] :].decode("utf-8", "surrogatepass")
        lines = list(io.StringIO(text, newline=""))
        try:
            for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
                row, column = token.end
                line = lines[row - 1] if row <= len(lines) else ""
                yield token, self._starts[node.lineno - 1 + row - 1] + len(line[:column].encode())
        except (tokenize.TokenError, IndentationError):  # the definition is over, or what follows is unusual
            return

    def _end_of_parameters(self, node: Function) -> int:
        """The place behind the parenthesis that closes the parameters."""
        return next(end for text, end in self._at_depth_0(node) if text == ")")

    def _colon(self, node: Function) -> int:
        """The place of the colon that ends the header."""
        return next(end for text, end in self._at_depth_0(node) if text == ":") - 1

    def _at_depth_0(self, node: Function) -> Iterator[tuple[str, int]]:
        depth = 0
        for token, end in self._tokens(node):
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
                if depth == 0:
                    yield token.string, end

    def _start(self, node: _Placed) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _stop(self, node: _Placed) -> int:
        if isinstance(node, ast.arg):  # without its annotation
            return self._start(node) + len(node.arg.encode())
        return self._starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)

    # --- imports ---

    def _imports(self, names: _Names) -> Iterator[_Edit]:
        new: list[str] = []
        for package, wanted in names.missing().items():
            held = next((one for one in self._leading_imports() if _is_plain(one, package)), None) if wanted else None
            if isinstance(held, ast.ImportFrom) and self._is_one_line(held):
                before = [_as_written(alias) for alias in held.names]
                every = [*before, *wanted]
                text = f"from {package} import {', '.join(sorted(every) if before == sorted(before) else every)}"
                if len(text) <= self.width:
                    yield _Edit(self._start(held), self._stop(held), text)
                    continue
            if wanted:
                new.append(f"from {package} import {', '.join(wanted)}{self.end}")
        if new:
            place = self._place_of_imports()
            yield _Edit(place, place, "".join(new))

    def _is_one_line(self, node: ast.ImportFrom) -> bool:
        return node.lineno == node.end_lineno and b"(" not in self._bytes[self._start(node) : self._stop(node)]

    def _leading_imports(self) -> list[ast.Import | ast.ImportFrom]:
        """The imports before anything else is defined."""
        found: list[ast.Import | ast.ImportFrom] = []
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                break
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.append(node)
        return found

    def _place_of_imports(self) -> int:
        """Before the first `from torch`; else behind the last import of torch, or of anything; else behind the docstring."""
        imports = self._leading_imports()
        of_torch = [one for one in imports if _package(one) == "torch"]
        first = next((one for one in of_torch if isinstance(one, ast.ImportFrom)), None)
        if first is not None:
            return self._starts[first.lineno - 1]
        if imports:
            return self._starts[(of_torch or imports)[-1].end_lineno or 1]
        top = self.tree.body[0]
        if isinstance(top, ast.Expr) and isinstance(top.value, ast.Constant):
            return self._starts[top.end_lineno or 1]
        decorators: list[ast.expr] = getattr(top, "decorator_list", [])
        return self._starts[min([top.lineno, *(one.lineno for one in decorators)]) - 1]


def _package(node: ast.Import | ast.ImportFrom) -> str:
    name = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
    return name.partition(".")[0]


def _is_plain(node: ast.AST, package: str) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == package and not node.level and node.names[0].name != "*"


def _as_written(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


class _Names:
    """How a file calls what annotations use, and what it has to import for that."""

    def __init__(self, file: File, functions: Sequence[Annotated]) -> None:
        self._bound: dict[str, str] = {}
        """Name -> what it was imported as, `torch.Tensor`; empty for anything else that the file defines."""
        for node in ast.walk(file.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._bound.setdefault(node.name, "")
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._bound.setdefault(node.id, "")
        for held in file._leading_imports():  # noqa: SLF001
            for alias in held.names:
                if isinstance(held, ast.ImportFrom):
                    self._bound[alias.asname or alias.name] = f"{'.' * held.level}{held.module or ''}.{alias.name}"
                else:
                    self._bound[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else _package(held)
        self._says_torch = any(re.search(r"(?::|->|\[|\|) ?torch\.Tensor\b", line) for line in file.text.splitlines())
        self._written: dict[str, str] = {}
        self._missing: dict[str, list[str]] = {"jaxtyping": [], "mldbg.contracts": [], "torch": []}
        texts = [text for one in functions for text in (*one.parameters.values(), one.result or "")]
        used = {name for text in texts for name in names_in(text)}
        if not all(one.decorated for one in functions):
            used.add("contract")
        for name in sorted(used):
            self._find(name)

    def of(self, name: str) -> str:
        """How the file calls it."""
        return self._written[name]

    def renamed(self, text: str) -> str:
        """An annotation in the words of the file."""
        pieces = re.split(r'("[^"]*")', text)
        for index in range(0, len(pieces), 2):
            pieces[index] = re.sub(r"[A-Za-z_]\w*", lambda found: self._written.get(found[0], found[0]), pieces[index])
        return "".join(pieces)

    def missing(self) -> Mapping[str, Sequence[str]]:
        """Package -> what to import from it."""
        return self._missing

    def _find(self, name: str) -> None:
        home = "torch" if name == "Tensor" else "jaxtyping" if name in FAMILY_NAMES else "mldbg.contracts"
        homes = {f"{home}.{name}", *({"mldbg.contract"} if name == "contract" else ())}
        known = next((each for each, what in self._bound.items() if what in homes), None)
        module = next((each for each, what in self._bound.items() if what == home), None)
        if known is not None:
            self._written[name] = known
        elif module is not None and (name != "Tensor" or self._says_torch or name in self._bound):
            self._written[name] = f"{module}.{name}"
        else:
            each = free(name, self._bound) if name not in self._bound else free(f"{name}_", self._bound)
            self._written[name] = each
            self._missing[home].append(name if each == name else f"{name} as {each}")


@cache
def _libraries() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {*(Path(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib")), Path(torch.__file__).parent}
    return tuple(f"{folder.resolve()}{os.sep}" for folder in folders)


def is_of_library(code: CodeType) -> bool:
    """Whether a function belongs to an installed package."""
    path = str(Path(code.co_filename).resolve())
    return path.startswith(_libraries()) or any(folder in path for folder in ("site-packages", "dist-packages"))


def text_of(path: str) -> str | None:
    """The text of a source file; None where there is none, or none in UTF-8, which is what a difference is written in."""
    try:
        data = Path(path).read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode("utf-8") if encoding.startswith("utf-8") else None
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError):
        return None


def unified(path: str, before: str, after: str, root: str) -> str:
    """The difference of two texts of a file, as `patch -p0` and `git apply -p0` take it in the folder `root`."""
    inside = os.path.relpath(path, root)
    name = path if inside.startswith(os.pardir) else inside.replace(os.sep, "/")
    one, two = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (before, after))
    lines = difflib.unified_diff(one, two, name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
