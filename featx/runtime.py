"""Settings of a run that do not change features."""

from __future__ import annotations

import contextlib
import math
import os
import sys
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
    cluster : str, optional
        ``dask://HOST:PORT``, the scheduler of a Dask cluster whose workers compute the features, or ``dask://local``,
        which starts a cluster on this machine; see docs/cluster.md. Each worker then uses up to ``workers`` processes,
        one per thread of the worker if not given; for ``dask://local``, ``workers`` is the number of workers.
    max_pixels : int
        Images with more pixels are skipped.
    notice : callable
        Called with one line of text for each notice.
    progress : callable
        Called with (stage, done, total) when a stage begins and as it advances; ``done`` equals ``total`` when it ends.
        ``total`` is 0 if it is unknown. Stages may be nested.
    memory : int, optional
        Memory in bytes that the features may use while heads are fitted; three quarters of the available memory
        (:func:`available_memory`) if not given. Features that need more are read from the store in blocks.

    Raises
    ------
    OptionError
        A number is out of range, or ``cluster`` is not an address.

    Examples
    --------
    >>> import featx
    >>> runtime = featx.Runtime(cache="cache", workers=2)
    >>> runtime.n_workers
    2
    """

    notice: Callable[[str], None] = _ignore_notice
    progress: Callable[[str, int, int], None] = _ignore_progress
    memory: int | None = None

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

    @property
    def memory_limit(self) -> int:
        """Memory in bytes that the features may use while heads are fitted."""
        return round(_SHARE * available_memory()) if self.memory is None else self.memory


_SHARE = 0.75
"""Share of the available memory that the features may use; the rest is for labels, scores and other programs."""


_share: list[int] = []
"""Number of CPU cores that :func:`use_processors` allows; empty if there is no such limit."""


def use_processors(n: int) -> None:
    """Limit :func:`n_processors` for the rest of this process, which shares the machine with others."""
    _share[:] = [n]


def n_processors() -> int:
    """Return the number of CPU cores that this process may use.

    It is determined by CPU affinity, by the quota of a container, and by :func:`use_processors`.
    """
    return min([_n_allowed(), *_share])


def shares_processors() -> bool:
    """Return whether other processes use the same CPU cores: this process may use fewer than it can run on."""
    return n_processors() < _n_possible()


def _n_allowed() -> int:
    possible = _n_possible()
    quota = _quota(Path("/sys/fs/cgroup"))
    return possible if quota is None else max(1, min(possible, math.ceil(quota)))


def _n_possible() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


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


def available_memory() -> int:
    """Return the memory in bytes that this process can still use, now.

    It is the smallest of these: the memory that the system can provide without swapping, the rest of the limit of a
    container (Linux control groups), and the rest of the limit of the address space (``ulimit -v``). On macOS, which
    does not report the first, the physical memory is used instead.
    """
    root = Path("/")
    limits = (_system_memory(root), _container_memory(root / "sys/fs/cgroup"), _address_space(root))
    known = [limit for limit in limits if limit is not None]
    return max(0, min(known))


def _system_memory(root: Path) -> int:
    if sys.platform == "win32":
        return _windows_memory()
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _windows_memory() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "available", "pages", "free_pages")),
            *((name, ctypes.c_ulonglong) for name in ("addresses", "free_addresses", "extended")),
        ]

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined,unused-ignore]
        raise OSError("GlobalMemoryStatusEx failed")
    return min(int(status.available), int(status.free_addresses))


def _container_memory(cgroup: Path) -> int | None:
    """Return the rest of the memory limit of Linux control groups, version 2 or 1; None if unlimited.

    The page cache counts as used memory there, but the system frees its inactive part when memory is needed.
    """
    names = (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    )
    for limit, used, stat, reclaimable in names:
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", unlimited
            rest = int((cgroup / limit).read_text(encoding="ascii")) - int((cgroup / used).read_text(encoding="ascii"))
            fields = dict(line.split() for line in (cgroup / stat).read_text(encoding="ascii").splitlines())
            return rest + int(fields.get(reclaimable, 0))
    return None


def _address_space(root: Path) -> int | None:
    """Return the rest of the limit of the address space; None if unlimited."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int((root / "proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):  # macOS
        return limit
    return limit - pages * os.sysconf("SC_PAGE_SIZE")
