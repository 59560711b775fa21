"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from featx.evaluation import Interval, judge_baseline
from featx.options import FeatureOptions
from featx.spec import Pooling, Resize
from featx.training import History


class FeatureVariant(NamedTuple):
    """What differs between the features that are compared; ``size`` is None for the backbone's own."""

    backbone: str
    pooling: Pooling
    resize: Resize
    size: int | None

    def of(self, options: FeatureOptions) -> FeatureOptions:
        """Return its own options and the others."""
        return replace(options, pooling=self.pooling, resize=self.resize, size=self.size)


@dataclass(frozen=True)
class Combination:
    """One combination.

    Parameters
    ----------
    backbone, head, pooling, resize : str
    size : int
        Input side in pixels.
    accuracy : Interval
        Nested, groups kept together.
    per_fold : tuple of float
        Accuracy of each fold, repeat by repeat.
    difference_to_best : Interval
        Mean of the paired differences over folds; 0 for the best itself.
    n_computed : int
        Images whose features had to be computed.
    extraction_seconds : float or None
        Wall time of their extraction; None where all came from the cache, which says nothing of what they cost.
    seconds : float
        Wall time of tuning and cross-validation.
    trained_from : str or None
        What a network that was trained began as; None for a head on frozen features.
    """

    backbone: str
    head: str
    pooling: Pooling
    resize: Resize
    size: int
    accuracy: Interval
    per_fold: tuple[float, ...]
    difference_to_best: Interval
    n_computed: int
    extraction_seconds: float | None
    seconds: float
    trained_from: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a row of ``featx compare --json``."""
        return {
            "backbone": self.backbone,
            "head": self.head,
            "pooling": self.pooling,
            "resize": self.resize,
            "size": self.size,
            "accuracy": self.accuracy.to_dict(),
            "per_fold": list(self.per_fold),
            "difference_to_best": self.difference_to_best.to_dict(),
            "n_computed": self.n_computed,
            "extraction_seconds": None if self.extraction_seconds is None else round(self.extraction_seconds, 3),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Comparison:
    """All combinations, the best first.

    Parameters
    ----------
    rows : tuple of Compared
    n_images, n_groups : int
        Images to learn from, and the groups that folds keep together.
    splitter : str
    n_folds : int
    baseline : float
        Accuracy of always naming the largest class.
    luck_of_choice : float
        How much of the best one's accuracy may be owed to its being chosen on these folds: the mean over folds of the
        best accuracy there less that of the chosen one (Tibshirani and Tibshirani 2009).
    notes : tuple of str
        What could not be grouped, and fits that did not converge.
    histories : mapping of str to History
        How the networks fared that were trained end to end, by their rows' backbone.
    """

    rows: tuple[Combination, ...]
    n_images: int
    n_groups: int
    splitter: str
    n_folds: int
    baseline: float
    luck_of_choice: float
    notes: tuple[str, ...]
    histories: Mapping[str, History] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx compare --json``."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "n_images": self.n_images,
            "n_groups": self.n_groups,
            "splitter": self.splitter,
            "n_folds": self.n_folds,
            "baseline": {"accuracy": self.baseline},
            "verdict": judge_baseline(self.rows[0].accuracy, self.baseline),
            "luck_of_choice": self.luck_of_choice,
            "notes": list(self.notes),
            "histories": {name: history.to_dict() for name, history in self.histories.items()},
        }
