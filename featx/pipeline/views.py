"""Compute the missing augmented views of the training part; each image is decoded once for all its views."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import make_views
from featx.errors import DatasetError, EngineError
from featx.execution import Locate
from featx.images import Prepared
from featx.lookup import Progress, StoredViews, as_hashes, describe_views, lacking_views, unique_training_images
from featx.pipeline.images import compute_rows
from featx.readers import Chunk, ReaderPool, Task
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.spec import FeatureSpec
from featx.store import FeatureStore, Rows, keys_of, note_use
from featx.table import FileState


def fill_views(
    images: Sequence[ImageFile],
    states: Sequence[FileState],
    store: FeatureStore,
    n: int,
    locate: Locate,
    runtime: Runtime,
    viewed: Collection[bytes] | None = None,
) -> StoredViews:
    """Compute the features of augmented views of the training part that are not in the store.

    Parameters
    ----------
    images : sequence of ImageFile
    states : sequence of FileState
        States of the images after the extraction of the images themselves, in the same order.
    store : FeatureStore
        Store of a feature spec with ``augment``.
    n : int
        Number of views of each image.
    locate : callable
        As for :func:`featx.pipeline.fill`.
    runtime : Runtime
    viewed : collection of bytes, optional
        Content hashes of the images whose views are computed; by default all images of the training part.

    Returns
    -------
    StoredViews

    Raises
    ------
    DatasetError
        If images have changed since the extraction of the images themselves.
    EngineError
        If the features of a view are not finite.
    """
    started = time.monotonic()
    chosen = unique_training_images(images, states)
    if viewed is not None:
        chosen = {content: image for content, image in chosen.items() if content in viewed}
    with store.writer(runtime.notice) as writer:
        stored = store.snapshot()
        lacking = lacking_views(chosen, stored, n)
        del stored
        n_lacking = sum(map(len, lacking.values()))
        progress = Progress("extracting features of views", runtime, n * len(chosen))
        progress.advance(n * len(chosen) - n_lacking)
        todo = [chosen[content] for content in lacking]
        with (
            ReaderPool(Task.for_spec(store.spec, runtime.max_pixels), todo, runtime) as pool,
            contextlib.closing(pool.read()) as chunks,
        ):
            pending = _ViewBatches(chunks, lacking, store.spec, runtime.batch_size)
            compute_rows(store.spec, locate, runtime, pending, writer, progress)
        with runtime.stage("writing the features of views"):
            writer.finish()
    note_use(store.path)
    if pending.n_not_finite:
        raise EngineError(
            f"{store.spec.backbone} gives features that are not finite for {pending.n_not_finite:,} augmented views, "
            "although the features of their images are finite; choose another `augment`"
        )
    if pending.n_computed < n_lacking:
        raise DatasetError("images changed during the extraction; run the same command again")
    return StoredViews(store, describe_views(store, n, len(chosen), n_lacking, time.monotonic() - started))


class _ViewBatches(Iterator[NDArray[np.uint8]]):
    """Collect the pixels of augmented views in batches, and match the features of each batch with the views."""

    def __init__(
        self, chunks: Iterator[Chunk], lacking: Mapping[bytes, list[int]], spec: FeatureSpec, batch_size: int
    ) -> None:
        self._views = _views(chunks, lacking)
        self._spec = spec
        self._batch_size = batch_size
        self._under_way: deque[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = deque()
        self.n_computed = 0
        self.n_not_finite = 0

    def __next__(self) -> NDArray[np.uint8]:
        batch = list(islice(self._views, self._batch_size))
        if not batch:
            raise StopIteration
        views = np.array([view for _, _, view in batch], np.int64)
        hashes = as_hashes(content_hash for content_hash, _, _ in batch)
        pixels = np.stack([prepared.pixels for _, prepared, _ in batch])
        signatures = np.stack([prepared.signature for _, prepared, _ in batch])
        self._under_way.append((keys_of(hashes, views), signatures))
        return make_views(pixels, hashes, views, self._spec.augment or "", self._spec.augment_seed)

    def rows(self, features: NDArray[np.float32]) -> Rows:
        """Return the finite rows of the oldest pending batch; a view has the signature of its image."""
        keys, signatures = self._under_way.popleft()
        finite = np.isfinite(features).all(axis=1)
        self.n_computed += int(finite.sum())
        self.n_not_finite += int((~finite).sum())
        return Rows(keys[finite], signatures[finite], features[finite])


def _views(chunks: Iterator[Chunk], lacking: Mapping[bytes, list[int]]) -> Iterator[tuple[bytes, Prepared, int]]:
    """Yield the content hash, the pixels of the image and the number of each view that is computed."""
    for chunk in chunks:
        # A file that has changed since the extraction of the images has no views here, and fill_views raises an error.
        for at, outcome in chunk.decoded():
            prepared = chunk.prepared(at)
            if prepared is not None:
                for view in lacking.get(outcome.state.content_hash, ()):
                    yield outcome.state.content_hash, prepared, view
        chunk.release()
