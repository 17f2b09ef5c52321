"""What makes code worth executing: it holds or reaches a loss, an optimizer, an evaluation, a split, a fit.

Which code that is depends on the text and on the tables, and not on the rules that were selected: what a rule finds is the same
alone and among others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mldbg.lint.library.names import EVALUATION_LINE, SAYS_ONE
from mldbg.operations import attention, distributions, keras, losses, metrics, sklearn, torch, trainers
from mldbg.operations.effect import Scales
from mldbg.operations.families import FAMILIES, MEANINGS


@dataclass(frozen=True, slots=True)
class Trigger:
    """Words that make a definition worth executing.

    Attributes:
        words: a definition is of interest when its code holds one of them. One that ends in an opening parenthesis counts only
            where it is called.
        beside: what the file must hold besides: of every group of regular expressions at least one must match.
        within: regular expressions of which one must match in the code of the definitions that the words lead to.
        local: what is found is found where the words stand: files that use these definitions are not executed for their sake.
    """

    words: frozenset[str]
    beside: tuple[tuple[str, ...], ...] = ()
    within: tuple[str, ...] = ()
    local: bool = False


RUNS = (r"backward\(", "DataLoader", r"loader\b", "load_state_dict", "__main__", "argparse", "batches", r"optim\b(?<=\boptim)")
"""What stands in code that runs models, rather than only defining them; what is dear to search for comes last.

A pattern that begins with plain text is found fast, so a condition on the character before it is a lookbehind at its end."""

HELD_OUT = ("_split(?!_modules)", EVALUATION_LINE)
"""What stands in code that holds data out; what is dear to search for comes last."""

FITTED_CLASSES = frozenset(name.rpartition(".")[2] for name in sklearn.TRANSFORMERS | sklearn.SELECTORS | sklearn.RESAMPLERS)
"""Names of the classes whose objects learn from the rows they are fitted on."""

SCALERS = frozenset(name.rpartition(".")[2] for name, effect in sklearn.ROWS.items() if isinstance(effect, Scales)) - {
    "normalize"
}
"""Names of functions that do what the object of such a class does."""

TABULAR_LIBRARIES = ("sklearn", "imblearn", "boruta", "mlxtend")
"""Packages of which a text with a leak names at least one."""

NORMALISED = frozenset(name.removesuffix(".__call__").rpartition(".")[2] for name in torch.NORMALIZERS)

PARTICULAR_LOSSES = frozenset(
    name
    for loss in losses.LOSSES.values()
    if loss.takes is not None or "log_input" in loss.params
    for name in (loss.name, loss.cls)
) | frozenset(cls for cls, name in losses.OLD_CLASSES.items() if losses.LOSSES[name].takes is not None)
"""Losses that take one meaning and no other."""

TRAINERS = frozenset(name.rpartition(".")[2] for name, effect in trainers.ROWS.items() if effect.usual is not None)
"""Names of classes that bring a loss along."""

LOSSES = Trigger(PARTICULAR_LOSSES | TRAINERS | {"backward("})
"""A call of a loss may stand in another file than the loss's name, hence the word that runs beside it."""

