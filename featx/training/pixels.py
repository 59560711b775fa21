"""Training inputs without cached activations: pixels, decoded according to the feature spec and augmented."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import make_views
from featx.errors import DatasetError
from featx.readers import preparer_for, read_file
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
        self._max_pixels = runtime.max_pixels
        self._pool = ThreadPoolExecutor(runtime.n_workers)
        self._preparing = preparer_for(spec, runtime)
        shape = (len(images), spec.size, spec.size, 3)
        fits = np.prod(shape, dtype=np.int64) <= _KEPT_BYTES
        self._kept = np.empty(shape, np.uint8) if fits else None
        self._known = np.zeros(len(images), np.bool_)

    def __enter__(self) -> Self:
        self._prepare = self._preparing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._preparing.__exit__(kind, error, trace)  # stops the process for which the threads wait
        self._pool.shutdown()

    def read(self, view: int, at: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the pixels of a view at the given positions, shape (n, size, size, 3).

        Raises
        ------
        DatasetError
            If a file has changed since it was scanned, or cannot be read.
        """
        pixels = np.stack(list(self._pool.map(self._read_one, at.tolist())))
        if not view or self._spec.augment is None:
            return pixels
        return make_views(pixels, self._hashes[at], view, self._spec.augment, self._spec.augment_seed)

    def _read_one(self, i: int) -> NDArray[np.uint8]:
        if self._kept is not None and self._known[i]:
            known: NDArray[Any] = self._kept[i]
            return known
        image = self._images[i]
        with contextlib.ExitStack() as stack:
            try:
                data, state = read_file(stack.enter_context(image.open()), self._max_pixels)
            except OSError as error:
                raise DatasetError(f"{image.address} can no longer be read: {error.strerror or error}") from None
            if state.content_hash != self._hashes[i].tobytes():
                raise DatasetError(f"{image.address} has changed during training; run the command again")
            pixels = self._prepare(data).pixels
        if self._kept is not None:
            self._kept[i], self._known[i] = pixels, True
        return pixels
