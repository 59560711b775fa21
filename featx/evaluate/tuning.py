"""Choose a head's hyper-parameters on the training part of a fold, and fit it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight

from featx.errors import HeadError
from featx.evaluate.convergence import Tally, watched
from featx.evaluate.folds import TooFewGroups, cut_folds
from featx.heads import Head, converged, scores_of

_INNER_FOLDS = 3
_ONE_SPLIT_PARTS = 4


@dataclass(frozen=True)
class Tuned:
    """A fitted head.

    Parameters
    ----------
    estimator : fitted scikit-learn estimator
    params : dict
        What was chosen from the grid.
    converged : bool
        Whether its iterations ended before their limit.
    was_tuned : bool
        False where there was a grid but too little data to choose from it.
    """

    estimator: Any
    params: dict[str, Any]
    converged: bool
    was_tuned: bool


def tune_and_fit(
    head: Head,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    seed: int,
    tally: Tally | None = None,
    stage: str = "",
    *,
    views: NDArray[np.float32] | None = None,
) -> Tuned:
    """Choose the best candidate by inner folds of the given samples, then fit it on all of them.

    Nothing but the given samples is looked at: scalers and hyper-parameters belong to the training part.

    Parameters
    ----------
    head : Head
    X : ndarray of shape (n_samples, feature_dim), float32
    y, groups : ndarray of shape (n_samples,), int64
        Class and group numbers.
    classes : sequence of str
        Class names.
    seed : int
        For the inner folds.
    tally : Tally, optional
        Counts the fits; those of the inner folds as ``tuning``, the last as ``stage``.
    stage : str
    views : ndarray of shape (n_views, n_samples, feature_dim), float32, optional
        Augmented views of the samples. They are learnt from wherever their sample is, and never scored.

    Raises
    ------
    HeadError
        The estimator refuses the data or a parameter.
    """
    tally = tally or Tally()
    params, was_tuned = _choose(head, X, y, groups, classes, seed, views, tally)
    last = Tally()
    estimator = fit_head(head, params, *learnt_from(X, y, views), last)
    has_converged = not last.notes()
    tally.add(stage, has_converged)
    return Tuned(estimator, params, has_converged, was_tuned)


def _choose(
    head: Head,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    seed: int,
    views: NDArray[np.float32] | None,
    tally: Tally,
) -> tuple[dict[str, Any], bool]:
    try:
        folds = cut_folds(y, groups, classes, _ONE_SPLIT_PARTS if head.one_split else _INNER_FOLDS, seed)
    except TooFewGroups:
        return head.default(len(y)), not head.grid
    pairs = folds.pairs[:1] if head.one_split else folds.pairs
    candidates = head.candidates(min(len(train) for train, _ in pairs))
    if len(candidates) == 1:
        return candidates[0], True
    means = [
        np.mean([_score(head, params, X, y, views, train, test, len(classes), tally) for train, test in pairs])
        for params in candidates
    ]
    return candidates[int(np.argmax(means))], True  # the first of equals: the most regularised


def _score(
    head: Head,
    params: dict[str, Any],
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    views: NDArray[np.float32] | None,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    n_classes: int,
    tally: Tally,
) -> float:
    estimator = fit_head(head, params, *learnt_from(X, y, views, train), tally, "tuning")
    predicted = scores_of(estimator, X[test], n_classes).argmax(axis=1)
    if head.weighs_classes:
        return float(balanced_accuracy_score(y[test], predicted))
    return float((predicted == y[test]).mean())


def learnt_from(
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    views: NDArray[np.float32] | None = None,
    at: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the features and labels to fit on: of samples, and of their augmented views if they have any.

    Parameters
    ----------
    X : ndarray of shape (n_samples, feature_dim), float32
    y : ndarray of shape (n_samples,), int64
    views : ndarray of shape (n_views, n_samples, feature_dim), float32, optional
    at : ndarray of shape (n,), int64, optional
        Positions of the samples; all if not given.

    Returns
    -------
    X : ndarray of shape (n + n_views * n, feature_dim), float32
    y : ndarray of shape (n + n_views * n,), int64
    """
    chosen: Any = slice(None) if at is None else at
    if views is None:
        return X[chosen], y[chosen]
    return np.concatenate([X[chosen], *(view[chosen] for view in views)]), np.tile(y[chosen], 1 + len(views))


def fit_head(
    head: Head,
    params: dict[str, Any],
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    tally: Tally | None = None,
    stage: str = "",
) -> Any:
    """Fit a clone of a head's estimator with some parameters, and count the fit in a tally.

    Raises
    ------
    HeadError
        The estimator refuses the data or a parameter.
    """
    try:
        estimator = clone(head.estimator).set_params(**params)
        X = X.astype(head.dtype, copy=False)
        weights = {}
        if head.sample_weight is not None:
            name = "head__sample_weight" if isinstance(estimator, Pipeline) else "sample_weight"
            weights[name] = compute_sample_weight(head.sample_weight, y)
        with watched() as warned:
            estimator.fit(X, y, **weights)
    except (ValueError, TypeError) as error:
        first_line = str(error).strip().splitlines()[0]
        chosen = ", ".join(f"{name.removeprefix('head__')}={value}" for name, value in params.items())
        raise HeadError(f"{head.name} with {chosen or 'its parameters'} cannot be fitted: {first_line}") from None
    if tally is not None:
        tally.add(stage, converged(estimator) and not warned[0])
    return estimator
