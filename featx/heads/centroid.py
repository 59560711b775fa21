"""Nearest shrunken centroids that also take features which do not vary inside the classes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.neighbors import NearestCentroid


class ShrunkenCentroid(NearestCentroid):  # type: ignore[misc]
    """Nearest centroids, each shrunken towards their mean (Tibshirani et al. 2002).

    The unit of a feature's shrinkage is its deviation inside the classes plus the median of these deviations. It is 0
    for features that do not vary there where half of all features do not, as with images that are nearly equal:
    scikit-learn's centroids are not numbers there. Here these features are not shrunken.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the centroids.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,)
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            super().fit(X, y)
        is_fixed = self.within_class_std_dev_ + np.median(self.within_class_std_dev_) == 0
        if is_fixed.any():
            means = np.stack([X[y == name].mean(axis=0) for name in self.classes_])
            self.centroids_[:, is_fixed] = means[:, is_fixed]
            self.deviations_[:, is_fixed] = 0
        return self
