"""Which torch function has which effect on meanings. Adding a function is adding a name.

A function that stands in no row gives a result of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mldbg.contracts.sanitize import carrying, combining, losses, making
from mldbg.contracts.sanitize.effect import LOG_PROBS, PROBS, Effect

_METHODS: Mapping[str, Effect] = {
    "softmax": making.softmaxes(PROBS, "softmax"),
    "log_softmax": making.softmaxes(LOG_PROBS, "log_softmax"),
    "sigmoid sigmoid_": making.sigmoid,
    "relu relu_": making.non_negative,
    "log log_": making.logarithm,
    "exp exp_": making.exponential,
    "logsumexp": making.normalises,
    "matmul mm bmm __matmul__": making.product,
    "clone __deepcopy__ contiguous detach detach_ cpu cuda to type type_as float double half bfloat16 requires_grad_ "
    "nan_to_num nan_to_num_ clamp clamp_ clip clip_ clamp_min clamp_min_ clamp_max clamp_max_ flip roll alias positive "
    "pin_memory": carrying.follows(carrying.keep),
    "view reshape flatten ravel unflatten view_as reshape_as": carrying.follows(carrying.regroup),
    "transpose transpose_ swapaxes swapdims swapaxes_ swapdims_": carrying.moves(carrying.transpose),
    "permute": carrying.moves(carrying.permute),
    "movedim moveaxis": carrying.moves(carrying.movedim),
    "t t_": carrying.moves(carrying.reverse),
    "adjoint": carrying.moves(carrying.swap_last),
    "squeeze squeeze_": carrying.moves(carrying.squeeze),
    "unsqueeze unsqueeze_": carrying.moves(carrying.unsqueeze),
    "expand expand_as broadcast_to repeat tile repeat_interleave": carrying.follows(carrying.expand),
    "__getitem__": carrying.follows(carrying.index),
    "narrow index_select": carrying.cut(1),
    "split split_with_sizes chunk tensor_split": carrying.cut(2),
    "select unbind": carrying.follows(carrying.drop_axis),
    "masked_select": carrying.follows(carrying.pick),
    "mean": carrying.reduce(total=False),
    "sum": carrying.reduce(total=True),
    "neg neg_ negative __neg__": carrying.follows(carrying.negate),
    "mul mul_ multiply multiply_ __mul__ __rmul__ __imul__": combining.operands(
        combining.times, combining.unknown, commutes=True
    ),
    "div div_ divide divide_ true_divide __truediv__ __itruediv__": combining.operands(
        combining.times, combining.unknown, commutes=False
    ),
    "add add_ __add__ __radd__ __iadd__": combining.operands(combining.plus, combining.summed, commutes=True),
    "sub sub_ subtract subtract_ __sub__ __isub__": combining.operands(combining.plus, combining.difference, commutes=False),
    "__rsub__": combining.operands(combining.complement, combining.difference, commutes=False),
    "masked_fill masked_fill_ __setitem__": combining.fills,
}
"""Names of tensor methods, most of which are functions of `torch`, too -> effect."""

_FUNCTIONS: Mapping[str, Effect] = {
    "cat concat concatenate vstack row_stack": combining.concatenates(),
    "hstack": combining.concatenates(1),
    "avg_pool1d adaptive_avg_pool1d": carrying.pools(1),
    "stack": combining.stacks,
    "where": combining.chooses,
    "rsub": combining.operands(combining.complement, combining.difference, commutes=False),
    "einsum": making.contraction,
    "addmm": making.layer(weight=2),
    "bilinear": making.layer(weight=2),
    "conv1d conv_transpose1d": making.layer(2),
    "conv2d conv_transpose2d": making.layer(3),
    "conv3d conv_transpose3d": making.layer(4),
    "dropout dropout_ feature_dropout alpha_dropout": carrying.follows(carrying.scale_in_training),
}
"""Names in `torch` -> effect."""

_NEURAL: Mapping[str, Effect] = {
    "softmax softmin": making.softmaxes(PROBS, "softmax"),
    "log_softmax": making.softmaxes(LOG_PROBS, "log_softmax"),
    "sigmoid hardsigmoid": making.sigmoid,
    "relu relu_ relu6 softplus": making.non_negative,
    "linear": making.layer(),
    "dropout dropout1d dropout2d dropout3d alpha_dropout": carrying.follows(carrying.scale_in_training),
    "avg_pool2d adaptive_avg_pool2d": carrying.pools(2),
    "avg_pool3d adaptive_avg_pool3d": carrying.pools(3),
    "interpolate": carrying.pools(),
    "cross_entropy": losses.loss("cross_entropy", losses.CROSS_ENTROPY, losses.class_axis),
    "nll_loss": losses.loss("nll_loss", losses.NLL, losses.class_axis),
    "ctc_loss": losses.loss("ctc_loss", losses.CTC, losses.last_axis),
    "kl_div": losses.divergence,
    "binary_cross_entropy": losses.loss("binary_cross_entropy", losses.BINARY),
    "binary_cross_entropy_with_logits": losses.loss("binary_cross_entropy_with_logits", losses.WITH_LOGITS),
    "multilabel_soft_margin_loss": losses.loss("multilabel_soft_margin_loss", losses.WITH_LOGITS),
    "mse_loss": losses.elementwise("mse_loss"),
    "l1_loss": losses.elementwise("l1_loss"),
    "smooth_l1_loss": losses.elementwise("smooth_l1_loss"),
    "huber_loss": losses.elementwise("huber_loss"),
}
"""Names in `torch.nn.functional` -> effect."""

_SPECIAL: Mapping[str, Effect] = {
    "softmax": making.softmaxes(PROBS, "softmax"),
    "log_softmax": making.softmaxes(LOG_PROBS, "log_softmax"),
    "expit": making.sigmoid,
}
"""Names in `torch.special` -> effect."""

_PROPERTIES: Mapping[str, Effect] = {
    "T": carrying.moves(carrying.reverse),
    "mT mH": carrying.moves(carrying.swap_last),
    "data": carrying.follows(carrying.keep),
}
"""Names of tensor attributes -> effect of reading them."""


def _named(owner: Any, rows: Mapping[str, Effect]) -> Iterable[tuple[Any, Effect]]:
    """The functions behind the names. A release of torch that lacks one is served without it."""
    for names, effect in rows.items():
        for name in names.split():
            function = getattr(owner, name, None)
            if function is not None:
                yield function, effect


def _forgets(watch: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`tensor.data = other` replaces the values without a new version."""
    watch.tags.put(args[0], None)
    return function(*args, **kwargs)


EFFECTS: Mapping[Any, Effect] = {
    **dict(_named(Tensor, _METHODS)),
    **dict(_named(torch, _METHODS)),
    **dict(_named(torch, _FUNCTIONS)),
    **dict(_named(functional, _NEURAL)),
    **dict(_named(torch.special, _SPECIAL)),
    **{getattr(Tensor, name).__get__: effect for names, effect in _PROPERTIES.items() for name in names.split()},
    Tensor.data.__set__: _forgets,  # type: ignore[attr-defined]
    torch._C._nn.linear: making.layer(),  # noqa: SLF001 (what functional.linear is)
}
"""torch function, as a function mode gets it -> effect."""
