"""Compute the missing features of the images of a data set and write them to a feature store."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featx.backbones import FILE_BACKBONE
from featx.engines import Runner
from featx.errors import EngineError
from featx.execution import Locate, backbone_name, probe_features, start
from featx.lookup.memo import (
    PassResult,
    Progress,
    as_hashes,
    membership_test,
    memo_for_spec,
    not_finite_reason,
    recall,
    report_renumbered,
    with_states_of_duplicates,
)
from featx.readers import Chunk, ReaderPool, Task
from featx.runtime import Runtime
from featx.source import ImageFiles
from featx.spec import FeatureSpec
from featx.store import FeatureStore, Rows, StoredFeatures, StoreWriter, keys_of, note_use
from featx.table import FileStates, Memo, find_rows

STAGE = "extracting features"
"""Stage that is reported while features are computed."""

_WIDE = 100_000
_ROUNDING = 0.02
"""Maximum rounding error of a sum of probabilities in bfloat16."""


def fill(
    images: ImageFiles,
    memo: Memo,
    store: FeatureStore,
    locate: Locate,
    runtime: Runtime,
    remember: Callable[[FileStates], None] = lambda states: None,
) -> PassResult:
    """Compute those features of the images that are not in the store.

    Parameters
    ----------
    images : ImageFiles
    memo : Memo
        Stored states of the files.
    store : FeatureStore
    locate : callable
        Returns the weights file or the network file of the feature spec; called only if features must be computed.
    runtime : Runtime
    remember : callable
        Called with the states of all images while the store is still locked, so that a later cleaning of the cache
        finds the new rows in a snapshot and keeps them.

    Returns
    -------
    PassResult

    Raises
    ------
    StoreError, EngineError, BackboneError
        If the store, the engine or the backbone cannot be used; see :mod:`featx.errors`. Features computed before an
        error are kept.
    """
    with store.writer(runtime.notice) as writer:
        with runtime.stage("reading the cache"):
            stored = store.snapshot()
            memo = memo_for_spec(memo, store.spec)
        progress = Progress(STAGE, runtime, len(images))
        recalled = recall(images, memo, stored)
        report_renumbered(recalled, runtime)
        todo = recalled.images_to_read(images)
        progress.advance(len(images) - len(todo))
        is_known = membership_test(stored)
        with (
            ReaderPool(Task.for_spec(store.spec, runtime.max_pixels), todo, runtime) as pool,
            contextlib.closing(pool.read(is_known=is_known)) as chunks,
        ):
            pending = _Batches(chunks, len(todo), progress, not_finite_reason(store.spec))
            device = compute_rows(store.spec, locate, runtime, pending, writer, progress)
        pending.skip_undecoded(stored)
        del stored, is_known
        with runtime.stage("writing the features"):
            writer.finish()
            settled = recalled.states(pending.completed(memo))
            if pending.n_not_finite and not settled.are("ok").any():
                raise EngineError(f"for every image, {_network(store.spec, locate)} gives features that are not finite")
            remember(settled)
    note_use(store.path)
    return PassResult(settled, pending.n_computed, device, dict(pending.notes))


def _network(spec: FeatureSpec, locate: Locate) -> str:
    return spec.backbone if spec.backbone != FILE_BACKBONE else str(locate())


def _start(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> Runner:
    engine = start(spec, locate, runtime)
    how = f"{engine.name}, {engine.precision}, {engine.device}"
    runtime.notice(f"engine     {how}: {engine.n_features:,} features per image")
    if spec.pooling == "flatten" and engine.n_features > _WIDE:
        megabytes = engine.n_features * 4 / 1e6
        runtime.notice(
            f"warning: pooling flatten gives {engine.n_features:,} features per image ({megabytes:.1f} MB); heads "
            "will be slow and overfit. The usual choice is average pooling"
        )
    return engine


def _warn_of_probabilities(probes: NDArray[np.float32], spec: FeatureSpec, runtime: Runtime) -> None:
    """Report a warning if the output of a network file looks like class probabilities."""
    if spec.backbone != FILE_BACKBONE or spec.layer is not None or probes.min() < 0 or not probes.any():
        return
    n = probes.shape[1]
    if probes.max() <= 1 if n == 1 else np.abs(probes.sum(axis=1) - 1).max() < _ROUNDING:
        what = "the probability of one class" if n == 1 else f"the probabilities of {n:,} classes (they sum to 1)"
        runtime.notice(
            f"warning: the output of this network looks like {what}; features of an earlier layer are usually better. "
            "Choose the layer with `layer=NAME` in extract or fit"
        )


class Pending(Protocol):
    """Batches of pixels for the backbone, and the rows of the store for the features of each batch."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Return the iterator itself."""
        ...

    def __next__(self) -> NDArray[np.uint8]:
        """Return the next batch."""
        ...

    def rows(self, features: NDArray[np.float32]) -> Rows:
        """Return the rows of the oldest pending batch, given its features; rows that are not finite are left out."""
        ...


