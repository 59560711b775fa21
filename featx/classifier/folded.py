"""Linear and MLP heads as plain matrices, with the scaler folded in, so that predicting needs no scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Folded:
    """A chain of matrices with ReLU between them.

    Parameters
    ----------
    weights : sequence of ndarray of shape (n_in, n_out), float64
    biases : sequence of ndarray of shape (n_out,), float64
    """

    weights: Sequence[NDArray[np.float64]]
    biases: Sequence[NDArray[np.float64]]

    def scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return scores of shape (n_samples, n_classes); two classes share one value s as (-s/2, s/2)."""
        x = X.astype(np.float64)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weight + bias, 0.0)
        x = x @ self.weights[-1] + self.biases[-1]
        return np.concatenate([-x / 2, x / 2], axis=1) if x.shape[1] == 1 else x


def fold(estimator: Any) -> Folded | None:
    """Return a fitted pipeline of scaler and head as matrices, None if it is not of a kind that can be.

    Parameters
    ----------
    estimator : fitted scikit-learn estimator
    """
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    if not (isinstance(estimator, Pipeline) and len(estimator) == 2 and type(estimator[0]) is StandardScaler):
        return None
    scaler, head = estimator[0], estimator[1]
    if type(head) in (LogisticRegression, LinearSVC, RidgeClassifier):
        weights, biases = [np.atleast_2d(head.coef_).T], [np.atleast_1d(head.intercept_)]
    elif type(head) is MLPClassifier and head.activation == "relu":
        weights, biases = list(head.coefs_), list(head.intercepts_)
    else:
        return None
    if not (scaler.with_mean and scaler.with_std):
        return None
    first = weights[0].astype(np.float64) / scaler.scale_[:, np.newaxis]
    shifted = biases[0].astype(np.float64) - scaler.mean_ @ first
    return Folded(
        [first, *(w.astype(np.float64) for w in weights[1:])], [shifted, *(b.astype(np.float64) for b in biases[1:])]
    )


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities, shape as ``scores``; each row adds up to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
