from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Contradiction, Promise
from mldbg.lint.rule import Rule, Topic, hears


class MeaningMismatch(Rule):
    """a value has another meaning than its annotation declares

    ## Why
    `Logits[...]`, `Probs[...]` and their kin say what the numbers are, and losses rely on it. Probabilities that are
    declared as logits go through softmax once more; logits that are declared as probabilities go into a logarithm.

    ## Bad
        from mldbg.contracts import Logits
        from torch import Tensor, nn

        class Head(nn.Module):
            def __init__(self):
                super().__init__()
                self.out = nn.Linear(64, 10)

            def forward(self, x) -> Logits[Tensor, "batch classes"]:
                return self.out(x).softmax(dim=-1)

    ## Good
        from mldbg.contracts import Logits
        from torch import Tensor, nn

        class Head(nn.Module):
            def __init__(self):
                super().__init__()
                self.out = nn.Linear(64, 10)

            def forward(self, x) -> Logits[Tensor, "batch classes"]:
                return self.out(x)

    ## Limits
    Fires when the value is known to have a meaning that contradicts the declared one.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    listens_to = hears(Contradiction)

    def on_contradiction(self, contradiction: Contradiction) -> Iterator[Finding]:
        if contradiction.meaning is None or contradiction.value.meaning is None:
            return
        how = "returns" if contradiction.where is Promise.RETURN else "gets"
        got, declared = contradiction.value.meaning.words, contradiction.meaning.words
        yield self.found(
            contradiction.place.site,
            f"`{contradiction.name}` {how} {got} where {declared} {'is' if declared.startswith('a ') else 'are'} declared",
            hint=f"declare what it is, or give it {declared}",
            trail=contradiction.value.trail,
            last=(contradiction.declared, f"declared as {contradiction.annotation}"),
        )
