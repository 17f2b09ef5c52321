"""The conventions that names follow in code without saying so."""

from __future__ import annotations

import re
from functools import lru_cache

CONVENTIONAL_ALIASES: dict[str, str] = {
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "np": "numpy",
    "pd": "pandas",
    "plt": "matplotlib.pyplot",
    "tf": "tensorflow",
    "keras": "keras",
    "display": "IPython.display.display",
    "get_ipython": "IPython.get_ipython",
}
"""What these names mean where nothing imports them (snippets, notebook cells, where the last two are always there)."""

SAYS_ONE = r"(?:class|label|out|logit|width|unit)\w*\s*(?::\s*int\s*)?=\s*1\b"
"""The spelling of a number of outputs that is one."""

OPTIMIZER_NAME = re.compile(r"(^|_)(opt|optim|optimi[sz]er)s?(_?[a-z0-9]{1,3}|_[a-z0-9_]+)?$", re.IGNORECASE)
"""What an optimizer is called, in code that does not say where it comes from."""

_EVALUATION = "eval|evaluate|evaluation|val|valid|validate|validation|test|testing|infer|inference|predict|prediction|predictions"

EVALUATION_NAME = re.compile(rf"(^|_)({_EVALUATION})(_|$|[0-9])", re.IGNORECASE)
"""Function and loader names that say: held-out data is evaluated here."""

_PLURAL = "loader|set|data|dataset|iter|iterator|generator|gen|batches|dl|ds"
"""What holds rows, in names that are written in one word: testloader, valset."""

EVALUATION_LINE = (
    rf"\b(?:def|for)\b[^\n]*?(?:\b|_|(?<=[a-z0-9])(?=[A-Z])|\b[xXyY])(?i:{_EVALUATION})(?:_|\b|[0-9A-Z]|(?:{_PLURAL})s?\b)"
)
"""The line of a function or a loop with such a name in it."""

_TRAIN_NAME = re.compile(r"(^|_)(train|training|tr|trn)(_|$|[0-9])", re.IGNORECASE)
_TEST_NAME = re.compile(r"(^|_)(test|testing|te|tst|holdout)(_|$|[0-9])", re.IGNORECASE)
_VALIDATION_NAME = re.compile(r"(^|_)(val|valid|validation|va|dev)(_|$|[0-9])", re.IGNORECASE)
_ONE_WORD = re.compile(
    rf"(^|_)(train|tr|test|val|valid|validation|dev|eval|holdout)(?=(?:{_PLURAL})s?(?:_|$|[0-9]))", re.IGNORECASE
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LABEL_NAME = re.compile(r"^(y|ys|label|labels|target|targets)(_|$|[0-9])", re.IGNORECASE)


def says_training(name: str) -> bool:
    return bool(_TRAIN_NAME.search(_snake(name)))


def says_test(name: str) -> bool:
    return bool(_TEST_NAME.search(_snake(name)))


def says_validation(name: str) -> bool:
    return bool(_VALIDATION_NAME.search(_snake(name)))


def says_evaluation(name: str) -> bool:
    return bool(EVALUATION_NAME.search(_snake(name)))


_BEGINNING_NAME = re.compile(
    r"(^|_)(train|training|trainable|mode|modes|begin|start|before|pre|prepare|setup|on|hook|hooks|callback|callbacks|notify|dispatch|emit"
    r"|trigger|restore|reset|unfreeze)(_|$|[0-9])",
    re.IGNORECASE,
)


def says_beginning(name: str) -> bool:
    """Whether a name says that something is prepared, or that listeners are told: models are put into training mode there."""
    return bool(_BEGINNING_NAME.search(_snake(name)))


_STOCHASTIC_NAME = re.compile(
    r"(^|_)(mc|mcd|monte|carlo|dropout|uncertaint(y|ies)|bayes|bayesian|stochastic|ensemble|bn|batchnorm|recalibrate|calibrate)(_|$|[0-9])",
    re.IGNORECASE,
)
_PART_WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "tr": "train",
    "test": "test",
    "testing": "test",
    "te": "test",
    "tst": "test",
    "val": "test",
    "va": "test",
    "valid": "test",
    "validation": "test",
    "dev": "test",
    "eval": "test",
    "holdout": "test",
}


def array_and_part(name: str) -> tuple[str, str]:
    """What a name says of a split array: X_train -> (x, train), labelsTest -> (labels, test), X -> (x, "")."""
    words = [word for word in _snake(name).lower().split("_") if word]
    parts = [_PART_WORDS[word] for word in words if word in _PART_WORDS]
    array = "_".join(word for word in words if word not in _PART_WORDS)
    return array, parts[0] if len(parts) == 1 else ""


def is_part_alone(name: str) -> bool:
    """Whether a name says a part of the data and not of which array: `test`, but not `X_test`."""
    return array_and_part(name)[0] == ""


