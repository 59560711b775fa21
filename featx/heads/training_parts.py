"""Training parts of one data set whose heads are fitted in the same passes over the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_class_weight

from featx.blocks import FeatureBlocks
from featx.scaling import CommonScaler, scalers_of_blocks


class Fitted(NamedTuple):
    """A fitted pipeline of scaler and head.

    Parameters
    ----------
    estimator : Pipeline
    has_converged : bool
        Whether the fit converged.
    """

    estimator: Pipeline
    has_converged: bool


@dataclass(frozen=True)
class TrainingParts:
    """Rows of several training parts, which may overlap.

    Parameters
    ----------
    X : FeatureBlocks
        Rows that belong to at least one part.
    y : ndarray of shape (n_rows,), int64
        Index of the class of each row.
    inside : ndarray of shape (n_rows, n_parts), bool
        Whether each row belongs to each part.
    n_classes : int
    """

    X: FeatureBlocks
    y: NDArray[np.int64]
    inside: NDArray[np.bool_]
    n_classes: int

    @classmethod
    def of(cls, X: FeatureBlocks, y: NDArray[np.int64], trains: Sequence[NDArray[np.int64]]) -> Self:
        """Return the parts of some features.

        Parameters
        ----------
        X : FeatureBlocks
        y : ndarray of shape (n_samples,), int64
        trains : sequence of ndarray of int64
            Positions of the rows of each part; each class occurs in each part.
        """
        inside = np.zeros((len(y), len(trains)), np.bool_)
        for number, train in enumerate(trains):
            inside[train, number] = True
        rows = np.flatnonzero(inside.any(axis=1))
        return cls(X[rows], y[rows], inside[rows], int(y[rows].max()) + 1)

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return int(self.inside.shape[1])

    @cached_property
    def scalers(self) -> list[CommonScaler]:
        """The scaler of each part, fitted on the rows of this part."""
        return scalers_of_blocks(self.X, self.inside)

    def class_weights(self, class_weight: Any) -> NDArray[np.float64]:
        """Return the weight of each class in each part, shape (n_parts, n_classes).

        Parameters
        ----------
        class_weight : None, "balanced" or dict
            As for classifiers of scikit-learn.
        """
        classes = np.arange(self.n_classes)
        return np.array(
            [compute_class_weight(class_weight, classes=classes, y=self.y[member]) for member in self.inside.T],
            np.float64,
        )


def fitted_pipeline(pipeline: Pipeline, scaler: CommonScaler, head: Any) -> Pipeline:
    """Return the pipeline with a fitted scaler and a fitted head."""
    names = [name for name, _ in pipeline.steps]
    return Pipeline(list(zip(names, (scaler, head), strict=True)))
