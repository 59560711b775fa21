"""Settings of a run that do not change features."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from featx.errors import EngineError
from featx.options import RuntimeOptions


def _ignore_notice(text: str) -> None:
    pass


def _ignore_progress(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Runtime(RuntimeOptions):
    """Where and how a run executes; no field changes a feature.

    Parameters
    ----------
    cache : path
        Folder of feature stores and data-set snapshots; created if missing.
    workers : int, optional
        Number of processes that read and decode images; :func:`n_processors` if not given.
    batch_size : int
        Number of images passed to the engine at a time. The engine runs the backbone with a batch
        shape of its own.
    device : str
        ``cpu``, ``gpu``, ``gpu:N``, or ``auto``: a GPU if TensorFlow can use one, otherwise the CPU.
    max_pixels : int
        Images with more pixels are skipped.
    notice : callable
        Called with one line of text for each notice.
    progress : callable
        Called with (stage, done, total) when a stage begins and as it advances; ``done`` equals ``total`` when it ends.
        ``total`` is 0 if it is unknown. Stages may be nested.

    Raises
    ------
    OptionError
        A number is out of range.

    Examples
    --------
    >>> import featx
    >>> runtime = featx.Runtime(cache="cache", workers=2)
    >>> runtime.n_workers
    2
    """

    notice: Callable[[str], None] = _ignore_notice
    progress: Callable[[str, int, int], None] = _ignore_progress

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cache", Path(self.cache))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Report a stage within the context; the yielded function reports its progress: (done, total)."""
        self.progress(name, 0, 0)
        try:
            yield lambda done, total: self.progress(name, done, total)
        finally:
            self.progress(name, 1, 1)

    @property
    def n_workers(self) -> int:
        """Number of processes that read and decode images, and of threads that fit heads."""
        return self.workers or n_processors()


def n_processors() -> int:
    """Return the number of CPU cores that this process may use, by CPU affinity and by the quota of a container."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        allowed = os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup"))
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def require_threads(n: int) -> None:
    """Check that this process can start ``n`` more threads.

    A C++ library aborts the process if it cannot start a thread. Therefore this function is called before such a
    library starts its threads.

    Raises
    ------
    EngineError
        If the system does not allow as many threads.
    """
    end = threading.Event()
    started = []
    try:
        for _ in range(n):
            started.append(threading.Thread(target=end.wait, daemon=True))
            started[-1].start()
    except RuntimeError:
        raise EngineError(
            f"the system allows only {len(started) - 1} more threads; expected at least {n}. End other programs, or "
            "raise the limits of processes and memory (`ulimit -u`, `ulimit -v`), and run the same command again"
        ) from None
    finally:
        end.set()
        for thread in started:
            if thread.ident is not None:
                thread.join()


def _quota(cgroup: Path) -> float | None:
    """Return the CPU quota of Linux control groups, version 2 or 1, in cores; None if unlimited."""
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
    except ValueError:  # "max": unlimited
        return None
    return quota / period if quota > 0 and period > 0 else None
