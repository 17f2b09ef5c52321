"""The standard library, numpy, pandas and small helpers that wrap values."""

from __future__ import annotations

from mldbg.operations.effect import Arranges, Derives, Effect, Keeps, NoEffect, Special, Wraps, WrapsAll, Writes

DERIVING_PACKAGES: tuple[str, ...] = (
    "numpy.",
    "pandas.",
    "scipy.",
    "torch.",
    "torchvision.",
    "cupy.",
    "polars.",
    "xgboost.DMatrix",
    "lightgbm.Dataset",
)
"""Functions of these packages make their result from their arguments, and change nothing."""

READERS: tuple[str, ...] = (
    "pandas.read_",
    "polars.read_",
    "polars.scan_",
    "numpy.load",
    "numpy.genfromtxt",
    "numpy.fromfile",
    "scipy.io.loadmat",
    "scipy.io.arff.loadarff",
    "scipy.sparse.load_npz",
    "torch.load",
    "torchvision.io.read_",
)
"""Prefixes of functions that read rows from a file: those of two files are apart, even where one object holds both names."""

HARMLESS_PACKAGES: tuple[str, ...] = (
    *DERIVING_PACKAGES,
    "builtins.",
    "math.",
    "os.",
    "sys.",
    "time.",
    "json.",
    "random.",
    "logging.",
    "matplotlib.",
    "seaborn.",
    "plotly.",
    "tqdm.",
    "sklearn.",
    "pickle.",
    "joblib.",
    "copy.",
    "collections.",
    "itertools.",
    "functools.",
    "pathlib.",
    "wandb.",
    "mlflow.",
    "torchmetrics.",
    "imblearn.",
    "warnings.",
    "argparse.",
    "datetime.",
    "re.",
    "shutil.",
    "pprint.",
    "IPython.",
    "tensorboardX.",
    "torchinfo.",
    "torchsummary.",
    "tabulate.",
    "rich.",
)
"""Packages whose functions neither step an optimizer nor clear gradients nor evaluate a model on the data handed to them."""

TORCH_CLASS_PACKAGES: tuple[str, ...] = (
    "torch.nn.",
    "torch.optim.",
    "torch.utils.",
    "torch.cuda.",
    "torch.amp.",
    "torch.distributed.",
    "torchvision.",
)
"""Packages with classes whose objects have an identity that matters."""

INSPECTING_ATTRIBUTES: frozenset[str] = frozenset(
    ["shape", "columns", "index", "dtype", "dtypes", "size", "ndim", "name", "device", "is_cuda", "requires_grad"]
)
"""Attributes of data that describe it and hold none of it."""

WRITING_METHODS: frozenset[str] = frozenset(
    [
        "to_csv",
        "to_parquet",
        "to_pickle",
        "to_excel",
        "to_feather",
        "to_hdf",
        "to_json",
        "to_sql",
        "to_stata",
        "tofile",
        "write_csv",
        "write_parquet",
    ]
)
"""Methods of data that write it to a file."""

INSPECTING_METHODS: frozenset[str] = frozenset(
    [
        "info",
        "head",
        "tail",
        "describe",
        "plot",
        "hist",
        "boxplot",
        "shape",
        "dtypes",
        "columns",
        "nunique",
        "value_counts",
        "isnull",
        "isna",
        "sum",
        "memory_usage",
    ]
)
"""Methods of data that only look at it."""

TEXT_METHODS: frozenset[str] = frozenset(
    [
        "lower",
        "upper",
        "title",
        "capitalize",
        "casefold",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "partition",
        "rpartition",
        "replace",
        "startswith",
        "endswith",
        "removeprefix",
        "removesuffix",
        "isdigit",
    ]
)
"""Methods of strings whose result is as long as the string, or about it."""

REARRANGES: frozenset[str] = frozenset({"sort", "reverse", "remove", "appendleft", "extendleft", "rotate"})
"""Methods of lists and deques after which it is not known which element stands where."""

LOSES_CONTENT: frozenset[str] = frozenset({"clear", "pop", "popleft", "popitem", "remove"})
"""Methods of lists and dicts that take elements away."""

CHANGES_CONTENT: frozenset[str] = REARRANGES | {"append", "extend", "insert", "pop", "clear", "update", "setdefault", "popitem"}
"""Methods that change a list or a dict."""

