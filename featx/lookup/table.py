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
from featx.store import SIGNATURE_SHAPE, FeatureStore, keys_of
from featx.table import CHUNK, ORIGINS, Extraction, FeatureTable, FileState, OwnFolder, Sample, Skipped


def join_passes(passes: Sequence[PassResult]) -> PassResult:
    """Combine the results of several passes into one."""
    notes: Counter[str] = Counter()
    for result in passes:
        notes.update(result.notes)
    return PassResult(
        states=[state for result in passes for state in result.states],
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
    samples = [image.sample for image in dataset.images]
    ignored = [entry.name for entry in dataset.ignored]
    table = table_of(dataset.name, samples, ignored, filled, store, title, started, augmented, dataset.own_folders)
    stop_if_none_usable(table, f"of {dataset.name}")
    extraction = replace(table.extraction, remarks=dataset.remarks)
    return replace(table, root=str(dataset.root.resolve()), extraction=extraction)


def table_of(
    name: str,
    samples: Sequence[Sample],
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
    samples : sequence of Sample
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
    pairs = list(zip(samples, filled.states, strict=True))
    usable = [(sample, state) for sample, state in pairs if state.status == "ok"]
    content_hashes = np.frombuffer(b"".join(state.content_hash for _, state in usable), np.uint8).reshape(-1, 32)
    keys = keys_of(content_hashes)
    header = store.header()
    probes = header.probes if header is not None else np.empty((0, 0), np.float32)

    def opened(view: int) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
        n_views = 0 if augmented is None else augmented.views.n
        if not 0 <= view <= n_views:
            raise DatasetError(f"{name} has no view {view}; expected 0 (the images themselves) to {n_views}")
        stored = (augmented.store if view and augmented is not None else store).snapshot()
        of_view = keys_of(content_hashes, view)
        return lambda at: stored.rows(of_view[at]).features

    def read_signatures(at: NDArray[np.int64]) -> NDArray[np.uint8]:
        stored = store.snapshot()
        signatures = np.empty((len(at), *SIGNATURE_SHAPE), np.uint8)
        for start in range(0, len(at), CHUNK):  # in chunks, because the features are read together with the signatures
            block = slice(start, start + CHUNK)
            signatures[block] = stored.rows(keys[at[block]]).signatures
        return signatures

    extraction = Extraction(
        features_id=store.spec.id,
        store=store.path,
        backbone=title,
        engine=store.spec.engine,
        device=filled.device,
        precision=store.spec.precision,
        n_features=int(probes.shape[1]),
        n_images=len(usable),
        n_computed=filled.n_computed,
        n_cached=len(usable) - filled.n_computed,
        n_duplicates=len(usable) - len({state.content_hash for _, state in usable}),
        skipped=tuple(
            Skipped(sample.sample_id, state.reason, position)
            for position, (sample, state) in enumerate(pairs)
            if state.status == "skipped"
        ),
        ignored=tuple(ignored),
        cut_away=_cut_away([state for _, state in usable]) if store.spec.resize == "crop" else None,
        notes=filled.notes,
        seconds=time.monotonic() - started,
        views=None if augmented is None else augmented.views,
        own_folders=tuple(own_folders),
    )
    quantized = store.graph()
    return FeatureTable(
        name=name,
        spec=store.spec,
        samples=_with_origins(usable),
        content_hashes=content_hashes,
        opened=opened,
        read_signatures=read_signatures,
        probes=probes,
        extraction=extraction,
        graph=None if quantized is None else np.frombuffer(quantized, np.uint8),
    )


def _with_origins(usable: Sequence[tuple[Sample, FileState]]) -> list[Sample]:
    """Return the samples; camera and day are further columns if the EXIF data of any image contain them."""
    columns = {name for sample, _ in usable[:1] for name, _ in sample.others}
    added = [name for name in ORIGINS if name not in columns and any(getattr(state, name) for _, state in usable)]
    if not added:
        return [sample for sample, _ in usable]
    return [
        replace(sample, others=(*sample.others, *((name, getattr(state, name)) for name in added)))
        for sample, state in usable
    ]


def _cut_away(states: Sequence[FileState]) -> float | None:
    shares = [1 - (CROP_FRACTION * min(s.width, s.height)) ** 2 / (s.width * s.height) for s in states if s.width]
    return float(np.mean(shares)) if shares else None
