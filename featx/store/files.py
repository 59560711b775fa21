"""The cache folder, files in it that are whole or not there, and a lock that dies with its holder."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from featx import files
from featx.errors import StoreError

CACHE_TAG, CACHE_TAG_TEXT = files.CACHE_TAG, files.CACHE_TAG_TEXT

FOLDERS = ("features", "datasets", "graphs", "training")
"""The folders of a cache."""


def is_cache(cache: Path) -> bool:
    """Tell whether a folder is a cache of featx, by its tag.

    Returns
    -------
    bool
        False where there is nothing, or an empty folder, that may become one. Hidden files do not count.

    Raises
    ------
    StoreError
        It is something else, which featx neither fills nor cleans.
    """
    with _explained(cache, "read"):
        return _is_cache(cache)


def check_cache(cache: Path, folders: Sequence[str] = FOLDERS[:3]) -> bool:
    """Make sure that featx may work with a cache: call it before anything that takes time.

    Parameters
    ----------
    cache : path
    folders : sequence of str
        Those of :data:`FOLDERS` that are needed; all but that of training runs if not given.

    Returns
    -------
    bool
        As :func:`is_cache`.

    Raises
    ------
    StoreError
        It is another folder, or one of its folders is a link or no folder.
    """
    if not is_cache(cache):
        return False
    for name in folders:
        _check_folder(cache / name)
    return True


def prepare_cache(cache: Path, folder: str) -> Path:
    """Make the cache and a folder in it, mark the cache as one, and return the folder.

    Raises
    ------
    StoreError
        It cannot be made, or something else lies there.
    """
    with _explained(cache, "written"):
        if not _is_cache(cache):
            cache.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(files.ReplacedError):  # another run was faster
                files.write_whole(
                    cache / CACHE_TAG, lambda new: new.write_bytes(CACHE_TAG_TEXT.encode()), replaces=None
                )
            _is_cache(cache)  # or another program was
        if folder != ".":
            make_cache_folder(cache / folder)
    return cache / folder


def make_cache_folder(path: Path) -> None:
    """Make a folder in a cache where it is missing; a link to one does not do.

    Raises
    ------
    StoreError
        Something else is there.
    OSError
        It cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    _check_folder(path)


def exists(path: Path) -> bool:
    """Tell whether there is anything at a path in a cache, be it a link.

    Raises
    ------
    StoreError
        That cannot be asked.
    """
    try:
        return files.identify(path) is not None
    except NotADirectoryError:
        return False
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def entries(folder: Path, follow: bool = False) -> list[Path]:
    """Return what lies in a folder of a cache, sorted; nothing where there is no folder, or but a link to one.

    Raises
    ------
    StoreError
        It cannot be listed.
    """
    if not (folder.is_dir() if follow else files.is_real_folder(folder)):
        return []
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):  # another run deletes too
        return []
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror or error}") from None


def delete(path: Path) -> None:
    """Free a name that featx writes in a cache; of a link, what it leads to stays.

    Raises
    ------
    StoreError
        It is a folder, or cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        why = "it is a folder; move it away" if files.is_real_folder(path) else error.strerror or error
        raise StoreError(f"{path} cannot be deleted: {why}") from None


def is_temporary(name: str, of: str) -> bool:
    """Tell whether a file name is that of a temporary file for files whose names match a pattern."""
    return re.fullmatch(rf"\.(?:{of})\.[0-9a-f]{{16}}\.tmp", name) is not None


def write_cache_file(path: Path, write: Callable[[Path], object]) -> None:
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
    """Write a file of that content; see :func:`write_cache_file`.

    Raises
    ------
    StoreError
        It cannot be written; whatever ``path`` was, it still is.
    """
    write_cache_file(path, lambda temporary: temporary.write_bytes(content))


def not_written(path: Path, error: OSError) -> StoreError:
    """Return the error that says so, and what to do."""
    if isinstance(error, StoreError):
        return error
    return StoreError(
        f"{path} cannot be written: {error.strerror or error}. What was computed before is kept: "
        "make room or choose another `cache`, and run the same command again"
    )


def remove_leftovers(path: Path) -> None:
    """Delete temporary files that killed writers of ``path`` left; call it with ``path`` locked."""
    for leftover in path.parent.iterdir():
        if is_temporary(leftover.name, re.escape(path.name)) and files.is_regular(leftover):
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Hold an exclusive lock; the system releases it when the holder dies.

    Parameters
    ----------
    path : path
        The lock file.
    waiting : callable, optional
        Called once if another process holds it; if not given, the lock is not waited for.

    Raises
    ------
    StoreError
        The file cannot be locked, or another process holds the lock and is not waited for.
    """
    if exists(path) and not files.is_regular(path):
        delete(path)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is None:
            raise StoreError(f"another run holds {path}") from None
        waiting()
        lock.acquire()
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{path} cannot be written: {reason}; choose another `cache`, or make it writable") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _explained(cache: Path, done: str) -> Iterator[None]:
    """Turn what the system says of a cache into an error that says what to do."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise StoreError(f"the cache {cache} cannot be {done}: {why}; choose another `cache`") from None


def _is_cache(cache: Path) -> bool:
    if _has_tag(cache):
        return True
    try:
        visible = [name for name in os.listdir(cache) if not name.startswith(".")]
    except FileNotFoundError:
        if cache.is_symlink():
            raise StoreError(
                f"the cache {cache} is a link to {os.readlink(cache)}, which does not exist; make that folder, or "
                "choose another `cache`"
            ) from None
        return False
    if not visible or _has_tag(cache):  # another run may have made the cache meanwhile
        return bool(visible)
    if CACHE_TAG in visible:
        what = f"has a {CACHE_TAG} that is not that of featx, so it belongs to another program"
    else:
        what = f"is not empty and has no {CACHE_TAG} of featx, so it is no cache of featx"
    raise StoreError(f"the folder {cache} {what}; choose another `cache`: a new folder, or an empty one")


def _has_tag(cache: Path) -> bool:
    try:
        return files.read_regular(cache / CACHE_TAG, len(CACHE_TAG_TEXT), follow=False) == CACHE_TAG_TEXT.encode()
    except (FileNotFoundError, files.NotRegularError, files.TooLargeError):
        return False


def _check_folder(path: Path) -> None:
    if exists(path) and not files.is_real_folder(path):
        what = "a link" if path.is_symlink() else "no folder"
        raise StoreError(f"{path} is {what}: featx follows no links inside its cache; move it away")
