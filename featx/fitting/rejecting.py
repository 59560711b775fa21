"""What a classifier needs to say "none of these", from images that were left out of each fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.classifier import Rejector, learn_subspace
from featx.evaluation.procedures import CrossValidated, TrainingSet, quiet_single_threads


def learn_rejector(
    train: TrainingSet, crossed: CrossValidated, probabilities: NDArray[np.float64], seed: int
) -> Rejector:
    """Learn how novel genuine images are.

    Parameters
    ----------
    train : TrainingSet
    crossed : CrossValidated
        Its folds keep groups together: copies would make genuine images look more familiar than new ones are.
    probabilities : ndarray of shape (n_tested, n_classes), float64
        Calibrated, out of fold.
    seed : int
    """
    n_classes = len(train.classes)
    every = np.empty(len(train.y))
    with quiet_single_threads():
        for known, left_out in crossed.folds.pairs:
            subspace = learn_subspace(train.X[known], train.y[known], n_classes, seed)
            every[left_out] = subspace.novelty(train.X[left_out])
        subspace = learn_subspace(train.X, train.y, n_classes, seed)
    return Rejector(subspace, every[crossed.tested], _confidence(train, probabilities))


def learn_rejector_apart(
    train: TrainingSet, X: NDArray[np.float32], probabilities: NDArray[np.float64], seed: int
) -> Rejector:
    """Learn how novel genuine images are from some that were set aside.

    Parameters
    ----------
    train : TrainingSet
    X : ndarray of shape (n_samples, n_features), float32
        Features of the images set aside.
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Theirs, calibrated.
    seed : int
    """
    with quiet_single_threads():
        subspace = learn_subspace(train.X, train.y, len(train.classes), seed)
    return Rejector(subspace, subspace.novelty(X), _confidence(train, probabilities))


def _confidence(train: TrainingSet, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return train.targets.confidence(probabilities, train.targets.answers(probabilities))
