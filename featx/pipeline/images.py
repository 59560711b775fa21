"""Compute the missing features of the images of a data set and write them to a feature store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from featx.errors import EngineError
from featx.execution import Locate, backbone_name, probe_features, start
from featx.lookup.memo import (
    PassResult,
    Progress,
    membership_test,
    memo_for_spec,
    not_finite_reason,
    recall,
    report_renumbered,
)
from featx.pipeline.batches import Batches, Pending, Readings, rows_of
from featx.pipeline.distributing import compute_on_cluster
from featx.pipeline.remarks import backbone_label, no_finite_probes, report_engine, warn_of_probabilities
from featx.readers import ReaderPool, Task
from featx.runtime import Runtime
from featx.source import ImageFiles
from featx.spec import FeatureSpec
from featx.store import FeatureStore, StoreWriter, note_use
from featx.table import FileStates, Memo

STAGE = "extracting features"
"""Stage that is reported while features are computed."""


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
        readings = Readings(len(todo))
        if runtime.cluster is None or not len(todo):
            is_known = membership_test(stored)
            with (
                ReaderPool(Task.for_spec(store.spec, runtime.max_pixels), todo, runtime) as pool,
                contextlib.closing(pool.read(is_known=is_known)) as chunks,
            ):
                pending = Batches(chunks, readings, progress, not_finite_reason(store.spec))
                device = compute_rows(store.spec, locate, runtime, pending, writer, progress)
            del is_known
        else:
            device = compute_on_cluster(todo, store, stored, locate, runtime, writer, readings, progress)
        readings.skip_undecoded(stored)
        del stored
        with runtime.stage("writing the features"):
            writer.finish()
            settled = recalled.states(readings.completed(memo))
            if readings.n_not_finite and not settled.are("ok").any():
                raise EngineError(
                    f"for every image, {backbone_label(store.spec, locate)} gives features that are not finite"
                )
            remember(settled)
    note_use(store.path)
    return PassResult(settled, readings.n_computed, device, dict(readings.notes))


def compute_rows(
    spec: FeatureSpec, locate: Locate, runtime: Runtime, pending: Pending, writer: StoreWriter, progress: Progress
) -> str:
    """Compute and append the rows of all batches, release the memory of the engine, and return the device."""
    first = next(pending, None)
    if first is None:
        return ""
    engine = start(spec, locate, runtime)
    report_engine(spec, f"{engine.name}, {engine.precision}, {engine.device}", engine.n_features, runtime)
    with runtime.stage(f"running {backbone_name(spec)} for the first time"):
        probes = probe_features(engine, spec)
    if probes is None:
        raise no_finite_probes(spec, locate)
    warn_of_probabilities(probes, spec, runtime)
    begun = False
    for n, rows in rows_of(engine, pending, first):
        if len(rows):
            if not begun:
                writer.begin(probes, engine.producer)
                begun = True
            writer.append(rows)
        progress.advance(n)
    return engine.device
