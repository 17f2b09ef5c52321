"""What a rule author subclasses, and how a rule says what it listens to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from mldbg.lint.finding import Finding, Fix, Group, Step
from mldbg.lint.interpret import facts
from mldbg.lint.requirements import ANY, Allowed

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.value import Trail


@dataclass(frozen=True, slots=True)
class Together:
    """Which files are looked at together with those that they import.

    Attributes:
        each: what each of them must say.
        one: what at least one of them must say.
    """

    each: re.Pattern[str]
    one: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Listening:
    """What a rule wants to hear of.

    Attributes:
        kinds: the kinds of facts.
        names: qualified names of calls.
        syntax: names of libcst's classes, for code as it is written.
        where: what the code of a definition must match before any of its syntax is looked at.
        across: which files are looked at together with what they take from those that they import; None: each by itself.
    """

    kinds: frozenset[type]
    names: frozenset[str] = frozenset()
    syntax: frozenset[str] = frozenset()
    where: re.Pattern[str] | None = None
    across: Together | None = None


def calls(*names: str) -> Listening:
    """Calls of functions, methods (`torch.Tensor.backward`) and objects (`torch.nn.BCELoss.__call__`) by canonical name."""
    return Listening(frozenset({facts.Call}), frozenset(names))


def both(one: Listening, other: Listening) -> Listening:
    """What either of two wants to hear of."""
    return Listening(one.kinds | other.kinds, one.names | other.names)


def hears(*kinds: type) -> Listening:
    """Facts of other kinds than calls."""
    return Listening(frozenset(kinds))


def reads(*syntax: str, where: str, across: Together | None = None) -> Listening:
    """Code as it is written, wherever it stands: no value is known there, and no caller.

    Args:
        syntax: names of libcst's classes: `Comparison`.
        where: a regular expression for code without comments. A file in which it matches nowhere is not parsed for the sake of
            the rule.
        across: which files are looked at together with those that they import.
    """
    return Listening(frozenset({facts.Written}), syntax=frozenset(syntax), where=re.compile(where, re.MULTILINE), across=across)


def nothing() -> Listening:
    """No facts: what the rule reports is found elsewhere."""
    return Listening(frozenset())


class Topic(StrEnum):
    """Under which heading a rule is listed; it has no other effect."""

    LOSSES = "losses"
    SHAPES = "shapes"
    LEAKAGE = "data leakage"
    TRAINING = "training loops"
    LOADERS = "data loading"
    LANGUAGE = "language models"
    SECURITY = "security"
    COMMENTS = "suppression comments"
    OTHER = "other"


_NAMES = {
    facts.Call: "on_call",
    facts.Loop: "on_loop",
    facts.LoaderBuilt: "on_loader_built",
    facts.Backward: "on_backward",
    facts.GradientUse: "on_gradient_use",
    facts.GradientsCleared: "on_gradients_cleared",
    facts.OptimizerBuilt: "on_optimizer_built",
    facts.LayerSet: "on_layer_set",
    facts.ScalerUse: "on_scaler_use",
    facts.ModelCall: "on_model_call",
    facts.Evaluated: "on_evaluated",
    facts.Fitted: "on_fitted",
    facts.Chosen: "on_chosen",
    facts.Scored: "on_scored",
    facts.BehindPart: "on_behind_part",
    facts.CrossValidated: "on_cross_validated",
    facts.Paired: "on_paired",
    facts.RandomPart: "on_random_part",
    facts.Misfit: "on_misfit",
    facts.Broadcast: "on_broadcast",
    facts.Compared: "on_compared",
    facts.ModuleBuilt: "on_module_built",
    facts.MaskedMean: "on_masked_mean",
    facts.Averaged: "on_averaged",
    facts.RowsSplit: "on_rows_split",
    facts.Learned: "on_learned",
    facts.MeterUse: "on_meter_use",
    facts.UnknownParameter: "on_unknown_parameter",
    facts.Contradiction: "on_contradiction",
    facts.FlagSet: "on_flag_set",
    facts.Written: "on_written",
}


class Rule:
    """One defect. A subclass in a module `softmax_before_cross_entropy` is the rule softmax-before-cross-entropy.

    An instance lives for one file. Its docstring is its page: a summary line and the sections Why, Bad, Good and Limits.
    """

    name: ClassVar[str]
    group: ClassVar[Group]
    topic: ClassVar[Topic] = Topic.OTHER
    listens_to: ClassVar[Listening]
    about_shapes: ClassVar[bool] = False
    """It hears of a run in which shapes are followed."""
    about_experiments: ClassVar[bool] = False
    """It is about what a result is worth, what a long run costs, or what a test would show: it has nothing to say of tests."""

    versions: Callable[[str], Allowed] = staticmethod(lambda _library: ANY)
    """Which versions of a library the project declares; reads its files when it is asked."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = cls.__module__.rpartition(".")[2].replace("_", "-")

    def hear(self, fact: facts.Fact) -> Iterator[Finding]:
        """Findings from one fact."""
        if type(fact) not in self.listens_to.kinds:
            return
        if isinstance(fact, facts.Call) and fact.name not in self.listens_to.names:
            return
        if isinstance(fact, facts.Written) and not self._reads(fact):
            return
        yield from getattr(self, _NAMES[type(fact)])(fact)

    def _reads(self, written: facts.Written) -> bool:
        return type(written.place.site.node).__name__ in self.listens_to.syntax and self.listens_to.where in written.found

    def on_call(self, call: facts.Call, /) -> Iterator[Finding]:
        """Findings from a call."""
        yield from ()

    def on_loop(self, loop: facts.Loop) -> Iterator[Finding]:
        """Findings from a loop and all that happened in its last round."""
        yield from ()

    def on_loader_built(self, built: facts.LoaderBuilt) -> Iterator[Finding]:
        """Findings from a data loader, and what its workers do."""
        yield from ()

    def on_backward(self, backward: facts.Backward) -> Iterator[Finding]:
        """Findings from a backward pass."""
        yield from ()

    def on_gradient_use(self, use: facts.GradientUse) -> Iterator[Finding]:
        """Findings from an optimizer's step or from clipping."""
        yield from ()

    def on_gradients_cleared(self, clearing: facts.GradientsCleared) -> Iterator[Finding]:
        """Findings from a place where gradients are cleared."""
        yield from ()

    def on_optimizer_built(self, built: facts.OptimizerBuilt) -> Iterator[Finding]:
        """Findings from an optimizer that is built."""
        yield from ()

    def on_layer_set(self, layer: facts.LayerSet) -> Iterator[Finding]:
        """Findings from a layer that a model gets after it was built."""
        yield from ()

    def on_scaler_use(self, use: facts.ScalerUse) -> Iterator[Finding]:
        """Findings from a call of a gradient scaler's method."""
        yield from ()

    def on_model_call(self, call: facts.ModelCall) -> Iterator[Finding]:
        """Findings from running a module."""
        yield from ()

    def on_evaluated(self, evaluated: facts.Evaluated) -> Iterator[Finding]:
        """Findings from a use of held-out data."""
        yield from ()

    def on_fitted(self, fitted: facts.Fitted) -> Iterator[Finding]:
        """Findings from fitting an estimator."""
        yield from ()

    def on_chosen(self, chosen: facts.Chosen) -> Iterator[Finding]:
        """Findings from a choice that a score makes."""
        yield from ()

    def on_scored(self, scored: facts.Scored) -> Iterator[Finding]:
        """Findings from a score of any rows."""
        yield from ()

    def on_behind_part(self, changed: facts.BehindPart) -> Iterator[Finding]:
        """Findings from a change of what is behind a part of a data set."""
        yield from ()

    def on_cross_validated(self, validated: facts.CrossValidated) -> Iterator[Finding]:
        """Findings from rows that are cross-validated."""
        yield from ()

    def on_paired(self, paired: facts.Paired) -> Iterator[Finding]:
        """Findings from arrays that are paired row by row after each was shuffled by itself."""
        yield from ()

    def on_random_part(self, part: facts.RandomPart) -> Iterator[Finding]:
        """Findings from held-out data that is changed at random."""
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        """Findings from all that was heard since the entry point began; a rule that keeps facts forgets them here."""
        yield from ()

    def on_misfit(self, misfit: facts.Misfit) -> Iterator[Finding]:
        """Findings from a call that cannot work with the shapes that it gets."""
        yield from ()

    def on_broadcast(self, broadcast: facts.Broadcast) -> Iterator[Finding]:
        """Findings from two tensors that are broadcast against one another where they hold the same entries."""
        yield from ()

    def on_compared(self, compared: facts.Compared) -> Iterator[Finding]:
        """Findings from a tensor that is compared with a number."""
        yield from ()

    def on_module_built(self, built: facts.ModuleBuilt) -> Iterator[Finding]:
        """Findings from an object of a module of the project, after its `__init__`."""
        yield from ()

    def on_masked_mean(self, mean: facts.MaskedMean) -> Iterator[Finding]:
        """Findings from a weighted mean whose weights were masked after their softmax."""
        yield from ()

    def on_averaged(self, averaged: facts.Averaged) -> Iterator[Finding]:
        """Findings from a sum over batches that is divided by a number of batches or samples."""
        yield from ()

    def on_rows_split(self, split: facts.RowsSplit) -> Iterator[Finding]:
        """Findings from rows that are dealt out to parts."""
        yield from ()

    def on_learned(self, learned: facts.Learned) -> Iterator[Finding]:
        """Findings from a model that is fitted on features and labels."""
        yield from ()

    def on_unknown_parameter(self, unknown: facts.UnknownParameter) -> Iterator[Finding]:
        """Findings from a parameter of an estimator that there is none of."""
        yield from ()

    def on_meter_use(self, computed: facts.MeterUse) -> Iterator[Finding]:
        """Findings from a metric that gathers what it is given."""
        yield from ()

    def on_contradiction(self, contradiction: facts.Contradiction) -> Iterator[Finding]:
        """Findings from a value that is not what an annotation says."""
        yield from ()

    def on_flag_set(self, setting: facts.FlagSet) -> Iterator[Finding]:
        """Findings from a flag of tensors that is set on a module."""
        yield from ()

    def on_written(self, written: facts.Written) -> Iterator[Finding]:
        """Findings from code as it is written."""
        yield from ()

    def found(
        self,
        site: Site,
        message: str,
        *,
        hint: str,
        trail: Trail | None = None,
        last: tuple[Site, str] | None = None,
        fix: Fix | None = None,
        ladder: Sequence[tuple[Site, str]] = (),
    ) -> Finding:
        """A finding at a site. Its path is the trail of a value, or the ladder of its shapes, and `last`, where it ends."""
        way = [*(trail.steps() if trail is not None else ()), *ladder]
        steps = [Step(where.span, text) for where, text in way]
        if last is not None:
            steps.append(Step(last[0].span, last[1]))
        span = site.span
        if fix is not None and any(edit.span.path != span.path for edit in fix.edits):
            fix = None  # a fix in another file would change what nobody asked to be checked
        return Finding(span, self.name, message, self.group, hint, tuple(steps), fix)
