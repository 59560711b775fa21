"""Open regular files only; write files atomically, under unpredictable temporary names."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

CACHE_TAG = "CACHEDIR.TAG"
"""Name of the file that marks a folder as a cache, for backup programs and for scans (bford.info/cachedir)."""

CACHE_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder was made by featx.\n"

_LONGEST_NAME = 255
_PART = 1 << 20
_REPLACE_SECONDS = 10.0
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EINVAL)
"""Error numbers of file systems without hard links."""

_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_temporaries: set[Path] = set()


class NotRegularError(OSError):
    """The path is not a regular file, but a pipe, device, socket or folder."""


class TooLargeError(OSError):
    """The file is larger than the limit for reading."""


class OutsideError(OSError):
    """The name leads out of the folder that it is relative to."""


class ReplacedError(FileExistsError):
    """Another process created or replaced the file to be written."""


class FileIdentity(NamedTuple):
    """Properties that distinguish a file from another file at the same path.

    Parameters
    ----------
    device, inode : int
    size : int
        Size in bytes.
    mtime_ns : int
        Modification time in nanoseconds.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int


ANYTHING = FileIdentity(-1, -1, -1, -1)
"""Identity that stands for any file at a path, and for no file."""


def path_status(path: str | Path) -> os.stat_result | None:
    """Return the status of a path, following links; None if nothing exists there.

    Raises
    ------
    OSError
        If the status is unavailable: a parent folder has no search permission, links form a loop, or the name is too
        long.
    """
    try:
        return _status(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def safe_join(root: Path, name: str) -> Path:
    """Check a relative POSIX path, and join it to a folder.

    Symbolic links in the folder are trusted, and may lead out of the folder.

    Raises
    ------
    OutsideError
        See :func:`check_relative_path`.
    """
    return root / check_relative_path(name)


def check_relative_path(name: str) -> Path:
    """Check a relative POSIX path, and return it.

    The caller can then join strings, which is faster than :func:`safe_join`.

    Raises
    ------
    OutsideError
        If the name is empty or absolute, or contains a drive, ``..`` or a character that file names cannot contain.
    """
    path = Path(name)
    if not path.parts or path.anchor or ".." in path.parts or not _is_encodable(name):
        raise OutsideError(errno.EINVAL, "the name does not lead to a file inside its folder")
    return path


def open_regular(path: str | Path, *, follow: bool = True, writable: bool = False) -> BinaryIO:
    """Open a regular file; other files raise an error.

    Opening a pipe can block, opening a device can have side effects, and reading ``/dev/zero`` never ends.

    Parameters
    ----------
    path : path
    follow : bool
        Whether the path may be a link.
    writable : bool
        Whether the file is opened for writing as well as for reading.

    Raises
    ------
    NotRegularError
        If the path is not a regular file.
    OSError
        If the file cannot be opened.
    """
    _stop_unless_regular(_status(path, follow))
    flags = os.O_RDWR if writable else os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", *([] if follow else ["O_NOFOLLOW"])):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags)
    try:
        _stop_unless_regular(os.fstat(descriptor))  # the path may have been replaced since the first check
        return os.fdopen(descriptor, "r+b" if writable else "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_new(path: Path, mode: int = 0o666) -> BinaryIO:
    """Create a file at a path where nothing exists, not even a link, and open it for reading and writing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    return os.fdopen(os.open(path, flags, mode), "r+b")


def is_regular(path: Path) -> bool:
    """Return whether a path is a regular file and not a link; False if this cannot be determined."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_real_folder(path: Path) -> bool:
    """Return whether a path is a folder and not a link; False if this cannot be determined."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_regular(path: str | Path, most: int, *, follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    Parameters
    ----------
    path : path
    most : int
        Maximum size of the file, in bytes.
    follow : bool
        Whether the path may be a link.

    Raises
    ------
    NotRegularError
        If the path is not a regular file.
    TooLargeError
        If the file has more than ``most`` bytes.
    OSError
        If the file cannot be read.
    """
    with open_regular(path, follow=follow) as stream:
        return read_up_to_size(stream, most)


def read_up_to_size(stream: BinaryIO, most: int) -> bytes:
    """Return the bytes of an open regular file, up to its size at the time of the call.

    Bytes that are appended later are not read. Files of ``/proc`` have size 0, so the result is empty.

    Raises
    ------
    TooLargeError
        If the file has more than ``most`` bytes.
    """
    return stream.read(_size_at_most(stream, most))


def digest(stream: BinaryIO, most: int, algorithm: str = "sha256") -> str:
    """Return the hexadecimal hash of the bytes that :func:`read_up_to_size` returns, in little memory.

    Raises
    ------
    TooLargeError
        If the file has more than ``most`` bytes.
    """
    left, hasher = _size_at_most(stream, most), hashlib.new(algorithm)
    while part := stream.read(min(left, _PART)):
        hasher.update(part)
        left -= len(part)
    return hasher.hexdigest()


def _size_at_most(stream: BinaryIO, most: int) -> int:
    size = os.fstat(stream.fileno()).st_size
    if size > most:
        raise TooLargeError(errno.EFBIG, f"{size:,} bytes are more than the limit of {most:,}")
    return size


def identify(path: Path) -> FileIdentity | None:
    """Return the identity of the present file at a path, without following links; None if nothing exists there."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def write_atomically(
    path: Path, write: Callable[[Path], object], replaces: FileIdentity | None = ANYTHING, *, durable: bool = True
) -> None:
    """Call a function that writes a temporary file next to ``path``, and rename this file to ``path`` in one step.

    The temporary file is new and has a random name, so that no existing link is followed. The permissions of a
    replaced file are kept. If ``path`` is a link, the link is replaced, not the target of the link.

    Parameters
    ----------
    path : path
    write : callable
        Function of the path of the temporary file, which exists and is empty. Its return value is ignored.
    replaces : FileIdentity or None
        File that may be replaced, as returned by :func:`identify`; None if no file may be replaced.
    durable : bool
        Whether to wait until the file is on the disk, so that it survives a power failure.

    Raises
    ------
    ReplacedError
        If another file is at ``path`` now. This file is left unchanged.
    OSError
        If the file cannot be written, for example because the disk is full or the folder is read-only. ``path`` is
        left unchanged.
    """
    temporary = _new_temporary(path)
    try:
        write(temporary)
        with temporary.open("r+b") as stream:
            _hand_on_mode(path, stream.fileno(), 0)
            if durable:
                os.fsync(stream.fileno())
        if replaces == ANYTHING:
            _replace(temporary, path)
        else:
            publish(temporary, path, replaces)
        if durable:
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        _temporaries.discard(temporary)


@contextlib.contextmanager
def temporary_folder(place: str | None = None) -> Iterator[Path]:
    """Create a temporary folder, and delete it on exit.

    Parameters
    ----------
    place : str, optional
        Folder that contains the temporary folder. By default, the system's folder for temporary files.

    Raises
    ------
    OSError
        If the folder cannot be created.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="featx-", dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _temporaries.add(folder)
        try:
            yield folder
        finally:
            _temporaries.discard(folder)


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Create an empty temporary file next to ``path``, and delete it on exit, unless it was renamed.

    Raises
    ------
    OSError
        If the file cannot be created.
    """
    temporary = _new_temporary(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        _temporaries.discard(temporary)


def discard_own_temporaries() -> None:
    """Delete the temporary files and folders of this process; called only before the process ends."""
    for temporary in list(_temporaries):
        with contextlib.suppress(OSError):
            if temporary.is_dir():
                import shutil

                shutil.rmtree(temporary)
            else:
                temporary.unlink()


def temporary_name(path: Path) -> Path:
    """Return an unpredictable path next to ``path`` for a temporary file."""
    mark = f"{secrets.token_hex(8)}.tmp"
    name = f".{path.name}.{mark}"
    return path.with_name(name if len(os.fsencode(name)) <= _LONGEST_NAME else f".featx.{mark}")


def _new_temporary(path: Path) -> Path:
    temporary, mode = temporary_name(path), _mode(path)
    with open_new(temporary, 0o666 if mode is None else mode | stat.S_IWUSR) as stream:
        _temporaries.add(temporary)
        try:
            _hand_on_mode(path, stream.fileno(), stat.S_IWUSR)  # a read-only file can be replaced, too
        except BaseException:
            temporary.unlink(missing_ok=True)
            _temporaries.discard(temporary)
            raise
    return temporary


def _hand_on_mode(path: Path, descriptor: int, more: int) -> None:
    mode = _mode(path)
    if mode is not None and hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode | more)


def _mode(path: Path) -> int | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return stat.S_IMODE(status.st_mode) if stat.S_ISREG(status.st_mode) else None


def publish(temporary: Path, path: Path, replaces: FileIdentity | None) -> None:
    """Rename a file next to ``path`` to ``path`` in one step, if replacing is allowed; see :func:`write_atomically`.

    Raises
    ------
    ReplacedError
        If another file is at ``path`` now. This file is left unchanged.
    """
    if replaces is None:
        try:
            os.link(temporary, path)
            return
        except FileExistsError:
            raise ReplacedError(errno.EEXIST, "another run wrote the file in the meantime") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
    with _folder_locked(path.parent):
        if identify(path) != replaces:
            raise ReplacedError(errno.EEXIST, "another run wrote the file in the meantime")
        _replace(temporary, path)


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Lock a folder, so that only one process at a time checks and replaces a file there; no effect on Windows."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # the folder is not readable, or the file system has no locks
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _replace(source: Path, target: Path) -> None:
    # Windows cannot replace a file while it is being read. featx reads files only for a short time.
    deadline = time.monotonic() + _REPLACE_SECONDS
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # Windows cannot open folders
        return
    with contextlib.suppress(OSError):  # the file is written, even if the folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _status(path: str | Path, follow: bool = True) -> os.stat_result:
    try:
        return os.stat(path, follow_symlinks=follow)
    except ValueError:  # a NUL character or a lone surrogate
        raise OSError(errno.EINVAL, "the name contains a character that is not allowed in file names") from None


def _is_encodable(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _stop_unless_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "an object of unknown type")
        raise NotRegularError(errno.EINVAL, f"{kind}, not a file")
