"""Training runs in a cache: what they need to go on, and whether they came to their end."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

TRAINING_DONE = "done"
"""Name of the file that says that a run came to its end."""


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
    """

    path: Path
    n_bytes: int
    mtime: float
    is_finished: bool


def list_runs(cache: Path) -> list[TrainingRun]:
    """Return the training runs of a cache, sorted by path; none if there is no such folder."""
    runs = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for folder in sorted((cache / "training").iterdir()):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # another run deletes too
                states = [path.stat() for path in folder.iterdir()]
                latest = max((state.st_mtime for state in states), default=folder.stat().st_mtime)
                n_bytes = sum(state.st_size for state in states)
                runs.append(TrainingRun(folder, n_bytes, latest, (folder / TRAINING_DONE).exists()))
    return runs


def delete_run(run: TrainingRun) -> None:
    """Delete the folder of a run; whoever trains there begins anew."""
    shutil.rmtree(run.path, ignore_errors=True)