TRAINING = Trigger(frozenset({"backward(", "manual_backward(", "optim"}))
GROUPS = Trigger(
    frozenset({"SGD(", "Adam(", "AdamW(", "NAdam(", "RAdam(", "Adamax(", "Adagrad(", "Adadelta(", "RMSprop("}),
    ((r"\.append\(\w+(?:\.\w+)?\)",), (r"parameters\(\)", r"modules\(\)"), (r"\boptim\b",)),
)
"""An optimizer, in a text that collects parameters in lists."""
_MADE_A_LEAF = r"(?:tensor|Variable)\([^\n]*requires_grad ?= ?True"
REBUILT = Trigger(
    frozenset({"tensor(", "Variable("}),
    ((_MADE_A_LEAF,), (r"def forward\(", r"\.backward\(")),
    (_MADE_A_LEAF,),
    local=True,
)
"""A tensor that is made a leaf, in a text that defines a network or trains."""
BY_HAND = Trigger(frozenset({"log(", "mse_loss(", "l1_loss(", "loss_fn(", "criterion("}), ((r"automatic_optimization",),))
"""The step of a module that optimises by hand, and may leave it out."""
EVALUATION = Trigger(frozenset({"no_grad", "inference_mode", "optim"}), (RUNS, HELD_OUT), HELD_OUT)
LOADING = Trigger(frozenset({"load_state_dict("}), ((r"\b(?:no_grad|inference_mode)\b",), (r"loader\b", "DataLoader")))
"""Weights from a file, in a text that runs models without gradients."""
SPLITS = Trigger(
    frozenset({"train_test_split", "cross_val_score", "cross_validate", "cross_val_predict"})
    | {"fit_transform", "fit_resample(", "transform(", "get_support(", "resample("}
    | SCALERS
    | frozenset(name.rpartition(".")[2] for name in sklearn.SPLITTERS),
    (TABULAR_LIBRARIES,),
)
DEALT_OUT = Trigger(
    frozenset({"random_split("}), ((r"\[\w+ ?[-+]? ?\w* ?: ?\w+ ?[-+]? ?\w*\]", r"\.(?:shift|rolling|ewm|diff|pct_change)\("),)
)
"""Rows that are split, beside windows and lags."""
LEARNED = Trigger(frozenset({"fit("}), ((*TABULAR_LIBRARIES, "xgboost", "lightgbm", "catboost"),))
"""A model that learns from a table."""
SEARCHED = Trigger(
    frozenset(f"{name.rpartition('.')[2]}(" for name in sklearn.SEARCHES) | {"set_params("},
    (TABULAR_LIBRARIES, ("__", "ipeline")),
)
"""A grid of parameters."""
SCALED = Trigger(
    frozenset({"evaluate(", "score(", "validation_data", "validation_split"}),
    ((r"\.(?:std|ptp|min)\(",), (r"\b(?:[xX]_?[tT]est|test_?[xX]|test_data|test_set|test_features|validation_split)\b",)),
)
"""An evaluation beside arithmetic that may be a scaler's."""
MEASURED = Trigger(
    frozenset(f"{name.removesuffix('.__call__').removesuffix('.update').rpartition('.')[2]}(" for name in metrics.MEASURES),
    (("sklearn", "torchmetrics"),),
)
"""A metric: what it is given may have been predicted in another file."""
COUNTED = Trigger(
    frozenset({"argmax(", "eq(", "max(", "round("}),
    (
        ("torch",),
        (r"\blen\([\w.]*(?:loader|batches|dl)", "DataLoader", r"enumerate\([\w.]*(?:loader|batches|dl)"),
        (r"\.eq\(", "=="),
    ),
)
"""Predicted classes, beside batches of which there is a number."""
GATHERED = Trigger(frozenset({"compute("}), ((r"\.update\(", r"\btorchmetrics\b"),))
"""The value of a metric that gathers what it is given."""
GATHERED_BY_KERAS = Trigger(frozenset({"result("}), ((r"keras[\w.]*metrics", r"\.update_state\("),))
SCORERS = Trigger(frozenset({"make_scorer("}), (TABULAR_LIBRARIES,))
FILLED = Trigger(
    frozenset({"evaluate(", "score(", "predict("}),
    ((r"fillna\([^\n]*\.(?:mean|median|mode)\(",), (r"\b(?:[xX]_?[tT]est|test_?[xX]|test_?(?:data|set|features|df)?)\b",)),
)
"""An evaluation beside gaps that are filled with a statistic."""
FITS = Trigger(frozenset({"train_test_split", "fit_transform", *FITTED_CLASSES}))
_LOGARITHM = (r"\.log_?\(\)", r"torch\.log_?\(", r"log\((?<![\w.]log\()")
LOGARITHMS = Trigger(frozenset({"softmax", "sigmoid", "Softmax", "Sigmoid"}), (_LOGARITHM,), _LOGARITHM)
SINGLE_COLUMNS = Trigger(NORMALISED, ((r"Linear\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\b1\s*[,)]", SAYS_ONE),))
"""A softmax, where some layer has a single output."""

