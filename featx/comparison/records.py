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
    """Feature options that differ between combinations; ``size`` is None for the usual size of the backbone."""

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
        Side of the square input in pixels.
    accuracy : Interval
        Grouped accuracy by nested cross-validation, or on the held-out part.
    per_fold : tuple of float
        Accuracy of each fold of the first repetition, then of each fold of the second repetition, and so on.
    difference_to_best : Interval
        Accuracy minus the accuracy of the best combination, paired by fold; 0 for the best combination. The intervals
        of all combinations hold together with 95 % (Bonferroni).
    n_computed : int
        Number of images whose features were computed.
    extraction_seconds : float or None
        Wall time of the extraction; None if all features were in the cache, so that the cost is not known.
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
        Number of training images, and number of their groups.
    splitter : str
        Splitter of the folds, or description of the held-out part.
    n_folds : int
        Number of folds; 1 for one held-out part.
    baseline : float
        Accuracy of always predicting the majority class.
    selection_bias : float
        Estimated bias of the best accuracy, because the best combination is selected on the same images, by a bootstrap
        over groups (Tsamardinos et al. 2018).
    notes : tuple of str
        Remarks, such as images that could not be grouped and fits that did not converge.
    histories : mapping of str to History
        Training histories of the networks that were trained end to end, by the value of ``backbone``.

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
        """Return the JSON object that ``featx compare --json`` prints."""
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
