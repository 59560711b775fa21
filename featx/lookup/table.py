"""Build a feature table from a data set, the result of a pass over its images, and a feature store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from featx.dataset import Dataset
from featx.errors import DatasetError
from featx.images import CROP_FRACTION
from featx.lookup.memo import PassResult
from featx.lookup.snapshot import stop_if_none_usable
from featx.lookup.views import StoredViews
from featx.store import FeatureStore, keys_of
from featx.table import (
    CHUNK,
    ORIGINS,
    SIGNATURE_SHAPE,
    Extraction,
    FeatureTable,
    FileStates,
    OwnFolder,
    Samples,
    Skipped,
    as_strings,
)


def join_passes(passes: Sequence[PassResult]) -> PassResult:
    """Combine the results of several passes into one."""
    notes: Counter[str] = Counter()
    for result in passes:
        notes.update(result.notes)
    return PassResult(
        states=FileStates.join([result.states for result in passes] or [FileStates.blank(0)]),
        n_computed=sum(result.n_computed for result in passes),
        device=next((result.device for result in passes if result.device), ""),
        notes=dict(notes),
    )


def dataset_table(
    dataset: Dataset,
    filled: PassResult,
    store: FeatureStore,
    title: str,
    started: float,
    augmented: StoredViews | None = None,
) -> FeatureTable:
    """Return the feature table of a data set; for the parameters see :func:`table_of`.

    Raises
    ------
    ImageError
        If none of the images can be used.
    """
    samples, ignored = dataset.images.samples, dataset.ignored.names
    table = table_of(dataset.name, samples, ignored, filled, store, title, started, augmented, dataset.own_folders)
    stop_if_none_usable(table, f"of {dataset.name}")
    extraction = replace(table.extraction, remarks=dataset.remarks)
    return replace(table, root=str(dataset.root.resolve()), dataset_id=dataset.id, extraction=extraction)


def table_of(
    name: str,
    samples: Samples,
    ignored: Sequence[str],
    filled: PassResult,
    store: FeatureStore,
    title: str,
    started: float,
    augmented: StoredViews | None = None,
    own_folders: Sequence[OwnFolder] = (),
) -> FeatureTable:
    """Return the feature table of samples; the features are read from the store on demand.

    Parameters
    ----------
    name : str
        Name of the data set.
    samples : Samples
    ignored : sequence of str
        Files that are not images.
    filled : PassResult
        State of each sample, in the same order.
    store : FeatureStore
        Store of the features.
    title : str
        The backbone and its weights, as shown to users.
    started : float
        Start time of the extraction on the monotonic clock, in seconds.
    augmented : StoredViews, optional
        Augmented views of the training part, with their store.
    own_folders : sequence of OwnFolder
        Folders that were not scanned, because they contain output of featx.
    """
    states = filled.states
    is_ok = states.are("ok")
    usable = slice(None) if is_ok.all() else np.flatnonzero(is_ok)  # a slice makes no copy
    content_hashes = states.content_hashes[usable]
    header = store.header()
    probes = header.probes if header is not None else np.empty((0, 0), np.float32)

    def opened(view: int) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
        n_views = 0 if augmented is None else augmented.views.n
        if not 0 <= view <= n_views:
            raise DatasetError(f"{name} has no view {view}; expected 0 (the images themselves) to {n_views}")
        stored = (augmented.store if view and augmented is not None else store).snapshot()
        return lambda at: stored.rows(keys_of(content_hashes[at], view)).features

    def read_signatures(at: NDArray[np.int64]) -> NDArray[np.uint8]:
        stored = store.snapshot()
        signatures = np.empty((len(at), *SIGNATURE_SHAPE), np.uint8)
        for start in range(0, len(at), CHUNK):  # in chunks, because the features are read together with the signatures
            block = slice(start, start + CHUNK)
            signatures[block] = stored.rows(keys_of(content_hashes[at[block]])).signatures
        return signatures

    extraction = Extraction(
        features_id=store.spec.id,
        store=store.path,
        backbone=title,
        engine=store.spec.engine,
        device=filled.device,
        precision=store.spec.precision,
        n_features=int(probes.shape[1]),
        n_images=len(content_hashes),
        n_computed=filled.n_computed,
        n_cached=len(content_hashes) - filled.n_computed,
        n_duplicates=len(content_hashes) - len(np.unique(as_strings(content_hashes))),
        skipped=tuple(
            Skipped(samples.sample_ids[position], states.reasons[position], position)
            for position in np.flatnonzero(states.are("skipped")).tolist()
        ),
        ignored=ignored,
        cut_away=_cut_away(states.widths[usable], states.heights[usable]) if store.spec.resize == "crop" else None,
        notes=filled.notes,
        seconds=time.monotonic() - started,
        views=None if augmented is None else augmented.views,
        own_folders=tuple(own_folders),
    )
    quantized = store.graph()
    return FeatureTable(
        name=name,
        spec=store.spec,
        samples=_with_origins(samples, states, usable),
        content_hashes=content_hashes,
        opened=opened,
        read_signatures=read_signatures,
        probes=probes,
        extraction=extraction,
        graph=None if quantized is None else np.frombuffer(quantized, np.uint8),
    )


def _with_origins(samples: Samples, states: FileStates, usable: NDArray[np.int64] | slice) -> Samples:
    """Return the usable samples; camera and day are further columns if the EXIF data of any image contain them."""
    chosen = samples if isinstance(usable, slice) else samples.take(usable)
    columns = {name: column.take(usable) for name, column in zip(ORIGINS, (states.cameras, states.days), strict=True)}
    return chosen.with_columns(
        {name: column for name, column in columns.items() if name not in samples.others and any(column.counts())}
    )


def _cut_away(widths: NDArray[np.int32], heights: NDArray[np.int32]) -> float | None:
    known = widths > 0
    width, height = widths[known].astype(np.float64), heights[known].astype(np.float64)
    shares = 1 - (CROP_FRACTION * np.minimum(width, height)) ** 2 / (width * height)
    return float(shares.mean()) if len(shares) else None