_MADE = "randn|rand|zeros|ones|empty|full|randint|arange|linspace|eye"

_UNINDENTED = r"\n(?=[a-zA-Z_])(?!def |class |async )[^\n#]*"
"""A line of the top level, up to what follows, and no definition."""
_BLOCK = r"\n(?:for|while|with) [^\n]*\n(?:(?:[ \t][^\n]*)?\n)*?[ \t]+[^\n#]*"
"""A loop or `with` of the top level, up to what follows inside of it."""
_MAKES = rf"\b(?:torch|np|numpy)\.(?:(?:{_MADE})\(|random\.\w+\()"

_OF_SCRIPT = rf"\nprint\(|{_UNINDENTED}{_MAKES}|{_BLOCK}(?:\bprint\(|{_MAKES})"
"""What a text does at its top level if it is a script: it prints, it makes tensors of some size."""

RUNS_ON_DATA = (r"\.backward\(", "DataLoader", "__main__", r"def main\(", _OF_SCRIPT)
"""What stands in a text that runs a model: there shapes come from data, be they made up in a script."""

_TWO = (r"oftmax\([\s\S]*oftmax\(", r"igmoid_?\([\s\S]*igmoid_?\(", r"expit\(")
TWICE = Trigger(frozenset({"softmax", "log_softmax", "sigmoid", "Softmax", "Sigmoid"}), (_TWO,))
"""Two activations, of which the second may be applied to what the first one gave."""

TWICE_ON_DATA = Trigger(frozenset({"softmax(", "log_softmax(", "gumbel_softmax(", "sigmoid(", "sigmoid_("}), (_TWO, RUNS_ON_DATA))
"""The same in a text that runs a model: there somebody calls what applies the second one."""

LOGITS_OF_DISTRIBUTIONS = Trigger(
    frozenset(name.rpartition(".")[2] for name in distributions.TAKES_LOGITS), (("logits ?=",), ("oftmax", "igmoid"))
)
"""A distribution that is built with logits, beside an activation."""

ATTENTION = Trigger(
    frozenset({"softmax", "Softmax", "scaled_dot_product_attention", "multi_head_attention_forward"})
    | frozenset(attention.LAYERS),
    (
        (
            r"tril\(",
            r"triu\(",
            r"\bKeepMask\b",
            r"\bDropMask\b",
            "padding_idx",
            r"arange\([^\n]*[<>]",
            r"oftmax\([\s\S]*(?:masked_fill|where)\w*\([^\n]*(?:inf|-1e|\.min)",
        ),
    ),
)
"""Attention, beside a mask of which it may be known what it says, or that comes too late."""

_FLAG_OF_A_MODULE = (
    r"(?:model|net|coder|backbone|base|features|layer|fc|head|classifier|rator|nator|critic|block|stage|bert|stem|embed|norm)\w*"
    r"(?:\[[^\]\n]*\])?\.requires_grad ?= ?(?:True|False)"
)
FLAGS = Trigger(frozenset({"requires_grad"}), ((_FLAG_OF_A_MODULE,),), (_FLAG_OF_A_MODULE,), local=True)
"""A flag of tensors that is set on what is called like a module."""

KERAS = Trigger(
    frozenset({"compile(", "predict("}) | frozenset(name.removesuffix(".__call__").rpartition(".")[2] for name in keras.LOSSES),
    (("keras", "tensorflow"),),
)
"""A model of Keras gets its loss or is used, or a loss is called."""

_CLOSED = r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
"""What stands in a call, up to its end."""

