"""Connect to a Dask cluster, list its workers, and call a function in one of them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import logging
import tempfile
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from featx.errors import ClusterError, MissingExtraError
from featx.runtime import Runtime

_T = TypeVar("_T")

_CONNECT_SECONDS = 20.0
_SCHEDULER_SECONDS = 30.0
"""Time, in seconds, after which a scheduler that does not answer counts as lost."""

_FETCH_SECONDS = 30.0
"""Time, in seconds, to fetch a result from a worker, without the scheduler."""

_held: dict[str, Cluster] = {}


class WorkerAddress(NamedTuple):
    """A worker of a cluster.

    Parameters
    ----------
    address : str
        Address at which the worker listens; a worker that is started again usually has another one.
    name : str
        Name for messages.
    """

    address: str
    name: str


class LostError(Exception):
    """A worker ended while it computed, or before its result was fetched."""


class Cluster:
    """A connection to the scheduler of a Dask cluster.

    Coroutines run in the thread of the Dask client; all other methods are called from other threads.

    Parameters
    ----------
    address : str
        ``dask://HOST:PORT`` or ``dask://local``.
    n_workers : int
        Number of workers that ``dask://local`` starts.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or the workers cannot be started.
    MissingExtraError
        If Dask is not installed.
    """

    def __init__(self, address: str, n_workers: int) -> None:
        self.address = address
        self._is_direct: dict[str, bool] = {}
        self._local: Any = None
        dask, distributed = _import_dask()
        try:
            if self.is_local:
                self._folder = tempfile.TemporaryDirectory(prefix="featx-dask-", ignore_cleanup_errors=True)
                self._local = distributed.LocalCluster(
                    n_workers=n_workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                    local_directory=self._folder.name,
                )
            self._client = distributed.Client(
                self._local or _dask_address(address, dask.config),
                set_as_default=False,
                timeout=_CONNECT_SECONDS,
            )
        except (OSError, RuntimeError, ValueError) as error:
            self.close()
            raise ClusterError(_not_reached(address, error)) from None

    @property
    def is_local(self) -> bool:
        """Whether the workers run on this machine, started by this process."""
        return self.address == "dask://local"

    @property
    def is_running(self) -> bool:
        """Whether the client is connected to the scheduler."""
        return bool(self._client.status == "running")

    def start(self, coroutine: Coroutine[Any, Any, _T]) -> Any:
        """Start a coroutine in the thread of the client, and return its future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)

    def soon(self, function: Callable[[], object]) -> None:
        """Call a function in the thread of the client."""
        self._client.loop.asyncio_loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Disconnect, and end the workers that this object started."""
        for one in (getattr(self, "_client", None), self._local):
            with contextlib.suppress(Exception):
                if one is not None:
                    one.close(timeout=5)
        if self._local is not None:
            self._folder.cleanup()

    async def workers(self) -> list[WorkerAddress]:
        """Return the present workers.

        Raises
        ------
        ClusterError
            If the scheduler does not answer.
        """
        if self.is_running:
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.CancelledError):
                found = await asyncio.wait_for(self._client.scheduler.identity(), _SCHEDULER_SECONDS)
                return [
                    WorkerAddress(address, _name(address, one))
                    for address, one in found["workers"].items()
                    if one.get("status", "running") in ("running", "paused")
                ]
        raise ClusterError(
            f"the connection to the scheduler at {self.address} is lost; the features computed so far are kept: start "
            "the scheduler and its workers again, and run the same command again"
        )

    def call(self, worker: WorkerAddress, function: Callable[..., Any], *args: Any) -> CallInWorker:
        """Start a function in a worker; only in the thread of the client."""
        future = self._client.submit(
            function,
            *args,
            key=f"featx-{function.__name__}-{uuid.uuid4().hex}",
            workers=[worker.address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        return CallInWorker(self, worker, future)

    async def fetch(self, worker: WorkerAddress, future: Any) -> Any:
        """Return the result of a finished future, or raise its error."""
        from distributed.utils_comm import gather_from_workers

        # Only one result, from the worker itself: a gather of the client waits for all workers, also for hung ones.
        if future.status == "finished" and self._is_direct.get(worker.address, True):
            fetching = gather_from_workers({future.key: [worker.address]}, rpc=self._client.rpc)
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                data, *_ = await asyncio.wait_for(fetching, _FETCH_SECONDS)
                if future.key in data:
                    self._is_direct[worker.address] = True
                    return data[future.key]
            if worker.address in self._is_direct:
                raise LostError
            self._is_direct[worker.address] = False  # this machine cannot reach the worker; the scheduler can
        return await self._client.gather(future, asynchronous=True)


class CallInWorker:
    """A function that runs in a worker.

    Parameters
    ----------
    cluster : Cluster
    worker : WorkerAddress
    future : distributed.Future
    """

    def __init__(self, cluster: Cluster, worker: WorkerAddress, future: Any) -> None:
        self._cluster = cluster
        self._worker = worker
        self._future = future
        self._finished = asyncio.Event()
        loop = asyncio.get_running_loop()

        def finish(_: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._finished.set)

        future.add_done_callback(finish)

    async def finished(self, seconds: float) -> bool:
        """Wait until the function has ended, at most for some seconds; return whether it has ended."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._finished.wait(), seconds)
        return self._finished.is_set()

    async def result(self) -> Any:
        """Return the result of the function, after it has ended.

        Raises
        ------
        LostError
            If the worker has ended.
        Exception
            The error of the function.
        """
        try:
            return await self._cluster.fetch(self._worker, self._future)
        except (TimeoutError, asyncio.CancelledError):
            if self._future.status in ("cancelled", "lost"):
                raise LostError from None
            raise
        except Exception as error:
            if type(error).__name__ in ("KilledWorker", "FutureCancelledError"):
                raise LostError from None
            raise

    def drop(self) -> None:
        """Forget the function and its result; if the function has not begun, it is not run."""
        self._future.release()


