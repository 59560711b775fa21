"""Check that a head can be saved in a model file before it is fitted, which may take minutes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.blocks import Features, in_memory
from featx.classifier import dump_estimator, types_to_trust
from featx.errors import ClassifierError, HeadError
from featx.evaluation.procedures import fit_head, quiet_single_threads
from featx.heads import Head, scores_of

_SAMPLES, _FEATURES = 60, 32
_MOST_TRIED = 200
_ROUNDING = 1e-5
"""Largest difference of a score, relative to the largest score."""


def try_saving(head: Head) -> list[str] | None:
    """Fit a head on a few synthetic samples and write it as in a model file.

    Returns
    -------
    list of str or None
        Types that must be trusted to load the model; usually empty. None if the head cannot be fitted on so few
        samples, so that the types are unknown.

    Raises
    ------
    HeadError
        If the head cannot be saved.
    """
    # Values are between 0 and 1, because some heads do not accept negative numbers.
    X = np.random.default_rng(0).random((_SAMPLES, _FEATURES), np.float32)
    y = np.arange(_SAMPLES) % 2
    X[y == 1] += 0.5
    return _save_fitted(head, X, y)


def try_saving_on(head: Head, X: Features, y: NDArray[np.int64]) -> list[str] | None:
    """Fit a head on some of the training samples and write it; see :func:`try_saving`."""
    n_classes = int(y.max()) + 1
    n_each = max(2, _MOST_TRIED // n_classes)
    some = np.sort(np.concatenate([np.flatnonzero(y == label)[:n_each] for label in range(n_classes)]))
    return _save_fitted(head, in_memory(X, some), y[some])


def note_trust(head: Head, types: list[str] | None) -> list[str]:
    """Return a note on the types that must be trusted to load the model; empty if there are no such types."""
    if not types:
        return []
    return [
        f"{head.name}: featx cannot check the content of such a head. Load the model with "
        f"featx.load(FILE, trusted={types}), and only if you trust the file"
    ]


def _save_fitted(head: Head, X: NDArray[np.float32], y: NDArray[np.int64]) -> list[str] | None:
    n_classes = int(y.max()) + 1
    try:
        with warnings.catch_warnings(), quiet_single_threads():
            warnings.simplefilter("ignore")
            fitted = fit_head(head, head.default(len(y)), X, y)
            scores = scores_of(fitted, X, n_classes)
    except Exception:  # estimators raise errors of all kinds on too few samples
        return None

    def check(loaded: Any, is_trusted: bool = False) -> None:
        # The order of sums depends on threads and on the memory layout of arrays, so that scores differ by rounding in
        # float32.
        if np.abs(scores_of(loaded, X, n_classes) - scores).max() > _ROUNDING * np.abs(scores).max():
            raise ClassifierError("the loaded head does not give the same scores")

    try:
        return sorted(types_to_trust(dump_estimator(fitted, check)))
    except ClassifierError as error:
        raise HeadError(f"{head.name} cannot be saved in a model file and is not fitted: {error}") from None
