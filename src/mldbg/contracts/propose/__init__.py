"""Annotations that are written for the user: what a few batches show of a model, as promises, signatures and a diff."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from mldbg.contracts.propose.seen import Seen

__all__ = ["observe"]


def observe(model: nn.Module) -> AbstractContextManager[Seen]:
    """Watch a model at work, and write its annotations.

    `with contracts.observe(model) as seen: model(batch1); model(batch2)`, then `print(seen)`.

    Axes get one name where their sizes agree in every forward pass, so that a second batch with other sizes tells apart what the
    first cannot. A size that never changes is an attribute of the module (`{self.d_model}`, `{self.config.n_embd}`), or a number.
    Meanings come from what the block does with the numbers: an embedding takes token ids, a loss its logits and targets; run the
    loss in the block, too.

    `seen.attach` is what `contracts.attach` takes; `seen.signatures` and `seen.diff()` annotate the model's own `forward`
    methods. Outputs, gradients and random numbers stay as they are, and the hooks are taken off at the end, whatever happens.
    Compiled models run eagerly inside the block.

    Raises TypeError for what is no module.
    """
    from mldbg.contracts.propose.seen import observing  # with all of `sanitize`, which `import mldbg.contracts` does not need

    given: object = model
    if isinstance(given, nn.Module):
        return observing(given)
    hint = f"; make one first: {given.__name__}(...)" if isinstance(given, type) else ""
    raise TypeError(f"observe: a model must be a torch.nn.Module, not {given!r}{hint}")
