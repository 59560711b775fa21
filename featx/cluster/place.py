"""The worker that runs the present function."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WorkerPlace:
    """What a worker may use.

    Parameters
    ----------
    n_threads : int
        Number of threads of the worker, which is the number of CPU cores that it uses.
    folder : path
        Folder of the worker for temporary files, which Dask deletes when the worker ends.
    """

    n_threads: int
    folder: Path


def this_worker() -> WorkerPlace:
    """Return the worker that runs the calling function."""
    from distributed import get_worker

    worker = get_worker()
    return WorkerPlace(worker.state.nthreads, Path(worker.local_directory))
