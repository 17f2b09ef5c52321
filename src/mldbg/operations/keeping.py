"""What code does with the better one of two results: which calls keep a model, and which names say what."""

from __future__ import annotations

import re

_KEEPS_MODEL = re.compile(
    r"^(?:save|state_dict|deepcopy|dump|copyfile|save_weights|get_weights|save_pretrained|get_params|clone|copy_state)$"
    r"|^_?save_?(?:the_)?(?:best_?|all_?|current_?)?(?:models?|net|network|checkpoints?|ckpt|state|weights|params)"
    r"|checkpoint|^save_best|^_save$|save_state",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"fig|plot|load|restore|image|result|metric|csv|pred", re.IGNORECASE)


def keeps_model(name: str) -> bool:
    """Whether a call of this name keeps a model: `torch.save`, `net.state_dict`, `save_checkpoint`."""
    return bool(_KEEPS_MODEL.search(name)) and not _NO_MODEL.search(name)


_PATIENCE = re.compile(
    r"patience|wait|counter|no_?improve|without_improve|bad_epoch|stale|stagnat|plateau|not_improve", re.IGNORECASE
)


def counts_patience(name: str) -> bool:
    """Whether a variable of this name counts the epochs without improvement."""
    return bool(_PATIENCE.search(name))


_BEST = re.compile(r"best|lowest|highest|(^|_)(?:min|max|prev|previous|last|record|top)(_|$)", re.IGNORECASE)


def says_best(name: str) -> bool:
    """Whether a variable of this name holds the best score so far."""
    return bool(_BEST.search(name))


_STOPS = re.compile(r"^(?:early_?)?stop(?:ped|ping|_training|_flag)?$|early_?stop|^done$|^converged$", re.IGNORECASE)


def says_stop(name: str) -> bool:
    """Whether a flag of this name ends a loop."""
    return bool(_STOPS.search(name))


_EARLY = re.compile(r"early_?stop|stopper$|(^|_)es$|stopping", re.IGNORECASE)


def stops_early(name: str) -> bool:
    """Whether something of this name, when it is called with a score, decides when to stop."""
    return bool(_EARLY.search(name))


_MODEL = re.compile(
    r"(^|_)(?:model|net|network|clf|classifier|regressor|estimator|weights|wts|state|state_dict|params_dict)(_|$|\d)",
    re.IGNORECASE,
)


def holds_model(name: str) -> bool:
    """Whether a variable of this name holds a model or its weights."""
    return bool(_MODEL.search(name))


_RATES = re.compile(r"scheduler|plateau|(^|_)sched(_|$)", re.IGNORECASE)


def is_scheduler(name: str) -> bool:
    """Whether something of this name changes a learning rate."""
    return bool(_RATES.search(name))


_EPOCHS = re.compile(r"epoch|(^|_)(?:step|iteration|iter|it|round|i_batch)s?(_|$)", re.IGNORECASE)


def counts_training(name: str) -> bool:
    """Whether a loop variable of this name counts the rounds of one training."""
    return bool(_EPOCHS.search(name))


METRICS: tuple[str, ...] = ("sklearn.metrics.", "torchmetrics.functional.")
"""Packages of functions of labels and predictions."""

BEST: frozenset[str] = frozenset({"argmax", "argmin", "nanargmax", "nanargmin", "max", "min", "idxmax", "idxmin"})
"""Functions that pick one of several numbers, or where it stands."""

_BUILDS = re.compile(
    r"\boptim\.\w+\(|\b(?:Adam|AdamW|SGD|RMSprop)\(|\b(?:build|make|create|get|init)_\w*(?:model|net)\w*\(|\bclone\("
    r"|\b(\w*(?:model|net|network|clf)\w*) = (?!\1\b)[\w.]+\("
)


def builds_model(text: str) -> bool:
    """Whether code makes a model, or an optimizer for one, anew."""
    return bool(_BUILDS.search(text))
