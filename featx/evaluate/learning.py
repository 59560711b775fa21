"""Would more pictures help: accuracy by the number of pictures to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from featx.evaluate.cross_validation import TrainingSet, quiet_single_threads
from featx.evaluate.folds import Folds
from featx.evaluate.intervals import corrected_resampled
from featx.evaluate.tuning import fit_head
from featx.evaluation import LearningCurve
from featx.heads import Head, scores_of

_SHARES = (0.1, 0.2, 0.4, 0.7)
_FEWEST_A_CLASS = 2
_POINTS_OF_TREND = 3


def learning_curve(
    head: Head,
    params: dict[str, Any],
    data: TrainingSet,
    folds: Folds,
    out_of_fold: NDArray[np.float64],
    seed: int,
    n_workers: int = 1,
) -> LearningCurve:
    """Fit on growing parts of every fold's training part, score the same test parts.

    Whole groups are taken, of each class about the same share. What twice as many pictures might give is read from
    the trend of the last three points: the error as a power of their number (Hestness et al. 2017).

    Parameters
    ----------
    head : Head
    params : dict
        Chosen on all samples.
    data : TrainingSet
    folds : Folds
    out_of_fold : ndarray of shape (n_samples, n_classes), float64
        Scores where all of a training part is learnt from: the last point.
    seed : int
    n_workers : int
    """
    n_classes = len(data.classes)

    def score(share: float, train: NDArray[np.int64], test: NDArray[np.int64]) -> tuple[int, float]:
        part = train[_part(data.y[train], data.groups[train], share, seed)]
        if np.bincount(data.y[part], minlength=n_classes).min() < _FEWEST_A_CLASS:
            return len(part), np.nan
        try:
            estimator = fit_head(head, params, *data.learnt(part))
            hit = scores_of(estimator, data.X[test], n_classes).argmax(axis=1) == data.y[test]
        except ValueError:  # more neighbours asked for than there are samples: no point of the curve
            return len(part), np.nan
        return len(part), float(hit.mean())

    jobs = [(share, *pair) for share in _SHARES for pair in folds.pairs]
    with quiet_single_threads():
        scored = Parallel(n_workers, backend="threading")(delayed(score)(*job) for job in jobs)
    whole = out_of_fold.argmax(axis=1) == data.y
    scored += [(len(train), float(whole[test].mean())) for train, test in folds.pairs]
    n_folds = len(folds.pairs)
    points = []
    for start in range(0, len(scored), n_folds):
        sizes, accuracies = zip(*scored[start : start + n_folds], strict=True)
        if not np.isnan(accuracies).any():
            n = round(float(np.mean(sizes)))
            points.append((n, corrected_resampled(accuracies, len(data.y) / n_folds / n)))
    return LearningCurve(tuple(points), _at_twice([n for n, _ in points], [a.mean for _, a in points], len(data.y)))


def _part(y: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Return the positions of whole groups that hold about a share of each class, chosen at random."""
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups]
    taken = np.zeros(len(y), np.bool_)
    for label in np.unique(y):
        members = y == label
        wanted = max(_FEWEST_A_CLASS, round(share * int(members.sum())))
        taken |= members & (order <= np.sort(order[members])[wanted - 1])
    return np.flatnonzero(np.isin(groups, groups[taken]))


def _at_twice(sizes: list[int], accuracies: list[float], n: int) -> float | None:
    """Return the accuracy to expect of a head that learns from 2 n pictures; None where there is no trend."""
    if len(sizes) < _POINTS_OF_TREND:
        return None
    last = slice(-_POINTS_OF_TREND, None)
    errors = np.maximum(1 - np.array(accuracies[last]), 0.5 / n)
    slope, offset = np.polyfit(np.log(sizes[last]), np.log(errors), 1)
    expected = 1 - float(np.exp(offset + min(slope, 0.0) * np.log(2 * n)))
    return max(accuracies[-1], expected) if slope < 0 else accuracies[-1]
