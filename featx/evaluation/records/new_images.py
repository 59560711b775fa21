"""Accuracy on labelled images of another data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from featx.evaluation.records.scores import ClassScore, Interval
from featx.evaluation.records.verdict import judge_baseline


@dataclass(frozen=True)
class NewImagesAccuracy:
    """Accuracy on labelled images of another data set.

    Parameters
    ----------
    accuracy : Interval or None
        Accuracy on new images: without training images and their near-duplicates. None if there are no new images.
    balanced_accuracy : Interval or None
        Mean recall of the classes of the new images; None if there are no new images.
    n : int
        Number of new images.
    as_given : float
        Accuracy on all images.
    n_as_given : int
        Number of all images.
    n_seen, n_near : int
        Number of images with the same bytes as a training image, and of other near-duplicates of training images.
    baseline : float or None
        Accuracy of always predicting the majority class of the new images; None if there are no new images.
    baseline_class : str
        Name of the majority class of the new images.
    per_class : tuple of ClassScore
        Scores on the new images.
    confusion : tuple of tuple of int
        Number of new images by true class (rows) and predicted class (columns).
    """

    accuracy: Interval | None
    balanced_accuracy: Interval | None
    n: int
    as_given: float
    n_as_given: int
    n_seen: int
    n_near: int
    baseline: float | None
    baseline_class: str
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def verdict(self) -> str:
        """Warning if the confidence interval is not above the accuracy of the majority class; otherwise empty."""
        if self.accuracy is None or self.baseline is None:
            return ""
        return judge_baseline(self.accuracy, self.baseline, self.baseline_class)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of JSON values."""
        return {
            "accuracy": None if self.accuracy is None else self.accuracy.to_dict(),
            "balanced_accuracy": None if self.balanced_accuracy is None else self.balanced_accuracy.to_dict(),
            "n": self.n,
            "as_given": self.as_given,
            "n_as_given": self.n_as_given,
            "n_seen": self.n_seen,
            "n_near": self.n_near,
            "baseline": None if self.baseline is None else {"accuracy": self.baseline, "class": self.baseline_class},
            "verdict": self.verdict,
            "per_class": [one.to_dict() for one in self.per_class],
            "confusion": [list(row) for row in self.confusion],
        }
