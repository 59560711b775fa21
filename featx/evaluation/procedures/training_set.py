"""Training samples with their augmented views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.blocks import FeatureBlocks, Features
from featx.targets import SingleLabel


@dataclass(frozen=True)
class TrainingSet:
    """Training samples.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
        Features, in memory or read in blocks.
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample; samples of one group stay on one side of every split.
    targets : SingleLabel
    views : sequence of features of shape (n_samples, n_features), or None
        Features of each augmented view of the samples, as ``X``. Views are training rows wherever their sample is a
        training sample; they are never test samples.
    """

    X: Features
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    targets: SingleLabel
    views: Sequence[Features] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.targets.classes

    @property
    def n_views(self) -> int:
        """Number of views of each sample."""
        return 0 if self.views is None else len(self.views)

    def part(self, at: NDArray[np.int64]) -> TrainingSet:
        """Return the samples at the given positions, with their views."""
        views = None if self.views is None else [view[at] for view in self.views]
        return replace(self, X=self.X[at], y=self.y[at], groups=self.groups[at], views=views)

    def rows(self, at: NDArray[np.int64] | None = None) -> tuple[Features, NDArray[np.int64]]:
        """Return the training rows: features and class indices, first of the samples and then of their views.

        Parameters
        ----------
        at : ndarray of shape (n,), int64, optional
            Positions of the samples; all samples if not given.

        Returns
        -------
        X : ndarray of shape (n + n_views * n, n_features), float32, or FeatureBlocks
        y : ndarray of shape (n + n_views * n,), int64
        """
        chosen: Any = slice(None) if at is None else at
        if self.views is None:
            return self.X[chosen], self.y[chosen]
        parts: Any = [view[chosen] for view in (self.X, *self.views)]
        X = parts[0].join(parts[1:]) if isinstance(parts[0], FeatureBlocks) else np.concatenate(parts)
        return X, np.tile(self.y[chosen], 1 + self.n_views)
