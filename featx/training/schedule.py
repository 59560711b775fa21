"""The learning rate schedule of a training run."""

from __future__ import annotations

import math


def warmup_cosine(step: int, n_steps: int, warmup: float) -> float:
    """Return the learning rate at a step, divided by the maximum: a linear warm-up, then half a cosine down to 0.

    Parameters
    ----------
    step : int
        Number of the step; the first is 0.
    n_steps : int
        Number of steps of the whole run.
    warmup : float
        Fraction of the steps in the warm-up.

    Notes
    -----
    Goyal et al. 2017 (warm-up); Loshchilov and Hutter 2017 (cosine).
    """
    n_warm = round(warmup * n_steps)
    if step < n_warm:
        return (step + 1) / (n_warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - n_warm) / max(n_steps - n_warm, 1)))
