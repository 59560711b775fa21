"""Create and check the cache folder; write files in the cache atomically, and lock them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from featx import files
from featx.errors import StoreError

CACHE_TAG, CACHE_TAG_TEXT = files.CACHE_TAG, files.CACHE_TAG_TEXT

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""Error numbers of file systems without locks."""

FOLDERS = ("features", "datasets", "graphs", "pairs", "training")
"""Names of the folders in a cache."""


def is_cache(cache: Path) -> bool:
    """Return whether a folder has the cache tag of featx.

    Returns
    -------
    bool
        False if the folder does not exist or is empty, so that a cache can be created. Hidden files are ignored.

    Raises
    ------
    StoreError
        If the folder contains other files, because featx neither writes to nor cleans such a folder; or if it cannot
        be read.
    """
    with _explained(cache, "read"):
        return _is_cache(cache)


def check_cache(cache: Path, folders: Sequence[str] = FOLDERS[:-1]) -> bool:
    """Check that featx may use a folder as the cache; called before any long computation.

    Parameters
    ----------
    cache : path
    folders : sequence of str
        Names from :data:`FOLDERS` of the folders that are needed; by default all except the folder of training runs.

    Returns
    -------
    bool
        Whether the folder has the cache tag, as in :func:`is_cache`.

    Raises
    ------
    StoreError
        If the folder cannot be used as a cache, or one of the needed folders is a link or a file.
    """
    if not is_cache(cache):
        return False
    for name in folders:
        _check_folder(cache / name)
    return True


def prepare_cache(cache: Path, folder: str) -> Path:
    """Create the cache with its tag, and a folder in the cache; return the path of this folder.

    Raises
    ------
    StoreError
        If the cache or the folder cannot be created, or if a file or a link exists at the path of the folder.
    """
    with _explained(cache, "written"):
        if not _is_cache(cache):
            cache.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(files.ReplacedError):  # another run was faster
                files.write_atomically(
                    cache / CACHE_TAG, lambda new: new.write_bytes(CACHE_TAG_TEXT.encode()), replaces=None
                )
            _is_cache(cache)  # raises if another program was faster
        if folder != ".":
            make_cache_folder(cache / folder)
    return cache / folder


def make_cache_folder(path: Path) -> None:
    """Create a folder in a cache if it does not exist; a link to a folder is not accepted.

    Raises
    ------
    StoreError
        If a file or a link exists at the path.
    OSError
        If the folder cannot be created.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    _check_folder(path)


def exists(path: Path) -> bool:
    """Return whether a file, a folder or a link exists at a path in a cache.

    Raises
    ------
    StoreError
        If the system cannot read the path.
    """
    try:
        return files.identify(path) is not None
    except NotADirectoryError:
        return False
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def entries(folder: Path, follow: bool = False) -> list[Path]:
    """Return the paths in a folder of a cache, sorted; an empty list if the folder does not exist or is a link.

    Parameters
    ----------
    folder : path
    follow : bool
        Whether the folder may be a link.

    Raises
    ------
    StoreError
        If the folder cannot be listed.
    """
    if not (folder.is_dir() if follow else files.is_real_folder(folder)):
        return []
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):  # another run may have deleted the folder meanwhile
        return []
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror or error}") from None


def delete(path: Path) -> None:
    """Delete a file of a cache; the target of a link is kept.

    Raises
    ------
    StoreError
        If the path is a folder, or the file cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        why = "it is a folder; move the folder away" if files.is_real_folder(path) else error.strerror or error
        raise StoreError(f"{path} cannot be deleted: {why}") from None


def is_temporary(name: str, of: str) -> bool:
    """Return whether a file name is the name of a temporary file for a file whose name matches the pattern ``of``."""
    return re.fullmatch(rf"\.(?:{of})\.[0-9a-f]{{16}}\.tmp", name) is not None


def write_cache_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file with the function ``write``, and rename the file to ``path``.

    Raises
    ------
    StoreError
        If the file cannot be written, for example because the disk is full. ``path`` is then unchanged.
    """
    try:
        files.write_atomically(path, write)
    except OSError as error:
        raise not_written(path, error) from None


def write_content(path: Path, content: bytes) -> None:
    """Write a file with the given content; see :func:`write_cache_file`.

    Raises
    ------
    StoreError
        If the file cannot be written. ``path`` is then unchanged.
    """
    write_cache_file(path, lambda temporary: temporary.write_bytes(content))


def not_written(path: Path, error: OSError) -> StoreError:
    """Return an error that reports a failed write and states what to do."""
    if isinstance(error, StoreError):
        return error
    return StoreError(
        f"{path} cannot be written: {error.strerror or error}. Features computed so far are kept. "
        "Free disk space or choose another `cache`, and run the same command again"
    )


def remove_leftovers(folder: Path, of: str) -> None:
    """Delete temporary files, for files whose names match the pattern ``of``, that killed writers left behind.

    Called while the folder is locked.
    """
    for leftover in folder.iterdir():
        if is_temporary(leftover.name, of) and files.is_regular(leftover):
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Hold an exclusive lock; the operating system releases it when the process ends.

    Parameters
    ----------
    path : path
        The lock file.
    waiting : callable or None
        Called once if another process has locked the file, before waiting for that process. If None, the function does
        not wait.

    Raises
    ------
    StoreError
        If the file cannot be locked, or if another process has locked the file and ``waiting`` is None.
    """
    if exists(path) and not files.is_regular(path):
        delete(path)
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is None:
            raise StoreError(f"another run has locked {path}; wait until that run is finished") from None
        waiting()
        lock.acquire()
    except OSError as error:
        reason = error.strerror or error
        if error.errno in _NO_LOCKS:
            raise StoreError(
                f"{path} cannot be locked: {reason}; this file system has no locks, so that two runs could write the "
                "same file. Choose another `cache`, on a local disk or on a shared file system with locks"
            ) from None
        raise StoreError(f"{path} cannot be written: {reason}; choose another `cache`, or make it writable") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _explained(cache: Path, verb: str) -> Iterator[None]:
    """Convert an error of the operating system into an error that names the cache and states what to do."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise StoreError(f"the cache {cache} cannot be {verb}: {why}; choose another `cache`") from None


def _is_cache(cache: Path) -> bool:
    if _has_tag(cache):
        return True
    try:
        visible = [name for name in os.listdir(cache) if not name.startswith(".")]
    except FileNotFoundError:
        if cache.is_symlink():
            raise StoreError(
                f"the cache {cache} is a link to {os.readlink(cache)}, which does not exist; create that folder, or "
                "choose another `cache`"
            ) from None
        return False
    if not visible or _has_tag(cache):  # another run may have created the cache meanwhile
        return bool(visible)
    if CACHE_TAG in visible:
        what = f"has a {CACHE_TAG} that featx did not write, so it belongs to another program"
    else:
        what = f"is not empty and has no {CACHE_TAG} of featx, so it is not a featx cache"
    raise StoreError(f"the folder {cache} {what}; choose another `cache`: a new or an empty folder")


def _has_tag(cache: Path) -> bool:
    try:
        return files.read_regular(cache / CACHE_TAG, len(CACHE_TAG_TEXT), follow=False) == CACHE_TAG_TEXT.encode()
    except (FileNotFoundError, files.NotRegularError, files.TooLargeError):
        return False


def _check_folder(path: Path) -> None:
    if exists(path) and not files.is_real_folder(path):
        what = "a link, which featx does not follow inside its cache" if path.is_symlink() else "not a folder"
        raise StoreError(f"{path} is {what}; move it away, so that featx can create a folder at this path")
