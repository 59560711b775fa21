"""A second pass over a data set, for augmented views of its training part; each picture is decoded once for all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import PRESETS, make_views, read_policy
from featx.dataset import Found
from featx.errors import DatasetError, EngineError, SpecError
from featx.extraction.filling import Progress, as_hashes, compute_rows, read_ahead, sound_rows
from featx.extraction.reading import Reader, Reading, preparing_as
from featx.extraction.starting import Locate
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import FeatureStore, Rows, StoredFeatures, keys_of, note_use
from featx.table import FileState, Views

_MOST = 65_535
"""A key has two bytes for the number of the view."""


@dataclass(frozen=True)
class Augmented:
    """The views of a data set, and the store that has them.

    Parameters
    ----------
    store : FeatureStore
    views : Views
    """

    store: FeatureStore
    views: Views


def check_views(augment: str | None, views: int) -> str | None:
    """Return the canonical policy where views are asked for, None where they are not.

    Raises
    ------
    SpecError
        No such policy, or a policy without a number of views, or the other way round.
    """
    if not 0 <= views <= _MOST:
        raise SpecError(f"views is {views}; allowed are 0 (none) to {_MOST:,}")
    if augment is None:
        if views:
            raise SpecError(
                f"{views} views are asked for, but not how they are made; add --augment with {', '.join(PRESETS)}, or "
                "values as rotation=15,flip=horizontal"
            )
        return None
    policy = read_policy(augment)
    if not views:
        raise SpecError(f"--augment {augment} without views; say how many of each picture are wanted, as --views 4")
    return policy


def views_store(plain: FeatureStore, policy: str, seed: int) -> FeatureStore:
    """Return the store of the views of a recipe's pictures."""
    return FeatureStore(plain.path.parent.parent, replace(plain.spec, augment=policy, augment_seed=seed))


def fill_views(
    pictures: Sequence[Found],
    states: Sequence[FileState],
    store: FeatureStore,
    n: int,
    locate: Locate,
    runtime: Runtime,
    viewed: Collection[bytes] | None = None,
) -> Augmented:
    """Compute the views that a store lacks of the pictures of the training part.

    Parameters
    ----------
    pictures : sequence of Found
    states : sequence of FileState
        What the pass over the pictures themselves found, in the same order.
    store : FeatureStore
        Of a recipe with ``augment``.
    n : int
        Views of each picture.
    locate : callable
        As for :func:`featx.extraction.filling.fill`.
    runtime : Runtime
    viewed : collection of bytes, optional
        Contents of these alone.

    Raises
    ------
    DatasetError
        Pictures have changed since that pass.
    """
    started = time.monotonic()
    chosen = _contents_to_learn(pictures, states)
    if viewed is not None:
        chosen = {content: found for content, found in chosen.items() if content in viewed}
    with store.writer(runtime.notice) as writer, preparing_as(store.spec, runtime) as prepare:
        stored = sound_rows(store, runtime)
        lacking = _lacking(chosen, stored, n)
        del stored
        n_lacking = sum(map(len, lacking.values()))
        progress = Progress("extracting features of views", runtime, n * len(chosen))
        progress.advance(n * len(chosen) - n_lacking)
        ahead = read_ahead(store.spec, runtime)
        reader = Reader(lambda content: False, prepare, runtime.n_workers, ahead, runtime.max_pixels)
        readings = reader.read([chosen[content] for content in lacking])
        pending = _ViewBatches(readings, lacking, store.spec, runtime.batch_size)
        compute_rows(store.spec, locate, runtime, pending, writer, progress)
        with runtime.stage("writing the features of views"):
            writer.finish()
    note_use(store.path)
    if pending.n_not_finite:
        raise EngineError(
            f"{store.spec.backbone} gives features that are not finite for {pending.n_not_finite:,} augmented views, "
            "though it does not for their images; choose another --augment"
        )
    if pending.n_computed < n_lacking:
        raise DatasetError("pictures have changed while they were extracted; run the same command again")
    return Augmented(store, _told(store, n, len(chosen), n_lacking, time.monotonic() - started))


