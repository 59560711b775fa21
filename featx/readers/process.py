"""One reader process, as seen from its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from featx.children import start_child
from featx.readers.memory import SharedMemory
from featx.readers.messages import read_progress, receive, send, write_progress
from featx.readers.worker import SHORT_OF_MEMORY

_COUNTS_CPU_TIME = sys.platform != "win32"
_STOPPED_SECONDS = 10.0
"""Time, in seconds, after which a suspended reader is replaced."""

_STUCK_SECONDS = 900.0
"""Time, in seconds, after which a reader that makes no progress and uses no CPU time is replaced."""

_END_SECONDS = 1.0
_CRASHES = {
    -getattr(signal, name) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL") if hasattr(signal, name)
}
_TOO_LONG = -signal.SIGXCPU if hasattr(signal, "SIGXCPU") else None


class ReaderProcess:
    """A child process that does one job at a time.

    Parameters
    ----------
    memory : SharedMemory
        Memory for the pixels and the progress.
    cell : int
        Cell of this reader for its progress.
    seconds : float
        Maximum CPU time for one image, in seconds; on Windows, wall time.

    Raises
    ------
    OSError
        If the process cannot be started.
    """

    def __init__(self, memory: SharedMemory, cell: int, seconds: float) -> None:
        self._memory = memory
        self._cell = cell
        self._seconds = seconds
        self._is_late = False
        self._seen: Any = None
        self._unchanged = self._suspended = 0.0
        self.is_busy = False
        write_progress(memory.content, cell, 0, 0)
        inherited = [] if memory.descriptor is None else [memory.descriptor]
        self._process: subprocess.Popen[bytes] = start_child(
            "featx.readers.worker", "serve", str(cell), str(seconds), inherited=inherited
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Send a message.

        Raises
        ------
        OSError
            If the process has ended.
        """
        assert self._process.stdin is not None
        send(self._process.stdin, message)

    def receive(self) -> Any:
        """Wait for a message.

        Raises
        ------
        EOFError
            If the process has ended.
        """
        assert self._process.stdout is not None
        return receive(self._process.stdout)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Mark the process as busy in this context; only busy processes are watched."""
        self.is_busy = True
        try:
            yield
        finally:
            self.is_busy = False

    def kill(self) -> None:
        """End the process; a thread that waits for a message raises an error."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def watch(self, seconds: float) -> None:
        """Kill the process if it is busy and stuck; called every ``seconds`` by one thread.

        Time is counted in calls of this method, so that a suspension of this process itself does not count.
        """
        progress = read_progress(self._memory.content, self._cell)
        if not self.is_busy or progress != self._seen:
            self._seen, self._unchanged, self._suspended = progress, 0.0, 0.0
            return
        self._unchanged += seconds
        self._suspended = self._suspended + seconds if _is_suspended(self.pid) else 0.0
        patience = max(_STUCK_SECONDS, 2 * self._seconds) if _COUNTS_CPU_TIME else self._seconds
        if self._unchanged >= patience:
            self._is_late = True
        if self._is_late or self._suspended >= _STOPPED_SECONDS:
            self.kill()

    def reason(self) -> str:
        """Return why the image in progress is skipped, after the process has ended.

        The reason is empty if the image is not the cause. An exceeded time limit is a defect of the image. A crash is a
        defect of the image only if the process has decoded no other image before.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):  # pipes close shortly before the exit code is set
            self._process.wait(_END_SECONDS)
        code = self._process.returncode
        if code == _TOO_LONG or (self._is_late and not _COUNTS_CPU_TIME):
            return f"decoding takes more than {self._seconds:g} s"
        if code in _CRASHES and read_progress(self._memory.content, self._cell)[1] == 1:
            return "the decoder crashed on this image"
        return ""

    @property
    def ended(self) -> str:
        """How the process ended, for messages."""
        code = self._process.returncode
        return "not enough memory" if code == SHORT_OF_MEMORY else f"exit code {code}"

    def number_in_progress(self) -> int | None:
        """Return the number of the image that the process is reading or decoding; None if there is none."""
        number = read_progress(self._memory.content, self._cell)[0]
        return number - 1 if number else None

    def close(self) -> None:
        """End the process and close its pipes."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)


class Watchdog:
    """Thread that calls :meth:`ReaderProcess.watch` of all processes once per second.

    Parameters
    ----------
    processes : callable
        Returns the present processes.
    """

    _SECONDS = 1.0

    def __init__(self, processes: Callable[[], Sequence[ReaderProcess]]) -> None:
        self._processes = processes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="featx-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(self._SECONDS):
            for process in self._processes():
                process.watch(self._SECONDS)

    def stop(self) -> None:
        """End the thread."""
        self._end.set()


def _is_suspended(pid: int) -> bool:
    """Return whether a process is suspended by a signal; False where this is unknown."""
    if os.name == "nt":
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return False