_ALWAYS_DROPS = (
    rf"\b(?:F|functional|nnf|fn)\.\w*dropout\w*\((?!(?:[^()]|\([^()]*\))*\btrain){_CLOSED}",
    rf"\bscaled_dot_product_attention\((?=(?:[^()]|\([^()]*\))*\bdropout_p)(?!(?:[^()]|\([^()]*\))*\btraining){_CLOSED}",
    rf"\b\w*Dropout\d?d?\({_CLOSED}\(",
    r"\n\s+(?!self)\w+ = (?:torch\.)?nn\.\w*Dropout\d?d?\(",
    rf"(?<![\w.])\w*dropout\w*\((?!(?:[^()]|\([^()]*\))*\btrain){_CLOSED}",
)
ALWAYS_DROPPED = Trigger(
    frozenset({*(name.rpartition(".")[2] + "(" for name in torch.DROPOUTS), "scaled_dot_product_attention("})
    | frozenset(name.split(".")[2] + "(" for name in torch.DROPOUT_LAYERS),
    ((*_ALWAYS_DROPS[:-1], r"functional import [^\n]*dropout"),),
    _ALWAYS_DROPS,
    local=True,
)
"""Dropout that is not told whether the model is in training mode, or a dropout layer that is made where it is applied."""

THRESHOLDS = Trigger(
    frozenset({"no_grad", "inference_mode", "eval"}),
    (
        (r"(?i:with_?logits)", "MultiLabelSoftMargin", "multilabel_soft_margin"),
        (r"[<>]=? ?0?\.5\b", r"\.g[et]\(0?\.5", r"\.round\(", r"threshold\w*(?:: float)? ?= ?0?\.5\b"),
    ),
)
"""A model is evaluated, where some loss takes logits and something is compared with a half."""

EVALUATED = Trigger(
    frozenset({"eval("}),
    ((r"\.eval\(\)",), (r"for [^\n]+ in [^\n]*(?:loader|batches|val|test|dl\b)",), (r"\btorch\b",)),
    local=True,
)
"""A model is put into evaluation mode, beside a loop over batches."""

_ANY_LAYER = r"(?:(?:torch\.)?nn\.|[A-Z])\w*\("

_EMPTY = r"(?:\[[^\n\]]*\]|\{[^\n}]*\}|list\(\)|dict\(\)|\(\))"

_HIDES_LAYERS = (
    rf"self\.\w+(?:: [^=\n]+)? = (?:tuple|list|dict)?[\[{{(]\s*(?:\w+, |f?[\"'][^\"'\n]*[\"']: )?{_ANY_LAYER}",
    (
        rf"self\.(\w+)(?:: [^=\n]+)? = {_EMPTY}[\s\S]{{0,4000}}?self\.\1"
        rf"(?:\[[^\]\n]*\] = |\.(?:append|extend|insert)\([^\n]*?){_ANY_LAYER}"
    ),
    rf"(\w+)\.append\({_ANY_LAYER}[\s\S]{{0,2000}}?self\.\w+ = \1\s*\n",
)

UNREGISTERED = Trigger(
    frozenset(
        f"{name}("
        for name in ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "LSTM", "GRU", "Embedding", "Sequential")
    )
    | {
        "Sequential(",
        "BatchNorm1d(",
        "BatchNorm2d(",
        "LayerNorm(",
        "MultiheadAttention(",
        "TransformerEncoderLayer(",
        "LSTMCell(",
        "GRUCell(",
    },
    (_HIDES_LAYERS,),
    _HIDES_LAYERS,
    local=True,
)
"""Layers go into lists and dicts, which a module does not look into."""

_MAKES_PLAIN = (
    r"(?:randn|rand|zeros|ones|arange|linspace|tensor|empty|eye|full|normal|triu|tril|exp|log|sin|stack|cat|nn\.init\.\w+|Tensor)"
    r"\w*\("
)

_KEEPS_PLAIN = (
    rf"self\.\w+(?:: [^=\n]+)? = torch\.{_MAKES_PLAIN}",
    rf"\s(\w+) = torch\.{_MAKES_PLAIN}[\s\S]{{0,1500}}?self\.\w+ = \1\s*\n",
)

