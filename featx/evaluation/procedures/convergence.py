"""Which fits did not converge, whatever estimator is inside: its warnings are counted, fit by fit."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sklearn.exceptions import ConvergenceWarning

_of_this_thread = threading.local()


class FitCounter:
    """Counts fits, and those that did not converge, by what they were for; may be shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits: Counter[str] = Counter()
        self._loose: Counter[str] = Counter()

    def add(self, stage: str, converged: bool) -> None:
        """Count a fit."""
        with self._lock:
            self._fits[stage] += 1
            self._loose[stage] += not converged

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return ``{stage: {n, n_not_converged}}``."""
        return {stage: {"n": n, "n_not_converged": self._loose[stage]} for stage, n in sorted(self._fits.items())}

    def notes(self) -> list[str]:
        """Say how many fits did not converge, and what they were for; nothing if all did."""
        loose = {stage: n for stage, n in sorted(self._loose.items()) if n}
        if not loose:
            return []
        by_stage = ", ".join(f"{n:,} of {self._fits[stage]:,} in {stage}" for stage, n in loose.items())
        total = f"{sum(loose.values()):,} of {self._fits.total():,} fits did not converge"
        return [f"{total} ({by_stage}); fit `params={{'max_iter': N}}` allows more iterations"]


@contextlib.contextmanager
def collected_warnings() -> Iterator[None]:
    """Hand convergence warnings to the fit that caused them, see :func:`watched`, instead of showing them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", ConvergenceWarning)
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, ConvergenceWarning):
                _of_this_thread.n = getattr(_of_this_thread, "n", 0) + 1
            else:
                show(message, category, *where, **more)

        warnings.showwarning = collect
        yield


@contextlib.contextmanager
def watched() -> Iterator[list[int]]:
    """Give a list that holds, at the end, the number of convergence warnings of this thread."""
    before = getattr(_of_this_thread, "n", 0)
    counted: list[int] = []
    yield counted
    counted.append(getattr(_of_this_thread, "n", 0) - before)
