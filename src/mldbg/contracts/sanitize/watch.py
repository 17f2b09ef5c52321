"""What one `sanitize` block knows and what it does with a misuse."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

from torch import Tensor

from mldbg.contracts.error import Violation
from mldbg.contracts.sanitize import evidence
from mldbg.contracts.sanitize.finding import Finding, Report
from mldbg.contracts.sanitize.site import Site, users_site
from mldbg.contracts.sanitize.tags import Pieces, Table, Tag, Tags
from mldbg.operations.losses import Misuse

MOST_LOOKS = 8
"""How often the values of one line are read where nothing is wrong yet: in as many layers, or steps, a mistake shows."""


class Watch:
    """The tags of one `sanitize` block, shared by its threads, and its report."""

    def __init__(self, *, collect: bool, silent: frozenset[str]) -> None:
        self.tags = Tags()
        self.pieces: Table[Pieces] = Table()
        self.report = Report()
        self._collect = collect
        self._silent = silent
        self._owner = threading.get_ident()
        self._seen: set[tuple[str, Site | str, Site]] = set()
        self._elsewhere: list[Finding] = []
        self._looks: Counter[Site] = Counter()

    def listens_to(self, rule: str) -> bool:
        """Whether findings of this rule are wanted."""
        return rule not in self._silent

    def here(self) -> Site:
        """The user's line that is running."""
        return users_site(3)

    def looks_at(self, site: Site) -> bool:
        """Whether the values of a line that may be right are still read: the first times it runs, so that a long run is cheap."""
        self._looks[site] += 1
        return self._looks[site] <= MOST_LOOKS

    def found(
        self,
        misuse: Misuse,
        function: str,
        parameter: str,
        tensor: Tensor,
        tag: Tag | None,
        axis: str = "",
        consumer: Site | None = None,
    ) -> None:
        """Reports a misuse of a tensor, or raises it.

        tag: None where only the place of the misuse is known. consumer: where the misuse is, if not here.
        """
        if misuse.rule in self._silent:
            return
        consumer = consumer or users_site(3)
        producer = tag.site if tag is not None else consumer
        key = (misuse.rule, producer, consumer)
        if self._collect and key in self._seen:
            return
        self._seen.add(key)
        self.say(_finding(misuse, function, parameter, tensor, tag, axis, str(producer), str(consumer)))

    def suspected(self, misuse: Misuse, function: str, parameter: str, tensor: Tensor, tag: Tag, proof: str) -> Finding:
        """What `found` would say, to be said later or never. proof: what the values show, if they had to."""
        finding = _finding(misuse, function, parameter, tensor, tag, "", str(tag.site), str(users_site(4)))
        violation = replace(finding.violation, cause=": ".join(filter(None, (finding.message, proof))))
        return replace(finding, violation=violation)

    def say(self, finding: Finding) -> None:
        """Reports a finding, or raises it."""
        if finding not in self.report.findings:
            self.report.findings.append(finding)
        if not self._collect:
            if threading.get_ident() != self._owner:
                self._elsewhere.append(finding)
            raise finding.error()

    def raise_from_threads(self) -> None:
        """Raises what was found in another thread, where an exception does not reach the owner of the block by itself."""
        if self._elsewhere:
            raise self._elsewhere[0].error()


def _finding(
    misuse: Misuse, function: str, parameter: str, tensor: Tensor, tag: Tag | None, axis: str, producer: str, consumer: str
) -> Finding:
    meaning = (tag.made or tag.meaning) if tag is not None else None
    what = meaning.words if meaning is not None else "a tensor"
    if tag is not None and tag.scaled and not evidence.is_whole(tag, tensor):
        what += ", scaled"
    message = misuse.message_on(meaning, what="softmax" if "softmax" in function else "cross-entropy")
    violation = Violation(
        contract=function,
        parameter=parameter,
        expected=misuse.expected,
        actual=f"{what}, shape {tuple(tensor.shape)}",
        axis=axis,
        statistics=evidence.statistics(tensor),
        cause=message,
        advice=misuse.hint_on(meaning),
        rule=misuse.rule,
        producer=producer,
        consumer=consumer,
    )
    return Finding(misuse.rule, producer, consumer, message, violation)
