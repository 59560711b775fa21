"""Distribute items over workers in chunks; chunks of workers that end, hang or are refused go to other workers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import queue
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, NamedTuple, Protocol

from featx.cluster.connection import Cluster, LostError, WorkerAddress
from featx.errors import ClusterError

_IN_FLIGHT = 2
"""Number of chunks that a worker has at a time: one is computed, the next one waits."""

_CHUNK_SECONDS = 4.0
"""Intended time for a chunk, in seconds."""

_FIRST_ITEMS = 64
_FEWEST_ITEMS = 16
_POLL_SECONDS = 0.25
_DEADLINE_SECONDS = 10.0
_DEADLINE_FACTOR = 5.0
"""A chunk is given to another worker after 10 s plus 5 times the time that is expected from the measured times."""

_UNKNOWN_SECONDS = 300.0
"""Deadline of the first chunk, in seconds, when no time is measured yet, and time for the proof of a worker."""

_ONE_ITEM_SECONDS = 200.0
"""Minimum deadline of a single item, in seconds; readers limit the time for an image themselves."""

_PATIENCE_GROWTH = 4
"""Factor of the deadline of a chunk that has exceeded its deadline."""

_FETCH_SECONDS = 60.0
_MOST_ENDED = 3
"""A chunk that ended this number of workers is divided into single items."""

_MOST_LOST = 5
"""From this number on, each time that the result of a chunk cannot be fetched counts as the end of a worker."""

_MOST_ENDED_BY_ITEM = 2
"""A single item that ended this number of workers is reported as failed."""

_MOST_FAILED = 3
"""A worker that failed to compute this number of chunks one after another is not used any more."""

_PATIENCE_SECONDS = 60.0
"""Time, in seconds, to wait for a worker if there is none."""

_REFUSED_SECONDS = 5.0
"""Time, in seconds, to wait for another worker if all workers are refused."""


class Call(Protocol):
    """Calls a function in a worker and returns its result."""

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return the result of the function, or raise its error."""
        ...


class Work(Protocol):
    """Items to compute in workers; the methods run in the thread of the Dask client."""

    @property
    def n_items(self) -> int:
        """Number of items."""
        ...

    @property
    def largest(self) -> int:
        """Maximum number of items of a chunk."""
        ...

    async def admit(self, name: str, call: Call) -> str:
        """Prepare a worker before its first chunk; return the reason why it cannot be used, or an empty text."""
        ...

    def call(self, start: int, stop: int) -> tuple[Callable[..., Any], Sequence[Any]]:
        """Return the function that computes a chunk, and its arguments."""
        ...

    def check(self, start: int, stop: int, result: Any) -> str:
        """Return the reason why the worker that computed a result cannot be used; empty if the result is valid."""
        ...


class Done(NamedTuple):
    """Result of the items from ``start`` to ``stop`` - 1."""

    start: int
    stop: int
    result: Any


class Failed(NamedTuple):
    """An item that no worker could compute, and the reason."""

    at: int
    reason: str


class Joined(NamedTuple):
    """The number of workers that compute, after it changed."""

    n_workers: int


Event = Done | Failed | Joined


def distribute(work: Work, cluster: Cluster, notice: Callable[[str], None]) -> Generator[Event, None, None]:
    """Yield the results of chunks of items in the order in which they arrive; each item is in exactly one result.

    Parameters
    ----------
    work : Work
    cluster : Cluster
    notice : callable
        Called with one line of text when a worker is refused.

    Raises
    ------
    ClusterError
        If the scheduler is lost, or no worker is left. The message names each worker and the reason.
    """
    if not work.n_items:
        return
    events: queue.SimpleQueue[Event | str | None] = queue.SimpleQueue()
    distribution = _Distribution(work, cluster, events)
    running = cluster.start(distribution.run())
    try:
        while (event := events.get()) is not None:
            if isinstance(event, str):
                notice(event)
                continue
            yield event
            if isinstance(event, Done):
                cluster.soon(distribution.release)
        running.result()
    finally:
        running.cancel()


