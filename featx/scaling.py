"""Centre features and divide all of them by one common scale."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data


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
