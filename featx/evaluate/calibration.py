"""Scores to probabilities: one temperature, found on scores of pictures that the head had not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


def cross_fitted(scores: NDArray[np.float64], y: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return log probabilities of each sample at the temperature that the other folds have.

    To measure how reliable probabilities are: on the samples that a temperature was found on they look better.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes), float64
    y, fold : ndarray of shape (n_samples,), int64
        Class and fold of each.
    """
    found = np.empty_like(scores)
    for number in np.unique(fold):
        inside = fold == number
        found[inside] = log_softmax(scores[inside] / find_temperature(scores[~inside], y[~inside]), axis=1)
    return found


def find_temperature(scores: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the temperature that makes out-of-fold probabilities most likely (Guo et al. 2017).

    The targets are smoothed by 1 in n + 2 (Platt 1999), so that a head without a single error on n pictures
    does not claim certainty.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes), float64
        Out-of-fold scores.
    y : ndarray of shape (n_samples,), int64
        Class numbers.
    """
    n_samples, n_classes = scores.shape
    doubt = 1 / (n_samples + 2)
    targets = np.full(scores.shape, doubt / (n_classes - 1))
    targets[np.arange(n_samples), y] = 1 - doubt

    def loss(log_temperature: float) -> float:
        return -float((targets * log_softmax(scores / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    # Beyond a factor of 1,000 either way a head separates perfectly or not at all, and the loss is flat.
    found = minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1e3)), method="bounded")
    return float(np.exp(found.x))
