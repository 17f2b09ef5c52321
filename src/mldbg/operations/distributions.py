"""torch's distributions: their classes, and what these are built with."""

from __future__ import annotations

from collections.abc import Mapping

PACKAGE = "torch.distributions."

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("Bernoulli", "Categorical", "Geometric", "OneHotCategorical"), ("probs", "logits")),
    **dict.fromkeys(("Cauchy", "Gumbel", "Laplace", "LogNormal", "Normal"), ("loc", "scale")),
    "Beta": ("concentration1", "concentration0"),
    "Dirichlet": ("concentration",),
    "Exponential": ("rate",),
    "Gamma": ("concentration", "rate"),
    "HalfNormal": ("scale",),
    "Independent": ("base_distribution", "reinterpreted_batch_ndims"),
    "MultivariateNormal": ("loc", "covariance_matrix", "precision_matrix", "scale_tril"),
    "Poisson": ("rate",),
    "StudentT": ("df", "loc", "scale"),
    "Uniform": ("low", "high"),
}
"""The parameters of the constructor of each class, in order."""

CONSTRUCTOR_PARAMETERS: dict[str, tuple[str, ...]] = {f"{PACKAGE}{cls}": params for cls, params in PARAMETERS.items()}

DRAWS_ALONG_LAST: Mapping[str, tuple[str, ...]] = {
    "torch.multinomial": ("input",),
    "torch.Tensor.multinomial": ("input",),
    f"{PACKAGE}Categorical": ("probs", "logits"),
    f"{PACKAGE}OneHotCategorical": ("probs", "logits"),
}
"""What draws one of the entries of the last axis of a tensor, and the parameters that take it."""

_OF_ONE_TRIAL = ("Bernoulli", "Geometric", "Binomial", "NegativeBinomial", "ContinuousBernoulli", "RelaxedBernoulli")
_OF_CLASSES = ("Categorical", "OneHotCategorical", "OneHotCategoricalStraightThrough", "RelaxedOneHotCategorical", "Multinomial")

TAKES_LOGITS: Mapping[str, int | None] = {
    **dict.fromkeys((f"{PACKAGE}{cls}" for cls in _OF_ONE_TRIAL), None),
    **dict.fromkeys((f"{PACKAGE}{cls}" for cls in _OF_CLASSES), -1),
}
"""What takes probabilities as `probs`, or logits as `logits`, and along which axis of them the classes lie, if they do."""

MODULES = (
    *("bernoulli", "beta", "categorical", "cauchy", "dirichlet", "exponential", "gamma", "geometric", "gumbel", "half_normal"),
    *("independent", "kl", "laplace", "log_normal", "multivariate_normal", "normal", "one_hot_categorical", "poisson"),
    *("studentT", "uniform"),
)
"""The modules of the package that hold them, and `kl_divergence`."""

UNDER = frozenset({"log_prob", "cdf"})
"""Methods that are given values to be weighed under a distribution."""

DIVERGENCE = f"{PACKAGE}kl_divergence"
