"""Stop a command within two seconds of a signal, whatever runs, without a traceback.

The first signal raises KeyboardInterrupt, as Ctrl-C does. If native code keeps Python from handling it, or threads do
not end, a thread ends the process. If native code keeps even that thread from running, a watching process, started
beforehand, kills it. The cache survives both.
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

STOPPED = "stopped; results so far are kept: run the same command to continue"

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
"""Code of the watching process: it echoes the signal to the thread, and kills the process if it does not end."""


class _State:
    asked = False
    is_reported = False
    is_watched = False
    code: int | None = None
    stderr = 2
    kept: ClassVar[list[Any]] = []


def listen() -> None:
    """Make the first SIGINT, SIGTERM or SIGHUP raise KeyboardInterrupt; ignore later ones."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop)
    sys.unraisablehook = _quiet(sys.unraisablehook)
    threading.excepthook = _quiet(threading.excepthook)


def watch() -> None:
    """Ensure that a signal ends this process, whatever runs."""
    if _stop not in map(signal.getsignal, _SIGNALS):  # the command was not started by :func:`featx.cli.main`
        return
    _State.is_watched = True
    _State.stderr = os.dup(2)  # libraries are kept from file descriptor 2 while they load
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
    """Return whether a signal was received; later errors are consequences of it."""
    return _State.asked


def report_stopped(text: str = STOPPED) -> None:
    """Print once that the command was stopped."""
    if not _State.is_reported:
        _State.is_reported = True
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)


def finish(code: int) -> NoReturn:
    """End the process; after a command, without waiting for threads.

    Threads may still be fitting. Python would wait for its own threads, and a library thread in C++ code aborts the
    process when Python ends. Some libraries also spend seconds on cleanup. The command has closed its files by now.
    """
    _State.code = code
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if _State.asked or _State.is_watched:
        _close_clusters()
        _discard()
        os._exit(code)
    sys.exit(code)


def _stop(number: int, frame: Any) -> None:
    if _State.code is not None:  # the command has ended; Python is shutting down
        os._exit(_State.code)
    if not _State.asked:
        _State.asked = True
        raise KeyboardInterrupt


def _quiet(hook: Any) -> Any:
    def report(event: Any) -> None:
        if not _State.asked:
            hook(event)

    return report


def _watched_by_process() -> tuple[int, int] | None:
    """Start the watching process; return the descriptors that signals are read from and written to."""
    import subprocess

    # It must not receive the signals that a terminal sends to all processes; it imports only the standard library.
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
    except OSError:  # the process limit is reached; the thread alone is enough in nearly all cases
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
    if not number:  # the watching process was killed
        return
    time.sleep(_PATIENCE_SECONDS)
    if not _State.is_reported:
        _State.is_reported = True
        with contextlib.suppress(OSError):
            os.write(_State.stderr, f"{STOPPED}\n".encode())
    _discard()
    os._exit(1 if _State.code is None else _State.code)


def _close_clusters() -> None:
    cluster = sys.modules.get("featx.cluster")
    if cluster is not None:
        cluster.close_all()


def _discard() -> None:
    from featx.files import discard_own_temporaries

    discard_own_temporaries()
