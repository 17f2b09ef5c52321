from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Written
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.lint.sources import is_of_the_program
from mldbg.operations.persistence import LOADS_TENSORS, PARTIAL, SAFE_BY_DEFAULT, SAFE_ON_REQUEST

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site


class UnsafeTorchLoad(Rule):
    """torch.load unpickles a file, which can run any code that is in it

    ## Why
    A checkpoint is a pickle, and a pickle can call any function while it is read: whoever made the file decides what runs.
    `weights_only=True` reads tensors and plain containers and refuses the rest. It is the default since torch 2.6 only.

    ## Bad
        import torch

        def restore(model, path):
            checkpoint = torch.load(path, map_location="cpu", weights_only=False)
            model.load_state_dict(checkpoint["model"])

    ## Good
        import torch

        def restore(model, path):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            model.load_state_dict(checkpoint["model"])

    ## Limits
    A call without `weights_only` is reported where the project declares that it works with a torch older than 2.6, in its
    requirements, its metadata, its environment or a lock file; where nothing is declared torch is taken to be new. Silent where
    the same function has saved to the same file or buffer before, in tests, and where `weights_only` is decided elsewhere.
    """

    group = Group.SECURITY
    topic = Topic.SECURITY
    about_experiments = True
    listens_to = reads("Call", where=r"\bload\b|\bweights_only\b")

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        call = _load(site)
        if call is None or nodes.has_unpacked(call):
            return
        said = nodes.argument(call, "weights_only")
        declared = self.versions("torch")
        if said is None and not declared.may_be_older_than(SAFE_BY_DEFAULT):
            return
        if (said is not None and nodes.code(said) != "False") or is_of_the_program(written.place, nodes.argument(call, "f", 0)):
            return
        why = (
            "`weights_only=False` allows it"
            if said is not None
            else "torch before 2.6, which the project allows, does not refuse it"
        )
        yield self.found(
            site,
            f"torch.load may run any code that the file holds: {why}",
            hint="pass weights_only=True, and allow classes that are needed with torch.serialization.add_safe_globals",
            last=(site, "unpickled here"),
            fix=None if declared.may_be_older_than(SAFE_ON_REQUEST) else _fix(site, call),
        )


def _load(site: Site) -> cst.CSTNode | None:
    """The call of torch.load, or of `partial(torch.load, ...)`."""
    function = nodes.called(site.node)
    name = reading.qualified(site.part, function) if function is not None else None
    if name in LOADS_TENSORS:
        return site.node
    first = nodes.argument(site.node, "func", 0) if name in PARTIAL else None
    return site.node if first is not None and reading.qualified(site.part, first) in LOADS_TENSORS else None


def _fix(site: Site, call: cst.CSTNode) -> Fix | None:
    if nodes.argument(call, "pickle_module") is not None:
        return None  # torch refuses both together
    change = edit.with_keyword(site, "weights_only", "True")
    return edit.unsafe(change) if change is not None else None
