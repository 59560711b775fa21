"""A chunk of images that readers have read, with their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.images import Prepared
from featx.source import ImageFile
from featx.table import FileState


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of reading and decoding one image.

    Parameters
    ----------
    state : FileState
        Content hash and other properties of the file, with the reason if the file could not be read or decoded.
    row : int
        Row of the pixels in the chunk; -1 if the image was not decoded.
    note : str
        Remark for the user on how the image was read; empty if there is none.
    shape : tuple of (int, int)
        Height and width of the pixels.
    brightness : mapping, optional
        Fields of :class:`featx.images.Brightest`; None or empty if it was not measured.
    """

    state: FileState
    row: int = -1
    note: str = ""
    shape: tuple[int, int] = (0, 0)
    brightness: Mapping[str, Any] | None = None


def _do_nothing() -> None:
    pass


@dataclass(frozen=True)
class Chunk:
    """Consecutive images that a reader has read, with the pixels of those that it decoded.

    Parameters
    ----------
    images : sequence of ImageFile
    outcomes : list of Outcome
        Result for each image.
    rows_of_pixels : ndarray of shape (n_rows, 3 * size**2), uint8
        Pixels of the decoded images, in shared memory. Valid until :meth:`release` is called, or the pool is left.
    signatures : ndarray of shape (n_rows, 64, 64), uint8
        Grey thumbnails of the decoded images, in the same memory.
    size : int
        Side of the square of pixels.
    on_release : callable
        Called by :meth:`release`.
    """

    images: Sequence[ImageFile]
    outcomes: list[Outcome]
    rows_of_pixels: NDArray[np.uint8]
    signatures: NDArray[np.uint8]
    size: int
    on_release: Callable[[], None] = field(default=_do_nothing, repr=False)

    @property
    def states(self) -> list[FileState]:
        """State of each image."""
        return [outcome.state for outcome in self.outcomes]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Pixels of the decoded images, shape (n_rows, size, size, 3), uint8; not a copy."""
        return self.rows_of_pixels.reshape(len(self.rows_of_pixels), self.size, self.size, 3)

    def decoded(self) -> Iterator[tuple[int, Outcome]]:
        """Yield the position in the chunk and the outcome of each decoded image, in the order of the rows."""
        chosen = [(at, outcome) for at, outcome in enumerate(self.outcomes) if outcome.row >= 0]
        return iter(sorted(chosen, key=lambda pair: pair[1].row))

    def prepared(self, at: int) -> Prepared | None:
        """Return a copy of the pixels and the signature of an image; None if it was not decoded."""
        outcome = self.outcomes[at]
        if outcome.row < 0:
            return None
        height, width = outcome.shape
        pixels = self.rows_of_pixels[outcome.row, : 3 * height * width].reshape(height, width, 3).copy()
        state = outcome.state
        return Prepared(pixels, self.signatures[outcome.row].copy(), state.width, state.height, outcome.note)

    def release(self) -> None:
        """Allow the readers to overwrite the pixels."""
        self.on_release()

    def copied(self) -> Chunk:
        """Return a copy with its own memory, and release this chunk."""
        copy = replace(
            self,
            rows_of_pixels=self.rows_of_pixels.copy(),
            signatures=self.signatures.copy(),
            on_release=_do_nothing,
        )
        self.release()
        return copy
