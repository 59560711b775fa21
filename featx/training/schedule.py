"""The learning rate over a training run."""

from __future__ import annotations

import math


def warmup_cosine(step: int, n_steps: int, warmup: float) -> float:
    """Return the share of the highest learning rate at a step: a linear warm-up, then half a cosine down to 0.

    Parameters
    ----------
    step : int
        From 0.
    n_steps : int
        In the whole run.
    warmup : float
        Share of the steps that the warm-up takes.

    Notes
    -----
    Goyal et al. 2017 (warm-up); Loshchilov and Hutter 2017 (cosine).
    """
    n_warm = round(warmup * n_steps)
    if step < n_warm:
        return (step + 1) / (n_warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - n_warm) / max(n_steps - n_warm, 1)))
