from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Written
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.lint.sources import fetched, is_of_the_program
from mldbg.operations.persistence import (
    COMMIT,
    LOADS_FROM_REPOSITORIES,
    LOCAL,
    REVISIONS,
    TAKES_REMOTE_CODE,
    TRUSTED_OWNERS,
    UNPICKLES,
)

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site

_COMMIT = re.compile(COMMIT)


class UntrustedCode(Rule):
    """code from outside runs with the rights of the program: remote code of a model hub, or a downloaded pickle

    ## Why
    `trust_remote_code=True` imports Python files from the repository of a model, `trust_repo=True` the `hubconf.py` of one, and
    a pickle can call any function while it is read. Whoever owns the repository, takes it over, or serves the file decides
    what runs, today and after the next change.

    ## Bad
        from transformers import AutoModelForCausalLM

        def load(name):
            return AutoModelForCausalLM.from_pretrained(name, trust_remote_code=True)

    ## Good
        from transformers import AutoModelForCausalLM

        def load(name):
            return AutoModelForCausalLM.from_pretrained(
                name, trust_remote_code=True, revision="39e2d2bd0a21b3bd9b5e0a1d7f4a5a7ce1b4f7a1"
            )

    ## Limits
    A commit as the revision pins the code, which somebody can have read: silent then, where the revision, or trust, is
    decided elsewhere, and for folders on this machine. A tag or a branch can be moved. Of pickles only those are reported
    that are seen to come from outside: downloaded, sent with a request, or uploaded, in the same function or through names
    and helpers of the module.
    """

    group = Group.SECURITY
    topic = Topic.SECURITY
    about_experiments = True
    listens_to = reads(*("Call", "DictElement", "Param"), where=rf"\b(?:{TAKES_REMOTE_CODE}|trust_repo|read_pickle)\b|\bloads?\(")

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        if nodes.is_call(site.node):
            yield from self._of_hub(site)
            yield from self._of_repository(site)
            yield from self._of_pickle(written)
        elif nodes.said_by(site.node, TAKES_REMOTE_CODE) == "True":
            yield self._remote(site, "")

    def _of_hub(self, site: Site) -> Iterator[Finding]:
        said = nodes.argument(site.node, TAKES_REMOTE_CODE)
        if (
            said is None
            or nodes.code(said) != "True"
            or _is_up_to_caller(site)
            or _is_local(nodes.argument(site.node, "pretrained_model_name_or_path", 0))
        ):
            return
        given = [each for name in REVISIONS if (each := nodes.argument(site.node, name)) is not None]
        texts = [nodes.text_of(each) for each in given]
        if any(text is None or _COMMIT.fullmatch(text) for text in texts):
            return
        yield self._remote(site, f": {texts[0]!r} is a tag or branch, which can be moved" if texts else "")

    def _remote(self, site: Site, why: str) -> Finding:
        return self.found(
            site,
            f"code from the repository of the model is imported and run{why}",
            hint="read the code and pin its commit with revision=..., or use a model that the library implements itself",
            last=(site, "remote code is trusted here"),
        )

    def _of_repository(self, site: Site) -> Iterator[Finding]:
        function, said = nodes.called(site.node), nodes.argument(site.node, "trust_repo")
        if function is None or said is None or nodes.code(said) not in ("True", '"True"'):
            return
        if reading.qualified(site.part, function) not in LOADS_FROM_REPOSITORIES:
            return
        source = nodes.argument(site.node, "source")
        repository = nodes.text_of(nodes.argument(site.node, "repo_or_dir", 0)) or ""
        name, _, reference = repository.partition(":")
        if source is not None and nodes.text_of(source) != "github":
            return
        if name.partition("/")[0] in TRUSTED_OWNERS or _COMMIT.fullmatch(reference):
            return
        yield self.found(
            site,
            "the hubconf.py of the repository is imported and run, and nobody is asked before",
            hint='leave trust_repo at "check", and pin a commit: "owner/repository:commit"',
            last=(site, "the repository is trusted here"),
        )

    def _of_pickle(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        function = nodes.called(site.node)
        name = reading.qualified(site.part, function) if function is not None else None
        source = nodes.argument(site.node, UNPICKLES[name], 0) if name in UNPICKLES else None
        if source is None or is_of_the_program(written.place, source):
            return
        found = fetched(written.place, source)
        if found is None:
            return
        yield self.found(
            site,
            f"{name} may run any code that the file holds, and the file comes from outside",
            hint="load a format that holds only numbers, such as safetensors, skops or ONNX, or check a signature first",
            trail=first_step(site_of(*found), "comes in from outside"),
            last=(site, "unpickled here"),
        )


def _is_up_to_caller(site: Site) -> bool:
    """Whether it stands behind a test of what the function was told: `if not trust_remote_code: return {}`."""
    function = edit.function_around(site.part, site.node)
    return TAKES_REMOTE_CODE in nodes.parameters_of(function) and any(
        TAKES_REMOTE_CODE in nodes.code(test) for test in edit.tests_over(site)
    )


def _is_local(node: cst.BaseExpression | None) -> bool:
    """Whether a model is named by a path on this machine."""
    text = nodes.text_of(node)
    return text is not None and text.startswith(LOCAL)
