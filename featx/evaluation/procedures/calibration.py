"""Convert scores to probabilities by temperature scaling, fitted on out-of-fold scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from featx.evaluation.procedures.convergence import FitCounter
from featx.evaluation.procedures.cross_validation import CrossValidated, quiet_single_threads
from featx.evaluation.procedures.threads import in_threads
from featx.evaluation.procedures.training_set import TrainingSet
from featx.evaluation.procedures.tuning import fit_head
from featx.heads import Head, scores_of


@dataclass(frozen=True)
class Calibrated:
    """A temperature, and out-of-fold scores rescaled so that it applies to all of them.

    Parameters
    ----------
    temperature : float
        Temperature of the final head, which is fitted on all samples.
    scores : ndarray of shape (n_tested, n_classes), float64
        Out-of-fold scores of the cross-validation, rescaled to the scale of the final head. The predicted classes do
        not change. ``softmax(scores / temperature)`` gives the class probabilities.
    as_final : ndarray of shape (n_tested, n_classes), float64
        Out-of-fold scores of heads with the hyper-parameters of the final head. They show the scores that the final
        head typically gives for new images of the known classes.
    """

    temperature: float
    scores: NDArray[np.float64]
    as_final: NDArray[np.float64]


def calibrate(
    head: Head,
    params: dict[str, Any],
    data: TrainingSet,
    crossed: CrossValidated,
    n_workers: int = 1,
    tally: FitCounter | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibrated:
    """Fit the temperature of a head, and rescale the scores of a nested cross-validation to the scale of this head.

    The head of each fold has its own hyper-parameters, and therefore its own scale. For the temperature of a fold,
    heads with the hyper-parameters of this fold compute the out-of-fold scores of the other folds, and the temperature
    is fitted on these scores. No sample is therefore calibrated with its own label.

    Parameters
    ----------
    head : Head
    params : dict
        Hyper-parameters of the final head, chosen on all samples.
    data : TrainingSet
    crossed : CrossValidated
        Cross-validation of the same head on the same samples.
    n_workers : int
        Number of threads.
    tally : FitCounter, optional
        Counts the fits in the stage ``calibration``.
    progress : callable
        Called with (fits done, total fits).

    Returns
    -------
    Calibrated
    """
    y = data.y[crossed.tested]
    # With a single split, the temperature for one half of the groups is fitted on the other half.
    one_split = crossed.summary.n_folds == 1
    parts = data.groups[crossed.tested] % 2 if one_split else crossed.fold
    numbers = [int(part) for part in np.unique(parts) if not (parts == part).all()]
    of_parts = [crossed.params[0 if one_split else number] for number in numbers]
    as_final, *own_scores = _scores_with(head, [params, *of_parts], data, crossed, n_workers, tally, progress)
    temperature = find_temperature(as_final, y)
    scaled = crossed.scores.copy()
    for number, own in zip(numbers, own_scores, strict=True):
        inside = parts == number
        scaled[inside] *= temperature / find_temperature(own[~inside], y[~inside])
    return Calibrated(temperature, scaled, as_final)


def _scores_with(
    head: Head,
    wanted: Sequence[dict[str, Any]],
    data: TrainingSet,
    crossed: CrossValidated,
    n_workers: int,
    tally: FitCounter | None,
    progress: Callable[[int, int], None],
) -> list[NDArray[np.float64]]:
    """Return, for each combination of hyper-parameters, out-of-fold scores of heads with this combination.

    Scores of folds whose tuning selected the same hyper-parameters are reused.
    """
    distinct: list[dict[str, Any]] = []
    for params in wanted:
        if params not in distinct:
            distinct.append(params)
    found = [np.empty((len(data.y), len(data.classes))) for _ in distinct]

    def score(number: int, train: NDArray[np.int64], test: NDArray[np.int64]) -> None:
        estimator = fit_head(head, distinct[number], *data.rows(train), tally, "calibration")
        found[number][test] = scores_of(estimator, data.X[test], len(data.classes))

    lacking = []
    for number, params in enumerate(distinct):
        found[number][crossed.tested] = crossed.scores
        pairs = zip(crossed.folds.pairs, crossed.params, strict=True)
        lacking += [partial(score, number, *pair) for pair, own in pairs if own != params]
    with quiet_single_threads():
        in_threads(lacking, n_workers, progress)
    return [found[distinct.index(params)][crossed.tested] for params in wanted]


def find_temperature(scores: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the cross-entropy of out-of-fold probabilities (Guo et al. 2017).

    The cross-entropy is computed with labels that are smoothed by 1 / (n + 2) (Platt 1999), so that a head without
    errors on n images does not report a probability of 1.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes), float64
        Out-of-fold scores.
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.
    """
    n_samples, n_classes = scores.shape
    doubt = 1 / (n_samples + 2)
    targets = np.full(scores.shape, doubt / (n_classes - 1))
    targets[np.arange(n_samples), y] = 1 - doubt

    def loss(log_temperature: float) -> float:
        return -float((targets * log_softmax(scores / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    # For temperatures below 1/1,000 or above 1,000, the loss is almost constant: the head separates the classes
    # perfectly, or not at all.
    found = minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1e3)), method="bounded")
    return float(np.exp(found.x))
