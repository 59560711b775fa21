"""Fit heads on features that are read in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from featx.blocks import FeatureBlocks
from featx.heads.epochs import MlpBlocks, SvmBlocks
from featx.heads.logistic import LogisticBlocks
from featx.heads.table import Head
from featx.heads.training_parts import Fitted, TrainingParts


class _Fits(Protocol):
    def fit(self, pipelines: Sequence[Pipeline]) -> Iterator[list[Fitted]]: ...


class BlockFits:
    """Fits of a head to several training parts, which share the passes over the features.

    Parameters
    ----------
    head : Head
        A head of :func:`featx.heads.for_blocks`.
    X : FeatureBlocks
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.
    trains : sequence of ndarray of int64
        Positions of the rows of each training part; each class occurs in each part.
    looser : float
        Factor by which the tolerance of logistic regression is increased, for fits that are only compared.
    """

    def __init__(
        self,
        head: Head,
        X: FeatureBlocks,
        y: NDArray[np.int64],
        trains: Sequence[NDArray[np.int64]],
        looser: float = 1.0,
    ) -> None:
        self._head = head
        parts = TrainingParts.of(X, y, trains)
        last = head.estimator[-1]
        self._fits: _Fits
        if isinstance(last, LogisticRegression):
            self._fits = LogisticBlocks(parts, looser)
        elif isinstance(last, MLPClassifier):
            self._fits = MlpBlocks(parts, head.sample_weight)
        else:
            self._fits = SvmBlocks(parts)

    def fit(self, candidates: Sequence[dict[str, Any]]) -> Iterator[list[Fitted]]:
        """Fit the head with each combination of hyper-parameters, and yield the fitted pipelines of the parts of each.

        Parameters
        ----------
        candidates : sequence of dict
            Hyper-parameters of ``head.estimator``. Logistic regression is fitted for one after the other, and each fit
            starts from the previous one; the other heads are fitted for all of them in the same passes.
        """
        return self._fits.fit([clone(self._head.estimator).set_params(**params) for params in candidates])
