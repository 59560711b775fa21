"""Count the fits that did not converge, from the convergence warnings of scikit-learn."""

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
    """Count fits, and fits that did not converge, by stage; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits: Counter[str] = Counter()
        self._not_converged: Counter[str] = Counter()

    def add(self, stage: str, converged: bool) -> None:
        """Count a fit."""
        with self._lock:
            self._fits[stage] += 1
            self._not_converged[stage] += not converged

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return ``{stage: {n, n_not_converged}}``."""
        return {
            stage: {"n": n, "n_not_converged": self._not_converged[stage]} for stage, n in sorted(self._fits.items())
        }

    def notes(self) -> list[str]:
        """Return a note on the fits that did not converge, by stage; an empty list if all fits converged."""
        failed = {stage: n for stage, n in sorted(self._not_converged.items()) if n}
        if not failed:
            return []
        by_stage = ", ".join(f"{n:,} of {self._fits[stage]:,} in {stage}" for stage, n in failed.items())
        total = f"{sum(failed.values()):,} of {self._fits.total():,} fits did not converge"
        return [f"{total} ({by_stage}); to allow more iterations, fit with `params={{'max_iter': N}}`"]


@contextlib.contextmanager
def collected_warnings() -> Iterator[None]:
    """Count convergence warnings in each thread instead of showing them; see :func:`count_convergence_warnings`."""
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
def count_convergence_warnings() -> Iterator[list[int]]:
    """Yield a list that contains, after the context ends, the number of convergence warnings in this thread."""
    before = getattr(_of_this_thread, "n", 0)
    counted: list[int] = []
    yield counted
    counted.append(getattr(_of_this_thread, "n", 0) - before)
