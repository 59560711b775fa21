"""Read image files: regular ones, no larger than they may be, and large ones one at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from featx.files import TooLargeError, open_regular, read_at_most
from featx.images.decode import MAX_PIXELS

_BYTES_A_PIXEL = 8
"""Four channels of 16 bits, uncompressed."""

_OTHER_BYTES = 64_000_000
"""What may lie beside the pixels: metadata, colour profiles, further pages."""

_LARGE = 64_000_000

_alone = threading.Lock()


def most_bytes(max_pixels: int) -> int:
    """Return the bytes above which a file is not read: an uncompressed image of so many pixels has fewer."""
    return _BYTES_A_PIXEL * max_pixels + _OTHER_BYTES


@contextlib.contextmanager
def open_image(path: str | Path) -> Iterator[BinaryIO]:
    """Open an image file for reading; read and decode it within the context.

    Of all threads that open a file of more than 64 MB, one goes on and the others wait until it has left the context:
    the memory that is taken does not grow with the number of threads.

    Raises
    ------
    NotRegularError
        It is no regular file.
    OSError
        It cannot be opened.
    """
    with open_regular(path) as stream, contextlib.ExitStack() as stack:
        if os.fstat(stream.fileno()).st_size > _LARGE:
            stack.enter_context(_alone)
        yield stream


def read_image(stream: BinaryIO, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return the bytes of an open image file.

    Parameters
    ----------
    stream : binary file
        Of :func:`open_image`.
    max_pixels : int
        Most pixels of an image, which limit the bytes of its file.

    Raises
    ------
    TooLargeError
        It has more bytes; the message says what allows them.
    OSError
        It cannot be read.
    """
    try:
        return read_at_most(stream, most_bytes(max_pixels))
    except TooLargeError as error:
        raise TooLargeError(errno.EFBIG, f"{error.strerror}; `max_pixels` allows more") from None
