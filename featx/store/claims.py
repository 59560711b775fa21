"""Detect that two machines write a feature store at the same time, although its lock should exclude this.

The lock of a store works between the processes of one machine. Between machines, it works only if the shared file
system passes locks on. Therefore the process that holds the lock also writes the name of its machine, and a number that
it increases every few seconds, to a file beside the lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from featx.errors import StoreError
from featx.files import read_regular, write_atomically
from featx.store.files import delete, not_written

_BEAT_SECONDS = 5.0
"""Time between two signs of life of a writer."""

_SILENT_SECONDS = 20.0
"""Time without a sign of life after which a writer on another machine is considered to have ended."""

_LARGEST = 1 << 12


class Claim:
    """The claim of this process to be the only writer of a store; created by :func:`claimed`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = secrets.token_hex(8)
        self._beats = 0
        self._ended = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that no other machine has started to write the store; called before each change.

        Raises
        ------
        StoreError
            If another machine writes the store.
        """
        found = _read(self._path)
        if found is None or found["token"] != self._token:
            raise _conflict(self._path, "another machine" if found is None else found["host"])

    def release(self) -> None:
        """End the claim, and delete its file unless it belongs to another process."""
        self._ended.set()
        self._thread.join()
        found = _read(self._path)
        if found is not None and found["token"] == self._token:
            with contextlib.suppress(StoreError):
                delete(self._path)

    def _write(self) -> None:
        content = {"host": _host(), "pid": str(os.getpid()), "token": self._token, "beats": str(self._beats)}
        write_atomically(self._path, lambda new: new.write_text(json.dumps(content), encoding="utf-8"), durable=False)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            found = _read(self._path)
            if found is None or found["token"] != self._token:
                return
            self._beats += 1
            with contextlib.suppress(OSError):  # a full disk is reported when rows are written
                self._write()


@contextlib.contextmanager
def claimed(path: Path, notice: Callable[[str], None]) -> Iterator[Claim]:
    """Claim a store for writing; called while the store is locked.

    Parameters
    ----------
    path : path
        The file of the claim.
    notice : callable
        Called with one line of text if the function waits for a sign of life of another machine.

    Raises
    ------
    StoreError
        If another machine writes the store, or the file cannot be written.
    """
    _wait_for_silence(path, notice)
    try:
        claim = Claim(path)
    except OSError as error:
        raise not_written(path, error) from None
    try:
        yield claim
    finally:
        claim.release()


def _wait_for_silence(path: Path, notice: Callable[[str], None]) -> None:
    """Wait until a claim of another machine is deleted or shows no sign of life."""
    first = _read(path)
    if first is None or first["host"] == _host():  # on this machine, the lock excludes other writers
        return
    notice(
        f"{first['host']} has not finished writing {path.parent.name}; waiting {_SILENT_SECONDS:.0f} s for a sign of "
        "life of that run"
    )
    deadline = time.monotonic() + _SILENT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(1.0, _SILENT_SECONDS / 20))
        found = _read(path)
        if found is None:
            return
        if found != first:
            raise _conflict(path, found["host"])


def _conflict(path: Path, host: str) -> StoreError:
    return StoreError(
        f"{path.parent} is being written by {host} at the same time, because the locks of this file system do not work "
        "between machines; wait until that run is finished, or choose another `cache` for each machine"
    )


def _host() -> str:
    return socket.gethostname()


def _read(path: Path) -> dict[str, str] | None:
    """Return the content of a claim; None if there is none, or if featx did not write the file."""
    try:
        content = json.loads(read_regular(path, _LARGEST, follow=False))
    except (OSError, RecursionError, ValueError):
        return None
    if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in ("host", "token")):
        return None
    return content
