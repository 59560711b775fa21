"""The result of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.evaluation import FinetuneComparison
from featx.model import Classifier
from featx.training import History


@dataclass(frozen=True)
class Finetuning:
    """A fine-tuned network, compared with the frozen backbone.

    Parameters
    ----------
    backbone : path
        The fine-tuned network as a Keras file, for ``extract(backbone=...)``.
    keras_classifier : path or None
        The fine-tuned network with its classes as a Keras file that does not need featx; it maps RGB pixels from 0 to
        255 to probabilities. A JSON file of the same name lists the classes. None if no output was requested.
    classifier : Classifier
        Classifier with the fine-tuned network, or with the frozen backbone if fine-tuning gave no gain.
    weights : path or None
        File of the network, if the classifier needs this file to predict; None if the model contains the network.
    comparison : FinetuneComparison
        Results of the frozen backbone and of the fine-tuned network on the same test images.
    history : History
    step_zero : float
        Accuracy of the network on the validation part before training.
    frozen_val : float or None
        Accuracy on the validation part of the head on frozen features; None for a network trained from scratch.
    n_train, n_val : int
        Numbers of training images and of validation images.
    notes : tuple of str
    seconds : float
        Wall time in seconds, including extraction.

    Examples
    --------
    >>> import featx
    >>> done = featx.finetune("data", unfreeze=1, epochs=1)  # doctest: +SKIP
    >>> done.comparison.kept in ("frozen", "finetuned")  # doctest: +SKIP
    True
    """

    backbone: Path
    keras_classifier: Path | None
    classifier: Classifier = field(repr=False)
    weights: Path | None
    comparison: FinetuneComparison
    history: History
    step_zero: float
    frozen_val: float | None
    n_train: int
    n_val: int
    notes: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx finetune --json`` prints, except ``model``."""
        comparison, evaluation = self.comparison.to_dict(), self.classifier.evaluation
        per_epoch = self.history.seconds_per_epoch
        return {
            "backbone": str(self.backbone),
            "keras_classifier": None if self.keras_classifier is None else str(self.keras_classifier),
            "kept": comparison["kept"],
            "frozen": comparison["frozen"],
            "finetuned": comparison["finetuned"],
            "difference": comparison["difference"],
            "baseline": {"class": evaluation.baseline_class, "accuracy": evaluation.baseline},
            "unfrozen": comparison["unfrozen"],
            "n_train": self.n_train,
            "n_val": self.n_val,
            "n_held_out": comparison["n_held_out"],
            "is_own_test": comparison["is_own_test"],
            "step_zero": {"val_accuracy": self.step_zero, "frozen_val_accuracy": self.frozen_val},
            "epochs": len(self.history.epochs) - 1,
            "best_epoch": self.history.best,
            "history": [epoch.to_dict() for epoch in self.history.epochs],
            "seconds_per_epoch": None if per_epoch is None else round(per_epoch, 3),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }
