"""Draw thumbnails of images for display."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError
from featx.images.decode import MAX_PIXELS
from featx.images.guard import Guard, memory_for
from featx.images.prepare import Prepared
from featx.source import ImageFile, read_image

_QUALITY = 70
_AHEAD = 4
"""Number of images in progress per thread."""


@dataclass(frozen=True)
class Thumbnail:
    """Thumbnail of an image, or the reason why there is none.

    Parameters
    ----------
    content_hash : bytes
        SHA-256 digest of the file; empty if the file cannot be read.
    pixels : ndarray of shape (height, width, 3), uint8, or None
        RGB pixels of the whole upright image, whose longer side has at most ``side`` pixels.
    reason : str
        Reason why there are no pixels; empty if there are pixels.
    """

    content_hash: bytes
    pixels: NDArray[np.uint8] | None
    reason: str = ""


def draw_thumbnails(
    images: Iterable[ImageFile],
    side: int,
    *,
    white: int | None = None,
    page: int = 1,
    max_pixels: int = MAX_PIXELS,
    workers: int = 1,
) -> Iterator[Thumbnail]:
    """Yield a thumbnail of each image, in the order of the images.

    The images are decoded as for feature extraction, in bounded memory.

    Parameters
    ----------
    images : iterable of ImageFile
    side : int
        Maximum length of the longer side, in pixels. Smaller images are not enlarged.
    white, page, max_pixels
        See :func:`featx.images.decode`.
    workers : int
        Number of threads.
    """
    how: dict[str, Any] = {"size": side, "resize": "fit", "white": white, "page": page, "max_pixels": max_pixels}
    waiting: deque[Future[Thumbnail]] = deque()
    # Stopping does not wait for a slow image: the guard is closed before the threads are joined.
    with ThreadPoolExecutor(workers) as pool, Guard(megabytes=memory_for(max_pixels)) as guard:
        prepare = functools.partial(guard.prepare, **how)
        try:
            for image in images:
                waiting.append(pool.submit(_draw_one, image, prepare, max_pixels))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _draw_one(image: ImageFile, prepare: Callable[[bytes], Prepared], max_pixels: int) -> Thumbnail:
    with contextlib.ExitStack() as stack:
        try:
            data = read_image(stack.enter_context(image.open()), max_pixels)
        except OSError as error:
            return Thumbnail(b"", None, f"cannot be read: {error.strerror or error}")
        content_hash = hashlib.sha256(data).digest()
        try:
            return Thumbnail(content_hash, prepare(data).pixels)
        except ImageError as error:
            return Thumbnail(content_hash, None, str(error))


def encode_thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels of shape (height, width, 3), uint8, as a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
