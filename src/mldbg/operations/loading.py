"""Data loaders and samplers of torch: what they are built with, and what becomes of the order of the rows."""

from __future__ import annotations

from mldbg.operations.effect import Effect, NoEffect, Special

_DATA = "torch.utils.data."

LOADER = f"{_DATA}DataLoader"

REST = "**"
"""Stands among the arguments of a loader where there are more, of which nothing is known."""

_LOADER_PARAMETERS = (
    "dataset",
    "batch_size",
    "shuffle",
    "sampler",
    "batch_sampler",
    "num_workers",
    "collate_fn",
    "pin_memory",
    "drop_last",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
)

DISTRIBUTED_SAMPLER = f"{_DATA}DistributedSampler"
"""Deals the rows out to the processes; their order is that of epoch 0 until `set_epoch` says otherwise."""

BATCH_SAMPLER = f"{_DATA}BatchSampler"
"""Puts the rows of another sampler together to batches."""

SAMPLERS: frozenset[object] = frozenset({DISTRIBUTED_SAMPLER, BATCH_SAMPLER})
"""Samplers that are followed into loops."""

SET_EPOCH = f"{DISTRIBUTED_SAMPLER}.set_epoch"

CONSTRUCTOR_PARAMETERS: dict[str, tuple[str, ...]] = {
    LOADER: _LOADER_PARAMETERS,
    DISTRIBUTED_SAMPLER: ("dataset", "num_replicas", "rank", "shuffle", "seed", "drop_last"),
    BATCH_SAMPLER: ("sampler", "batch_size", "drop_last"),
}

ROWS: dict[str, Effect] = {
    LOADER: Special("loader", _LOADER_PARAMETERS),
    SET_EPOCH: NoEffect(),
}

CHAINS: frozenset[object] = frozenset({"torchvision.transforms.Compose", "torchvision.transforms.v2.Compose"})
"""Classes whose objects apply several transforms, one behind the other."""

ATTRIBUTES: frozenset[str] = frozenset({"sampler", "batch_sampler"})
"""Attributes of a loader that hold what it was built with."""

_NUMPY = "numpy.random."
_DRAWS = (
    "rand randn randint random random_sample ranf sample random_integers choice shuffle permutation permuted integers bytes beta "
    "binomial chisquare dirichlet exponential gamma geometric gumbel laplace logistic lognormal logseries multinomial "
    "multivariate_normal negative_binomial normal pareto poisson power rayleigh standard_cauchy standard_exponential "
    "standard_gamma standard_normal standard_t triangular uniform vonmises wald weibull zipf"
)

NUMPY_DRAWS: frozenset[str] = frozenset(f"{_NUMPY}{name}" for name in _DRAWS.split())
"""Functions that draw from numpy's global generator, of which every process has a copy."""

GENERATOR_DRAWS: frozenset[str] = frozenset(f".{name}" for name in _DRAWS.split())
"""Methods of a generator of numpy that draw."""

GENERATORS: frozenset[str] = frozenset({f"{_NUMPY}default_rng", f"{_NUMPY}RandomState", f"{_NUMPY}Generator"})
"""What makes a generator of numpy."""

NUMPY_SEED = f"{_NUMPY}seed"

SEEDS_NUMPY_IN_WORKERS = (1, 9)
"""The version of torch from which a worker seeds numpy's global generator by its number and the epoch."""

ITERABLE = f"{_DATA}IterableDataset"
"""The base of datasets that are gone through from the beginning: each worker goes through its own copy."""

WORKER_INFO = frozenset({f"{_DATA}get_worker_info", f"{_DATA}_utils.worker.get_worker_info"})

READS_ROWS: frozenset[str] = frozenset(
    {"builtins.open", "builtins.range", "builtins.enumerate", "builtins.iter", "gzip.open", "csv.reader", "csv.DictReader"}
    | {"pandas.read_csv", "pandas.read_json", "pandas.read_parquet", "json.loads", "glob.glob", "numpy.load", "torch.load"}
)
"""What a dataset calls that goes through something which is there for each worker anew: a file, numbers, a list."""

SHARES_OUT = (
    r"worker|\bshard|islice\(|\brank\b|world_size|webdataset|\bwds\b|\bqueue\b|Queue|split_by|\brandom\b|randint|randn|\brand\("
    r"|load_dataset|websocket|socket|kafka|redis|next\("
)
"""What says that workers get different rows: they are shared out, made up, or taken from a queue or a stream."""