ROWS: dict[str, Effect] = {
    "builtins.len": NoEffect(),
    "builtins.print": NoEffect(),
    "builtins.list": Special("list"),
    "builtins.tuple": Special("tuple"),
    "builtins.dict": Special("dict"),
    "builtins.enumerate": Special("enumerate"),
    "builtins.zip": Special("zip"),
    "builtins.range": NoEffect(),
    "builtins.reversed": Special("reversed"),
    "builtins.iter": Wraps(),
    "builtins.next": Special("next"),
    "builtins.getattr": Special("getattr"),
    "builtins.globals": Special("globals"),
    "builtins.setattr": Special("setattr"),
    "builtins.hasattr": NoEffect(),
    "builtins.isinstance": Special("isinstance"),
    "collections.defaultdict": Special("default_dict"),
    "inspect.isclass": Special("is_class"),
    "builtins.super": Special("super"),
    "builtins.sum": Special("sum"),
    "builtins.map": Special("map"),
    "builtins.float": Keeps(attached=False),
    "builtins.int": Keeps(attached=False),
    "builtins.property": Wraps(),
    "builtins.staticmethod": Wraps(),
    "builtins.classmethod": Wraps(),
    "collections.OrderedDict": Special("dict"),
    "collections.deque": Special("deque"),
    "collections.namedtuple": Special("named_tuple"),
    "collections.namedtuple.__new__": Special("of_named_tuple"),
    "types.SimpleNamespace": Special("namespace"),
    "argparse.Namespace": Special("namespace"),
    "argparse.ArgumentParser.add_argument": Special("add_option"),
    "argparse.ArgumentParser.set_defaults": Special("set_options"),
    "argparse.ArgumentParser.parse_args": Special("parse_options"),
    "einops.rearrange": Arranges(),
    "einops.repeat": Arranges(),
    "einops.reduce": Arranges(reduces=True),
    "einops.layers.torch.Rearrange.__call__": Arranges(),
    "einops.layers.torch.Reduce.__call__": Arranges(reduces=True),
    "functools.partial": Special("partial"),
    "functools.wraps": NoEffect(),
    "copy.copy": Special("shallow"),
    "copy.deepcopy": Special("clone"),
    "dataclasses.replace": Special("replaced"),
    "copy.replace": Special("replaced"),
    "attrs.evolve": Special("replaced"),
    "attr.evolve": Special("replaced"),
    "attr.assoc": Special("replaced"),
    "typing.NamedTuple._replace": Special("replaced"),
    "dataclasses.field": Special("field"),
    "tqdm.tqdm": Wraps(0, "iterable"),
    "tqdm.trange": NoEffect(),
    "tqdm.tqdm.tqdm": Wraps(0, "iterable"),
    "rich.progress.track": Wraps(0, "sequence"),
    "itertools.islice": Wraps(),
    "itertools.cycle": Wraps(),
    "itertools.chain": Derives(),
    "accelerate.Accelerator.prepare": WrapsAll(),
    "accelerate.Accelerator.prepare_model": Wraps(),
    "accelerate.Accelerator.unwrap_model": Wraps(),
    "accelerate.Accelerator.prepare_data_loader": Wraps(),
    "accelerate.Accelerator.gather": Wraps(),
    "accelerate.Accelerator.gather_for_metrics": Wraps(),
    "accelerate.Accelerator.backward": Special("owned_backward"),
    "accelerate.Accelerator.clip_grad_norm_": NoEffect(),
    "apex.amp.initialize": WrapsAll(),
    "peft.get_peft_model": Wraps(0, "model"),
    "peft.prepare_model_for_kbit_training": Wraps(0, "model"),
    "prefetch_generator.BackgroundGenerator": Wraps(0, "generator"),
    "fastprogress.progress_bar": Wraps(0, "gen"),
    "fastprogress.fastprogress.progress_bar": Wraps(0, "gen"),
    "apex.amp.scale_loss": Wraps(0, "loss"),
    "apex.amp.master_params": NoEffect(),
    "lightning.Fabric.setup": WrapsAll(),
    "lightning.fabric.Fabric.setup": WrapsAll(),
    "lightning.Fabric.setup_dataloaders": WrapsAll(),
    "lightning.fabric.Fabric.setup_dataloaders": WrapsAll(),
    "lightning.Fabric.backward": Special("owned_backward"),
    "lightning.fabric.Fabric.backward": Special("owned_backward"),
    "lightning.LightningModule.manual_backward": Special("manual_backward"),
    "numpy.save": Writes(1),
    "numpy.savez": Writes(1),
    "numpy.savez_compressed": Writes(1),
    "numpy.savetxt": Writes(1, last=1),
    "scipy.sparse.save_npz": Writes(1, last=1),
    "scipy.io.savemat": Writes(1, last=1),
    "pickle.dump": Writes(last=0),
    "cloudpickle.dump": Writes(last=0),
    "dill.dump": Writes(last=0),
    "torch.save": Writes(last=0),
    "pandas.concat": Derives(),
    "xgboost.DMatrix": Special("tensor_dataset"),
    "lightgbm.Dataset": Special("tensor_dataset"),
    "catboost.Pool": Special("tensor_dataset"),
}


CONSTRUCTOR_PARAMETERS: dict[str, tuple[str, ...]] = {
    "einops.layers.torch.Rearrange": ("pattern",),
    "einops.layers.torch.Reduce": ("pattern", "reduction"),
}
"""Names of the leading parameters of classes outside torch, where their arguments matter later."""

DATACLASSES: frozenset[str] = frozenset(
    {"dataclasses.dataclass", "attr.s", "attr.define", "attrs.define", "attrs.frozen", "attr.dataclass"}
)
"""Class decorators that write __init__ from the annotated fields."""

FIELD_BASES: frozenset[str] = frozenset(
    {
        "typing.NamedTuple",
        "pydantic.BaseModel",
        "equinox.Module",
        "transformers.utils.ModelOutput",
        "transformers.file_utils.ModelOutput",
    }
)
"""Base classes that do the same."""

HAVE_NAN: frozenset[str] = frozenset({"numpy", "math", "torch", "jax.numpy", "cupy", "cmath"})
"""Modules that have the constant nan, and a function isnan."""

NOT_A_NUMBER: frozenset[str] = frozenset(
    {f"{module}.{name}" for module in HAVE_NAN for name in ("nan", "NaN", "NAN")} | {"pandas.NaT"}
)
"""Constants that are equal to nothing."""