def compute_rows(
    spec: FeatureSpec, locate: Locate, runtime: Runtime, pending: Pending, writer: StoreWriter, progress: Progress
) -> str:
    """Compute and append the rows of all batches, release the memory of the engine, and return the device."""
    first = next(pending, None)
    if first is None:
        return ""
    engine = _start(spec, locate, runtime)
    with runtime.stage(f"running {backbone_name(spec)} for the first time"):
        probes = probe_features(engine, spec)
    if probes is None:
        raise EngineError(f"{_network(spec, locate)} gives no finite features for any of the probe images of featx")
    _warn_of_probabilities(probes, spec, runtime)
    begun = False
    with contextlib.closing(engine.run(chain([first], pending))) as features_of:
        for features in features_of:
            rows = pending.rows(features)
            if len(rows):
                if not begun:
                    writer.begin(probes, engine.producer)
                    begun = True
                writer.append(rows)
            progress.advance(len(features))
    return engine.device


class _Batches(Iterator[NDArray[np.uint8]]):
    """Pass the decoded images of each chunk to the backbone, and match the features with the images."""

    def __init__(self, chunks: Iterator[Chunk], n: int, progress: Progress, not_finite: str) -> None:
        self._chunks = chunks
        self._progress = progress
        self._not_finite = not_finite
        self._under_way: deque[tuple[Chunk, int]] = deque()
        self._read = FileStates.blank(n)
        self._n_read = 0
        self.notes: Counter[str] = Counter()
        self.n_computed = 0
        self.n_not_finite = 0

    def __next__(self) -> NDArray[np.uint8]:
        for chunk in self._chunks:
            start = self._n_read
            self._n_read += len(chunk.images)
            self._read.assign(start, chunk.states)
            self.notes.update(outcome.note for outcome in chunk.outcomes if outcome.note)
            n_decoded = len(chunk.pixels)
            self._progress.advance(len(chunk.images) - n_decoded)
            if n_decoded:
                self._under_way.append((chunk, start))
                return chunk.pixels
            chunk.release()
        raise StopIteration

    def rows(self, features: NDArray[np.float32]) -> Rows:
        """Return the rows of the oldest pending chunk; images whose features are not finite are skipped."""
        chunk, start = self._under_way.popleft()
        decoded = list(chunk.decoded())
        hashes = as_hashes(outcome.state.content_hash for _, outcome in decoded)
        finite = np.asarray(np.isfinite(features).all(axis=1))
        for row in np.flatnonzero(~finite).tolist():
            at, outcome = decoded[row]
            state = replace(outcome.state, status="skipped", reason=self._not_finite, width=0, height=0)
            self._read.assign(start + at, [state])
        self.n_not_finite += int((~finite).sum())
        self.n_computed += int(finite.sum())
        rows = Rows(keys_of(hashes)[finite], chunk.signatures[finite], features[finite])
        chunk.release()
        return rows

    def skip_undecoded(self, stored: StoredFeatures) -> None:
        """Skip images whose content was to be decoded as another image that could not be read a second time."""
        read = self._read
        rest = self._undecoded()
        rest = rest[find_rows(read.content_hashes[rest], read.content_hashes[self._decoded()]) < 0]
        for at in rest[~stored.contains(keys_of(read.content_hashes[rest]))].tolist():
            reason = "a file with the same content changed while it was read; the next run tries again"
            read.assign(at, [replace(read[at], status="skipped", reason=reason, mtime_ns=-1)])

    def completed(self, memo: Memo) -> FileStates:
        """Return the states of the images that were read; a duplicate gets that of the decoded file of this or an
        earlier run."""
        read, rows = self._read, self._undecoded()
        if not len(rows):
            return read
        is_in_memo = memo.states.widths > 0
        is_in_memo[is_in_memo] = find_rows(memo.states.content_hashes[is_in_memo], read.content_hashes[rows]) >= 0
        shown = FileStates.join([memo.states.take(is_in_memo), read.take(self._decoded())])
        return with_states_of_duplicates(read, rows, shown)

    def _decoded(self) -> NDArray[np.bool_]:
        return (self._read.widths > 0) | self._read.are("skipped")

    def _undecoded(self) -> NDArray[np.int64]:
        """Return the positions of the images that were read, but decoded as another image with the same content."""
        return np.flatnonzero(self._read.are("ok") & (self._read.widths == 0))
