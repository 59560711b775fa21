"""Centre features and divide them all by one number."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class CommonScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre every feature, then divide all of them by one common scale.

    A backbone's features are mostly zeros behind a ReLU: one that only a few training images touch has a tiny
    deviation, and dividing by it, as scikit-learn's StandardScaler does, blows it up in the first new image that
    has it (docs/decisions/one-scale.md). Features of one layer share a unit, so one scale keeps their proportions.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of each feature.
    scale_ : float
        Root of the mean variance; 1 if nothing varies.
    n_features_in_ : int
        Number of features.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn means and the common scale.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        scale = float(np.sqrt(X.var(axis=0, dtype=np.float64).mean()))
        self.scale_ = scale if scale > 0 else 1.0
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Centre and scale.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            float32 for float32, else float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return np.asarray((X - self.mean_.astype(X.dtype)) / X.dtype.type(self.scale_))
