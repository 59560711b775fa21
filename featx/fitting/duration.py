"""Estimate the duration of a fit before it starts."""

from __future__ import annotations

import time

import numpy as np

from featx.evaluation.procedures import TrainingSet, fit_head, quiet_single_threads
from featx.heads import Head

_PROBED = 4_000
_TRIED = 4
"""Typical number of grid values that are tried on many samples before the accuracy decreases."""

_INNER_FOLDS = 3
_OTHERS = 4
"""Number of fits for calibration and the learning curve, in addition to the fits on the splits and the final fit."""


def duration_note(head: Head, train: TrainingSet, n_workers: int, n_measured: int) -> str:
    """Return a notice with the expected duration, extrapolated from one fit on at most 4,000 samples.

    Parameters
    ----------
    head : Head
    train : TrainingSet
    n_workers : int
        Number of parallel fits.
    n_measured : int
        Number of cross-validations: grouped, ungrouped, and one for each group hint.
    """
    n = len(train.y)
    some = np.random.default_rng(0).permutation(n)[:_PROBED]
    candidates = head.candidates(len(some))
    started = time.perf_counter()
    with quiet_single_threads():
        fit_head(head, candidates[len(candidates) // 2], train.X[some], train.y[some])
    a_fit = (time.perf_counter() - started) * n / len(some)
    inner = 1 if head.one_split else _INNER_FOLDS
    tuning = (1 + n_measured) * inner * min(_TRIED, len(candidates)) / min(inner, n_workers)
    minutes = a_fit * (tuning + 1 + n_measured + _OTHERS) / 60
    return f"{n:,} images: {head.name} takes about {max(1, round(minutes)):,} min, estimated from {len(some):,} of them"
