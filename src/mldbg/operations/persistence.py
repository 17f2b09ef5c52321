"""Files of models: what reads and writes them, what can run code on the way, and where files come from."""

from __future__ import annotations

LOADS_TENSORS: frozenset[str] = frozenset({"torch.load", "torch.serialization.load"})
"""Reads what `torch.save` wrote, by pickle."""

SAFE_BY_DEFAULT = (2, 6)
"""The version of torch from which `torch.load` refuses what is no tensor."""

SAFE_ON_REQUEST = (1, 13)
"""The version of torch from which it can be asked to."""

PARTIAL: frozenset[str] = frozenset({"functools.partial"})

UNPICKLES: dict[str, str] = {
    "pickle.load": "file",
    "pickle.loads": "data",
    "_pickle.load": "file",
    "_pickle.loads": "data",
    "cPickle.load": "file",
    "cPickle.loads": "data",
    "dill.load": "file",
    "dill.loads": "str",
    "cloudpickle.load": "file",
    "cloudpickle.loads": "data",
    "joblib.load": "filename",
    "sklearn.externals.joblib.load": "filename",
    "pandas.read_pickle": "filepath_or_buffer",
}
"""Functions that unpickle, and the parameter (the first) that takes what is unpickled."""

TAKES_REMOTE_CODE = "trust_remote_code"
"""The parameter of transformers, datasets and what is built on them that imports code from a model's repository."""

REVISIONS = ("code_revision", "revision")
"""Parameters that say which state of a repository is meant; the code's own first."""

COMMIT = r"[0-9a-f]{7,40}"
"""A state that nobody can change."""

LOCAL = (".", "/", "~")
"""What a path on this machine begins with, and no name of a repository does."""

LOADS_FROM_REPOSITORIES: frozenset[str] = frozenset({"torch.hub.load", "torch.hub.help", "torch.hub.list"})

TRUSTED_OWNERS: frozenset[str] = frozenset({"facebookresearch", "facebookincubator", "pytorch", "fairinternal"})
"""Owners of repositories about which torch.hub never asks. Source: `_TRUSTED_REPO_OWNERS` in torch/hub.py."""

SAVES: dict[str, int] = {
    "torch.save": 1,
    "pickle.dump": 1,
    "dill.dump": 1,
    "cloudpickle.dump": 1,
    "joblib.dump": 1,
}
"""Functions that write such a file, and the place of the argument that says where."""

MEMORY: frozenset[str] = frozenset({"io.BytesIO"})
"""Files that are none."""

FETCHES: frozenset[str] = frozenset(
    {
        "requests.get",
        "requests.post",
        "httpx.get",
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
        "urllib.urlopen",
        "urllib.urlretrieve",
        "urllib2.urlopen",
        "wget.download",
        "gdown.download",
        "gdown.cached_download",
        "huggingface_hub.hf_hub_download",
        "huggingface_hub.snapshot_download",
        "huggingface_hub.cached_download",
        "torch.hub.download_url_to_file",
        "torch.hub.load_state_dict_from_url",
        "torchvision.datasets.utils.download_url",
        "keras.utils.get_file",
        "tensorflow.keras.utils.get_file",
        "pooch.retrieve",
        "kagglehub.model_download",
        "kagglehub.dataset_download",
        "streamlit.file_uploader",
        "fsspec.open",
        "smart_open.open",
        "wandb.restore",
    }
)
"""Functions that bring something in from outside: their result holds it, or is where it was put."""

FETCHING_METHODS: frozenset[str] = frozenset(
    {"download_file", "download_fileobj", "download_to_filename", "download_as_bytes", "download_as_string", "recv", "get_object"}
)
"""Methods of clients of storage, and of sockets, that do the same."""

HANDED_IN: tuple[str, ...] = ("flask.request.", "request.files", "request.data", "request.body", "request.FILES")
"""What the text of an expression begins with that somebody has sent."""

WRITES_TO: dict[str, int] = {
    "urllib.request.urlretrieve": 1,
    "urllib.urlretrieve": 1,
    "wget.download": 1,
    "gdown.download": 1,
    "torch.hub.download_url_to_file": 1,
}
"""Functions among these that put what they fetch where an argument says, by its place."""

METHODS_WRITE_TO: dict[str, int] = {"download_file": 2, "download_fileobj": 2, "download_to_filename": 0}
"""The same of methods."""
