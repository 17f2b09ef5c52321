"""Whether rows that a model is evaluated on are among those that it has learned from, as far as splits say it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint.drawn_twice import drawn_twice
from mldbg.lint.interpret.facts import ModelCall
from mldbg.lint.interpret.value import Data, Known, Role
from mldbg.lint.library.names import says_test, says_validation

_SEEDS = re.compile(r"seed\w*\(")


def overlap(trained: Data, evaluated: Data, *, fitted: bool = False) -> str | None:
    """Why rows that are held out from something are among those that a model learned from; None where nothing says it."""
    if evaluated.role is None or not evaluated.role.held_out or not trained.rows:
        return None
    if trained.rows != evaluated.rows:
        return "each of two calls splits them anew, so that the parts share rows" if drawn_twice(trained, evaluated) else None
    if trained.as_part() == evaluated.as_part():
        return _on_held_out(trained)
    if _is_whole(evaluated, trained) and trained.split is not None and trained.role is Role.TRAIN:
        return "they are all rows, those of the training part included"
    if evaluated.split is None or trained.split is evaluated.split:
        return None
    if trained.split is None and ((fitted and trained.role is None) or _is_whole(trained, evaluated)):
        return "the model learns from all rows, those that were split off for evaluation included"
    if trained.role is not Role.TRAIN or trained.split is None:
        return None
    if evaluated.whole == (Role.TRAIN, trained.split):
        return "the model learns from the rows before these were split off"
    from mldbg.lint.interpret.splits import same_partition  # loads libcst, too

    if evaluated.whole != trained.whole or same_partition(trained.split, evaluated.split):
        return None
    if Known.NAMED_PART in (trained.known, evaluated.known) and len(_SEEDS.findall(trained.split.part.module.text)) > 1:
        return None  # the generator may have been set back between the two
    return "the training part comes from one split of the rows, and these from another, so that they share rows"


def _is_whole(whole: Data, part: Data) -> bool:
    """Whether what is called a part of the data is the set of which another part was split off."""
    return whole.known is Known.NAME and whole.split is None and whole.itself is not None and whole.itself is part.itself


def _on_held_out(data: Data) -> str | None:
    """The model learns from the held-out part itself."""
    surely = data.known in (Known.LIBRARY, Known.FILE) or (data.known is Known.SPLIT and data.role is Role.TEST)
    return f"the model learns from the {data.role.value} set itself" if surely and data.role is not None else None


def fed_by(call: ModelCall) -> Iterator[str]:
    """Names of what the rows come from that a model is run on, where they say that it is held out."""
    # these load libcst, and rules import this file at start-up
    from mldbg.lint.interpret.rounds import comprehensions
    from mldbg.lint.interpret.source_text import last_name

    names = list(call.feeding)
    names += [last_name(loop.for_in.iter) for loop, _ in comprehensions(call.place.site) if hasattr(loop, "for_in")]
    for name in names:
        short = name.rpartition(".")[2]
        if says_test(short) or says_validation(short):
            yield short
