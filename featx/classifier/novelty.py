"""Measure the distance of images from the training images, and reject images that belong to none of the classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.blocks import FeatureBlocks, Features
from featx.errors import ClassifierError
from featx.options import PredictOptions, check_ranges

_DIRECTIONS = 64
_IMAGES_A_DIRECTION = 5
_ENOUGH = 20_000


@dataclass(frozen=True)
class Subspace:
    """Distribution of the features of the classes: the class means, and the directions of variation within classes.

    Each feature vector is scaled to length 1 first, because its length says little about the content of an image.
    Without this scaling, a model of cats and dogs accepted one sixth of all images of flowers; with it, none.

    Parameters
    ----------
    means : ndarray of shape (n_classes, n_features), float32
    directions : ndarray of shape (n_features, n_directions), float32
        Orthonormal directions.
    variances : ndarray of shape (n_directions,), float64
        Variances within classes along the directions.
    rest : float
        Mean squared distance of the training images from the subspace that the directions span.
    """

    means: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float64]
    rest: float

    def novelty(self, X: Features) -> NDArray[np.float64]:
        """Return the distance of each image from the nearest class, shape (n_samples,); a typical value is 2.

        The distance is the sum of two terms: the mean squared distance along the directions divided by their variances
        (Mahalanobis distance), and the squared distance from the subspace divided by ``rest``.
        """
        if isinstance(X, FeatureBlocks):
            return X.apply(self.novelty)
        X = _unit_length(X)
        least = np.full(len(X), np.inf)
        for mean in self.means:
            off = X - mean
            along = off @ self.directions
            beside = np.square(off).sum(axis=1, dtype=np.float64) - np.square(along).sum(axis=1, dtype=np.float64)
            distance = np.square(along / np.sqrt(self.variances)).mean(axis=1) + np.maximum(beside, 0) / self.rest
            least = np.minimum(least, distance)
        return least


def learn_subspace(X: Features, y: NDArray[np.int64], n_classes: int, seed: int = 0) -> Subspace:
    """Fit the subspace of the features of the classes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample; every class must occur.
    n_classes : int
    seed : int
        Random seed of the search for directions, and of the choice of 20,000 samples for this search if there are more.

    Returns
    -------
    Subspace
    """
    from sklearn.utils.extmath import randomized_svd

    some = np.arange(len(X))
    if len(X) > _ENOUGH:
        some = np.sort(np.random.default_rng(seed).choice(len(X), _ENOUGH, replace=False))
    if isinstance(X, FeatureBlocks):
        means, chosen = _class_means(X, y, n_classes), _unit_length(X[some].to_array())
    else:
        X = _unit_length(X)
        means, chosen = np.stack([X[y == label].mean(axis=0) for label in range(n_classes)]), X[some]
    within = chosen - means[y[some]]
    n_directions = max(1, min(_DIRECTIONS, len(some) // _IMAGES_A_DIRECTION, X.shape[1]))
    _, lengths, rows = randomized_svd(within, n_directions, n_iter=2, random_state=seed)
    total = float(np.square(within).sum(dtype=np.float64))
    variances = np.square(lengths.astype(np.float64)) / len(some)
    tiny = max(1e-6 * total / len(some), 1e-12)
    rest = (total - float(np.square(lengths).sum(dtype=np.float64))) / len(some)
    return Subspace(means, np.ascontiguousarray(rows.T), np.maximum(variances, tiny), max(rest, tiny))


def _class_means(X: FeatureBlocks, y: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    """Return the means of the classes, shape (n_classes, n_features), after scaling each row to length 1."""

    def sums_of(at: NDArray[np.int64], block: NDArray[np.float32]) -> NDArray[np.float64]:
        members = np.zeros((n_classes, len(at)))
        members[y[at], np.arange(len(at))] = 1
        return members @ _unit_length(block).astype(np.float64)

    sums = np.zeros((n_classes, X.n_features))
    for of_block in X.map(sums_of):
        sums += of_block
    return np.asarray(sums / np.bincount(y, minlength=n_classes)[:, None], np.float32)


def _unit_length(X: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return np.asarray(X / np.where(lengths > 0, lengths, 1), np.float32)


@dataclass(frozen=True)
class Rejector:
    """Rejects images that differ more from the training images than the training images differ from each other.

    Parameters
    ----------
    subspace : Subspace
        Subspace of all training images.
    novelties : ndarray of shape (n_samples,), float64
        Novelty of each training image, by a subspace that was fitted without it.
    confidences : ndarray of shape (n_samples,), float64
        Largest out-of-fold probability of each training image.
    """

    subspace: Subspace
    novelties: NDArray[np.float64]
    confidences: NDArray[np.float64]

    def rejected(self, X: Features, probabilities: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
        """Return whether each image is rejected because it belongs to none of the classes; shape (n_samples,).

        The typicality of an image is the smaller of two fractions: the fraction of training images that are at least as
        novel, and the fraction of training images whose confidence is not larger. Images are rejected if their
        typicality does not exceed a limit, which would reject a fraction ``rate`` of the training images.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
        probabilities : ndarray of shape (n_samples, n_classes), float64
        rate : float
            Fraction of images of the known classes that may be rejected by mistake.

        Raises
        ------
        ClassifierError
            If the rate is too small for the number of training images.
        OptionError
            If the rate is not between 0 and 1.
        """
        limit = self.limit(rate)
        return self._typicality(self.subspace.novelty(X), probabilities.max(axis=1)) <= limit

    def outliers(self, rate: float) -> NDArray[np.bool_]:
        """Return whether each training image would be rejected by its out-of-fold results; shape (n_samples,)."""
        return self._typicality(self.novelties, self.confidences) <= self.limit(rate)

    def limit(self, rate: float) -> float:
        """Return the largest typicality with which images are rejected; see :meth:`rejected`."""
        n = len(self.novelties)
        check_ranges({"reject_rate": rate}, PredictOptions)
        if int(rate * n) < 1:
            raise ClassifierError(
                f"`reject_rate={rate:g}`: this fraction of {n:,} training images is less than one image; expected at "
                f"least {math.ceil(1000 / n) / 1000:.3f}"
            )
        return float(np.sort(self._typicality(self.novelties, self.confidences))[int(rate * n) - 1])

    def _typicality(self, novelties: NDArray[np.float64], confidences: NDArray[np.float64]) -> NDArray[np.float64]:
        n = len(self.novelties)
        as_novel = n - np.searchsorted(np.sort(self.novelties), novelties, side="left")
        as_doubtful = np.searchsorted(np.sort(self.confidences), confidences, side="right")
        return np.asarray(np.minimum(as_novel, as_doubtful) / n)


def rejector_arrays(rejector: Rejector) -> dict[str, NDArray[Any]]:
    """Return the arrays that represent a rejector in a model file."""
    subspace = rejector.subspace
    return {
        "means": subspace.means,
        "directions": subspace.directions,
        "variances": np.append(subspace.variances, subspace.rest),
        "novelties": rejector.novelties,
        "confidences": rejector.confidences,
    }


def read_rejector(arrays: Mapping[str, NDArray[Any]], n_classes: int) -> Rejector:
    """Return the rejector from the arrays of :func:`rejector_arrays`.

    Raises
    ------
    ClassifierError
        If the arrays are inconsistent.
    """
    means, directions, variances = arrays["means"], arrays["directions"], arrays["variances"]
    novelties, confidences = arrays["novelties"], arrays["confidences"]
    n_features = arrays["probes"].shape[1]
    fits = means.shape == (n_classes, n_features) and directions.ndim == 2
    fits = fits and directions.shape[0] == n_features and variances.shape == (directions.shape[1] + 1,)
    fits = fits and novelties.ndim == 1 and novelties.shape == confidences.shape and len(novelties) > 0
    if not fits or any(array.dtype.kind != "f" for array in (means, directions, variances, novelties, confidences)):
        raise ClassifierError("the arrays of the rejector are inconsistent")
    if not (variances > 0).all():
        raise ClassifierError("the variances of the rejector are not positive")
    return Rejector(Subspace(means, directions, variances[:-1], float(variances[-1])), novelties, confidences)
