"""Start child processes that import no code from the working folder and end with their parent."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_PACKAGES = ("featx", "numpy", "PIL", "simplejpeg", "cykooz_resizer", "pillow_heif", "matplotlib")
"""Packages that a child process imports from the same folders as its parent, whatever the search path is."""

_WATCH_SECONDS = 0.5
_ROOT = os.path.abspath(os.sep)
_GOOD, _BAD = b"\1", b"\0"


class ChildError(OSError):
    """A child process could not be started, it ended without a result, or its function failed."""


def start_child(module: str, function: str, *words: str, inherited: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start ``module.function(*words)`` in a child process.

    The child imports from the same places as this process and from the interpreter's own folders, never from the
    working folder of this process. The working folder of the child is the root folder, and environment variables that
    begin with ``PYTHON`` are removed. Numerical libraries use one thread in the child. The child ignores Ctrl-C, which
    this process also receives, and ends when this process ends for any reason.

    Parameters
    ----------
    module, function : str
        Importable module, and name of a function in this module.
    *words : str
        Arguments of the function.
    inherited : sequence of int
        File descriptors that the child inherits; none on Windows.

    Returns
    -------
    subprocess.Popen
        The process. Standard input and standard output are pipes; standard error is discarded.

    Raises
    ------
    OSError
        If the process cannot be started.
    """
    places, folders = _import_places()
    if not sys.executable:
        raise ChildError(
            "sys.executable is empty, so no process can be started; run featx with a regular Python interpreter"
        )
    theirs, ours = _pipe()
    try:
        given = {"parent": os.getpid(), "alive": theirs, "places": places, "folders": folders}
        process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).absolute()), json.dumps(given), module, function, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env=_environment(),
            pass_fds=() if os.name == "nt" else (theirs, *inherited),
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    weakref.finalize(process, os.close, ours)
    return process


def _environment() -> dict[str, str]:
    """Return the environment of a child."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run_in_child(module: str, function: str, content: bytes, *, seconds: float = 600.0) -> bytes:
    """Call a function in a child process and return the result; see :func:`start_child`.

    Parameters
    ----------
    module, function : str
        Module, and name of a function that takes bytes and returns bytes. The printed output of the function is
        discarded.
    content : bytes
        Argument of the function.
    seconds : float
        Wall time after which the process is stopped.

    Raises
    ------
    ChildError
        If the function raised an exception (the message is the same), crashed or took too long, or the process could
        not be started.
    """
    try:
        process = start_child("featx.children", "run_job", module, function)
    except OSError as error:
        raise ChildError(f"no process can be started: {error.strerror or error}") from None
    with process:
        try:
            reply, _ = process.communicate(content, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ChildError(f"{module}.{function} takes more than {seconds:g} s") from None
        finally:
            process.kill()
    if reply[:1] == _GOOD:
        return reply[1:]
    text = reply[1:].decode("utf-8", "replace")
    raise ChildError(text or f"{module}.{function} ended with code {process.returncode}")


def run_job(module: str, function: str) -> None:
    """Call the function that :func:`run_in_child` names; runs in the child process."""
    target = reserve_stdout()
    content = sys.stdin.buffer.read()
    try:
        made = _GOOD + getattr(importlib.import_module(module), function)(content)
    except Exception as error:
        made = _BAD + (str(error) or type(error).__name__).encode("utf-8", "replace")
    with target:
        target.write(made)


def reserve_stdout() -> BinaryIO:
    """Return the standard output of a child for replies, and redirect the output of libraries to standard error."""
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return target


def _pipe() -> tuple[int, int]:
    """Return the file descriptors of the two ends of a pipe, which the caller closes.

    Except on Windows, both are at least 3: if a standard stream is closed, a new pipe could otherwise get its number.
    """
    ends = os.pipe()
    if sys.platform == "win32":
        return ends
    try:
        low, high = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    finally:
        for end in ends:
            os.close(end)
    return low, high


def _import_places() -> tuple[dict[str, str], list[str]]:
    """Return the folder that each package was imported from, and the folders to search for their dependencies."""
    places: dict[str, str] = {}
    for name in _PACKAGES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.isabs(file):
            places[name] = os.path.realpath(Path(file).parents[1])
    working = ""
    with contextlib.suppress(OSError):  # the working folder was deleted
        working = os.path.realpath(os.getcwd())
    folders = {folder for name, folder in places.items() if name != "featx"} - {working}
    return places, sorted(folders)


class _Places:
    """Import finder that restricts packages to given folders."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name not in self._places:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [self._places[name]])


def _end_with(parent: int, alive: int) -> None:
    """End this process when its parent has ended, even if this process is suspended or busy in compiled code."""
    if hasattr(fcntl, "F_SETSIG"):  # Linux: the kernel sends SIGKILL when the parent's end of this pipe closes
        with contextlib.suppress(OSError):
            fcntl.fcntl(alive, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(alive, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    try:
        threading.Thread(target=watch, daemon=True).start()
    except RuntimeError:  # the user may start no further thread; on Linux, the signal is enough
        if not hasattr(fcntl, "F_SETSIG"):
            raise


def _main(start: str, module: str, function: str, *words: str) -> None:
    given = json.loads(start)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGXCPU"):
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    if sys.platform != "win32":  # on Windows, the process ends when the standard input is closed
        _end_with(given["parent"], given["alive"])
    sys.meta_path.insert(0, _Places(given["places"]))
    sys.path += [folder for folder in given["folders"] if folder not in sys.path]
    getattr(importlib.import_module(module), function)(*words)


if __name__ == "__main__":
    _main(*sys.argv[1:])
