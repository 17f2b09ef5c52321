"""Which torch function has which effect on meanings. Adding a function is adding a name.

A function that stands in no row gives a result of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mldbg.contracts.sanitize import effects, losses
from mldbg.contracts.sanitize.effects import LOG_PROBS, PROBS, Effect

_METHODS: Mapping[str, Effect] = {
    "softmax": effects.softmaxes(PROBS, "softmax"),
    "log_softmax": effects.softmaxes(LOG_PROBS, "log_softmax"),
    "sigmoid sigmoid_": effects.sigmoid,
    "relu relu_": effects.non_negative,
    "log log_": effects.logarithm,
    "exp exp_": effects.exponential,
    "logsumexp": effects.normalises,
    "matmul mm bmm __matmul__": effects.product,
    "clone __deepcopy__ contiguous detach detach_ cpu cuda to type type_as float double half bfloat16 requires_grad_ "
    "nan_to_num nan_to_num_ clamp clamp_ clip clip_ clamp_min clamp_min_ clamp_max clamp_max_ flip roll alias positive "
    "pin_memory": effects.follows(effects.keep),
    "view reshape flatten ravel unflatten view_as reshape_as": effects.follows(effects.regroup),
    "transpose transpose_ swapaxes swapdims swapaxes_ swapdims_": effects.moves(effects.transpose),
    "permute": effects.moves(effects.permute),
    "movedim moveaxis": effects.moves(effects.movedim),
    "t t_": effects.moves(effects.reverse),
    "adjoint": effects.moves(effects.swap_last),
    "squeeze squeeze_": effects.moves(effects.squeeze),
    "unsqueeze unsqueeze_": effects.moves(effects.unsqueeze),
    "expand expand_as broadcast_to repeat tile repeat_interleave": effects.follows(effects.expand),
    "__getitem__": effects.follows(effects.index),
    "narrow index_select": effects.cut(1),
    "split split_with_sizes chunk tensor_split": effects.cut(2),
    "select unbind": effects.follows(effects.drop_axis),
    "masked_select": effects.follows(effects.pick),
    "mean": effects.reduce(total=False),
    "sum": effects.reduce(total=True),
    "neg neg_ negative __neg__": effects.follows(effects.negate),
    "mul mul_ multiply multiply_ __mul__ __rmul__ __imul__": effects.operands(effects.times, effects.unknown, commutes=True),
    "div div_ divide divide_ true_divide __truediv__ __itruediv__": effects.operands(
        effects.times, effects.unknown, commutes=False
    ),
    "add add_ __add__ __radd__ __iadd__": effects.operands(effects.plus, effects.summed, commutes=True),
    "sub sub_ subtract subtract_ __sub__ __isub__": effects.operands(effects.plus, effects.difference, commutes=False),
    "__rsub__": effects.operands(effects.complement, effects.difference, commutes=False),
    "masked_fill masked_fill_ __setitem__": effects.fills,
}
"""Names of tensor methods, most of which are functions of `torch`, too -> effect."""

_FUNCTIONS: Mapping[str, Effect] = {
    "cat concat concatenate vstack row_stack": effects.concatenates(),
    "hstack": effects.concatenates(1),
    "avg_pool1d adaptive_avg_pool1d": effects.pools(1),
    "stack": effects.stacks,
    "where": effects.chooses,
    "rsub": effects.operands(effects.complement, effects.difference, commutes=False),
    "einsum": effects.contraction,
    "addmm": effects.layer(weight=2),
    "bilinear": effects.layer(weight=2),
    "conv1d conv_transpose1d": effects.layer(2),
    "conv2d conv_transpose2d": effects.layer(3),
    "conv3d conv_transpose3d": effects.layer(4),
    "dropout dropout_ feature_dropout alpha_dropout": effects.follows(effects.scale_in_training),
}
"""Names in `torch` -> effect."""

_NEURAL: Mapping[str, Effect] = {
    "softmax softmin": effects.softmaxes(PROBS, "softmax"),
    "log_softmax": effects.softmaxes(LOG_PROBS, "log_softmax"),
    "sigmoid hardsigmoid": effects.sigmoid,
    "relu relu_ relu6 softplus": effects.non_negative,
    "linear": effects.layer(),
    "dropout dropout1d dropout2d dropout3d alpha_dropout": effects.follows(effects.scale_in_training),
    "avg_pool2d adaptive_avg_pool2d": effects.pools(2),
    "avg_pool3d adaptive_avg_pool3d": effects.pools(3),
    "interpolate": effects.pools(),
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
    "softmax": effects.softmaxes(PROBS, "softmax"),
    "log_softmax": effects.softmaxes(LOG_PROBS, "log_softmax"),
    "expit": effects.sigmoid,
}
"""Names in `torch.special` -> effect."""

_PROPERTIES: Mapping[str, Effect] = {
    "T": effects.moves(effects.reverse),
    "mT mH": effects.moves(effects.swap_last),
    "data": effects.follows(effects.keep),
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
    torch._C._nn.linear: effects.layer(),  # noqa: SLF001 (what functional.linear is)
}
"""torch function, as a function mode gets it -> effect."""