SHARES_NOTHING = (
    r"(?:\w+\.)*(?:shuffle|seed|manual_seed|randperm|permutation|Random|default_rng|RandomState|Generator|rand\w*_like)\("
    r"|(?:\w+\.)*(?:randrange|randint|integers|random_integers)\((?:0,\s*)?len\((?P<buffer>\w+)\)(?:\s*-\s*1)?(?=[,)])"
    r"|(?:\w+\.)*sample\((?P<rows>[\w.]+),\s*(?:k=)?len\((?P=rows)\)\)"
    r"|^(?P<indent>[ \t]*)if\b[^\n]*\brand\w*(?:\.\w+)?\([^\n]*\)(?:\.item\(\))?\s*[<>][^\n]*:\n"
    r"(?=(?P=indent)[ \t]++(?!yield|continue|break|return|raise))"
    r"|islice\([^\n]*,\s*1,\s*None\)"
    r"|^[ \t]*(?:(?:_|head\w*|columns|names|fields)\s*=\s*)?next\(\s*\w+(?:,\s*None)?\)[ \t]*$"
)
"""What looks like it, and leaves every worker all rows: they are put in another order, changed at random, or a header is skipped.

The index into a buffer is drawn by the size of a local list to which rows are added (`buffer`).
"""

TOUCHES_CUDA: frozenset[str] = frozenset(
    f"torch.cuda.{name}"
    for name in (
        *("synchronize", "current_device", "set_device", "current_stream", "empty_cache", "memory_allocated", "FloatTensor"),
        *("LongTensor", "HalfTensor", "IntTensor", "ByteTensor", "BoolTensor", "DoubleTensor", "get_device_name", "init"),
    )
)
"""Functions that need the GPU. `is_available` and `device_count` do not start it."""

MOVES: frozenset[str] = frozenset({".to", ".to_device"})
"""Methods that take a device as their first argument."""

STARTED_AFRESH = r"[\"'](?:spawn|forkserver)[\"']"
"""What says that workers are no copies of the process, so that they can use the GPU."""

_PICTURES = "torchvision.datasets."

ORDERED_BY_CLASS: frozenset[str] = frozenset(
    f"{_PICTURES}{name}"
    for name in ("ImageFolder", "DatasetFolder", "Caltech101", "Caltech256", "EuroSAT", "Country211", "Imagenette", "ImageNet")
)
"""Data sets that hold one class after the other."""

TRAINING_SETS: frozenset[str] = frozenset(
    f"{_PICTURES}{name}"
    for name in (
        *("MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST", "CIFAR10", "CIFAR100", "USPS", "SVHN", "STL10", "GTSRB"),
        *("Food101", "Flowers102", "OxfordIIITPet", "StanfordCars", "DTD", "PCAM", "FGVCAircraft", "SUN397", "CelebA"),
    )
)
"""Data sets whose training part, as it is published, people train on."""

TENSOR_DATASET = f"{_DATA}TensorDataset"

ORDER_IS_MEANT = (
    r"randperm|permutation|shuffle\(|\.sample\(|random_split|train_test_split|[sS]tateful|time_?series|TimeSeries|hidden|bptt"
    r"|[wW]indow|\blag|[sS]equence|forecast|stream|curriculum|SubsetRandom|overfit|debug|sanity"
)
"""What says that rows have been shuffled already, or that their order is wanted."""

TRIES_OUT = r"overfit|debug|sanity|smoke|tiny|toy|one_batch|single_batch|dry_run|attack|adversar|saliency"
"""What names say of loops that only try something out, or train nothing."""

_TRANSFORMS = ("torchvision.transforms.", "torchvision.transforms.v2.", "torchvision.transforms.transforms.")

TO_UNIT_RANGE: frozenset[str] = frozenset(
    f"{package}{name}" for package in _TRANSFORMS for name in ("ToTensor", "ConvertImageDtype")
)
"""Transforms that divide by 255, where they get pictures of bytes."""

TO_UNIT_RANGE_FUNCTIONS: frozenset[str] = frozenset(
    f"torchvision.transforms.{module}{name}"
    for module in ("functional.", "v2.functional.")
    for name in ("to_tensor", "convert_image_dtype")
)

ANY_FUNCTION: frozenset[str] = frozenset(f"{package}Lambda" for package in _TRANSFORMS)
"""Transforms that apply a function, of which it is not known what it does."""

NORMALISES: frozenset[str] = frozenset(f"{package}Normalize" for package in _TRANSFORMS)
