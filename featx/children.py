"""Start child processes, which take no code from the working folder and end with their parent."""

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
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_PACKAGES = ("featx", "numpy", "PIL", "simplejpeg", "pillow_heif", "matplotlib")
"""What a child takes from where its parent has it, whatever else is on its path."""

_WATCH_SECONDS = 0.5
_ROOT = os.path.abspath(os.sep)
_GOOD, _BAD = b"\1", b"\0"


class ChildError(OSError):
    """A child process that could not start, that ended without an answer, or whose job failed."""


def start_child(module: str, function: str, *words: str) -> subprocess.Popen[bytes]:
    """Start ``module.function(*words)`` in a process of its own.

    It imports from where this process has imported and from the interpreter's own folders, never from the working
    folder; works in the root folder; knows no variable of the environment that begins with ``PYTHON``; ignores
    Ctrl-C, which its parent gets too; and ends when its parent ends, however that ends.

    Parameters
    ----------
    module, function : str
        An importable module of featx, and a function of it.
    *words : str
        Its arguments.

    Returns
    -------
    subprocess.Popen
        Its standard input and output are pipes; what it writes to standard error is lost.

    Raises
    ------
    OSError
        The system starts no more processes.
    """
    places, folders = _found()
    if not sys.executable:
        raise ChildError("this Python does not know its own program, so that no process can be started")
    theirs, ours = _pipe()
    try:
        given = {"parent": os.getpid(), "alive": theirs, "places": places, "folders": folders}
        process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).absolute()), json.dumps(given), module, function, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            pass_fds=() if os.name == "nt" else (theirs,),
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    weakref.finalize(process, os.close, ours)
    return process


def run_in_child(module: str, function: str, content: bytes, *, seconds: float = 600.0) -> bytes:
    """Return what a function makes of some bytes, run in a process of its own; see :func:`start_child`.

    Parameters
    ----------
    module, function : str
        A function that takes bytes and returns bytes. What it prints is lost.
    content : bytes
    seconds : float
        Wall time after which it is stopped.

    Raises
    ------
    ChildError
        It raised an exception, whose text this one has; crashed; took too long; or could not be started.
    """
    try:
        process = start_child("featx.children", "run_job", module, function)
    except OSError as error:
        raise ChildError(f"no process can be started: {error.strerror or error}") from None
    with process:
        try:
            run_job, _ = process.communicate(content, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ChildError(f"{module}.{function} takes more than {seconds:g} s") from None
        finally:
            process.kill()
    if run_job[:1] == _GOOD:
        return run_job[1:]
    text = run_job[1:].decode("utf-8", "replace")
    raise ChildError(text or f"{module}.{function} ended with code {process.returncode}")


def run_job(module: str, function: str) -> None:
    """Run one job of :func:`run_in_child`, in the child."""
    target = take_output()
    content = sys.stdin.buffer.read()
    try:
        made = _GOOD + getattr(importlib.import_module(module), function)(content)
    except Exception as error:
        made = _BAD + (str(error) or type(error).__name__).encode("utf-8", "replace")
    with target:
        target.write(made)


def take_output() -> BinaryIO:
    """Return the standard output of a child to write answers to; what libraries print goes where errors go."""
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return target


def _pipe() -> tuple[int, int]:
    """Return a pipe to be closed, whose ends are not taken for a standard stream that this process lacks."""
    ends = os.pipe()
    if sys.platform == "win32":
        return ends
    try:
        low, high = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    finally:
        for end in ends:
            os.close(end)
    return low, high


def _found() -> tuple[dict[str, str], list[str]]:
    """Return the folder that each package was imported from, and those where what these need may lie, too."""
    places: dict[str, str] = {}
    for name in _PACKAGES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.isabs(file):
            places[name] = os.path.realpath(Path(file).parents[1])
    working = ""
    with contextlib.suppress(OSError):  # it was deleted
        working = os.path.realpath(os.getcwd())
    folders = {folder for name, folder in places.items() if name != "featx"} - {working}
    return places, sorted(folders)


class _Places:
    """Finds packages in the folders that they must come from."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name not in self._places:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [self._places[name]])


def _end_with(parent: int, alive: int) -> None:
    """End this process when its parent has ended, even one that is stopped or busy in compiled code."""
    if hasattr(fcntl, "F_SETSIG"):  # Linux: the kernel does it, when the parent's end of this pipe closes
        with contextlib.suppress(OSError):
            fcntl.fcntl(alive, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(alive, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _main(start: str, module: str, function: str, *words: str) -> None:
    given = json.loads(start)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGXCPU"):
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    if sys.platform != "win32":  # there a reader ends when its standard input closes
        _end_with(given["parent"], given["alive"])
    sys.meta_path.insert(0, _Places(given["places"]))
    sys.path += [folder for folder in given["folders"] if folder not in sys.path]
    getattr(importlib.import_module(module), function)(*words)


if __name__ == "__main__":
    _main(*sys.argv[1:])
