"""Nearest shrunken centroids that accept features without variance within the classes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.neighbors import NearestCentroid


class ShrunkenCentroid(NearestCentroid):  # type: ignore[misc]
    """Nearest centroids, each shrunken towards the overall mean (Tibshirani et al. 2002).

    The shrinkage of a feature is scaled by its standard deviation within the classes plus the median of these
    deviations. If half of the features do not vary within the classes, as for nearly equal images, this scale is 0 for
    each of these features, and the centroids of scikit-learn become NaN. This class does not shrink such features.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Compute the centroids.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,)

        Returns
        -------
        self
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            super().fit(X, y)
        is_fixed = self.within_class_std_dev_ + np.median(self.within_class_std_dev_) == 0
        if is_fixed.any():
            means = np.stack([X[y == name].mean(axis=0) for name in self.classes_])
            self.centroids_[:, is_fixed] = means[:, is_fixed]
            self.deviations_[:, is_fixed] = 0
        return self
