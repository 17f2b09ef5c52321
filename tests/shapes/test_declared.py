"""Annotations of arrays against shapes: the linter says of a call with literal sizes what jaxtyping says when it is run."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from jaxtyping import AnnotationError, Float, jaxtyped
from torch import Tensor

from mldbg.lint import engine, files
from mldbg.lint.interpret.facts import Contradiction

EXAMPLES = 30 * int(os.environ.get("SHAPE_EXAMPLES", "10"))
NAMES = ("n", "m", "k")
LETTERS = "xyz"

PLAIN = st.sampled_from([*NAMES, *NAMES, *NAMES, "_", "_n", "1", "2", "3", "n=2", "rows=n", "#n", "#m", "#2"])
COMPUTED = st.sampled_from(["2*n", "n+1", "n//2", "n*m", "n-m", "m+k", "#n+1", "n%2", "n**2", "(n+m)//2", "m-1", "2*n//m"])
SEVERAL = st.sampled_from(["...", "*s", "*s", "*s", "*t", "*#s", "#*s", "_*s"])

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A function with annotated parameters and the shapes that it is called with; of the last pair what it returns."""

    axes: tuple[str, ...]
    shapes: tuple[Sizes, ...]

    @property
    def text(self) -> str:
        letters = LETTERS[: len(self.axes) - 1]
        *annotations, returned = (f"Float[Tensor, {axes!r}]" for axes in self.axes)
        *given, made = (f"torch.zeros({shape})" for shape in self.shapes)
        parameters = ", ".join(f"{letter}: {annotation}" for letter, annotation in zip(letters, annotations, strict=True))
        return (
            "import torch\nfrom jaxtyping import Float\nfrom torch import Tensor\n\n\n"
            f"def combine({parameters}) -> {returned}:\n    return {made}\n\n\n"
            f"def main():\n    return combine({', '.join(given)})\n"
        )


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Shapes mostly fit: what names stand for is drawn first."""
    values = {name: draw(st.integers(1, 4)) for name in NAMES}
    several = {name: draw(st.lists(st.integers(1, 4), max_size=2)) for name in "st"}
    axes: list[str] = []
    shapes: list[Sizes] = []
    for _ in range(draw(st.integers(3, 4))):
        words = draw(st.lists(PLAIN | COMPUTED if axes else PLAIN, max_size=3))
        if draw(st.booleans()):
            words.insert(draw(st.integers(0, len(words))), draw(SEVERAL))
        shape = [size for word in words for size in draw(fitting(word, values, several))]
        if draw(st.integers(0, 5)) == 0 and shape:
            shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(1, 5))
        if draw(st.integers(0, 12)) == 0:
            shape = [*shape, 2] if draw(st.booleans()) else shape[1:]
        axes.append(" ".join(words))
        shapes.append(tuple(shape))
    return Program(tuple(axes), tuple(shapes))


@st.composite
def fitting(draw: st.DrawFn, word: str, values: dict[str, int], several: dict[str, list[int]]) -> list[int]:
    """Sizes that a word of an annotation allows, where names stand for these numbers."""
    if word == "..." or (word.startswith("_") and "*" in word):
        return draw(st.lists(st.integers(1, 4), max_size=2))
    inner = word.rpartition("=")[2].lstrip("#*")
    if "*" in word and inner in several:
        sizes = several[inner]
        return [1 if draw(st.booleans()) else size for size in sizes] if "#" in word and draw(st.booleans()) else sizes
    if word.startswith("_"):
        return [draw(st.integers(1, 4))]
    if word.startswith("#") and draw(st.booleans()):
        return [1]
    size: int = eval(inner, {}, dict(values))
    return [max(size, 1)]


# --- the oracle ---


def first_refused(program: Program) -> int | None:
    """The place of the first array that jaxtyping refuses; None where there is none."""
    with jaxtyped("context"):
        for place, (axes, shape) in enumerate(zip(program.axes, program.shapes, strict=True)):
            if not accepts(axes, torch.zeros(shape)):
                return place
    return None


def accepts(axes: str, value: Tensor) -> bool:
    """Where an axis is computed from a name that has no size yet, jaxtyping gives up: such an axis may have any size here."""
    while True:
        try:
            return isinstance(value, Float[Tensor, axes])  # type: ignore[arg-type] # it is an array of any type
        except AnnotationError as error:
            found = re.search(r"axis '(.*?)' as some", str(error))
            if found is None:
                raise
            event("a name has no size yet")
            words = axes.split()
            words[next(place for place, word in enumerate(words) if word.lstrip("#") == found[1])] = "_"
            axes = " ".join(words)


# --- the linter ---


def contradicted(program: Program) -> set[str]:
    """The names of the parameters, and of the function, whose annotations the linter says are broken."""
    with tempfile.TemporaryDirectory() as folder:
        source = files.Source("case.py", Path(folder) / "case.py", program.text.encode())
        facts = engine.facts_of(source, engine.Project(Path(folder)), shapes=True)
    assert not facts.problems
    assert facts.entries
    return {fact.name for entry in facts.entries for fact in entry.facts if isinstance(fact, Contradiction)}


def is_excused(program: Program) -> bool:
    """Whether the linter may be silent: it does not compare `*name` where its axes may be broadcast."""
    return any("#" in word and "*" in word and word.lstrip("#*").isidentifier() for axes in program.axes for word in axes.split())


thorough = settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES <= 300)


def names(program: Program) -> list[str]:
    return [*LETTERS[: len(program.axes) - 1], "combine"]


@thorough
@given(programs())
@example(Program(("n m", "m n", "n"), ((2, 3), (3, 2), (2,))))
@example(Program(("*s n", "#n 2*n", "*s n//2"), ((2, 3, 4), (1, 8), (2, 3, 2))))
def test_what_jaxtyping_accepts_is_not_reported(program: Program) -> None:
    refused = first_refused(program)
    told = contradicted(program)
    if refused is None:
        assert not told, program.text
    else:  # what comes after the first refusal is never run
        assert told.isdisjoint(names(program)[:refused]), program.text


@thorough
@given(programs())
@example(Program(("n m", "n m", "n"), ((2, 3), (3, 2), (2,))))
@example(Program(("n", "#n 2*n", "n+1"), ((4,), (1, 8), (4,))))
@example(Program(("*s n", "*s", "..."), ((2, 3, 4), (2,), ())))
def test_what_jaxtyping_refuses_is_reported(program: Program) -> None:
    refused = first_refused(program)
    if refused is None or is_excused(program):
        event("accepted, or excused")
        return
    assert names(program)[refused] in contradicted(program), program.text
