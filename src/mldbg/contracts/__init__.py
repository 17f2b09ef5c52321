"""Shapes and meanings of tensors, enforced while a model runs.

`@contract` holds a function to its jaxtyping annotations, `check` a single value, `attach` a model whose code is not one's own;
`observe` writes the annotations.
Annotations with a meaning (`Logits[Tensor, "batch classes"]`) also promise something about the values.
"""

import os

from mldbg.contracts.attach import Attachment, attach
from mldbg.contracts.counting import Coverage, coverage
from mldbg.contracts.decorator import contract
from mldbg.contracts.error import Binding, ContractError, ContractWarning, Violation
from mldbg.contracts.flags import step
from mldbg.contracts.hook import Installation, install
from mldbg.contracts.inline import check
from mldbg.contracts.ledger import NeverChecked
from mldbg.contracts.meanings import (
    AdditiveMask,
    BoolMask,
    ClassIds,
    DropMask,
    Finite,
    KeepMask,
    Logits,
    LogProbs,
    NonNegative,
    OneHot,
    Probs,
    ScalarLoss,
    Scaled,
    TokenIds,
    UnitInterval,
    UnitNorm,
    along,
    below,
    ignoring,
    law,
)
from mldbg.contracts.modes import Mode, mode
from mldbg.contracts.propose import observe

__all__ = [
    "AdditiveMask",
    "Attachment",
    "Binding",
    "BoolMask",
    "ClassIds",
    "ContractError",
    "ContractWarning",
    "Coverage",
    "DropMask",
    "Finite",
    "Installation",
    "KeepMask",
    "LogProbs",
    "Logits",
    "Mode",
    "NeverChecked",
    "NonNegative",
    "OneHot",
    "Probs",
    "ScalarLoss",
    "Scaled",
    "TokenIds",
    "UnitInterval",
    "UnitNorm",
    "Violation",
    "along",
    "attach",
    "below",
    "check",
    "contract",
    "coverage",
    "ignoring",
    "install",
    "law",
    "mode",
    "observe",
    "step",
]

if os.environ.get("MLDBG_SANITIZE"):
    from mldbg.contracts.sanitize import everywhere

    everywhere.start_as_the_environment_says()