def look_up_views(
    pictures: Sequence[Found], states: Sequence[FileState], store: FeatureStore, n: int
) -> Augmented | None:
    """Return the views of the training part if a store has all of them; none are computed.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    chosen = _contents_to_learn(pictures, states)
    if _lacking(chosen, store.snapshot(), n):
        return None
    note_use(store.path)
    return Augmented(store, _told(store, n, len(chosen), 0, 0.0))


def _told(store: FeatureStore, n: int, n_contents: int, n_computed: int, seconds: float) -> Views:
    spec = store.spec
    policy = spec.augment or ""
    n_cached = n * n_contents - n_computed
    return Views(n, policy, spec.augment_seed, spec.id, store.path, n_computed, n_cached, seconds)


def _contents_to_learn(pictures: Sequence[Found], states: Sequence[FileState]) -> dict[bytes, Found]:
    """Return a picture of each usable content that is learnt from, in order."""
    chosen: dict[bytes, Found] = {}
    for found, state in zip(pictures, states, strict=True):
        if state.status == "ok" and found.sample.is_learnt:
            chosen.setdefault(state.content_hash, found)
    return chosen


def _lacking(contents: Mapping[bytes, Found], stored: StoredFeatures, n: int) -> dict[bytes, list[int]]:
    """Return the numbers of the views that are not stored, by content; nothing of contents that lack none."""
    hashes = as_hashes(contents)
    numbers = range(1, n + 1)
    present = np.array([stored.contains(keys_of(hashes, view)) for view in numbers]).reshape(n, len(hashes))
    found = {
        content: [view for view, is_there in zip(numbers, column, strict=True) if not is_there]
        for content, column in zip(contents, present.T.tolist(), strict=True)
    }
    return {content: views for content, views in found.items() if views}


class _ViewBatches(Iterator[NDArray[np.uint8]]):
    """Turns readings into batches of views, and remembers whose they are until their features come."""

    def __init__(
        self, readings: Iterator[Reading], lacking: Mapping[bytes, list[int]], spec: FeatureSpec, batch_size: int
    ) -> None:
        self._readings = readings
        self._lacking = lacking
        self._spec = spec
        self._batch_size = batch_size
        self._waiting: deque[tuple[Reading, int]] = deque()
        self._under_way: deque[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = deque()
        self.n_computed = 0
        self.n_not_finite = 0

    def __next__(self) -> NDArray[np.uint8]:
        while len(self._waiting) < self._batch_size and (reading := next(self._readings, None)) is not None:
            if reading.prepared is not None:  # a file that changed meanwhile has no lacking views, and is missed later
                lacking = self._lacking.get(reading.state.content_hash, ())
                self._waiting.extend((reading, view) for view in lacking)
        batch = [self._waiting.popleft() for _ in range(min(self._batch_size, len(self._waiting)))]
        if not batch:
            raise StopIteration
        views = np.array([view for _, view in batch], np.int64)
        hashes = as_hashes(reading.state.content_hash for reading, _ in batch)
        pixels = np.stack([r.prepared.pixels for r, _ in batch if r.prepared is not None])
        signatures = np.stack([r.prepared.signature for r, _ in batch if r.prepared is not None])
        self._under_way.append((keys_of(hashes, views), signatures))
        return make_views(pixels, hashes, views, self._spec.augment or "", self._spec.augment_seed)

    def rows(self, features: NDArray[np.float32]) -> Rows:
        """Return the rows of the oldest batch under way; a view has the signature of its picture."""
        keys, signatures = self._under_way.popleft()
        finite = np.isfinite(features).all(axis=1)
        self.n_computed += int(finite.sum())
        self.n_not_finite += int((~finite).sum())
        return Rows(keys[finite], signatures[finite], features[finite])
