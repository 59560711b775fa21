"""Interface of image sources: list images, detect changes, and open images within limits."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from featx.files import TooLargeError
from featx.options import RuntimeOptions
from featx.source.entries import Entry
from featx.table import BLOCK, OwnFolder, Stamp

if TYPE_CHECKING:
    from concurrent.futures import Future

UNKNOWN = Stamp(-1, -1)
"""Stamp of a file that does not exist or cannot be queried."""

_BYTES_A_PIXEL = 8
"""Number of bytes per pixel of four uncompressed channels of 16 bits."""

_OTHER_BYTES = 64_000_000
"""Number of bytes allowed for other content: metadata, colour profiles or further pages."""

LARGE_FILE = 64_000_000
"""Size in bytes above which a file counts as large; large files are read one at a time."""


class BrokenLinkError(FileNotFoundError):
    """A link whose target does not exist."""


class OpenFile:
    """An open file of a source, which is closed when the context is left.

    Parameters
    ----------
    stream : binary file
        Seekable file.
    stamp : callable
        Function without parameters that returns the current stamp of the open file.
    is_exact : bool
        Whether the stamp changes with each change of the content, however soon it follows.
    """

    __slots__ = ("is_exact", "stamp", "stream")

    def __init__(self, stream: BinaryIO, stamp: Callable[[], Stamp], is_exact: bool = False) -> None:
        self.is_exact = is_exact
        self.stream = stream
        self.stamp = stamp

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()


def do_nothing(folder: OwnFolder) -> None:
    """Ignore a folder that is left out."""


def do_nothing_with(n: int) -> None:
    """Ignore a number of files."""


class Source(ABC):
    """Source of the bytes of images.

    All names of samples and folders are POSIX paths relative to the root of the source.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name for display: the path of the root."""

    @property
    def uses_network(self) -> bool:
        """Whether files are fetched over the network."""
        return False

    @abstractmethod
    def entries(self, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
        """Yield all files except hidden files, images or not, sorted by the parts of their names.

        Parameters
        ----------
        leave_out : callable
            Function that is called with each cache and each output folder of featx. Their files are left out.

        Raises
        ------
        DatasetError
            If the root cannot be read, or is itself a cache or an output folder of featx.
        """

    @abstractmethod
    def stat(self, sample_id: str) -> Stamp:
        """Return the stamp of a file; :data:`UNKNOWN` if it does not exist or cannot be queried."""

    @abstractmethod
    def address(self, sample_id: str) -> str:
        """Return the path of a file for messages and tables of predictions."""

    @abstractmethod
    def folders_in(self, parent: str, known: Collection[str] = ()) -> list[str]:
        """Return the subfolders of a folder that :meth:`entries` also enters, except those in ``known``."""

    @abstractmethod
    def names_in(self, folder: str) -> list[str]:
        """Return the names of files and folders in a folder; empty if the folder cannot be listed."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Return a description from which another process makes this source; see :func:`featx.source.source_from`."""

    def stats(self, sample_ids: Sequence[str], progress: Callable[[int], None] = do_nothing_with) -> NDArray[np.int64]:
        """Return the stamps of some files as an array of shape (n, 4); see :meth:`stat`.

        Parameters
        ----------
        sample_ids : sequence of str
        progress : callable
            Called with the number of files that were queried so far.
        """
        stamps = np.empty((len(sample_ids), 4), np.int64)
        for at, sample_id in enumerate(sample_ids):
            stamps[at] = self.stat(sample_id)
            if at % BLOCK == 0:
                progress(at)
        return stamps

    def locator(self, sample_id: str) -> str:
        """Return what helps another process to open a file: its position in an archive, or the query of an address.

        The query may contain credentials: a locator is passed to reader processes, and never shown or stored.
        """
        return ""

    def open_at(self, sample_id: str, locator: str) -> OpenFile:
        """Open a file for reading, given its locator, which may be empty."""
        return self.open(sample_id)

    def request(self, sample_id: str, locator: str, size: int, most: int) -> Future[OpenFile] | None:
        """Begin to fetch a file over the network; None if the file is opened directly.

        Parameters
        ----------
        sample_id, locator : str
        size : int
            Size of the file when it was listed; -1 if it is unknown.
        most : int
            Maximum number of bytes that are fetched in advance.
        """
        return None

    @abstractmethod
    def open(self, sample_id: str) -> OpenFile:
        """Open a file for reading.

        Raises
        ------
        OutsideError
            If the name leads out of the source.
        NotRegularError
            If the file is not a regular file.
        BrokenLinkError
            If the file is a link whose target does not exist.
        OSError
            If the file cannot be opened.
        """


def most_bytes(max_pixels: int) -> int:
    """Return the maximum size of a file that is read, in bytes.

    An uncompressed image of ``max_pixels`` pixels is smaller.
    """
    return _BYTES_A_PIXEL * max_pixels + _OTHER_BYTES


def read_image(file: OpenFile, max_pixels: int = RuntimeOptions.max_pixels) -> bytes:
    """Return the bytes of an open image file, up to its size at the time of the call.

    Parameters
    ----------
    file : OpenFile
    max_pixels : int
        Maximum number of pixels of an image, which determines the maximum size of the file.

    Raises
    ------
    TooLargeError
        If the file exceeds the maximum size. The message names the parameter that allows larger files.
    OSError
        If the file cannot be read.
    """
    size, most = file.stamp().size, most_bytes(max_pixels)
    if size > most:
        message = f"{size:,} bytes are more than the limit of {most:,}; increase `max_pixels` to read the file"
        raise TooLargeError(errno.EFBIG, message)
    return file.stream.read(size)
