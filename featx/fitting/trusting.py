"""Whether a head can be kept in a model file: known before it is fitted, not after minutes of fitting."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier import dump_estimator, types_to_trust
from featx.errors import ClassifierError, HeadError
from featx.evaluation.procedures import fit_head, quiet_single_threads
from featx.heads import Head, scores_of

_SAMPLES, _FEATURES = 60, 32
_MOST_TRIED = 200


def try_keeping(head: Head) -> list[str] | None:
    """Fit a head on a few made numbers and write it as a model file would hold it.

    Returns
    -------
    list of str or None
        Types that whoever loads the model has to trust, mostly none; None where the head cannot be fitted on so little,
        which says nothing.

    Raises
    ------
    HeadError
        It cannot be kept.
    """
    # From 0 to 1: some heads take no negative numbers.
    X = np.random.default_rng(0).random((_SAMPLES, _FEATURES), np.float32)
    y = np.arange(_SAMPLES) % 2
    X[y == 1] += 0.5
    return _kept(head, X, y)


def try_keeping_of(head: Head, X: NDArray[np.float32], y: NDArray[np.int64]) -> list[str] | None:
    """Do what :func:`try_keeping` does with some of the samples that are to be learnt from."""
    n_classes = int(y.max()) + 1
    n_each = max(2, _MOST_TRIED // n_classes)
    some = np.sort(np.concatenate([np.flatnonzero(y == label)[:n_each] for label in range(n_classes)]))
    return _kept(head, X[some], y[some])


def note_trust(head: Head, types: list[str] | None) -> list[str]:
    """Say what loading takes; nothing where it takes no trust."""
    if not types:
        return []
    return [
        f"{head.name}: featx does not check what such a head holds. The model is loaded with "
        f"featx.load(FILE, trusted={types}), by whoever trusts the file"
    ]


def _kept(head: Head, X: NDArray[np.float32], y: NDArray[np.int64]) -> list[str] | None:
    n_classes = int(y.max()) + 1
    try:
        with warnings.catch_warnings(), quiet_single_threads():
            warnings.simplefilter("ignore")
            fitted = fit_head(head, head.default(len(y)), X, y)
            scores = scores_of(fitted, X, n_classes)
    except Exception:  # of whatever kind an estimator raises where there is too little for it
        return None

    def check(loaded: Any, is_trusted: bool = False) -> None:
        # Threads add up in an order of their own, so that the last bits differ between two calls.
        if not np.allclose(scores_of(loaded, X, n_classes), scores, rtol=1e-6, atol=1e-9):
            raise ClassifierError("what is read again predicts otherwise")

    try:
        return sorted(types_to_trust(dump_estimator(fitted, check)))
    except ClassifierError as error:
        raise HeadError(f"{head.name} cannot be kept in a model file, so it is not fitted: {error}") from None