PLAIN_TENSORS = Trigger(
    frozenset(f"{name}(" for name in ("randn", "rand", "zeros", "ones", "arange", "linspace", "tensor", "empty", "eye", "full")),
    (
        _KEEPS_PLAIN,
        (r"\bnn\.Module\b", r"\bModule\)", r"LightningModule"),
        (r"def forward\(",),
    ),
    _KEEPS_PLAIN,
    local=True,
)
"""A module makes tensors."""

MEANT = Trigger(frozenset(MEANINGS), ((r"\bmldbg\b",),))
"""Annotations that say what numbers mean."""

WORKERS = Trigger(frozenset({"DataLoader"}), ((r"num_workers(?!\s*=\s*0\b)",),))
"""A loader with workers: what they do for a row is not what the program does around it."""

SCALED_PICTURES = Trigger(
    frozenset({"DataLoader"}), ((r"\bToTensor\b", r"\bConvertImageDtype\b"), (r"[/(] ?255\b", r"/ ?127\.5"))
)
"""A loader, in a file where pictures are scaled to 0..1 and something is divided by the largest byte."""

WATCHED = Trigger(
    frozenset({"validation_data", "eval_set", "valid_sets", "evals", "eval_dataset", "fit("}),
    (
        (
            "early_stopping",
            "EarlyStopping",
            "save_best_only",
            "ModelCheckpoint",
            "load_best_model_at_end",
            "[cC]at[bB]oost",
            "od_type",
        ),
        (r"[tT]est",),
    ),
)
"""A fit that decides by rows that it evaluates on, in a text that speaks of a test set."""
WATCHED_TEST = Trigger(frozenset({"validation_data"}), ((r"validation_data ?= ?\(?\[?\w*[tT]est",),))
"""One that is told to evaluate on what is called test data."""
BEHIND_PARTS = Trigger(frozenset({"transform", "transforms", "random_split"}), ((r"\.dataset\.\w*transforms? ?=[^=]",),))
"""A transform that is set through a part of a data set."""
_SHUFFLES = r"(?:\bshuffle|permutation|permuted|randperm|\.shuffle)\("
_TWO_ALIKE = r"[^\n]*\n(?:[^\n]*\n){0,10}?[^\n]*"
SHUFFLED = Trigger(
    frozenset({"shuffle(", "permutation(", "permuted(", "randperm(", "sample("}),
    ((rf"{_SHUFFLES}{_TWO_ALIKE}{_SHUFFLES}", rf"sample\(frac ?= ?1\b{_TWO_ALIKE}sample\(frac ?= ?1\b"),),
)
"""Two orders that are drawn one after the other."""
RANDOM_TRANSFORMS = Trigger(
    frozenset({"transforms", "v2", "albumentations", "ImageDataGenerator"}),
    (
        (r"\bRandom[A-Z]\w+\(", "ColorJitter", "AutoAugment", "ShiftScaleRotate", "HorizontalFlip", "_range", "_flip"),
        (r"train ?= ?False", r"split ?= ?.(?:test|val)", r"[\"'/](?:val|valid|validation|test)\b"),
    ),
)
"""Random transforms, in a text that names held-out data."""

TRIGGERS = (
    MEANT,
    LOSSES,
    TRAINING,
    EVALUATION,
    LOADING,
    SPLITS,
    FITS,
    SCALED,
    SCALED_PICTURES,
    LOGARITHMS,
    SINGLE_COLUMNS,
    TWICE,
    TWICE_ON_DATA,
    LOGITS_OF_DISTRIBUTIONS,
    ATTENTION,
    FLAGS,
    KERAS,
    ALWAYS_DROPPED,
    THRESHOLDS,
    WORKERS,
    SCALED,
    WATCHED,
    WATCHED_TEST,
    BEHIND_PARTS,
    DEALT_OUT,
    MEASURED,
    COUNTED,
    GATHERED,
    GATHERED_BY_KERAS,
    SCORERS,
    EVALUATED,
    UNREGISTERED,
    PLAIN_TENSORS,
    FILLED,
    SHUFFLED,
    RANDOM_TRANSFORMS,
    LEARNED,
    SEARCHED,
    GROUPS,
    REBUILT,
    BY_HAND,
)

