"""Yield images, or their thumbnails, one by one from reader processes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.images import Prepared
from featx.readers.messages import Task
from featx.readers.pool import ReaderPool
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.table import FileState


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of reading one image.

    Parameters
    ----------
    image : ImageFile
    state : FileState
        Content hash and other properties of the file, with the reason if the file could not be read or decoded.
    prepared : Prepared or None
        Pixels of the image; None if the image is skipped, or if its content was decoded as another image.
    """

    image: ImageFile
    state: FileState
    prepared: Prepared | None = None


def read_images(
    task: Task, images: Sequence[ImageFile], runtime: Runtime, *, once: bool = True
) -> Generator[Reading, None, None]:
    """Yield a reading of each image, in order.

    Parameters
    ----------
    task : Task
    images : sequence of ImageFile
    runtime : Runtime
    once : bool
        Whether images with the same content are decoded only once.

    Raises
    ------
    ReaderError
        If no process can be started.
    """
    with ReaderPool(task, images, runtime) as pool:
        for chunk in pool.read(once=once):
            readings = [
                Reading(image, outcome.state, chunk.prepared(at))
                for at, (image, outcome) in enumerate(zip(chunk.images, chunk.outcomes, strict=True))
            ]
            chunk.release()
            yield from readings


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
    images: Sequence[ImageFile], side: int, runtime: Runtime, *, white: int | None = None, page: int = 1
) -> Iterator[Thumbnail]:
    """Yield a thumbnail of each image, in the order of the images.

    The images are decoded as for feature extraction, in bounded memory.

    Parameters
    ----------
    images : sequence of ImageFile
    side : int
        Maximum length of the longer side, in pixels. Smaller images are not enlarged.
    runtime : Runtime
    white, page
        See :func:`featx.images.decode`.
    """
    task = Task("decode", side, "fit", white, page, runtime.max_pixels)
    for reading in read_images(task, images, runtime, once=False):
        state = reading.state
        pixels = None if reading.prepared is None else reading.prepared.pixels
        yield Thumbnail(state.content_hash, pixels, state.reason)
