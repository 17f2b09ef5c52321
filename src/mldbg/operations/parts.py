"""Which part of the data something holds: what data sets of libraries are told, and what names of files say."""

from __future__ import annotations

import re
from collections.abc import Mapping

HOLDS: Mapping[str, str] = {
    "torch.utils.data.DataLoader": "dataset",
    "torch.utils.data.dataloader.DataLoader": "dataset",
    "torch_geometric.loader.DataLoader": "dataset",
    "torch_geometric.data.DataLoader": "dataset",
    "torchdata.stateful_dataloader.StatefulDataLoader": "dataset",
}
"""Classes whose objects give out the rows of something that they were given first, under this name."""

_TRAIN, _VALIDATION, _TEST = "training", "validation", "test"

PART_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trn", "train-standard"), _TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "validate"), _VALIDATION),
    **dict.fromkeys(("test", "testing", "test_set", "testset"), _TEST),
}
"""Words for parts of the data, in arguments of data sets and in names of files."""

SAYS_PART = ("split", "subset", "image_set", "partition", "part", "fold", "mode", "stage", "phase")
"""Parameters of data sets that say which part they are."""

DATASET_PACKAGES = ("torchvision.datasets.", "torchaudio.datasets.", "torchtext.datasets.", "medmnist.")
"""Packages whose classes are data sets that come in parts."""

LOADED_PARTS: Mapping[str, str] = {
    "datasets.load_dataset": "split",
    "datasets.load.load_dataset": "split",
    "tensorflow_datasets.load": "split",
    "sklearn.datasets.fetch_20newsgroups": "subset",
    "sklearn.datasets.fetch_20newsgroups_vectorized": "subset",
    "sklearn.datasets.fetch_rcv1": "subset",
    "sklearn.datasets.fetch_lfw_pairs": "subset",
}
"""Functions that load a data set, and the parameter that says which part of it."""

KEYED_PARTS: frozenset[str] = frozenset({"datasets.load_dataset", "datasets.load.load_dataset", "tensorflow_datasets.load"})
"""Those whose result holds the parts by their names."""

KEEPS_PARTS: frozenset[str] = frozenset(
    [
        *("map", "filter", "shuffle", "select", "sort", "rename_column", "rename_columns", "remove_columns", "select_columns"),
        *("cast", "cast_column", "with_format", "with_transform", "set_format", "flatten", "class_encode_column"),
    ]
)
"""Methods of such a result that leave the parts as they are."""

PAIRS_OF_PARTS = re.compile(r"^(?:keras|tensorflow\.keras|tf_keras|tensorflow\.contrib\.keras)\.datasets\.\w+\.load_data$")
"""Functions that return `(x_train, y_train), (x_test, y_test)`."""

READS_FILE = re.compile(
    r"^(?:pandas|polars|dask\.dataframe)\.(?:read_|scan_)\w+$|^numpy\.(?:load|loadtxt|genfromtxt)$|^torch\.load$|^joblib\.load$"
    r"|^torchvision\.datasets\.(?:ImageFolder|DatasetFolder)$"
    r"|(?:^|\.)image_dataset_from_directory$|^scipy\.sparse\.load_npz$"
)
"""Functions that read rows from the file or folder that they are given first."""

FROM_FOLDER: frozenset[str] = frozenset({"flow_from_directory"})
"""Methods that do."""

_WORD = re.compile(r"[A-Za-z]+")
_NAMES_FILE = re.compile(r"""(["'])((?:(?!\1).)*)\1""")


def part_of_word(word: str) -> str | None:
    """Which part a word says: `test`, but not `latest`; slices like `test[:50%]` are parts of it."""
    return PART_WORDS.get(word.partition("[")[0].strip().lower())


def part_of_file(source: str) -> str | None:
    """Which part the strings in the source of a path say: `os.path.join(root, "test", "images")`; None where they say several."""
    words = [word.lower() for _, text in _NAMES_FILE.findall(source) for word in _WORD.findall(text)]
    found = {PART_WORDS[word] for word in words if word in PART_WORDS}
    return found.pop() if len(found) == 1 else None


CHOOSING_CALLBACKS: Mapping[str, tuple[str, str, str]] = {
    "EarlyStopping": ("monitor", "val_loss", "stop"),
    "ModelCheckpoint": ("monitor", "val_loss", "weights"),
    "ReduceLROnPlateau": ("monitor", "val_loss", "rate"),
    "EarlyStoppingCallback": ("", "", "stop"),
    "early_stopping": ("", "", "stop"),
    "EarlyStop": ("", "", "stop"),
}
"""Callbacks that decide by a score: by what the argument of this name says, or else by this one."""

BEST_ONLY: Mapping[str, str] = {"keras": "save_best_only", "lightning": "monitor"}
"""What a checkpoint needs to keep the best weights rather than all of them."""

VALIDATING_CALLS: Mapping[str, tuple[str, ...]] = {
    "xgboost.train": ("evals",),
    "lightgbm.train": ("valid_sets",),
    "catboost.train": ("eval_set",),
    "transformers.Trainer": ("eval_dataset",),
    "transformers.Seq2SeqTrainer": ("eval_dataset",),
    "sentence_transformers.SentenceTransformerTrainer": ("eval_dataset",),
    "setfit.Trainer": ("eval_dataset",),
    "trl.SFTTrainer": ("eval_dataset",),
}
"""Functions and classes outside scikit-learn's conventions that evaluate while they train, and on which of their arguments."""

LIGHTNING_TRAINERS: frozenset[str] = frozenset({"pytorch_lightning.Trainer", "lightning.Trainer", "lightning.pytorch.Trainer"})
VALIDATION_LOADERS = ("val_dataloaders", "val_dataloader")

DECIDING_KEYWORDS: Mapping[str, str] = {
    "early_stopping_rounds": "stop",
    "early_stopping_round": "stop",
    "od_wait": "stop",
    "od_type": "stop",
    "use_best_model": "weights",
    "load_best_model_at_end": "weights",
}
"""Arguments with which a fit, or what it is configured by, decides by the score on the rows that it evaluates on."""
