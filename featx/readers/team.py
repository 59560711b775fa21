"""Reader processes and their shared memory, which successive pools use."""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator

from featx.errors import ReaderError
from featx.readers.memory import SharedMemory
from featx.readers.messages import SlotLayout
from featx.readers.process import ReaderProcess

_CLOUD = ("AWS_", "AZURE_", "FSSPEC_", "GCSFS_", "GOOGLE_", "STORAGE_")
"""First part of the names of environment variables with credentials and options of object storage."""

_spare: list[Team] = []
_spare_lock = threading.Lock()


class Team:
    """Reader processes and their shared memory.

    Parameters
    ----------
    seconds : float
        Maximum CPU time for one image, in seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.memory = SharedMemory(SlotLayout(0, 0, 0).size)
        self.owner = os.getpid()
        self.credentials = _credentials()
        self._processes: dict[int, ReaderProcess] = {}
        self._lock = threading.Lock()
        self._in_use: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def present(self) -> list[ReaderProcess]:
        """Return the present processes."""
        with self._lock:
            return list(self._processes.values())

    def process(self, cell: int) -> ReaderProcess:
        """Return the process of a cell; start it if there is none.

        Raises
        ------
        OSError
            If the process cannot be started.
        """
        with self._lock:
            process = self._processes.get(cell)
            if process is None or not process.is_running:
                if process is not None:
                    del self._processes[cell]
                    process.close()
                process = self._processes[cell] = ReaderProcess(self.memory, cell, self.seconds)
        return process

    @contextlib.contextmanager
    def lent_process(self, cell: int) -> Iterator[ReaderProcess]:
        """Provide the process of a cell; if it cannot be started, wait for the process of another cell.

        Raises
        ------
        ReaderError
            If there is no process at all.
        """
        with self._in_use[cell]:
            try:
                process = self.process(cell)
            except OSError as error:
                reason = str(error.strerror or error)
            else:
                with process.busy():
                    yield process
                return
        with self._lock:
            others = [other for other, process in self._processes.items() if process.is_running]
        if not others:
            raise ReaderError(
                f"no process can be started to read images: {reason}; use fewer `workers`, or raise the limits of "
                "the system"
            )
        with self._in_use[others[0]]:
            process = self.process(others[0])
            with process.busy():
                yield process

    def stop_busy(self) -> None:
        """End the processes that are busy."""
        for process in self.present():
            if process.is_busy:
                process.kill()

    def release_memory(self) -> None:
        """Free the memory of the pixels where the system can do so without invalidating arrays."""
        if sys.platform == "linux" and self.memory.size > mmap.PAGESIZE:
            with contextlib.suppress(OSError):
                start = mmap.PAGESIZE
                self.memory.content.madvise(mmap.MADV_REMOVE, start, self.memory.size - start)

    def close(self) -> None:
        """End all processes."""
        for process in self.present():
            process.close()
        self.memory.close()


def take_team(seconds: float) -> Team:
    """Return the team that the last pool left, or a new one, with the present credentials of object storage."""
    with _spare_lock:
        while _spare:
            team = _spare.pop()
            if team.owner == os.getpid():  # otherwise this process was forked, and the processes belong to its parent
                if (team.seconds, team.credentials) == (seconds, _credentials()):
                    return team
                team.close()
    return Team(seconds)


def give_back(team: Team) -> None:
    """Keep a team for the next pool, or end it if another team is already kept."""
    team.release_memory()
    with _spare_lock:
        if not _spare:
            _spare.append(team)
            return
    team.close()


def _credentials() -> dict[str, str]:
    """Return the environment variables of object storage, which processes have since they were started."""
    return {name: value for name, value in os.environ.items() if name.startswith(_CLOUD)}


def close_spare() -> None:
    """End the processes that wait for the next pool."""
    while _spare:
        team = _spare.pop()
        if team.owner == os.getpid():
            team.close()


atexit.register(close_spare)
