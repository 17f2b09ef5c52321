"""What other libraries train a module with: the module and the loss are given to it, and it calls them."""

from __future__ import annotations

from mldbg.operations.effect import Trains


def _skorch(module: str, cls: str, usual: str | None, *prepared_for: str) -> dict[str, Trains]:
    row = Trains(("module", "criterion"), "module", "criterion", usual, frozenset(prepared_for))
    return {f"skorch.{cls}": row, f"skorch.{module}.{cls}": row}


_LEARNER = Trains(("dls", "model", "loss_func"), "model", "loss_func")

ROWS: dict[str, Trains] = {
    **_skorch("net", "NeuralNet", None),
    **_skorch("classifier", "NeuralNetClassifier", "torch.nn.NLLLoss", "nll_loss"),
    **_skorch("classifier", "NeuralNetBinaryClassifier", "torch.nn.BCEWithLogitsLoss"),
    **_skorch("regressor", "NeuralNetRegressor", "torch.nn.MSELoss"),
    "ignite.engine.create_supervised_trainer": Trains(
        ("model", "optimizer", "loss_fn"), "model", "loss_fn", changed_by="model_transform"
    ),
    "fastai.learner.Learner": _LEARNER,
    **{f"fastai.{part}.all.Learner": _LEARNER for part in ("vision", "tabular", "text", "collab", "medical")},
    "fastai.basics.Learner": _LEARNER,
    "torchbearer.Trial": Trains(("model", "optimizer", "criterion"), "model", "criterion"),
    "poutyne.Model": Trains(("network", "optimizer", "loss_function"), "network", "loss_function"),
}
"""Sources: the signatures of skorch 1.4, ignite 0.5.5, fastai 2.8, torchbearer 0.5.5, poutyne 1.19.

skorch's NeuralNetClassifier takes the logarithm of what the module gives before it calls NLLLoss (`get_loss`).
"""
