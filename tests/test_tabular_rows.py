"""The rows about estimators and metrics, held against scikit-learn itself."""

import importlib
import inspect

import pytest

from mldbg.operations import metrics, predictors
from mldbg.operations.estimator_parameters import KNOWN, parameters_of
from mldbg.operations.predictors import Gives

pytest.importorskip("sklearn")


def behind(name: str) -> object:
    """The class or function of scikit-learn that a row is about."""
    found: object = None
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        break
    return found


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_parameter_of_an_estimator_is_missing(name: str) -> None:
    cls = behind(name)
    assert isinstance(cls, type)
    known = parameters_of(name)
    assert known is not None
    assert set(cls._get_param_names()) <= known  # type: ignore[attr-defined]  # every estimator has it


@pytest.mark.parametrize("name", sorted(metrics.SKLEARN))
def test_metrics_take_labels_and_then_predictions(name: str) -> None:
    parameters = list(inspect.signature(behind(name)).parameters)  # type: ignore[arg-type]  # a function
    row = metrics.SKLEARN[name]
    assert parameters[0] == row.truth
    assert parameters[1] in {row.predicted, *metrics.OTHER_SPELLINGS}


def test_classifiers_are_those_whose_predict_gives_classes() -> None:
    all_estimators = importlib.import_module("sklearn.utils").all_estimators
    for kind, gives in (("classifier", Gives.CLASSES), ("regressor", Gives.SCORES)):
        for title, cls in all_estimators(type_filter=kind):
            said = predictors.predicts(f"{cls.__module__.split('._')[0]}.{title}")
            assert said in (gives, None), title
