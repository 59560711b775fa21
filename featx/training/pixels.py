"""Training inputs without cached activations: pixels, decoded according to the feature spec and augmented."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import make_views
from featx.errors import DatasetError
from featx.readers import ReaderPool, Task
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.spec import FeatureSpec

_KEPT_BYTES = 512_000_000


class Pixels:
    """The pixels of images for training; small data sets are decoded once and kept in memory.

    Parameters
    ----------
    images : sequence of ImageFile
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of the files when they were scanned.
    spec : FeatureSpec
        Feature spec with size, resize rule and augmentation policy.
    runtime : Runtime
    """

    def __init__(
        self, images: Sequence[ImageFile], content_hashes: NDArray[np.uint8], spec: FeatureSpec, runtime: Runtime
    ) -> None:
        self._images = images
        self._hashes = content_hashes
        self._spec = spec
        self._pool = ReaderPool(Task.for_spec(spec, runtime.max_pixels), images, runtime)
        shape = (len(images), spec.size, spec.size, 3)
        fits = np.prod(shape, dtype=np.int64) <= _KEPT_BYTES
        self._kept = np.empty(shape, np.uint8) if fits else None
        self._known = np.zeros(len(images), np.bool_)

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def read(self, view: int, at: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the pixels of a view at the given positions, shape (n, size, size, 3).

        Raises
        ------
        DatasetError
            If a file has changed since it was scanned, or cannot be read.
        """
        pixels = self._decode(at) if self._kept is None else self._remember(self._kept, at)
        if not view or self._spec.augment is None:
            return pixels
        return make_views(pixels, self._hashes[at], view, self._spec.augment, self._spec.augment_seed)

    def _remember(self, kept: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint8]:
        new = np.unique(at[~self._known[at]])
        if len(new):
            kept[new] = self._decode(new)
            self._known[new] = True
        known: NDArray[np.uint8] = kept[at]
        return known

    def _decode(self, at: NDArray[np.int64]) -> NDArray[np.uint8]:
        pixels = np.empty((len(at), self._spec.size, self._spec.size, 3), np.uint8)
        position = 0
        with contextlib.closing(self._pool.read([self._images[i] for i in at.tolist()], once=False)) as chunks:
            for chunk in chunks:
                for image, outcome in zip(chunk.images, chunk.outcomes, strict=True):
                    state = outcome.state
                    if not state.content_hash:
                        raise DatasetError(f"{image.address} can no longer be read: {state.reason}")
                    if state.content_hash != self._hashes[at[position]].tobytes():
                        raise DatasetError(f"{image.address} has changed during training; run the command again")
                    if outcome.row < 0:
                        raise DatasetError(f"{image.address} can no longer be decoded: {state.reason}")
                    pixels[position] = chunk.pixels[outcome.row]
                    position += 1
                chunk.release()
        return pixels
