"""Create, copy and link files in output folders; each file is written completely or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from featx.errors import OutputError
from featx.files import FileIdentity, ReplacedError, publish, temporary_name, write_atomically
from featx.output.files import reason_of

_COPY_BYTES = 1 << 20


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents.

    Raises
    ------
    OutputError
        If the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be created: {reason_of(error)}; choose another folder") from None


def write_new(path: Path, content: bytes) -> None:
    """Write a new file.

    Raises
    ------
    ReplacedError
        If a file exists at the path.
    OutputError
        If the file cannot be written.
    """
    try:
        write_atomically(path, lambda temporary: temporary.write_bytes(content), None, durable=False)
    except ReplacedError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason_of(error)}; make room or choose another folder") from None


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Call a function that writes a temporary file, and rename this file to ``path`` in one step.

    Only for files in a folder, or next to a file, that featx made; a file at ``path`` is replaced.

    Raises
    ------
    OSError
        If the file cannot be written. ``path`` is then unchanged.
    """
    write_atomically(path, write)


def copy_file(source: BinaryIO, target: Path, replaces: FileIdentity | None) -> None:
    """Copy an open file and its times; a new copy also gets the permissions of the file, and is made writable.

    Parameters
    ----------
    source : binary file
        File to copy. For a file from another source, times and permissions are not copied.
    target : path
        Path of the copy.
    replaces : FileIdentity or None
        File that may be replaced; see :func:`featx.files.write_atomically`.

    Raises
    ------
    ReplacedError
        If another file exists at ``target``.
    OSError
        If the file cannot be read or written.
    """
    status = None
    with contextlib.suppress(io.UnsupportedOperation):
        status = os.fstat(source.fileno())

    def write(temporary: Path) -> None:
        with temporary.open("r+b") as copy:
            shutil.copyfileobj(source, copy, _COPY_BYTES)
        if status is None:
            return
        if replaces is None:
            temporary.chmod(stat.S_IMODE(status.st_mode) | stat.S_IWUSR)
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))

    write_atomically(target, write, replaces, durable=False)


def link_file(source: Path, target: Path, replaces: FileIdentity | None) -> None:
    """Create a hard link to a file; parameters and errors are as in :func:`copy_file`."""
    real = os.path.realpath(source)  # a hard link to a symbolic link would break if the file is moved
    if not stat.S_ISREG(os.lstat(real).st_mode):
        raise OSError(0, "the input is not a regular file")
    if replaces is None:
        os.link(real, target)
        made = target
    else:
        made = temporary_name(target)
        os.link(real, made)
    try:
        if not os.path.samestat(os.lstat(made), os.stat(source)):
            raise OSError(0, "the created link is not the same file")
        if made != target:
            publish(made, target, replaces)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