class _Part:
    """Consecutive items that are computed together."""

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.n_ended = 0
        self.n_late = 0
        self.n_lost = 0

    def __len__(self) -> int:
        return self.stop - self.start


class _Worker:
    """A worker, its chunks in flight, and its speed."""

    def __init__(self, address: WorkerAddress) -> None:
        self.address = address
        self.is_admitted = False
        self.is_gone = False
        self.refusal = ""
        self.parts: deque[_Part] = deque()
        self.suspect: _Part | None = None
        self.seconds: float | None = None
        self.last_done = 0.0
        self.n_late = 0
        self.n_failed = 0

    @property
    def is_over(self) -> bool:
        """Whether the worker ended or was refused."""
        return self.is_gone or bool(self.refusal)

    @property
    def is_usable(self) -> bool:
        """Whether the worker computes chunks within their deadlines."""
        return self.is_admitted and not self.is_over and self.n_late < _IN_FLIGHT

    def measure(self, seconds: float, n: int) -> None:
        """Record the time of a chunk."""
        each = seconds / n
        self.seconds = each if self.seconds is None else (self.seconds + each) / 2
        self.last_done = time.monotonic()
        self.n_failed = 0


class _Distribution:
    """Distribution of the items of one call of :func:`distribute`; runs in the thread of the Dask client."""

    def __init__(self, work: Work, cluster: Cluster, events: queue.SimpleQueue[Event | str | None]) -> None:
        self._work = work
        self._cluster = cluster
        self._events = events
        self._position = 0
        self._n_open = work.n_items
        self._again: deque[_Part] = deque()
        self._workers: dict[WorkerAddress, _Worker] = {}
        self._refused: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._error: BaseException | None = None
        self._n_waiting = 0
        self._n_joined = 0

    async def run(self) -> None:
        """Distribute all items."""
        try:
            self._spawn(self._watch())
            await self._over.wait()
            if self._error is not None:
                raise self._error
        finally:
            for task in list(self._tasks):
                task.cancel()
            self._events.put(None)

    def release(self) -> None:
        """Record that the consumer has processed a result."""
        self._n_waiting -= 1

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._error = self._error or task.exception()
            self._over.set()

    async def _watch(self) -> None:
        """Admit workers that join, notice workers that end, and stop if there is none."""
        usable_at = time.monotonic()
        while not self._over.is_set():
            present = set(await self._cluster.workers())
            for address in present - set(self._workers):
                self._workers[address] = _Worker(address)
                self._spawn(self._serve(self._workers[address]))
            for address in set(self._workers) - present:
                gone = self._workers.pop(address)
                gone.is_gone = True
                gone.suspect = next(iter(gone.parts), None)
            self._report_workers()
            if any(one.is_usable or not (one.is_admitted or one.is_over) for one in self._workers.values()):
                usable_at = time.monotonic()
            self._stop_without_workers(time.monotonic() - usable_at)
            await asyncio.sleep(_POLL_SECONDS)

    def _report_workers(self) -> None:
        n_usable = sum(one.is_usable for one in self._workers.values())
        if n_usable != self._n_joined:
            self._n_joined = n_usable
            self._events.put(Joined(n_usable))

    def _stop_without_workers(self, seconds: float) -> None:
        is_refused = bool(self._workers) and all(one.refusal for one in self._workers.values())
        if seconds < (_REFUSED_SECONDS if is_refused else _PATIENCE_SECONDS):
            return
        reasons = {one.address.name: "it does not answer" for one in self._workers.values() if not one.refusal}
        reasons |= self._refused
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "the scheduler has no worker"
        raise ClusterError(
            f"no worker of {self._cluster.address} computes the features ({why}). The features computed so far are "
            "kept: start workers with `dask worker`, and run the same command again"
        )

    async def _serve(self, worker: _Worker) -> None:
        """Admit a worker, and give it chunks until no item is left."""
        reason = ""
        try:
            async with asyncio.timeout(_UNKNOWN_SECONDS):
                reason = await self._work.admit(worker.address.name, self._caller(worker))
        except LostError:
            return
        except TimeoutError:
            reason = f"it did not answer for {_UNKNOWN_SECONDS:g} s"
        except Exception as error:
            reason = _reason(error)
        if reason:
            self._refuse(worker, reason)
            return
        worker.is_admitted = True
        self._report_workers()
        for _ in range(_IN_FLIGHT):
            self._spawn(self._give_parts(worker))

    def _caller(self, worker: _Worker) -> Call:
        async def call(function: Callable[..., Any], *args: Any) -> Any:
            begun = self._cluster.call(worker.address, function, *args)
            try:
                while not await begun.finished(_POLL_SECONDS):
                    if worker.is_gone:
                        raise LostError
                return await begun.result()
            finally:
                begun.drop()

        return call

    def _refuse(self, worker: _Worker, reason: str) -> None:
        if not worker.is_over:
            worker.refusal = self._refused[worker.address.name] = reason
            self._events.put(f"warning: the worker {worker.address.name} is not used: {reason}")

    async def _give_parts(self, worker: _Worker) -> None:
        while not worker.is_over:
            part = self._next(worker) if self._n_waiting <= len(self._workers) else None
            if part is None:
                await asyncio.sleep(_POLL_SECONDS / 10)
            else:
                await self._compute(worker, part)

    def _next(self, worker: _Worker) -> _Part | None:
        """Return the next chunk for a worker; None if there is none at present."""
        if self._again:
            return self._again.popleft()
        rest = self._work.n_items - self._position
        if not rest:
            return None
        # Towards the end, chunks become smaller, so that all workers end at about the same time.
        fair = -(-rest // (2 * _IN_FLIGHT * max(1, self._n_joined)))
        n = _FIRST_ITEMS if worker.seconds is None else int(_CHUNK_SECONDS / max(worker.seconds, 1e-9))
        n = min(self._work.largest, max(_FEWEST_ITEMS, min(n, fair)), rest)
        self._position += n
        return _Part(self._position - n, self._position)

    async def _compute(self, worker: _Worker, part: _Part) -> None:
        """Let a worker compute a chunk."""
        function, args = self._work.call(part.start, part.stop)
        begun = time.monotonic()
        running = self._cluster.call(worker.address, function, *args)
        worker.parts.append(part)
        is_late = False
        try:
            while not await running.finished(_POLL_SECONDS):
                if worker.is_over:
                    if not is_late:
                        self._put_back(part, "the worker ended", worker.suspect is part)
                    return
                seconds = time.monotonic() - max(begun, worker.last_done)
                if not is_late and seconds > self._deadline(worker, part):
                    is_late = True
                    worker.n_late += 1
                    part.n_late += 1
                    self._put_back(part, f"the worker did not return it within {seconds:,.0f} s", True)
            worker.parts.remove(part)
            if not is_late:
                await self._take(worker, part, running.result(), begun)
            else:
                worker.last_done = time.monotonic()
        finally:
            worker.n_late -= is_late
            if part in worker.parts:
                worker.parts.remove(part)
            running.drop()

    async def _take(self, worker: _Worker, part: _Part, fetching: Coroutine[Any, Any, Any], begun: float) -> None:
        """Fetch the result of a chunk, and pass it on."""
        try:
            result = await self._fetched(worker, fetching)
        except (LostError, TimeoutError):  # after it was computed, so that it did not end the worker
            part.n_lost += 1
            self._put_back(part, "its result could not be fetched", part.n_lost >= _MOST_LOST)
            return
        except Exception as error:
            worker.n_failed += 1
            is_full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            self._put_back(part, _reason(error), not is_full)
            if is_full or worker.n_failed >= _MOST_FAILED:
                self._refuse(worker, _reason(error))
            return
        reason = self._work.check(part.start, part.stop, result)
        if reason:
            self._put_back(part, reason, False)
            self._refuse(worker, reason)
            return
        worker.measure(time.monotonic() - max(begun, worker.last_done), len(part))
        self._n_waiting += 1
        self._pass_on(Done(part.start, part.stop, result), len(part))

    async def _fetched(self, worker: _Worker, fetching: Coroutine[Any, Any, Any]) -> Any:
        """Return a result of a worker, or stop to wait for it when the worker has ended."""
        task = asyncio.get_running_loop().create_task(fetching)
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                while not (await asyncio.wait({task}, timeout=_POLL_SECONDS))[0]:
                    if worker.is_gone:
                        raise LostError
            return task.result()
        finally:
            task.cancel()

    def _pass_on(self, event: Event, n: int) -> None:
        self._events.put(event)
        self._n_open -= n
        if not self._n_open:
            self._over.set()

    def _deadline(self, worker: _Worker, part: _Part) -> float:
        """Return the time, in seconds, after which a chunk is given to another worker."""
        known = [one.seconds for one in self._workers.values() if one.seconds is not None]
        if not known:
            return _UNKNOWN_SECONDS
        each = max(known) if worker.seconds is None else worker.seconds
        seconds = (_DEADLINE_SECONDS + _DEADLINE_FACTOR * each * len(part)) * float(_PATIENCE_GROWTH**part.n_late)
        return max(seconds, _ONE_ITEM_SECONDS) if len(part) == 1 else seconds

    def _put_back(self, part: _Part, reason: str, is_cause: bool) -> None:
        """Let another worker compute a chunk; divide it, or report it as failed, if it has ended several workers."""
        again = _Part(part.start, part.stop)
        again.n_ended = part.n_ended + is_cause
        again.n_late, again.n_lost = part.n_late, part.n_lost
        if len(again) == 1 and again.n_ended >= _MOST_ENDED_BY_ITEM:
            what = f"{again.n_ended} workers of the cluster could not compute its features ({reason})"
            self._pass_on(Failed(again.start, what), 1)
        elif len(again) > 1 and again.n_ended >= _MOST_ENDED:
            self._again.extend(_Part(at, at + 1) for at in range(again.start, again.stop))
        else:
            self._again.append(again)


def call_in_all(cluster: Cluster, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Call a function in all present workers; return the result of each by name, without workers that fail.

    Raises
    ------
    ClusterError
        If the scheduler is lost, or has no worker.
    """

    async def ask(worker: WorkerAddress) -> Any:
        running = cluster.call(worker, function, *args)
        try:
            if await running.finished(_PATIENCE_SECONDS):
                return await running.result()
        finally:
            running.drop()
        raise LostError

    async def ask_all() -> dict[str, Any]:
        begun = time.monotonic()
        while not (workers := await cluster.workers()):
            if time.monotonic() - begun > _PATIENCE_SECONDS:
                raise ClusterError(
                    f"the scheduler at {cluster.address} has had no worker for {_PATIENCE_SECONDS:g} s; start workers "
                    "with `dask worker`"
                )
            await asyncio.sleep(_POLL_SECONDS)
        replies = await asyncio.gather(*map(ask, workers), return_exceptions=True)
        pairs = zip(workers, replies, strict=True)
        return {worker.name: reply for worker, reply in pairs if not isinstance(reply, BaseException)}

    running = cluster.start(ask_all())
    with contextlib.ExitStack() as stack:
        stack.callback(running.cancel)
        found: dict[str, Any] = running.result()
    return found


def _reason(error: Exception) -> str:
    """Return the reason why a worker failed, in words."""
    if isinstance(error, ImportError | AttributeError):
        return f"this version of featx cannot run there ({error})"
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror}"
    return str(error) or type(error).__name__
