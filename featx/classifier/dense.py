"""Linear and MLP heads as matrices that include the scaler, so that predicting does not need scikit-learn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DenseHead:
    """A chain of matrices with ReLU between them.

    Parameters
    ----------
    weights : sequence of ndarray of shape (n_in, n_out), float64
    biases : sequence of ndarray of shape (n_out,), float64
    pairwise : bool
        Whether the columns of the last matrix compare pairs of classes: (0, 1), (0, 2), ..., (1, 2), ...
    """

    weights: Sequence[NDArray[np.float64]]
    biases: Sequence[NDArray[np.float64]]
    pairwise: bool = False

    def scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return scores of shape (n_samples, n_classes); a single score s of two classes becomes (-s/2, s/2)."""
        x = X.astype(np.float64)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weight + bias, 0.0)
        x = x @ self.weights[-1] + self.biases[-1]
        if x.shape[1] == 1:
            return np.concatenate([-x / 2, x / 2], axis=1)
        return _votes(x) if self.pairwise else x


def _votes(comparisons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number of comparisons that each class wins; as in scikit-learn, the sum of margins breaks ties."""
    n_classes = (1 + math.isqrt(1 + 8 * comparisons.shape[1])) // 2
    won = np.zeros((len(comparisons), n_classes))
    margin = np.zeros_like(won)
    for column, (first, second) in zip(comparisons.T, itertools.combinations(range(n_classes), 2), strict=True):
        won[:, first] += column >= 0
        won[:, second] += column < 0
        margin[:, first] += column
        margin[:, second] -= column
    return np.asarray(won + margin / (3 * (np.abs(margin) + 1)))  # margins are scaled below a third of a vote


def to_dense(estimator: Any) -> DenseHead | None:
    """Return a fitted pipeline of scaler and head as a chain of matrices.

    Parameters
    ----------
    estimator : fitted scikit-learn estimator

    Returns
    -------
    DenseHead or None
        The matrices; None if the estimator is not a linear head or an MLP with ReLU after a
        :class:`featx.scaling.CommonScaler`.
    """
    from sklearn.pipeline import Pipeline

    from featx.scaling import CommonScaler

    if not (isinstance(estimator, Pipeline) and len(estimator) == 2 and type(estimator[0]) is CommonScaler):
        return None
    scaler, matrices = estimator[0], _matrices(estimator[1])
    if matrices is None:
        return None
    weights = [np.asarray(weight, np.float64) for weight in matrices[0]]
    biases = [np.asarray(bias, np.float64) for bias in matrices[1]]
    weights[0] = weights[0] / scaler.scale_
    biases[0] = biases[0] - scaler.mean_ @ weights[0]
    return DenseHead(weights, biases, pairwise=matrices[2])


def _matrices(head: Any) -> tuple[list[Any], list[Any], bool] | None:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
    from sklearn.multiclass import OneVsOneClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC, LinearSVC

    if type(head) is OneVsOneClassifier and all(type(binary) is SGDClassifier for binary in head.estimators_):
        # Scores above 0 mean the second class of a pair here, but the first class in SVC.
        weights = np.concatenate([-binary.coef_ for binary in head.estimators_]).T
        return [weights], [np.concatenate([-binary.intercept_ for binary in head.estimators_])], True
    if type(head) is MLPClassifier and head.activation == "relu":
        return list(head.coefs_), list(head.intercepts_), False
    pairwise = type(head) is SVC and head.kernel == "linear" and not head.break_ties
    if pairwise or type(head) in (LogisticRegression, LinearSVC, RidgeClassifier, SGDClassifier):
        return [np.atleast_2d(head.coef_).T], [np.atleast_1d(head.intercept_)], pairwise
    return None


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of the same shape as ``scores``; each row sums to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
