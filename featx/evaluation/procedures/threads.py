"""Run independent jobs in threads that end before the program does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")
_of_this_thread = threading.local()


class StoppedError(Exception):
    """Raised in a thread whose result is no longer needed."""


def in_threads(
    jobs: Sequence[Callable[[], _T]], n_workers: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[_T]:
    """Run jobs in threads and return their results in the order of the jobs.

    The first error is raised at once: waiting jobs are cancelled, and running jobs stop before their next fit. Python
    waits for these threads before it exits, which it does not do for the threads of joblib. A thread that is in C++
    code when Python exits would abort the process.

    Parameters
    ----------
    jobs : sequence of callable
    n_workers : int
        Number of threads; with one thread, the jobs run in the calling thread.
    progress : callable
        Called with (jobs done, total jobs), also before the first job.
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
    """Raise an error in the current thread if the result of its job is no longer needed.

    Raises
    ------
    StoppedError
        If another job of the same :func:`in_threads` call failed, or the call was interrupted.
    """
    stop: Any = getattr(_of_this_thread, "stop", None)
    if stop is not None and stop.is_set():
        raise StoppedError
