"""Canonical spellings of what libraries export in several places."""

from __future__ import annotations

from functools import lru_cache

from mldbg.operations import distributions

_PREFIXES: tuple[tuple[str, str], ...] = (
    ("torch.nn.modules.loss.", "torch.nn."),
    ("torch.nn.modules.activation.", "torch.nn."),
    ("torch.nn.modules.linear.", "torch.nn."),
    ("torch.nn.modules.dropout.", "torch.nn."),
    ("torch.nn.modules.container.", "torch.nn."),
    ("torch.nn.modules.module.", "torch.nn."),
    ("torch.nn.modules.", "torch.nn."),
    ("torch.functional.F.", "torch.nn.functional."),
    ("torch.optim.adam.", "torch.optim."),
    ("torch.optim.adamw.", "torch.optim."),
    ("torch.optim.sgd.", "torch.optim."),
    ("torch.optim.optimizer.", "torch.optim."),
    ("torch.nn.parallel.distributed.", "torch.nn.parallel."),
    ("torch.utils.data.dataloader.", "torch.utils.data."),
    ("torch.utils.data.dataset.", "torch.utils.data."),
    ("torch.utils.data.distributed.", "torch.utils.data."),
    ("torch.utils.data.sampler.", "torch.utils.data."),
    ("pytorch_lightning.core.module.", "lightning."),
    ("pytorch_lightning.core.", "lightning."),
    ("pytorch_lightning.", "lightning."),
    ("lightning.pytorch.", "lightning."),
    ("lightning.pytorch", "lightning"),
    ("transformers.modeling_utils.", "transformers."),
    ("tqdm.auto.", "tqdm."),
    ("tqdm.notebook.", "tqdm."),
    ("sklearn.preprocessing._data.", "sklearn.preprocessing."),
    ("sklearn.preprocessing.data.", "sklearn.preprocessing."),
    ("sklearn.preprocessing.imputation.", "sklearn.preprocessing."),
    ("sklearn.preprocessing.label.", "sklearn.preprocessing."),
    ("sklearn.decomposition.pca.", "sklearn.decomposition."),
    ("sklearn.decomposition.truncated_svd.", "sklearn.decomposition."),
    ("sklearn.feature_selection.univariate_selection.", "sklearn.feature_selection."),
    ("sklearn.feature_selection.rfe.", "sklearn.feature_selection."),
    ("sklearn.model_selection._split.", "sklearn.model_selection."),
    ("sklearn.model_selection._validation.", "sklearn.model_selection."),
    ("sklearn.cross_validation.", "sklearn.model_selection."),
    ("sklearn.grid_search.", "sklearn.model_selection."),
    ("sklearn.lda.LDA", "sklearn.discriminant_analysis.LinearDiscriminantAnalysis"),
    ("sklearn.externals.joblib.", "joblib."),
    ("sklearnex.", "sklearn."),
    ("cuml.", "sklearn."),
    ("dask_ml.", "sklearn."),
    ("torch._tensor.", "torch."),
    ("tensorflow.compat.v1.", "tensorflow."),
    ("tensorflow.compat.v2.", "tensorflow."),
    ("tensorflow.python.keras.", "keras."),
    ("tensorflow.keras.", "keras."),
    ("tf_keras.", "keras."),
    ("keras.src.", "keras."),
    ("keras.api.", "keras."),
    ("keras.models.Sequential", "keras.Sequential"),
    ("keras.models.Model", "keras.Model"),
    ("keras.engine.sequential.", "keras."),
    ("keras.engine.training.", "keras."),
    ("keras.layers.Input", "keras.Input"),
    ("keras.layers.core.", "keras.layers."),
    ("keras.layers.convolutional.", "keras.layers."),
    ("keras.layers.normalization.", "keras.layers."),
    ("keras.layers.advanced_activations.", "keras.layers."),
    ("keras.layers.pooling.", "keras.layers."),
    ("keras.layers.wrappers.", "keras.layers."),
    ("keras.objectives.", "keras.losses."),
    *((f"{distributions.PACKAGE}{module}.", distributions.PACKAGE) for module in distributions.MODULES),
)


@lru_cache(maxsize=8192)
def canonical(name: str) -> str:
    """The spelling under which the tables know a qualified name."""
    for prefix, short in _PREFIXES:
        if name.startswith(prefix):
            return canonical(short + name[len(prefix) :])
    return name
