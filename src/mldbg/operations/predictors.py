"""What estimators predict: classes or scores, and which operations leave predictions what they are."""

from __future__ import annotations

from enum import Enum

from mldbg.operations.sklearn import PREDICTOR_PACKAGES


class Gives(Enum):
    """What a method of a model gives for each row."""

    CLASSES = "classes"
    SCORES = "probabilities or other scores"
    EITHER = "classes or scores, as the model is"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


METHODS: dict[str, Gives] = {
    "predict": Gives.EITHER,
    "predict_on_batch": Gives.EITHER,
    "predict_generator": Gives.EITHER,
    "predict_classes": Gives.CLASSES,
    "predict_proba": Gives.SCORES,
    "predict_log_proba": Gives.SCORES,
    "decision_function": Gives.SCORES,
    "score_samples": Gives.SCORES,
}
"""Methods by which a model predicts."""

SCORES_INSTEAD: dict[str, frozenset[object]] = {
    "raw_score": frozenset({True}),
    "output_margin": frozenset({True}),
    "pred_contrib": frozenset({True}),
    "prediction_type": frozenset({"Probability", "RawFormulaVal", "LogProbability"}),
}
"""Keywords of `predict` that make a classifier return scores, and their values."""

_PACKAGES = (
    *PREDICTOR_PACKAGES,
    *("sklearn.multiclass.", "sklearn.multioutput.", "sklearn.semi_supervised.", "sklearn.pipeline.", "sklearn.model_selection."),
    *("imblearn.ensemble.", "tabnet.", "pytorch_tabnet.", "ngboost.", "interpret.", "scikeras.", "flaml."),
)

_CLASSIFIERS = _words(
    "LogisticRegression LogisticRegressionCV SVC NuSVC LinearSVC Perceptron CalibratedClassifierCV RidgeClassifierCV "
    "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis NearestCentroid LabelPropagation LabelSpreading ClassifierChain "
    "IsolationForest OneClassSVM SGDOneClassSVM LocalOutlierFactor EllipticEnvelope"
)
"""Classes whose `predict` gives classes, beside those that are called classifiers. Detectors of outliers give 1 and -1."""

_SCORES = _words(
    "LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV SVR NuSVR LinearSVR LGBMRanker XGBRanker Booster"
)

WITHOUT_PROBABILITIES: frozenset[str] = _words(
    "LinearSVC SVC NuSVC Perceptron RidgeClassifier RidgeClassifierCV PassiveAggressiveClassifier SGDClassifier "
    "IsolationForest OneClassSVM SGDOneClassSVM LocalOutlierFactor EllipticEnvelope NearestCentroid"
)
"""Classifiers that have no `predict_proba`, or have it only where they are asked to when they are built."""

WITHOUT_SCORES: frozenset[str] = _words("NearestCentroid")
"""Those that have no `decision_function` either."""


def predicts(cls: str) -> Gives | None:
    """What `predict` of a class outside the project gives; None where that is not known."""
    package, _, name = cls.rpartition(".")
    if not f"{package}.".startswith(_PACKAGES):
        return None
    if name in _CLASSIFIERS or name.endswith(("Classifier", "ClassifierCV")) or (name.endswith("NB") and "naive_bayes" in cls):
        return Gives.CLASSES
    return Gives.SCORES if name in _SCORES or name.endswith(("Regressor", "RegressorCV", "Ranker")) else None


REARRANGES: frozenset[str] = _words(
    "array asarray ascontiguousarray concatenate hstack vstack stack append ravel flatten squeeze reshape atleast_1d view tolist "
    "list tuple numpy cpu detach cuda to float double copy clone unsqueeze contiguous cat tensor from_numpy as_tensor Series "
    "DataFrame to_numpy astype int long bool type int8 item data asnumpy device_get gather all_gather concat fillna clip rename "
    "reset_index inverse_transform where transpose expand_dims flip compute get extend nan_to_num round values to_list "
    "gather_for_metrics"
)
"""Functions and methods that leave predictions what they are: casts, and others that only put them elsewhere."""

CASTS: frozenset[str] = _words(
    "float int long double bool astype type to cpu numpy item detach clone squeeze view reshape flatten cuda data tolist round"
)
"""Those that leave all the numbers what they are, in their places."""

TO_WHOLE_NUMBERS: frozenset[str] = _words("int long bool int8")
"""Casts after which of a probability nothing is left."""

JOINS: frozenset[str] = _words("concatenate hstack vstack stack append cat concat extend")

ROUNDS: frozenset[str] = _words("round rint around round_")
BEST_PLACE: frozenset[str] = _words("argmax idxmax")
WITH_PLACES: frozenset[str] = _words("max topk")
"""Functions of torch that return the greatest values along an axis, and then where these are."""