_SIZED = (
    "Linear|LazyLinear|Bilinear|Conv[123]d|ConvTranspose[123]d|Embedding|EmbeddingBag|LSTM|GRU|RNN|LSTMCell|GRUCell|RNNCell"
    "|MultiheadAttention|TransformerEncoderLayer|TransformerDecoderLayer|Transformer|LayerNorm|BatchNorm[123]d|GroupNorm"
)
_INNER = r"(?:[^()]|\([^()]*\))*"

_NUMBER = r"(?<![\w.-])(?<!groups=)(?<!kernel_size=)(?:[89]|\d\d+)\b(?!\.)"
_MULTIPLE = rf"(?:{_SIZED})\({_INNER}(?:\b\d+ ?\*|\* ?\d+\b)"
_LITERAL = rf"(?:{_SIZED})\((?:\w+=)?\d+, ?(?:\w+=)?\d+\b"
_LITERAL_TENSOR = r"\.(?:randn|rand|zeros|ones|empty)\(\(?(?!1?[,)])\d+(?:, ?\d+)*,?\)?[,)]"
_LITERAL_TABLE = r"\.(?:randn|rand|zeros|ones|empty)\(\(?\d+(?:, ?\d+)+\)?[,)]"
_NAMES_AXES = r", \w+ = \w+\.(?:shape\b|size\(\))"
_LAYER = rf"(?:{_SIZED})\("

_PREDICTS = r"max\((?:\w+(?:, ?(?=[d0]))?)?(?:dim=)?0?\)"
_PAIRS = r"for \w+, \w+ in [^\n]*(?:[lL]oader|dl\b)"
"""The best class without an axis, or along the first one, in a loop over rows and labels."""

SAYS_SIZES = (
    (_LAYER, rf"\b(?:{_SIZED})\({_INNER}{_NUMBER}"),
    (_LAYER, rf"{_LITERAL}[\s\S]*?{_LITERAL}"),
    (_LAYER, rf"{_MULTIPLE}[\s\S]*?{_MULTIPLE}"),
    (_LAYER, _MULTIPLE, r"\.(?:mean|sum|amax|max)\((?:dim|-?\d)", _NAMES_AXES, r"\bcat\("),
    (_LAYER, r"Linear\((?:[^()]|\([^()]*\))*, ?1[,)]", r"mse|MSE|bce|BCE|binary_cross|[lL]1_?[lL]oss|[hH]uber|criterion"),
    (_LAYER, rf"\b(?:LSTM|GRU|RNN|TransformerEncoderLayer|MultiheadAttention)\((?!{_INNER}batch_first)"),
    (rf"\.(?:{_MADE})\(\(?(?=[^()]*\b(?:[89]|\d\d+)\b)\d+, ?\d+\b",),
    (rf"{_LITERAL_TABLE}[\s\S]*?{_LITERAL_TENSOR}|{_LITERAL_TENSOR}[\s\S]*?{_LITERAL_TABLE}",),
    (r"\.(?:view|reshape)\([^()]*\b\d\d+\b",),
    (r"softmax\([^()\n]*(?:dim=|, )(?:0|-2)\b",),
    (r"\.(?:log_)?softmax\((?:0|-2)\b",),
    (r"argmax\((?:dim=)?0?\)", _NAMES_AXES),
    (_PREDICTS, _PAIRS),
    (r"(?:rearrange|reduce|repeat|Rearrange|Reduce)\([^\"'\n]*[\"'][^\"'\n]*->",),
    (r"h, w\b.* = .*(?:\.shape|\.size\(\))", r"w, ?h\b"),
)
"""What says sizes, or axes, in numbers, and says enough of them for a contradiction: layers of given features, tensors made here,
two multiples of a name. Groups of regular expressions, of one of which all must be found.

Sizes of kernels and the like are small and say nothing of features, and sizes that are all names without a value can contradict
nothing. What begins with plain text, or with one of few characters, is found fast, so it comes before a search for whole words.
"""


