"""Identities: places in the source, the calls under way there, and what was made at such a place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.finding import Span
    from mldbg.lint.interpret.module import Part


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the source: a node and the part that holds it. Its span is computed only when it is reported."""

    part: Part
    node: cst.CSTNode

    @property
    def span(self) -> Span:
        return self.part.span(self.node)

    def __repr__(self) -> str:
        return f"Site({self.part.module.path}:{self.span.line})"


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The calls that are under way: the innermost call's site, and the calls around it. The interpreter makes each only once."""

    site: Site
    outer: Context | None


@dataclass(frozen=True, slots=True)
class Ref:
    """The identity of something that holds state: an object, a frame, a module. Equal where the same site made it under the same
    calls; `label` tells apart what one site makes (parameters, attributes).
    """

    site: Site | None
    context: Context | None = None
    label: str = ""
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.site, self.context, self.label)))

    def __hash__(self) -> int:
        return self._hash
