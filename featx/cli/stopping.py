"""End a command that is asked to stop: within two seconds, whatever runs, and without a trace.

The first signal raises KeyboardInterrupt, as a Ctrl-C does. Where native code keeps Python from seeing that, or threads
from ending, a thread ends the process; and where native code keeps even threads from running, a process that was
started beforehand does. The cache is safe against both.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

STOPPED = "stopped; what was computed is kept: run the same command to go on"

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_PATIENCE_SECONDS = 1.4
_LAST_SECONDS = 1.8
_WATCHER = """
import os, select, signal, sys, time
ends = bytes(map(int, sys.argv[4:]))
while (number := os.read(0, 1)) and number not in ends:
    pass
if number:
    try:
        os.write(1, number)
    except OSError:  # the process has ended
        sys.exit()
    end = time.monotonic() + float(sys.argv[1])
    while (left := end - time.monotonic()) > 0:
        if select.select([0], [], [], left)[0] and not os.read(0, 64):
            sys.exit()
    if os.getppid() == int(sys.argv[2]):
        os.write(2, sys.argv[3].encode())
        os.kill(int(sys.argv[2]), signal.SIGKILL)
"""
"""Echoes the number of a signal, which sets off the thread; kills the process if that has not ended it."""


class _State:
    asked = False
    told = False
    is_watched = False
    code: int | None = None
    stderr = 2
    kept: ClassVar[list[Any]] = []


def listen() -> None:
    """Let the signals that ask a process to stop raise KeyboardInterrupt, the first one alone."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop)
    sys.unraisablehook = _quiet(sys.unraisablehook)
    threading.excepthook = _quiet(threading.excepthook)


def watch() -> None:
    """Make sure from now on that a signal ends this process, whatever runs."""
    if _stop not in map(signal.getsignal, _SIGNALS):  # a command that was not started by :func:`featx.cli.main`
        return
    _State.is_watched = True
    _State.stderr = os.dup(2)  # others put it aside while they load
    if os.name == "posix" and sys.executable and (pipes := _watched_by_process()):
        source, sink = pipes
        read = functools.partial(os.read, source, 1)
    else:
        import socket

        ends = socket.socketpair()
        ends[1].setblocking(False)
        _State.kept += ends
        read, sink = functools.partial(ends[0].recv, 1), ends[1].fileno()
    signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(read,), daemon=True).start()


def is_stopping() -> bool:
    """Tell whether this process was asked to stop: what fails now fails for that reason."""
    return _State.asked


def report_stopped(text: str = STOPPED) -> None:
    """Print, once, that the command was stopped."""
    if not _State.told:
        _State.told = True
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)


def finish(code: int) -> NoReturn:
    """End the process; after a command at once.

    Threads may still be in the middle of a fit: Python would wait for those that are its own, and a thread of another
    library that is in C++ code when Python ends aborts the process. Some libraries also tidy up for seconds. Whatever
    the command opened was closed on the way here.
    """
    _State.code = code
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if _State.asked or _State.is_watched:
        _discard()
        os._exit(code)
    sys.exit(code)


def _stop(number: int, frame: Any) -> None:
    if _State.code is not None:  # all is done and said; Python is tidying up
        os._exit(_State.code)
    if not _State.asked:
        _State.asked = True
        raise KeyboardInterrupt


def _quiet(hook: Any) -> Any:
    def told(event: Any) -> None:
        if not _State.asked:
            hook(event)

    return told


def _watched_by_process() -> tuple[int, int] | None:
    """Start the process that watches; return where it echoes signals, and where they are written."""
    import subprocess

    # It gets none of the signals that a terminal sends to all of its processes, and takes no code but Python's own.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                _WATCHER,
                str(_LAST_SECONDS),
                str(os.getpid()),
                f"{STOPPED}\n",
                *map(str, map(int, _SIGNALS)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=_State.stderr,
            cwd=os.path.abspath(os.sep),
        )
    except OSError:  # no more processes: the thread is enough for nearly all
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    assert process.stdin is not None
    assert process.stdout is not None
    os.set_blocking(process.stdin.fileno(), False)
    _State.kept.append(process)
    return process.stdout.fileno(), process.stdin.fileno()


def _end_late(read: Callable[[], bytes]) -> None:
    while (number := read()) and number[0] not in _SIGNALS:
        continue
    if not number:  # the process that watches was killed
        return
    time.sleep(_PATIENCE_SECONDS)
    if not _State.told:
        _State.told = True
        with contextlib.suppress(OSError):
            os.write(_State.stderr, f"{STOPPED}\n".encode())
    _discard()
    os._exit(1 if _State.code is None else _State.code)


def _discard() -> None:
    from featx.files import discard_own_temporaries

    discard_own_temporaries()
