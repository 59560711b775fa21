"""What fine-tuning gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.evaluation import Contest
from featx.model import Classifier
from featx.training import History


@dataclass(frozen=True)
class Finetuning:
    """A network after fine-tuning, beside the frozen one.

    Parameters
    ----------
    backbone : path
        The fine-tuned network as a Keras file, which ``extract(backbone=...)`` takes.
    keras_classifier : path or None
        The fine-tuned network with its classes, as a Keras file that needs no featx: RGB pixels from 0 to 255 to
        probabilities; a JSON file of the same name lists the classes. None where no output was named.
    classifier : Classifier
        With the fine-tuned network, or where that is no better with the frozen one.
    weights : path or None
        The network's file, where the classifier needs it to predict; None where it takes its network along.
    contest : Contest
        Both on the same held-out images.
    history : History
    step_zero : float
        Accuracy on the validation part before training: that of the frozen network.
    frozen_val : float or None
        Accuracy of the frozen network's own head there; None where there is none.
    n_train, n_val : int
        Images that were trained on, and that chose the epoch.
    notes : tuple of str
    seconds : float
        Wall time, extraction included.
    """

    backbone: Path
    keras_classifier: Path | None
    classifier: Classifier = field(repr=False)
    weights: Path | None
    contest: Contest
    history: History
    step_zero: float
    frozen_val: float | None
    n_train: int
    n_val: int
    notes: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx finetune --json``, but for ``model``."""
        contest, evaluation = self.contest.to_dict(), self.classifier.evaluation
        per_epoch = self.history.seconds_per_epoch
        return {
            "backbone": str(self.backbone),
            "keras_classifier": None if self.keras_classifier is None else str(self.keras_classifier),
            "kept": contest["kept"],
            "frozen": contest["frozen"],
            "finetuned": contest["finetuned"],
            "difference": contest["difference"],
            "baseline": {"class": evaluation.baseline_class, "accuracy": evaluation.baseline},
            "unfrozen": contest["unfrozen"],
            "n_train": self.n_train,
            "n_val": self.n_val,
            "n_held_out": contest["n_held_out"],
            "is_own_test": contest["is_own_test"],
            "step_zero": {"val_accuracy": self.step_zero, "frozen_val_accuracy": self.frozen_val},
            "epochs": len(self.history.epochs) - 1,
            "best_epoch": self.history.best,
            "history": [epoch.to_dict() for epoch in self.history.epochs],
            "seconds_per_epoch": None if per_epoch is None else round(per_epoch, 3),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }
