"""Threads that hand jobs to reader processes, replace processes that end, and name the image that caused it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from featx.errors import ReaderError
from featx.readers.job import Job, Wanted
from featx.readers.messages import SlotLayout
from featx.readers.process import ReaderProcess, Watchdog
from featx.readers.team import Team
from featx.readers.worker import NEXT_RUN

_END_SECONDS = 2.0


class Run:
    """Threads that hand the jobs of one call of :meth:`ReaderPool.read` to the processes of a team.

    Parameters
    ----------
    team : Team
    settings : dict
        Task and memory limit, as plain values.
    layout : SlotLayout
    wanted : Wanted
    n_threads : int
        Maximum number of threads, and thus of processes at work.

    Raises
    ------
    ReaderError
        If no thread can be started, or there is not enough memory.
    """

    def __init__(
        self, team: Team, settings: dict[str, Any], layout: SlotLayout, wanted: Wanted, n_threads: int
    ) -> None:
        self._team = team
        self._wanted = wanted
        self._n_threads = n_threads
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._one_at_a_time = threading.Lock()
        self._is_abandoned = False
        self._watchdog: Watchdog | None = None
        try:
            team.memory.grow(layout.size)
        except OSError as error:
            raise ReaderError(
                f"no memory for decoded images ({layout.size / 1e6:,.0f} MB): {error.strerror or error}; use fewer "
                "`workers`"
            ) from None
        self._settings = {
            **settings,
            "memory": (team.memory.key, team.memory.size),
            "layout": (layout.pixel_bytes, layout.n_images, layout.n_slots),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_abandoned = True
        if self._watchdog is not None:
            self._watchdog.stop()
        with contextlib.suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()
        for _ in self._threads:
            self._jobs.put(None)
        self._team.stop_busy()
        for thread in self._threads:
            thread.join(_END_SECONDS)

    def submit(self, job: Job) -> None:
        """Add a job; start a further thread if there are fewer than intended."""
        self._jobs.put(job)
        if len(self._threads) >= self._n_threads:
            return
        thread = threading.Thread(target=self._drive, args=(len(self._threads),), name="featx-read", daemon=True)
        try:
            if self._watchdog is None:
                self._watchdog = Watchdog(self._team.present)
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise ReaderError(f"no thread can be started to read images: {error}") from None
            self._n_threads = len(self._threads)
        else:
            self._threads.append(thread)

    def _drive(self, cell: int) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                large = self._do(cell, job, job.numbers, is_large=False)
                if large:
                    with self._one_at_a_time:
                        self._do(cell, job, large, is_large=True)
            except BaseException as error:  # raised by the thread that waits for the job
                job.finish(error)
            else:
                job.finish()

    def _do(self, cell: int, job: Job, numbers: list[int], is_large: bool) -> list[int]:
        """Read images, with a new process whenever a process ends; return the numbers of large images."""
        deaths: Counter[int | None] = Counter()
        while numbers:
            with self._team.lent_process(cell) as process:
                self._stop_if_abandoned()
                try:
                    return self._talk(process, job, numbers, is_large)
                except (OSError, EOFError):
                    self._stop_if_abandoned()
                number, reason = process.number_in_progress(), process.reason()
            deaths[number] += 1
            if number is None:
                if deaths[number] > 1:
                    raise ReaderError(
                        f"the reader processes end before they read an image ({process.ended}); check the limits of "
                        "the system for processes, memory and open files, and run the same command again"
                    )
                continue
            numbers.remove(number)
            if reason or deaths[number] > 1:
                job.skip(number, reason or f"the reader process was stopped from outside; {NEXT_RUN}", not reason)
            else:
                numbers.insert(0, number)  # a new process begins with the image in question
        return []

    def _talk(self, process: ReaderProcess, job: Job, numbers: Sequence[int], is_large: bool) -> list[int]:
        process.send({**self._settings, **job.message(numbers), "is_large": is_large})
        while True:
            reply = process.receive()
            if "read" not in reply:
                break
            process.send(self._wanted.choose(job.put_read(reply["read"])))
        job.put_done(reply["done"])
        postponed: list[int] = reply["postponed"]
        return postponed

    def _stop_if_abandoned(self) -> None:
        if self._is_abandoned:
            raise ReaderError(f"the run was stopped; {NEXT_RUN}")
