"""Open regular files only; write files whole, under names that nobody can foresee."""

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
"""Marks a folder as a cache, for backup programs and for featx's own scan (bford.info/cachedir)."""

CACHE_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder was made by featx.\n"

_LONGEST_NAME = 255
_PART = 1 << 20
_REPLACE_SECONDS = 10.0
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EINVAL)
"""What file systems without hard links answer."""

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
    """A path that is no regular file: a pipe, a device, a socket, a folder."""


class TooLargeError(OSError):
    """A file of more bytes than may be read."""


class OutsideError(OSError):
    """A name that leads out of the folder it belongs to."""


class ReplacedError(FileExistsError):
    """Another process made or replaced the file that was to be written."""


class FileIdentity(NamedTuple):
    """What tells a file from another one at the same path.

    Parameters
    ----------
    device, inode : int
    size : int
        Bytes.
    mtime_ns : int
    """

    device: int
    inode: int
    size: int
    mtime_ns: int


ANYTHING = FileIdentity(-1, -1, -1, -1)
"""Stands for whatever lies at a path, or nothing."""


def look_at(path: str | Path) -> os.stat_result | None:
    """Return the status of what a path leads to, links followed; None if there is nothing.

    Raises
    ------
    OSError
        It cannot be known: a folder on the way may not be searched, links lead in a circle, the name is too long.
    """
    try:
        return _status(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def below(root: Path, name: str) -> Path:
    """Return the path of what a relative POSIX path names below a folder.

    Symbolic links in the folder are the choice of whoever made them, and may lead out of it.

    Raises
    ------
    OutsideError
        As for :func:`inner`.
    """
    return root / inner(name)


def inner(name: str) -> Path:
    """Return a relative POSIX path as a path that can be joined to a folder's, which is quicker with text.

    Raises
    ------
    OutsideError
        The name is empty or absolute, has a drive or ``..`` in it, or a character that no file name can have.
    """
    path = Path(name)
    if not path.parts or path.anchor or ".." in path.parts or not _is_encodable(name):
        raise OutsideError(errno.EINVAL, "not the name of a file in its folder")
    return path


def open_regular(path: str | Path, *, follow: bool = True, writable: bool = False) -> BinaryIO:
    """Open a regular file; nothing else is ever opened.

    A pipe would block, a device may act when it is opened, ``/dev/zero`` never ends.

    Parameters
    ----------
    path : path
    follow : bool
        Whether it may be a link.
    writable : bool
        Whether it is opened for reading and writing.

    Raises
    ------
    NotRegularError
        It is something else.
    OSError
        It cannot be opened.
    """
    _stop_unless_regular(_status(path, follow))
    flags = os.O_RDWR if writable else os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", *([] if follow else ["O_NOFOLLOW"])):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags)
    try:
        _stop_unless_regular(os.fstat(descriptor))  # it may be another one by now
        return os.fdopen(descriptor, "r+b" if writable else "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_new(path: Path, mode: int = 0o666) -> BinaryIO:
    """Make a file that does not exist, not even as a link, and open it for reading and writing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    return os.fdopen(os.open(path, flags, mode), "r+b")


def is_regular(path: Path) -> bool:
    """Tell whether there is a regular file at a path, which a link is not; False where that cannot be asked."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_real_folder(path: Path) -> bool:
    """Tell whether there is a folder at a path, which a link is not; False where that cannot be asked."""
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
        Bytes above which it is not read.
    follow : bool
        Whether it may be a link.

    Raises
    ------
    NotRegularError, TooLargeError, OSError
    """
    with open_regular(path, follow=follow) as stream:
        return read_at_most(stream, most)


def read_at_most(stream: BinaryIO, most: int) -> bytes:
    """Return the bytes of an open regular file, as many as it had when it was asked for its size.

    A file that grows is read no further, and one of ``/proc``, which has no size, is empty.

    Raises
    ------
    TooLargeError
        It has more than ``most`` bytes.
    """
    return stream.read(_size_at_most(stream, most))


def digest(stream: BinaryIO, most: int, algorithm: str = "sha256") -> str:
    """Return the hash of an open regular file, hexadecimal; as :func:`read_at_most`, but in little memory.

    Raises
    ------
    TooLargeError
        It has more than ``most`` bytes.
    """
    left, found = _size_at_most(stream, most), hashlib.new(algorithm)
    while part := stream.read(min(left, _PART)):
        found.update(part)
        left -= len(part)
    return found.hexdigest()


def _size_at_most(stream: BinaryIO, most: int) -> int:
    size = os.fstat(stream.fileno()).st_size
    if size > most:
        raise TooLargeError(errno.EFBIG, f"{size:,} bytes are more than the {most:,} that are read")
    return size


def identify(path: Path) -> FileIdentity | None:
    """Return what a path names now, links not followed; None if there is nothing."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def write_whole(
    path: Path, write: Callable[[Path], object], replaces: FileIdentity | None = ANYTHING, *, durable: bool = True
) -> None:
    """Let a function write a temporary file beside ``path``, then make it ``path`` in one step.

    The temporary file is new and has a random name, so that no link planted for it is followed. A file that is
    replaced hands on its permissions; a link is replaced, not what it leads to.

    Parameters
    ----------
    path : path
    write : callable
        Called with the temporary file, which exists and is empty; what it returns is not used.
    replaces : FileIdentity or None
        What may be replaced: what :func:`identify` returned, None for nothing.
    durable : bool
        Wait until the disk has it, so that it outlives a power cut.

    Raises
    ------
    ReplacedError
        Something else lies there now; it still does.
    OSError
        The disk is full, the folder read-only, ...; whatever ``path`` was, it still is.
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
    """Make a folder for a while, in the system's folder for temporary files if not told where.

    Raises
    ------
    OSError
        It cannot be made.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="featx-", dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _temporaries.add(folder)
        try:
            yield folder
        finally:
            _temporaries.discard(folder)


def discard_own_temporaries() -> None:
    """Delete the temporary files that this process is writing: call it only before the process ends."""
    for temporary in list(_temporaries):
        with contextlib.suppress(OSError):
            if temporary.is_dir():
                import shutil

                shutil.rmtree(temporary)
            else:
                temporary.unlink()


def temporary_name(path: Path) -> Path:
    """Return a path beside another one that nobody can foresee, for a temporary file."""
    mark = f"{secrets.token_hex(8)}.tmp"
    name = f".{path.name}.{mark}"
    return path.with_name(name if len(os.fsencode(name)) <= _LONGEST_NAME else f".featx.{mark}")


def _new_temporary(path: Path) -> Path:
    temporary, mode = temporary_name(path), _mode(path)
    with open_new(temporary, 0o666 if mode is None else mode | stat.S_IWUSR) as stream:
        _temporaries.add(temporary)
        try:
            _hand_on_mode(path, stream.fileno(), stat.S_IWUSR)  # what may not be written is replaced all the same
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
    """Make a file beside ``path`` that path in one step, if what lies there may be replaced; see :func:`write_whole`.

    Raises
    ------
    ReplacedError
        Something else lies there now; it still does.
    """
    if replaces is None:
        try:
            os.link(temporary, path)
            return
        except FileExistsError:
            raise ReplacedError(errno.EEXIST, "another run wrote it meanwhile") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
    with _folder_locked(path.parent):
        if identify(path) != replaces:
            raise ReplacedError(errno.EEXIST, "another run wrote it meanwhile")
        _replace(temporary, path)


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Let one process at a time look at a folder and then replace a file in it; not on Windows."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that may not be listed, file systems without locks
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _replace(source: Path, target: Path) -> None:
    # Windows refuses to replace a file that somebody reads at that instant; readers here are quick.
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
    if sys.platform == "win32":  # folders cannot be opened there
        return
    with contextlib.suppress(OSError):  # it is written, in a folder that may not be listed too
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _status(path: str | Path, follow: bool = True) -> os.stat_result:
    try:
        return os.stat(path, follow_symlinks=follow)
    except ValueError:  # a NUL character, or half a surrogate pair
        raise OSError(errno.EINVAL, "the name has a character that no file name can have") from None


def _is_encodable(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _stop_unless_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NotRegularError(errno.EINVAL, f"{kind}, not a file")
