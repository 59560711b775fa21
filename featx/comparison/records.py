"""Results of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from featx.evaluation import Interval, judge_baseline
from featx.options import FeatureOptions
from featx.spec import Pooling, Resize
from featx.training import History


class FeatureVariant(NamedTuple):
    """Feature options that differ between combinations; ``size`` is None for the default of the backbone."""

    backbone: str
    pooling: Pooling
    resize: Resize
    size: int | None

    def of(self, options: FeatureOptions) -> FeatureOptions:
        """Return ``options`` with the options of this variant."""
        return replace(options, pooling=self.pooling, resize=self.resize, size=self.size)


@dataclass(frozen=True)
class Combination:
    """Result of one combination of backbone, feature options and head.

    Parameters
    ----------
    backbone, head, pooling, resize : str
    size : int
        Side of the input in pixels.
    accuracy : Interval
        Grouped accuracy by nested cross-validation, or on the held-out part.
    per_fold : tuple of float
        Accuracy of each fold of the first repeat, then of the second, and so on.
    difference_to_best : Interval
        Mean of the paired differences over folds; 0 for the best combination.
    n_computed : int
        Number of images whose features were computed.
    extraction_seconds : float or None
        Wall time of their extraction; None if all features came from the cache, so that the cost is not known.
    seconds : float
        Wall time of tuning and cross-validation, or of training.
    trained_from : str or None
        Backbone that training started from, or ``scratch-cnn``; None for a head on frozen features.
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
    """Results of all combinations, the best first.

    Parameters
    ----------
    rows : tuple of Combination
    n_images, n_groups : int
        Number of training images, and of the groups that folds keep together.
    splitter : str
    n_folds : int
    baseline : float
        Accuracy of always predicting the largest class.
    selection_bias : float
        Estimated bias of the best accuracy from choosing the best combination on the same folds: the mean over folds of
        the largest accuracy of the fold minus that of the chosen combination (Tibshirani and Tibshirani 2009).
    notes : tuple of str
        Remarks, such as images that could not be grouped and fits that did not converge.
    histories : mapping of str to History
        Training histories of the networks trained end to end, by the backbone of their row.

    Examples
    --------
    >>> import featx
    >>> comparison = featx.compare("data", heads=["centroid", "logreg"], cv=3)
    >>> sorted(row.head for row in comparison.rows)
    ['centroid', 'logreg']
    """

    rows: tuple[Combination, ...]
    n_images: int
    n_groups: int
    splitter: str
    n_folds: int
    baseline: float
    selection_bias: float
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
            "selection_bias": self.selection_bias,
            "notes": list(self.notes),
            "histories": {name: history.to_dict() for name, history in self.histories.items()},
        }
