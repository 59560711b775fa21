"""Files that are whole or not there: temporary name, fsync, rename; and a lock that dies with its holder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from featx import files
from featx.errors import StoreError

CACHE_TAG, CACHE_TAG_TEXT = files.CACHE_TAG, files.CACHE_TAG_TEXT


def prepare_cache(cache: Path, folder: str) -> Path:
    """Make the cache and a folder in it, mark the cache as one, and return the folder.

    Raises
    ------
    StoreError
        It cannot be made.
    """
    try:
        (cache / folder).mkdir(parents=True, exist_ok=True)
        tag = cache / CACHE_TAG
        if not tag.exists():
            tag.write_text(CACHE_TAG_TEXT)
    except OSError as error:
        raise StoreError(
            f"the cache {cache} cannot be written: {error.strerror or error}; choose another --cache"
        ) from None
    return cache / folder


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let a function write a temporary file beside ``path``, then make it ``path`` in one step.

    Raises
    ------
    StoreError
        The disk is full, the folder read-only, ...; whatever ``path`` was, it still is.
    """
    try:
        files.write_whole(path, write)
    except OSError as error:
        raise not_written(path, error) from None


def write_content(path: Path, content: bytes) -> None:
    """Write a file of that content; see :func:`write_whole`.

    Raises
    ------
    StoreError
        It cannot be written; whatever ``path`` was, it still is.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_whole(path, write)


def not_written(path: Path, error: OSError) -> StoreError:
    """Return the error that says so, and what to do."""
    return StoreError(
        f"{path} cannot be written: {error.strerror or error}. What was computed before is kept: "
        "make room or choose another --cache, and run the same command again"
    )


def remove_leftovers(path: Path) -> None:
    """Delete temporary files that killed writers of ``path`` left; call it with ``path`` locked."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock; the system releases it when the holder dies.

    Parameters
    ----------
    path : path
        The lock file.
    waiting : callable
        Called once if another process holds it.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    except OSError as error:
        raise StoreError(f"{path} cannot be locked: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()
