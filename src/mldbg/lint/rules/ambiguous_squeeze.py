from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import Site, site_of
from mldbg.lint.interpret.facts import Accumulated, Call, Loop
from mldbg.lint.interpret.value import Mark
from mldbg.lint.ladder import calls_of_losses, loss_named
from mldbg.lint.rule import Rule, Topic, both, calls, hears
from mldbg.operations.losses import LOSSES

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.facts import Place

_COUNTS = re.compile(r"^(?:(?:tqdm|trange|tqdm\.trange)\()?(?:t?range)\(")
_ARRAYS = re.compile(r"\.(?:tolist|numpy|cpu|detach)\(\)?")


class AmbiguousSqueeze(Rule):
    """squeeze() without an axis also removes the batch, where a batch has one sample

    ## Why
    The last batch of an epoch may hold a single sample. `squeeze()` then takes its axis away together with the one that was
    meant: the loss compares other shapes, is broadcast or fails, and `extend(x.squeeze().tolist())` gets a number, not a list.

    ## Bad
        from torch import nn

        criterion = nn.BCEWithLogitsLoss()

        def epoch(model, loader, optimizer):
            for x, y in loader:
                loss = criterion(model(x).squeeze(), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    ## Good
        from torch import nn

        criterion = nn.BCEWithLogitsLoss()

        def epoch(model, loader, optimizer):
            for x, y in loader:
                loss = criterion(model(x).squeeze(-1), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    ## Limits
    Fires in loops over batches, for what a loss gets or a list collects. Loops that only count, which train on all rows at once,
    and files with `drop_last=True` are silent. The fix squeezes the last axis.
    """

    group = Group.SUSPICIOUS
    topic = Topic.SHAPES
    about_experiments = True
    listens_to = both(hears(Loop), calls(*calls_of_losses(*LOSSES)))

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        goes_over = getattr(loop.node, "iter", None)
        if goes_over is None or _COUNTS.search(nodes.code(goes_over)):
            return
        if "drop_last=True" in "".join(loop.place.site.part.module.outline.code).replace(" ", ""):
            return
        seen = set()
        for place, site, what in _squeezed(loop):
            if site in seen:
                continue
            seen.add(site)
            node = cast("cst.Call", site.node)
            yield self.found(
                site,
                "squeeze() without an axis: a batch with one sample loses its batch axis, too",
                hint="name the axis: squeeze(-1)",
                last=(place.site, what),
                fix=edit.unsafe(edit.with_last_axis(site.part, node)),
            )


def _squeezed(loop: Loop) -> Iterator[tuple[Place, Site, str]]:
    """Calls of squeeze without an axis whose results a loss takes, or a list."""
    for fact in loop.facts:
        if isinstance(fact, Call) and loss_named(fact.name) is not None:
            for name in ("input", "target"):
                value, node = fact.argument(name), fact.nodes.get(name)
                marked = value.marked
                if marked is not None and marked.mark is Mark.SQUEEZED and nodes.squeezes_all(marked.site.node):
                    yield fact.place, marked.site, f"`{loss_named(fact.name)}` takes it for a batch"
                elif node is not None:
                    yield from ((fact.place, site, "a loss takes it for a batch") for site in _written(fact.place, node))
        elif isinstance(fact, Accumulated) and fact.expression is not None:
            text = nodes.code(fact.expression)
            if _ARRAYS.search(text) and ".item(" not in text:
                yield from ((fact.place, site, "a list collects it") for site in _written(fact.place, fact.expression))


def _written(place: Place, node: cst.CSTNode) -> Iterator[Site]:
    """The calls of squeeze that an expression, or what a name in it was given, ends in."""
    for link in nodes.chain_of(node):
        for source in (link, *edit.sources_of(place, link)):
            yield from (site_of(place.site.part, each) for each in nodes.chain_of(source) if nodes.squeezes_all(each))
