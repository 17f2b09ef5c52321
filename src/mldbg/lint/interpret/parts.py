"""Of which losses a loss consists: sums and products of several, and what was chosen between them."""

from __future__ import annotations

from mldbg.lint.interpret.address import Made, Ref, made_at, one_of

MOST_PARTS = 12
"""Losses in one loss that are told apart."""

_OF_LOSSES = frozenset({Made.LOSS, Made.SUM, Made.EITHER})


def says_it_is_loss(origin: Ref | None) -> bool:
    """Whether an identity is that of a loss."""
    return origin is not None and origin.kind in _OF_LOSSES


def parts_of(loss: Ref | None) -> frozenset[Ref]:
    """The losses that a loss is made of or chosen from; of one that is neither, itself."""
    if loss is None:
        return frozenset()
    if loss.kind in (Made.SUM, Made.EITHER, Made.SCALED) and isinstance(loss.detail, frozenset):
        return frozenset(part for member in loss.detail for part in parts_of(member))
    named = loss.whole if loss.kind is Made.LOSS else None
    return frozenset({loss}) | parts_of(named) if named is not None and named.kind is Made.SCALED else frozenset({loss})


def made_of(made: Ref, parts: frozenset[Ref]) -> Ref:
    """The identity of what a place makes of several losses; of none or of too many, the place's own."""
    if not 1 <= len(parts) <= MOST_PARTS or made.site is None:
        return made
    return made_at(made.site, made.context, Made.SUM, parts)


def scaled(made: Ref, term: Ref) -> Ref:
    """The identity of what a place makes of a value and a number, which may become a term of a loss."""
    if made.site is None or term.kind is Made.SCALED:
        return made
    return made_at(made.site, made.context, Made.SCALED, frozenset({term}))


def either_of(one: Ref, two: Ref) -> Ref | None:
    """The identity of a loss that is one of two; None where they are chosen from too many."""
    members = _members(one) | _members(two)
    return one_of(members) if len(members) <= MOST_PARTS else None


def _members(loss: Ref) -> frozenset[Ref]:
    if loss.kind is Made.EITHER and isinstance(loss.detail, frozenset):
        return loss.detail
    return frozenset({loss})
