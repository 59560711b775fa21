"""How long a fit will take, told before it starts."""

from __future__ import annotations

import time

import numpy as np

from featx.evaluation.procedures import TrainingSet, fit_head, quiet_single_threads
from featx.heads import Head

_PROBED = 4_000
_TRIED = 4
"""Values of a grid that are tried on many samples before accuracy falls, as a rule."""

_INNER_FOLDS = 3
_OTHERS = 4
"""Fits besides those of the splits and the last: calibration, the learning curve's parts."""


def estimate_seconds(head: Head, train: TrainingSet, n_workers: int, n_measured: int) -> str:
    """Return how long tuning, measuring and fitting will take, as seen of one fit on 4,000 samples.

    Parameters
    ----------
    head : Head
    train : TrainingSet
    n_workers : int
        Fits at a time.
    n_measured : int
        Times that tuning and fitting are measured: grouped, ungrouped, by each hint of sources.
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
    return f"{n:,} images: {head.name} takes about {max(1, round(minutes)):,} min, judged by {len(some):,} of them"
