"""Lock an output that several runs may extend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from featx.errors import OutputError
from featx.files import is_regular
from featx.output.files import reason_of


@contextlib.contextmanager
def locked_output(lock_file: Path, output: Path, notice: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock; a second run waits. The operating system releases the lock when the process ends.

    Parameters
    ----------
    lock_file : path
    output : path
        Output that is locked, for messages.
    notice : callable
        Called with one line of text if another run has locked the output.

    Raises
    ------
    OutputError
        If the output cannot be locked.
    """
    lock = FileLock(lock_file, fallback_to_soft=False)
    try:
        if lock_file.is_symlink() or (lock_file.exists() and not is_regular(lock_file)):
            raise OSError(0, f"{lock_file} is not a regular file")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            notice(f"another run is writing {output}; waiting for it to finish")
            lock.acquire()
    except OSError as error:
        raise OutputError(
            f"{output} cannot be locked: {reason_of(error)}; choose another folder, on a file system with locks"
        ) from None
    try:
        yield
    finally:
        lock.release()