def connect(runtime: Runtime) -> Cluster:
    """Return the connection to the cluster of a runtime, which stays open until this process ends.

    Raises
    ------
    ClusterError
        If the scheduler does not answer.
    MissingExtraError
        If Dask is not installed.
    """
    assert runtime.cluster is not None
    known = _held.get(runtime.cluster)
    if known is not None:
        if known.is_running:
            return known
        known.close()
    with runtime.stage(f"connecting to {runtime.cluster}"):
        _held[runtime.cluster] = Cluster(runtime.cluster, runtime.n_workers)
    return _held[runtime.cluster]


def close_all() -> None:
    """Close all connections."""
    while _held:
        _held.popitem()[1].close()
    gc.collect()  # frees the semaphores of local workers, which would be reported as leaked at the end of the process


atexit.register(close_all)


def _import_dask() -> tuple[Any, Any]:
    try:
        import dask

        # Errors are reported as exceptions. The level has no effect if the program has imported distributed before.
        with dask.config.set({"logging.distributed": "critical"}):
            import distributed
    except ImportError:
        raise MissingExtraError("`cluster` needs Dask: pip install 'featx[cluster]'") from None
    return dask, distributed


def _dask_address(address: str, config: Any) -> str:
    """Return the address in the form of Dask; with TLS if the configuration of Dask has certificates for it."""
    is_encrypted = config.get("distributed.comm.require-encryption", None) or config.get(
        "distributed.comm.tls.client.cert", None
    )
    return f"{'tls' if is_encrypted else 'tcp'}://{address.removeprefix('dask://')}"


def _name(address: str, described: Mapping[str, Any]) -> str:
    """Return the name of a worker for messages: the address, and the name that was given to the worker."""
    name = str(described.get("name", ""))
    where = address.partition("://")[2]
    return where if name in ("", address) else f"{name} ({where})"


def _not_reached(address: str, error: Exception) -> str:
    if address == "dask://local":
        return (
            f"no workers can be started on this machine ({error}). In a script, put the code into a function that is "
            "called below `if __name__ == '__main__':`"
        )
    return (
        f"no Dask scheduler answers at {address} ({str(error) or type(error).__name__}); start one with `dask "
        "scheduler` and workers with `dask worker HOST:PORT`, or leave out `cluster`"
    )
