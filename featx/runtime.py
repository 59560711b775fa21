"""Everything about a run that does not change features."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from featx.options import RuntimeOptions


def _ignore_notice(text: str) -> None:
    pass


def _ignore_progress(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Runtime(RuntimeOptions):
    """Where and how a run works; no field of it can change a feature.

    Parameters
    ----------
    cache : path
        Folder of the feature stores and data-set snapshots; made when missing.
    workers : int, optional
        Threads that read and decode images; :func:`n_processors` if not given.
    batch_size : int
        Images handed to the engine at a time. It only groups: the network always runs at the
        engine's own fixed shape.
    device : str
        ``cpu``, ``gpu``, ``gpu:N``, or ``auto``: a GPU where TensorFlow can use one, else the processor.
    max_pixels : int
        Images with more pixels are skipped, with that reason.
    notice : callable
        Called with one line of text when something is worth telling.
    progress : callable
        Called with (stage, done, total) as work goes on: first as a stage begins; ``done`` is ``total`` when it ends.
        ``total`` is 0 while how far a stage is cannot be known. Stages may lie within each other.

    Raises
    ------
    OptionError
        A number outside its range.
    """

    notice: Callable[[str], None] = _ignore_notice
    progress: Callable[[str, int, int], None] = _ignore_progress

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cache", Path(self.cache))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Report a stage for as long as it takes; what is given reports how far it is: (done, total)."""
        self.progress(name, 0, 0)
        try:
            yield lambda done, total: self.progress(name, done, total)
        finally:
            self.progress(name, 1, 1)

    @property
    def n_workers(self) -> int:
        """Number of decoding threads, resolved."""
        return self.workers or n_processors()


def n_processors() -> int:
    """Return the number of processors that this process may use: by its affinity, and by a container's quota."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        allowed = os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup"))
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """Return the processors that Linux's control groups grant, as containers see them; version 2, then 1."""
    try:
        words = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except OSError:
        try:
            words = [
                (cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
            ]
        except OSError:
            return None
    try:
        quota, period = (int(word) for word in words)
    except ValueError:  # "max": no bound
        return None
    return quota / period if quota > 0 and period > 0 else None
