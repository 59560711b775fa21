"""Centre features and divide all of them by one common scale."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.blocks import FeatureBlocks, in_memory


class CommonScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre every feature, then divide all of them by one common scale.

    After a ReLU, most features of a backbone are zero. A feature that is positive in only a few training images has a
    very small standard deviation. scikit-learn's StandardScaler divides by this deviation, so that the feature becomes
    extremely large in a new image in which it is positive (docs/decisions/one-scale.md). The features of one layer have
    the same unit, and a common scale preserves their proportions.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of each feature.
    scale_ : float
        Square root of the mean variance of the features; 1 if no feature varies.
    n_features_in_ : int
        Number of features.
    """

    @classmethod
    def of(cls, mean: NDArray[np.float64], variance: float) -> Self:
        """Return a fitted scaler.

        Parameters
        ----------
        mean : ndarray of shape (n_features,), float64
            Mean of each feature.
        variance : float
            Mean variance of the features.
        """
        scaler = cls()
        scaler.n_features_in_ = len(mean)
        scaler.mean_ = mean
        scaler.scale_ = float(np.sqrt(variance)) if variance > 0 else 1.0
        return scaler

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the means and the common scale.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        scale = float(np.sqrt(X.var(axis=0, dtype=np.float64).mean()))
        self.scale_ = scale if scale > 0 else 1.0
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Centre and scale features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            float32 if X is float32, otherwise float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return np.asarray((X - self.mean_.astype(X.dtype)) / X.dtype.type(self.scale_))


def scalers_of_blocks(X: FeatureBlocks, inside: NDArray[np.bool_]) -> list[CommonScaler]:
    """Fit one scaler to each of several selections of rows that are read in blocks, in one pass.

    Parameters
    ----------
    X : FeatureBlocks
    inside : ndarray of shape (n_rows, n_selections), bool
        Whether each row belongs to each selection.

    Returns
    -------
    list of CommonScaler
        Fitted scalers, equal to those of :meth:`CommonScaler.fit` up to rounding.
    """
    # Sums of squares are accurate for centred features; any row near the data will do.
    centre = in_memory(X, np.arange(min(len(X), 64))).mean(axis=0, dtype=np.float64)

    def sums_of(at: NDArray[np.int64], block: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        centred, members = block - centre, inside[at].T.astype(np.float64)
        return members @ centred, members @ np.einsum("ij,ij->i", centred, centred)

    sums, squares = np.zeros((inside.shape[1], X.n_features)), np.zeros(inside.shape[1])
    for of_block, squares_of_block in X.map(sums_of):
        sums += of_block
        squares += squares_of_block
    counts = inside.sum(axis=0)
    means = sums / counts[:, None]
    variances = squares / counts / X.n_features - np.square(means).mean(axis=1)
    return [CommonScaler.of(centre + mean, float(one)) for mean, one in zip(means, variances, strict=True)]
