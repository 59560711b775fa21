"""Training runs in a cache: what they need to go on, and whether they came to their end."""

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
"""Name of the file that says that a run came to its end."""

_LOCK = "lock"
_RUN = re.compile(r"[0-9a-f]{16}")
_WRITTEN = r"last\.npz|best\.npz|done|log\.csv|epoch-\d{1,9}-of-\d{1,9}\.(keras|json)"


@dataclass(frozen=True)
class TrainingRun:
    """The folder of a run.

    Parameters
    ----------
    path : path
    n_bytes : int
        Of all its files.
    mtime : float
        When any of them was written last, in seconds since 1970.
    is_finished : bool
    foreign : tuple of str
        Names in it that featx does not write, and names that featx writes where they are no files.
    """

    path: Path
    n_bytes: int
    mtime: float
    is_finished: bool
    foreign: tuple[str, ...]


def open_run(cache: Path, name: str) -> Path:
    """Make the folder of a run where it is missing, and return it.

    Raises
    ------
    StoreError
        It cannot be made, or something else is there.
    """
    folder = prepare_cache(cache, "training") / name
    try:
        make_cache_folder(folder)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{folder} cannot be made: {error.strerror or error}; choose another `cache`") from None
    return folder


def lock_run(folder: Path, waiting: Callable[[], None] | None) -> contextlib.AbstractContextManager[None]:
    """Hold a run, so that one process at a time trains in its folder; see :func:`featx.store.locked`."""
    return locked(folder / _LOCK, waiting)


def list_runs(cache: Path) -> list[TrainingRun]:
    """Return the training runs of a cache, sorted by path; none if there is no such folder. No link is entered."""
    runs = []
    for folder in entries(cache / "training"):
        if not _is_run(folder):
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # another run deletes too
            states = {path: os.lstat(path) for path in entries(folder)}
            latest = max((state.st_mtime for state in states.values()), default=os.lstat(folder).st_mtime)
            n_bytes = sum(state.st_size for state in states.values() if stat.S_ISREG(state.st_mode))
            own = {path for path, state in states.items() if stat.S_ISREG(state.st_mode) and is_run_file(path.name)}
            foreign = tuple(path.name for path in states if path not in own)
            runs.append(TrainingRun(folder, n_bytes, latest, is_regular(folder / TRAINING_DONE), foreign))
    return runs


def list_strangers(cache: Path) -> list[Path]:
    """Return what lies among the training runs of a cache and is none, sorted."""
    return [path for path in entries(cache / "training") if not _is_run(path)]


def is_run_file(name: str) -> bool:
    """Tell whether a run writes a file of that name into its folder."""
    return name == _LOCK or re.fullmatch(_WRITTEN, name) is not None or is_temporary(name, _WRITTEN)


def delete_networks(folder: Path) -> None:
    """Delete what a run wrote at its end, for it to go on or to begin anew.

    Raises
    ------
    StoreError
        Something cannot be deleted.
    """
    for path in entries(folder):
        if path.name == TRAINING_DONE or (path.suffix == ".keras" and is_run_file(path.name)):
            delete(path)


def delete_run(run: TrainingRun) -> None:
    """Delete the folder of a run file by file; whoever trains there begins anew.

    Raises
    ------
    StoreError
        Another process holds it, or it holds something that featx did not write.
    """
    with lock_run(run.path, None):
        for path in entries(run.path):
            if path.name != _LOCK and is_run_file(path.name):
                delete(path)
    delete(run.path / _LOCK)  # Windows deletes no file that is open
    try:
        run.path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{run.path} cannot be deleted: {error.strerror or error}") from None


def _is_run(folder: Path) -> bool:
    return _RUN.fullmatch(folder.name) is not None and is_real_folder(folder)