SMALL = 2_000
"""Characters of code of a file that is executed for its layers and tensors whatever it says of sizes: it takes no time, and in
the example of a question a class with two settings is the whole program."""

_SHORT = rf"\A[\s\S]{{0,{SMALL}}}\Z"
_SIZED_OR_MADE = re.compile(rf"{_LAYER}|\b(?:{_MADE}|tensor|array)\(")


def is_small_example(code: str) -> bool:
    """Whether a text is short, and has layers or tensors in it."""
    return len(code) < SMALL and _SIZED_OR_MADE.search(code) is not None


def says_sizes(text: str) -> bool:
    """Whether code says sizes in numbers that may contradict one another."""
    found: dict[str, bool] = {}
    for group in SAYS_SIZES:
        for pattern in group:
            if pattern not in found:
                found[pattern] = re.search(pattern, text) is not None
            if not found[pattern]:
                break
        else:
            return True
    return False


ANNOTATED = Trigger(frozenset(FAMILIES) | frozenset(MEANINGS), ((r"\bjaxtyping\b", r"\bmldbg\b"),))
"""Array annotations."""
SIZED = Trigger(
    frozenset(_SIZED.replace("[123]", "1").split("|"))
    | frozenset(_SIZED.replace("[123]", "2").split("|"))
    | frozenset(_SIZED.replace("[123]", "3").split("|"))
    | frozenset(f"{name}(" for name in (*_MADE.split("|"), "tensor", "view", "reshape", "einsum", "rearrange", "cat", "matmul")),
    (
        (r"\btorch\b",),
        (*RUNS_ON_DATA, rf"\b(?:{_SIZED}|{_MADE})\([^\n]*\d", r"softmax\(", r"argmax\(", "->", r"\bh, w\b", _SHORT),
    ),
)
"""Layers and tensors, in a text that says some sizes in numbers."""

NAMED_AXES = Trigger(frozenset({"softmax", "log_softmax", "argmax("}), ((r"\btorch\b",), (r", \w+ = \w+\.(?:shape\b|size\(\))",)))
"""An operation along one axis, in a text that names axes."""

_ON_ARRAYS = (
    "reshape|ravel|hstack|vstack|column_stack|concatenate|stack|dot|matmul|einsum|outer|solve|inv|svd|eigh|lstsq|norm"
    "|array|zeros|ones|eye|full|normal|uniform|standard_normal|integers|randn|rand|to_numpy|mean|sum|argmax"
)
ARRAYS = Trigger(
    frozenset(f"{name}(" for name in _ON_ARRAYS.split("|")), ((r"\bnumpy\b",), (r"\bdef main\(", "__main__", _OF_SCRIPT))
)
"""Arrays, in a program that runs something on them."""

PREDICTIONS = Trigger(frozenset({"argmax(", "max("}), ((_PREDICTS,), (_PAIRS,), (r"\btorch\b",)))

SHAPE_TRIGGERS = (ANNOTATED, SIZED, NAMED_AXES, PREDICTIONS, ARRAYS)
"""What makes code worth executing with the shapes of its tensors."""


def with_calls(names: Iterable[str]) -> tuple[Trigger, ...]:
    """All triggers, and one for calls that rules of other packages listen to: those cannot add a trigger of their own.

    Args:
        names: qualified names of calls.
    """
    plain = {word for trigger in TRIGGERS if not trigger.beside for word in trigger.words}
    others = frozenset(name.removesuffix(".__call__").rpartition(".")[2] for name in names) - plain
    return (*TRIGGERS, Trigger(others)) if others else TRIGGERS
