"""Run independent jobs in threads that end before the program does."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Generic, TypeVar

from threadpoolctl import threadpool_limits

_T = TypeVar("_T")
_of_this_thread = threading.local()

Plan = Generator[Sequence[Callable[[], Any]], list[Any], _T]
"""A computation in steps: it yields the independent jobs of its next step, receives their results, and returns its
result. Code between two steps runs in the calling thread and should take little time."""


class StoppedError(Exception):
    """Raised in a thread whose result is no longer needed."""


def in_threads(
    jobs: Sequence[Callable[[], _T]], n_workers: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[_T]:
    """Run jobs in threads and return their results in the order of the jobs; see :func:`run_plans`.

    Parameters
    ----------
    jobs : sequence of callable
    n_workers : int
        Number of threads; with one thread, the jobs run in the calling thread.
    progress : callable
        Called with (jobs done, total jobs), also before the first job.
    """
    return run_plans([partial(_single, job) for job in jobs], n_workers, progress)


def run_plans(
    plans: Sequence[Callable[[], Plan[_T]]],
    n_workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[_T]:
    """Run the jobs of several plans in the same threads, and return the results in the order of the plans.

    A thread that becomes free takes a job of the earliest plan that has a waiting job. The next plan is only started if
    there is none, so that few plans hold data at a time.

    The first error is raised at once: waiting jobs are cancelled, and running jobs stop before their next fit. Python
    waits for these threads before it exits, which it does not do for the threads of joblib. A thread that is in C++
    code when Python exits would abort the process.

    Parameters
    ----------
    plans : sequence of callable
        Each returns a plan.
    n_workers : int
        Number of threads; with one thread, the jobs run in the calling thread, plan by plan.
    progress : callable
        Called with (plans done, total plans), also before the first job.
    """
    if n_workers <= 1:
        return list(_counted((_run_plan(plan()) for plan in plans), len(plans), progress))
    run = _Run(plans, n_workers, progress)
    try:
        results = run.results()
    except BaseException:
        run.stop()
        raise
    run.pool.shutdown()
    return results


class _Run(Generic[_T]):
    """Plans in progress, with their threads."""

    def __init__(
        self, plans: Sequence[Callable[[], Plan[_T]]], n_workers: int, progress: Callable[[int, int], None]
    ) -> None:
        self.pool = ThreadPoolExecutor(n_workers, "featx-fit", _start_thread)
        self._plans, self._n_workers, self._progress = plans, n_workers, progress
        self._stop = threading.Event()
        self._started: dict[int, Plan[_T]] = {}
        self._answers: dict[int, list[Any]] = {}
        self._waiting: list[tuple[int, int, Callable[[], Any]]] = []  # a heap: jobs with the numbers of plan and job
        self._running: dict[Future[Any], tuple[int, int]] = {}
        self._lacking: dict[int, int] = {}
        self._results: dict[int, _T] = {}

    def results(self) -> list[_T]:
        """Run all plans; return their results."""
        n_started, total = 0, len(self._plans)
        self._progress(0, total)
        while len(self._results) < total:
            while not self._waiting and n_started < total and len(self._running) < self._n_workers:
                self._started[n_started] = self._plans[n_started]()
                n_started += 1
                self._advance(n_started - 1, None)
            while self._waiting and len(self._running) < self._n_workers:
                number, place, job = heapq.heappop(self._waiting)
                self._running[self.pool.submit(self._call, job)] = (number, place)
            for future in wait(self._running, return_when=FIRST_COMPLETED).done if self._running else ():
                self._take(*self._running.pop(future), future.result())
        return [self._results[number] for number in range(total)]

    def stop(self) -> None:
        """Cancel waiting jobs; running jobs stop before their next fit."""
        self._stop.set()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, job: Callable[[], Any]) -> Any:
        _of_this_thread.stop = self._stop
        return job()

    def _take(self, number: int, place: int, answer: Any) -> None:
        self._answers[number][place] = answer
        self._lacking[number] -= 1
        if not self._lacking[number]:
            self._advance(number, self._answers.pop(number))

    def _advance(self, number: int, answers: Any) -> None:
        plan = self._started[number]
        try:
            jobs = plan.send(answers)
            while not jobs:
                jobs = plan.send([])
        except StopIteration as end:
            self._results[number] = end.value
            del self._started[number]
            self._progress(len(self._results), len(self._plans))
            return
        self._answers[number], self._lacking[number] = [None] * len(jobs), len(jobs)
        for place, job in enumerate(jobs):
            heapq.heappush(self._waiting, (number, place, job))


def _start_thread() -> None:
    # The limit of quiet_single_threads applies to BLAS in all threads, but to OpenMP only in the thread that sets it.
    threadpool_limits(1, user_api="openmp")


def _run_plan(plan: Plan[_T]) -> _T:
    """Run the jobs of a plan one after the other in the calling thread."""
    answers: Any = None
    while True:
        try:
            jobs = plan.send(answers)
        except StopIteration as end:
            result: _T = end.value
            return result
        answers = [job() for job in jobs]


def _single(job: Callable[[], _T]) -> Plan[_T]:
    (result,) = yield [job]
    return result  # type: ignore[no-any-return]


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
