"""Source of images in a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from featx.files import check_relative_path, open_regular, path_status, safe_join
from featx.source.entries import Entry
from featx.source.source import UNKNOWN, BrokenLinkError, OpenFile, Source, do_nothing
from featx.source.walk import folders_in, walk
from featx.table import OwnFolder, Stamp


@dataclass(frozen=True, slots=True)
class LocalFolder(Source):
    """The files below a folder; only regular files are opened.

    Parameters
    ----------
    root : path
    """

    root: Path

    @property
    def name(self) -> str:
        """Path of the folder."""
        return str(self.root)

    def entries(self, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
        """Yield the files below the folder; see :func:`featx.source.walk.walk`."""
        return walk(self.root, leave_out)

    def stat(self, sample_id: str) -> Stamp:
        """Return the stamp of a file, following links."""
        try:
            status = path_status(safe_join(self.root, sample_id))
        except OSError:  # the reason is reported when the file is read
            status = None
        return UNKNOWN if status is None else Stamp.of(status)

    def address(self, sample_id: str) -> str:
        """Return the path of a file, with slashes."""
        return (self.root / sample_id).as_posix()

    def folders_in(self, parent: str, known: Collection[str] = ()) -> list[str]:
        """Return the subfolders of a folder without the known subfolders, which are not examined."""
        return folders_in(self.root, parent, known)

    def names_in(self, folder: str) -> list[str]:
        """Return the names of files and folders in a folder."""
        try:
            return os.listdir(self.root / folder)
        except OSError:  # not a folder, or not readable
            return []

    def describe(self) -> dict[str, str]:
        """Return the absolute path of the folder, because a reader process has another working folder."""
        return {"kind": "local", "root": os.path.abspath(self.root)}

    def open(self, sample_id: str) -> OpenFile:
        """Open a regular file for reading; see :meth:`featx.source.Source.open`."""
        path = os.path.join(self.root, check_relative_path(sample_id))
        try:
            stream = open_regular(path)
        except FileNotFoundError as error:
            if os.path.islink(path):
                raise BrokenLinkError(error.errno, error.strerror, error.filename) from None
            raise
        return OpenFile(stream, lambda: Stamp.of(os.fstat(stream.fileno())))
