"""Run independent jobs in threads, none of which outlives the program."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")
_of_this_thread = threading.local()


class StoppedError(Exception):
    """Raised in a thread whose result is not wanted any more."""


def in_threads(
    jobs: Sequence[Callable[[], _T]], n_workers: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[_T]:
    """Return the results of jobs, in their order.

    The first error ends all and is raised at once: jobs that wait are dropped, those that run stop before their next
    fit. Python waits for these threads before it ends, unlike for joblib's: a thread that is in C++ code when Python
    ends aborts the process.

    Parameters
    ----------
    jobs : sequence of callable
    n_workers : int
        Threads; with one, the jobs run in the calling thread.
    progress : callable
        Called with (jobs done, jobs in all), at the start too.
    """
    if min(n_workers, len(jobs)) <= 1:
        return list(_counted((job() for job in jobs), len(jobs), progress))
    stop = threading.Event()

    def run(job: Callable[[], _T]) -> _T:
        _of_this_thread.stop = stop
        return job()

    pool = ThreadPoolExecutor(min(n_workers, len(jobs)), thread_name_prefix="featx-fit")
    try:
        futures = [pool.submit(run, job) for job in jobs]
        results = list(_counted((future.result() for future in futures), len(jobs), progress))
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return results


def _counted(results: Iterable[_T], total: int, progress: Callable[[int, int], None]) -> Iterator[_T]:
    progress(0, total)
    for done, result in enumerate(results, 1):
        progress(done, total)
        yield result


def stop_if_unwanted() -> None:
    """End this thread's job if its result is not wanted any more.

    Raises
    ------
    StoppedError
    """
    stop: Any = getattr(_of_this_thread, "stop", None)
    if stop is not None and stop.is_set():
        raise StoppedError
