"""Fit the rejector of a classifier on out-of-fold or held-out images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.blocks import Features
from featx.classifier import Rejector, learn_subspace
from featx.evaluation.procedures import CrossValidated, TrainingSet, in_threads, quiet_single_threads


def learn_rejector(
    train: TrainingSet, crossed: CrossValidated, probabilities: NDArray[np.float64], seed: int, n_workers: int = 1
) -> Rejector:
    """Fit a rejector on the novelties and confidences of out-of-fold images.

    Parameters
    ----------
    train : TrainingSet
    crossed : CrossValidated
        Cross-validation that keeps groups together; duplicates would make training images look more familiar than
        new images.
    probabilities : ndarray of shape (n_tested, n_classes), float64
        Calibrated out-of-fold probabilities.
    seed : int
    n_workers : int
        Number of threads.
    """
    n_classes = len(train.classes)
    every = np.empty(len(train.y))

    def measure(known: NDArray[np.int64], left_out: NDArray[np.int64]) -> None:
        subspace = learn_subspace(train.X[known], train.y[known], n_classes, seed)
        every[left_out] = subspace.novelty(train.X[left_out])

    jobs: list[Callable[[], Any]] = [partial(learn_subspace, train.X, train.y, n_classes, seed)]
    jobs += [partial(measure, *pair) for pair in crossed.folds.pairs]
    with quiet_single_threads():
        subspace, *_ = in_threads(jobs, n_workers)
    return Rejector(subspace, every[crossed.tested], _confidence(train, probabilities))


def learn_rejector_held_out(train: TrainingSet, X: Features, probabilities: NDArray[np.float64], seed: int) -> Rejector:
    """Fit a rejector on the novelties and confidences of held-out images.

    Parameters
    ----------
    train : TrainingSet
    X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
        Features of the held-out images.
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Calibrated probabilities of the held-out images.
    seed : int
    """
    with quiet_single_threads():
        subspace = learn_subspace(train.X, train.y, len(train.classes), seed)
    return Rejector(subspace, subspace.novelty(X), _confidence(train, probabilities))


def _confidence(train: TrainingSet, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return train.targets.confidence(probabilities, train.targets.predicted(probabilities))
