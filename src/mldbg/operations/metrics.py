"""Metrics: which argument holds the labels and which the predictions, and what each metric makes of them."""

from __future__ import annotations

from collections.abc import Iterator

from mldbg.operations.effect import Effect, Measures

_CLASSES = ("y_true", "y_pred")
_SCORES = ("y_true", "y_score")
_PROBABILITIES = ("y_true", "y_prob")


def _row(params: tuple[str, str], *, ranks: bool = False, symmetric: bool = False, of_classes: bool = False) -> Measures:
    return Measures(params, *params, ranks, symmetric, of_classes)


SKLEARN: dict[str, Measures] = {
    "sklearn.metrics.roc_auc_score": _row(_SCORES, ranks=True),
    "sklearn.metrics.average_precision_score": _row(_SCORES, ranks=True),
    "sklearn.metrics.roc_curve": _row(_SCORES, ranks=True),
    "sklearn.metrics.precision_recall_curve": _row(_SCORES, ranks=True),
    "sklearn.metrics.det_curve": _row(_SCORES, ranks=True),
    "sklearn.metrics.log_loss": _row(_CLASSES, ranks=True),
    "sklearn.metrics.brier_score_loss": _row(_PROBABILITIES, ranks=True),
    "sklearn.metrics.top_k_accuracy_score": _row(_SCORES, ranks=True),
    "sklearn.metrics.label_ranking_average_precision_score": _row(_SCORES, ranks=True),
    "sklearn.metrics.RocCurveDisplay.from_predictions": _row(_SCORES, ranks=True),
    "sklearn.metrics.PrecisionRecallDisplay.from_predictions": _row(_SCORES, ranks=True),
    "sklearn.metrics.DetCurveDisplay.from_predictions": _row(_SCORES, ranks=True),
    "sklearn.calibration.calibration_curve": _row(_PROBABILITIES, ranks=True),
    "sklearn.calibration.CalibrationDisplay.from_predictions": _row(_PROBABILITIES, ranks=True),
    "sklearn.metrics.accuracy_score": _row(_CLASSES, symmetric=True, of_classes=True),
    "sklearn.metrics.matthews_corrcoef": _row(_CLASSES, symmetric=True, of_classes=True),
    "sklearn.metrics.cohen_kappa_score": _row(("y1", "y2"), symmetric=True, of_classes=True),
    "sklearn.metrics.zero_one_loss": _row(_CLASSES, symmetric=True, of_classes=True),
    "sklearn.metrics.hamming_loss": _row(_CLASSES, symmetric=True, of_classes=True),
    **{
        f"sklearn.metrics.{name}": _row(_CLASSES, of_classes=True)
        for name in (
            *("precision_score", "recall_score", "f1_score", "jaccard_score", "balanced_accuracy_score", "classification_report"),
            *("confusion_matrix", "precision_recall_fscore_support", "multilabel_confusion_matrix"),
            *("ConfusionMatrixDisplay.from_predictions", "class_likelihood_ratios", "fbeta_score"),
        )
    },
    **{
        f"sklearn.metrics.{name}": _row(_CLASSES)
        for name in (
            *("r2_score", "explained_variance_score", "mean_absolute_percentage_error", "mean_poisson_deviance"),
            *("mean_gamma_deviance", "mean_pinball_loss", "d2_absolute_error_score"),
        )
    },
    **{
        f"sklearn.metrics.{name}": _row(_CLASSES, symmetric=True)
        for name in (
            *("mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "median_absolute_error", "max_error"),
            "mean_squared_log_error",
        )
    },
}
"""scikit-learn: labels first. `of_classes`: they refuse anything but classes."""

_RANKING_OBJECTS = (
    *("AUROC", "BinaryAUROC", "MulticlassAUROC", "MultilabelAUROC"),
    *("AveragePrecision", "BinaryAveragePrecision", "MulticlassAveragePrecision", "MultilabelAveragePrecision"),
    *("ROC", "BinaryROC", "PrecisionRecallCurve", "BinaryPrecisionRecallCurve", "CalibrationError", "BinaryCalibrationError"),
)
_COUNTING_OBJECTS = tuple(
    f"{task}{name}"
    for name in ("F1Score", "Precision", "Recall", "ConfusionMatrix", "FBetaScore", "Specificity")
    for task in ("", "Binary", "Multiclass", "Multilabel")
)
_FUNCTIONALS = (
    *("auroc", "binary_auroc", "multiclass_auroc", "average_precision", "binary_average_precision"),
    *("multiclass_average_precision", "roc", "binary_roc", "precision_recall_curve", "calibration_error"),
)
_COUNTING_FUNCTIONALS = tuple(
    f"{task}{name}"
    for name in ("f1_score", "precision", "recall", "confusion_matrix", "fbeta_score", "specificity")
    for task in ("", "binary_", "multiclass_", "multilabel_")
)


def _torchmetrics() -> Iterator[tuple[str, Effect]]:
    """Predictions first: objects that are called or updated, and functions."""
    for names, ranks in ((_RANKING_OBJECTS, True), (_COUNTING_OBJECTS, False)):
        for name in names:
            for package in ("torchmetrics", "torchmetrics.classification"):
                yield f"{package}.{name}.__call__", Measures(("preds", "target"), "target", "preds", ranks)
                yield f"{package}.{name}.update", Measures(("self", "preds", "target"), "target", "preds", ranks)
    for names, ranks in ((_FUNCTIONALS, True), (_COUNTING_FUNCTIONALS, False)):
        for name in names:
            for package in ("torchmetrics.functional", "torchmetrics.functional.classification"):
                yield f"{package}.{name}", Measures(("preds", "target"), "target", "preds", ranks)


SCORERS = "sklearn.metrics.make_scorer"
"""Makes a scorer of a metric: unless it is told otherwise, one that gets what `predict` gives."""

ROWS: dict[str, Effect] = {**SKLEARN, **dict(_torchmetrics()), SCORERS: Measures(("score_func",), "", "")}

MEASURES: dict[str, Measures] = {name: row for name, row in ROWS.items() if isinstance(row, Measures) and row.truth}

OTHER_SPELLINGS: frozenset[str] = frozenset({"y_pred", "y_proba", "y_prob", "y_score", "probas_pred", "y_pred_proba"})
"""Keywords that some version of scikit-learn has for the predictions."""
