"""What is known of a table: which of its columns a value is, which of them look ahead, and how its rows follow one another."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mldbg.lint.interpret.address import Ref, Site

Column = str | tuple[str, int]
"""A column of a table: its name, or that it is counted and its number."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of the columns of a table, and of the order of its rows.

    Attributes:
        of: the table as it was made, which its parts have in common; None where that is no longer known.
        only: the columns that these are; None where they are all but some.
        without: all columns but these.
        later: columns that hold something of later rows, and where that was taken from there.
        future: where these numbers were taken from later rows.
        timed: where it is said that the rows follow one another in time.
        whole: this is said of the rows as they are, and not only by some of the columns.
        lags: columns that say it, and where.
        backwards: the latest row may come first.
        cut: the slices of rows that were taken of it, as the source says them.
        marks: columns that hold predictions, and the mark of these.
        twins: columns that were computed from a single other one, value by value, and that one.
    """

    of: Ref | None = None
    only: frozenset[Column] | None = None
    without: frozenset[Column] = frozenset()
    later: frozenset[tuple[Column, Site]] = frozenset()
    future: Site | None = None
    timed: Site | None = None
    whole: bool = False
    lags: frozenset[tuple[Column, Site]] = frozenset()
    backwards: bool = False
    cut: tuple[str, ...] = ()
    twins: frozenset[tuple[Column, Column]] = frozenset()
    marks: frozenset[tuple[Column, object]] = frozenset()

    @property
    def lost(self) -> Table:
        """The same where the columns are no longer known."""
        return Table(future=self.future, timed=self.follows, whole=self.follows is not None, backwards=self.backwards)

    @property
    def follows(self) -> Site | None:
        """Where it is said of these rows and columns that they follow one another in time."""
        if self.whole:
            return self.timed
        return next((site for _, site in sorted(self.lags, key=lambda one: str(one[0]))), None)

    @property
    def column(self) -> Column | None:
        """The only column that it is; None where it may be several."""
        return next(iter(self.only)) if self.only is not None and len(self.only) == 1 else None

    def holds(self, column: Column) -> bool:
        """Whether a column of the table that it is made of is certainly among its own."""
        if self.only is not None:
            return column in self.only
        if _is_counted_from_the_other_end(column, self.without):
            return True
        return all(_are_comparable(column, gone) and column != gone for gone in self.without)

    def to(self, columns: frozenset[Column]) -> Table:
        """These columns of it."""
        future = next((site for name, site in sorted(self.later, key=lambda one: str(one[0])) if name in columns), None)
        later = frozenset((name, site) for name, site in self.later if name in columns)
        lags = frozenset((name, site) for name, site in self.lags if name in columns)
        future = future if len(columns) == 1 else None
        return replace(self, only=columns, without=frozenset(), later=later, lags=lags, future=future)

    def but(self, columns: frozenset[Column]) -> Table:
        """All columns but these."""
        later = frozenset((name, site) for name, site in self.later if name not in columns)
        lags = frozenset((name, site) for name, site in self.lags if name not in columns)
        if self.only is not None:
            return replace(self, only=self.only - columns, later=later, lags=lags)
        return replace(self, without=self.without | columns, later=later, lags=lags)

    def with_column(self, column: Column, content: Table | None) -> Table:
        """The same with new content in a column."""
        later = frozenset((name, site) for name, site in self.later if name != column)
        lags = frozenset((name, site) for name, site in self.lags if name != column)
        if content is not None and content.future is not None:
            later |= {(column, content.future)}
        twins = frozenset(pair for pair in self.twins if pair[0] != column)
        source = content.column if content is not None and content.of is self.of else None
        if source is not None and source != column:
            twins |= {(column, source)}
        follows = content.follows if content is not None else None
        if follows is not None:
            lags |= {(column, follows)}
        only = self.only | {column} if self.only is not None else None
        without = self.without - {column}
        return replace(self, only=only, without=without, later=later, lags=lags, twins=twins, timed=self.timed or follows)

    def alike(self, column: Column) -> frozenset[Column]:
        """Columns that say the same as one does, or of which it is a function."""
        return frozenset(two if one == column else one for one, two in self.twins if column in (one, two))


def _is_counted_from_the_other_end(column: Column, gone: frozenset[Column]) -> bool:
    """Whether a column is the last and only some of the first are gone, or the other way round: then there are others left."""
    numbers = [one[1] for one in gone if not isinstance(one, str)]
    if isinstance(column, str) or not numbers or len(numbers) < len(gone):
        return False
    return (column[1] == -1 and all(number >= 0 for number in numbers)) or (column[1] == 0 and numbers == [-1])


def _are_comparable(one: Column, two: Column) -> bool:
    """Whether two columns are known to be the same, or not: both by name, or counted from the same end."""
    if isinstance(one, str) or isinstance(two, str):
        return isinstance(one, str) and isinstance(two, str)
    return (one[1] < 0) is (two[1] < 0)


def join_tables(one: Table | None, two: Table | None) -> Table | None:
    """What is known of something that is made of both."""
    if one == two:
        return one
    first, second = one or Table(), two or Table()
    follows = first.follows or second.follows
    return Table(
        future=first.future or second.future,
        timed=follows,
        whole=follows is not None,
        backwards=first.backwards or second.backwards,
    )
