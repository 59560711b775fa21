"""Create, lock, list and delete the folders of training runs in a cache."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featx.errors import StoreError
from featx.files import is_real_folder, is_regular
from featx.store.files import delete, entries, is_temporary, locked, make_cache_folder, prepare_cache

TRAINING_DONE = "done"
"""Name of the file that marks a finished run."""

_LOCK = "lock"
_RUN = re.compile(r"[0-9a-f]{16}")
_WRITTEN = r"last\.npz|best\.npz|done|log\.csv|epoch-\d{1,9}-of-\d{1,9}\.(keras|json)"


@dataclass(frozen=True)
class TrainingRun:
    """The folder of a training run.

    Parameters
    ----------
    path : path
    n_bytes : int
        Total size of the regular files in the folder.
    mtime : float
        Time of the last write to a file in the folder, in seconds since 1970.
    is_finished : bool
        Whether the folder contains the file that marks a finished run.
    foreign : tuple of str
        Names of entries that featx did not write: unknown names, and entries with the name of a featx file that are
        not regular files.
    """

    path: Path
    n_bytes: int
    mtime: float
    is_finished: bool
    foreign: tuple[str, ...]


def open_run(cache: Path, name: str) -> Path:
    """Create the folder of a run if it does not exist, and return the folder.

    Raises
    ------
    StoreError
        If the folder cannot be created, or if a file or a link exists at the path.
    """
    folder = prepare_cache(cache, "training") / name
    try:
        make_cache_folder(folder)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{folder} cannot be created: {error.strerror or error}; choose another `cache`") from None
    return folder


def lock_run(folder: Path, waiting: Callable[[], None] | None) -> contextlib.AbstractContextManager[None]:
    """Lock a run, so that only one process at a time writes to its folder; see :func:`featx.store.files.locked`."""
    return locked(folder / _LOCK, waiting)


def list_runs(cache: Path) -> list[TrainingRun]:
    """Return the training runs of a cache, sorted by path; links are not followed."""
    runs = []
    for folder in entries(cache / "training"):
        if not _is_run(folder):
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # another process may have deleted it
            states = {path: os.lstat(path) for path in entries(folder)}
            latest = max((state.st_mtime for state in states.values()), default=os.lstat(folder).st_mtime)
            n_bytes = sum(state.st_size for state in states.values() if stat.S_ISREG(state.st_mode))
            own = {path for path, state in states.items() if stat.S_ISREG(state.st_mode) and is_run_file(path.name)}
            foreign = tuple(path.name for path in states if path not in own)
            runs.append(TrainingRun(folder, n_bytes, latest, is_regular(folder / TRAINING_DONE), foreign))
    return runs


def list_foreign(cache: Path) -> list[Path]:
    """Return the paths in the folder ``training`` that do not belong to a training run, sorted."""
    return [path for path in entries(cache / "training") if not _is_run(path)]


def is_run_file(name: str) -> bool:
    """Return whether a training run writes files with this name."""
    return name == _LOCK or re.fullmatch(_WRITTEN, name) is not None or is_temporary(name, _WRITTEN)


def delete_networks(folder: Path) -> None:
    """Delete the networks and the mark that a finished run wrote; called before the run is continued or restarted.

    Raises
    ------
    StoreError
        If a file cannot be deleted.
    """
    for path in entries(folder):
        if path.name == TRAINING_DONE or (path.suffix == ".keras" and is_run_file(path.name)):
            delete(path)


def delete_run(run: TrainingRun) -> None:
    """Delete the files of a run one by one, then the folder.

    If the same training is requested later, it starts from the beginning.

    Raises
    ------
    StoreError
        If another process has locked the run, the folder contains entries that featx did not write, or a file or the
        folder cannot be deleted.
    """
    with lock_run(run.path, None):
        for path in entries(run.path):
            if path.name != _LOCK and is_run_file(path.name):
                delete(path)
    delete(run.path / _LOCK)  # after the lock is released: Windows cannot delete an open file
    try:
        run.path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"{run.path} cannot be deleted: {error.strerror or error}; remove any files that featx did not write, or "
            "keep the folder"
        ) from None


def _is_run(folder: Path) -> bool:
    return _RUN.fullmatch(folder.name) is not None and is_real_folder(folder)
