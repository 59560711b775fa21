"""Files of folders that people asked for by name: new ones, copies and links, whole or not there."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from featx.errors import OutputError
from featx.files import FileIdentity, ReplacedError, publish, temporary_name, write_whole
from featx.output.files import reason_of

_COPY_BYTES = 1 << 20


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, where they are missing.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {reason_of(error)}; choose another folder") from None


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet.

    Raises
    ------
    ReplacedError
        Something of its name is there.
    OutputError
        It cannot be written.
    """
    try:
        write_whole(path, lambda temporary: temporary.write_bytes(content), None, durable=False)
    except ReplacedError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason_of(error)}; make room or choose another folder") from None


def copy_file(source: BinaryIO, target: Path, replaces: FileIdentity | None) -> None:
    """Copy an open file, with its times; a new one has its permissions, and may be written.

    Parameters
    ----------
    source : binary file
        Where it is no file of this machine, the copy has times and permissions of its own.
    target : path
    replaces : FileIdentity or None
        What may be replaced: see :func:`featx.files.write_whole`.

    Raises
    ------
    ReplacedError
        Something else is there.
    OSError
        It cannot be read or written.
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

    write_whole(target, write, replaces, durable=False)


def link_file(source: Path, target: Path, replaces: FileIdentity | None) -> None:
    """Make a hard link to a file; the errors are those of :func:`copy_file`."""
    real = os.path.realpath(source)  # a link to a link would break when either is moved
    if not stat.S_ISREG(os.lstat(real).st_mode):
        raise OSError(0, "it is no file")
    if replaces is None:
        os.link(real, target)
        made = target
    else:
        made = temporary_name(target)
        os.link(real, made)
    try:
        if not os.path.samestat(os.lstat(made), os.stat(source)):
            raise OSError(0, "the link does not lead to it")
        if made != target:
            publish(made, target, replaces)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
