from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Misfit
from mldbg.lint.interpret.value import Object
from mldbg.lint.ladder import ladder, short
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.problem import Problem

if TYPE_CHECKING:
    import libcst as cst


class WrongInFeatures(Rule):
    """a layer gets an input of another size than it was built for

    ## Why
    `nn.Linear(in_features, ...)`, convolutions, normalisations and recurrent layers fix the size of an axis when they are
    built. Most often a convolution or a pooling before was changed and the number in front of the flattened features was not.

    ## Bad
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = nn.Linear(784, 256)
                self.out = nn.Linear(128, 10)

            def forward(self, x):
                return self.out(self.hidden(x.view(-1, 784)).relu())

    ## Good
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = nn.Linear(784, 256)
                self.out = nn.Linear(256, 10)

            def forward(self, x):
                return self.out(self.hidden(x.view(-1, 784)).relu())

    ## Limits
    Fires when the size that arrives is known and differs from the layer's for every value of the sizes that are not known.
    The fix builds the layer for the size that arrives, where both sizes are numbers and the layer's is written out in its
    constructor, in the same file.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = hears(Misfit)

    def on_misfit(self, misfit: Misfit) -> Iterator[Finding]:
        from mldbg.operations.sizes import said

        mismatch = misfit.mismatch
        if mismatch.problem is not Problem.FEATURES:
            return
        site = misfit.place.site
        layer = short(misfit.name)
        hint = "build the layer for the size that arrives, or change what comes before"
        if mismatch.got is not None and mismatch.wanted is not None:
            hint = f"build the layer for {said(mismatch.got)} instead of {said(mismatch.wanted)}, or change what comes before"
        yield self.found(
            site,
            f"{layer} gets an input of another size than it was built for: {mismatch.reason}",
            hint=hint,
            ladder=[*ladder(*misfit.operands), *_built(misfit)],
            last=(site, f"{layer} is called here"),
            fix=_fix(misfit),
        )


def _fix(misfit: Misfit) -> Fix | None:
    """The layer is built for the size that arrives, where both are plain numbers."""
    mismatch = misfit.mismatch
    built = misfit.built.get(mismatch.parameter or "")
    if built is None or not isinstance(mismatch.got, int) or "groups" in misfit.built:  # groups go with the channels
        return None
    node = _only_element(built.node)
    if nodes.number_of(node) != mismatch.wanted:
        return None
    return edit.unsafe(edit.replaced(built.part, node, str(mismatch.got)))


def _only_element(node: cst.CSTNode) -> cst.CSTNode:
    """Of `[64]` or `(64,)` the number in it."""
    elements: tuple[cst.Element, ...] = tuple(getattr(node, "elements", ()))
    return elements[0].value if len(elements) == 1 else node


def _built(misfit: Misfit) -> list[tuple[Site, str]]:
    """Where the layer was built."""
    thing = misfit.layer.thing if misfit.layer is not None else None
    site = thing.ref.site if isinstance(thing, Object) else None
    return [(site, "the layer is built here")] if site is not None else []