_UNITS = "patient|subject|participant|speaker|person|volunteer|animal|mouse|session|group|writer|singer|household|family|subj"
_PARTIES = "user|customer|client|store|shop|driver|player|student|author|device|machine|engine|vehicle|member|account|item"
_UNIT_NAME = re.compile(rf"^({_UNITS})s?(_?(id|ids|no|nr|num|number|name|code|idx|index))?$", re.IGNORECASE)
_PARTY_NAME = re.compile(rf"^({_PARTIES})s?_?(id|ids|no|nr|num|number|code)$", re.IGNORECASE)


def says_unit(name: str) -> bool:
    """Whether a column of this name says from whom or what a row is, and there usually are several rows of each."""
    return bool(_UNIT_NAME.search(_snake(name)))


def says_party(name: str) -> bool:
    """Whether a column of this name does so, but often has one row for each."""
    return bool(_PARTY_NAME.search(_snake(name)))


def says_loader(name: str) -> bool:
    """Whether a name says: this gives batches."""
    return bool(re.search(r"loader|(^|_)(dl|batches)(_|$)", _snake(name), re.IGNORECASE))


def says_stochastic(name: str) -> bool:
    """Whether a name says that randomness or batch statistics at evaluation time are wanted."""
    return bool(_STOCHASTIC_NAME.search(_snake(name)))


@lru_cache(maxsize=8192)
def says_loss(name: str) -> bool:
    return bool(re.search(r"loss|cost|criterion", name, re.IGNORECASE))


_POSITION_NAME = re.compile(r"^(i|j|k|m|n|s|t|b|ii|idx|index|ind|ix|item|row|sample|batch|num|number|no|pos|position)(_?\d+)?$")


def says_position(name: str) -> bool:
    """Whether a name says: the number of one row."""
    return bool(_POSITION_NAME.match(name))


def at_the_start(name: str) -> str:
    """A class's name as a sentence that is no sentence of its own begins with it: `the Imputer`, but `StandardScaler`."""
    return f"the {name}" if name[:1].isupper() and name[1:].islower() else name


_MODEL_NAME = re.compile(
    r"(?:^|_)(?:model|net|network|backbone|generator|discriminator|encoder|decoder|classifier|actor|critic|[a-z]+net|bert)_?\d*$"
)


def says_model(name: str) -> bool:
    """Whether a variable of this name holds one model, in code that uses torch."""
    return bool(_MODEL_NAME.search(name))


def says_batch(name: str) -> bool:
    """Whether an axis of this name is that of a batch."""
    return name.lower().strip("_") in ("b", "bs", "bsz", "batch", "batch_size", "batchsize", "nbatch", "n_batch", "minibatch")


def says_samples(name: str) -> bool:
    """Whether an axis of this name is that of samples, if it is the first one of a table."""
    return name.lower().strip("_") in (
        "train",
        "test",
        "samples",
        "n_samples",
        "num_samples",
        "examples",
        "rows",
    )


def says_classes(name: str) -> bool:
    """Whether an axis of this name is that of classes, or of channels that stand for them."""
    return name.lower().strip("_") in ("c", "k", "classes", "n_classes", "num_classes", "nclasses", "channels", "chan", "labels")


def says_space(name: str) -> bool:
    """Whether an axis of this name is the height or the width of a picture."""
    return name.lower().strip("_") in ("h", "w", "height", "width", "hh", "ww", "rows", "cols")


def says_time(name: str) -> bool:
    """Whether an axis of this name is that of time, or of the places in a sequence."""
    return name.lower().strip("_") in (
        *("t", "s", "seq", "seq_len", "seqlen", "seq_length", "time", "times", "steps", "timesteps", "time_steps", "n_steps"),
        *("length", "l", "tokens", "frames", "sequence", "src_len", "tgt_len", "window"),
    )


def says_label(name: str) -> bool:
    return bool(_LABEL_NAME.search(name))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TRUTH_WORDS = _words(
    "label labels target targets true truth truths trues gt gts actual actuals gold ground groundtruth answer answers"
)
_PREDICTED_WORDS = _words(
    "pred preds predicted predict prediction predictions hat prob probs proba probas probability probabilities score scores "
    "logit logits output outputs out pseudo guess guesses estimate estimates estimated"
)
_BESIDE_Y = _words("y ys all arr np list cat i set data full inv") | _PART_WORDS.keys()


@lru_cache(maxsize=4096)
def says_truth(name: str) -> bool:
    """Whether a name says labels that come with the data: `y_test`, `all_labels`, but not `predicted_labels`."""
    words = {word for word in re.split(r"[_\d]+", _snake(name).lower()) if word}
    if words & _PREDICTED_WORDS:
        return False
    return bool(words & _TRUTH_WORDS) or (bool(words & {"y", "ys"}) and words <= _BESIDE_Y)


def says_one_hot(name: str) -> bool:
    return bool(re.search(r"(^|_)one_?hot(_|$|s$)", name, re.IGNORECASE))


@lru_cache(maxsize=4096)
def _snake(name: str) -> str:
    """XTrain -> x_Train, Xtest -> X_test, xte -> x_te, testloader -> test_loader."""
    name = _ONE_WORD.sub(r"\1\2_", _CAMEL.sub("_", name))
    return re.sub(r"^([xXyY])(?=train|test|val|valid|(?:tr|trn|te|tst|va|dev)(?:_|\b))", r"\1_", name)
