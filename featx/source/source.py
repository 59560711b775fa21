"""What a source of images is: it lists them, tells whether they changed, and opens them, within limits."""

from __future__ import annotations

import errno
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from featx.files import TooLargeError
from featx.options import RuntimeOptions
from featx.table import OwnFolder, Stamp

UNKNOWN = Stamp(-1, -1)
"""Stamp of a file that is not there, or cannot be asked."""

_BYTES_A_PIXEL = 8
"""Four channels of 16 bits, uncompressed."""

_OTHER_BYTES = 64_000_000
"""What may lie beside the pixels: metadata, colour profiles, further pages."""

LARGE_FILE = 64_000_000
"""Bytes above which a file is large."""

_alone = threading.Lock()


class BrokenLinkError(FileNotFoundError):
    """A link that leads to no file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a source, or a folder that cannot be read.

    Parameters
    ----------
    name : str
        POSIX path relative to the root.
    size : int
        Bytes; -1 if it cannot be asked (a broken link).
    mtime_ns : int
        Modification time; -1 with it.
    inode, ctime_ns : int
        See :class:`featx.table.Stamp`.
    reason : str
        Why a folder cannot be read; empty for files.
    """

    name: str
    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0
    reason: str = ""

    @property
    def stamp(self) -> Stamp:
        """What tells whether the file has changed."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)


class OpenFile:
    """A file of a source, open for reading: read and decode it within its context.

    Of all threads that enter the context of a file of more than 64 MB, one goes on and the others wait until it has
    left: the memory that is taken does not grow with the number of threads.

    Parameters
    ----------
    stream : binary file
        Seekable; closed when the context is left.
    stamp : callable
        Returns the size of the open file, and what changes when the file does, as it is now.
    """

    __slots__ = ("_is_alone", "stamp", "stream")

    def __init__(self, stream: BinaryIO, stamp: Callable[[], Stamp]) -> None:
        self.stream = stream
        self.stamp = stamp
        self._is_alone = False

    def __enter__(self) -> Self:
        if self.stamp().size > LARGE_FILE:
            _alone.acquire()
            self._is_alone = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()
        if self._is_alone:
            _alone.release()


def do_nothing(folder: OwnFolder) -> None:
    """Do nothing about a folder that is left out."""


class Source(ABC):
    """Where the bytes of images come from.

    All names, those of samples and of folders, are POSIX paths relative to its root.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What people call it: the path of its root."""

    @abstractmethod
    def entries(self, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
        """Yield its files, images or not, sorted by name part by part; hidden ones are left out.

        Parameters
        ----------
        leave_out : callable
            Called with each cache and each output of featx, whose files are left out.

        Raises
        ------
        DatasetError
            It cannot be read, or is a cache or an output itself.
        """

    @abstractmethod
    def stat(self, sample_id: str) -> Stamp:
        """Return the stamp of a file; :data:`UNKNOWN` if it is not there or cannot be asked."""

    @abstractmethod
    def address(self, sample_id: str) -> str:
        """Return the path by which people, and tables of predictions, name a file."""

    @abstractmethod
    def folders_in(self, parent: str, known: Collection[str] = ()) -> list[str]:
        """Return the folders in a folder, as far as files in them are listed; but for known ones."""

    @abstractmethod
    def names_in(self, folder: str) -> list[str]:
        """Return the names of files and folders in a folder; none if it cannot be listed."""

    @abstractmethod
    def open(self, sample_id: str) -> OpenFile:
        """Open a file for reading.

        Raises
        ------
        OutsideError
            The name is none of a file in the source.
        NotRegularError
            It is no regular file.
        BrokenLinkError
            It is a link to nothing.
        OSError
            It cannot be opened.
        """


def most_bytes(max_pixels: int) -> int:
    """Return the bytes above which a file is not read: an uncompressed image of so many pixels has fewer."""
    return _BYTES_A_PIXEL * max_pixels + _OTHER_BYTES


def read_image(file: OpenFile, max_pixels: int = RuntimeOptions.max_pixels) -> bytes:
    """Return the bytes of an open image file, as many as it has when it is asked for its size.

    Parameters
    ----------
    file : OpenFile
    max_pixels : int
        Most pixels of an image, which limit the bytes of its file.

    Raises
    ------
    TooLargeError
        It has more bytes; the message says what allows them.
    OSError
        It cannot be read.
    """
    size, most = file.stamp().size, most_bytes(max_pixels)
    if size > most:
        message = f"{size:,} bytes are more than the {most:,} that are read; `max_pixels` allows more"
        raise TooLargeError(errno.EFBIG, message)
    return file.stream.read(size)
