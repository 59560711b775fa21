"""Let the workers of a cluster compute rows, and write the rows that they return."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.agreement import MIN_COSINE, reproduces
from featx.cluster import Call, Done, Failed, Joined, connect, distribute
from featx.errors import EngineError
from featx.execution import Locate
from featx.lookup import Progress
from featx.pipeline.batches import Readings
from featx.pipeline.chunks import (
    GRAPH,
    WEIGHTS,
    ChunkRows,
    PackedImages,
    Proof,
    Setup,
    compute,
    keep_known,
    own_version,
    prefixes_of,
    prove,
    receive,
)
from featx.pipeline.remarks import no_finite_probes, report_engine, warn_of_probabilities
from featx.readers import BROKEN_LINK, NOT_FOUND
from featx.runtime import Runtime
from featx.source import ImageFiles
from featx.store import FeatureStore, StoredFeatures, StoreWriter, as_bytes, read_quantized_graph
from featx.table import FileState

_LARGEST = 4096
_CHUNK_BYTES = 16_000_000
"""Maximum size of the rows of a chunk, in bytes, unless a single row is larger."""

_PIECE = 8_000_000
_MOST_BYTES = 100_000_000
"""Maximum size of a weights file that is sent to workers which lack it, in bytes."""

_SAMPLE = 100
"""Maximum number of images that are opened to find one that can be opened."""


def compute_on_cluster(
    images: ImageFiles,
    store: FeatureStore,
    stored: StoredFeatures,
    locate: Locate,
    runtime: Runtime,
    writer: StoreWriter,
    readings: Readings,
    progress: Progress,
) -> str:
    """Compute and append the rows of images in the workers of a cluster, and return the device.

    Parameters
    ----------
    images : ImageFiles
        Images to read.
    store : FeatureStore
    stored : StoredFeatures
        Rows that are stored; images with the same content are read but not computed.
    locate : callable
        As for :func:`featx.pipeline.fill`.
    runtime : Runtime
    writer : StoreWriter
    readings : Readings
        States of the images, which this function fills in.
    progress : Progress

    Raises
    ------
    ClusterError
        If the scheduler is lost, or no worker can compute the features.
    EngineError
        If the backbone gives no finite features for the probe images.
    """
    cluster = connect(runtime)
    work = ImageWork(images, store, stored, locate, runtime)
    try:
        for event in distribute(work, cluster, runtime.notice):
            if isinstance(event, Joined):
                n = "1 worker" if event.n_workers == 1 else f"{event.n_workers:,} workers"
                progress.rename(f"extracting features on {n}")
            elif isinstance(event, Failed):
                state = FileState(
                    images[event.at].size, -1, b"", "skipped", f"{event.reason}; the next run tries again"
                )
                readings.states.assign(event.at, [state])
                progress.advance(1)
            else:
                _take(event, work, writer, readings)
                progress.advance(event.stop - event.start)
    finally:
        work.report_engines()
    if work.error is not None:
        raise work.error
    return work.device


def _take(done: Done, work: ImageWork, writer: StoreWriter, readings: Readings) -> None:
    """Append the rows of a chunk, and record the states of its images."""
    result: ChunkRows = done.result
    listed = work.images.stamps[done.start : done.stop]
    stamps = result.states.stamps
    # The file system of the worker may number its files differently; the next run compares with this machine.
    unchanged = (stamps[:, :2] == listed[:, :2]).all(axis=1)
    stamps = np.where(unchanged[:, np.newaxis], listed, stamps)
    readings.states.put(done.start, result.states.replaced(stamps=stamps))
    readings.notes.update(result.notes)
    readings.n_computed += len(result.rows)
    readings.n_not_finite += result.n_not_finite
    if len(result.rows):
        for probes, producer in work.new_producers():
            writer.begin(probes, producer)
        writer.append(result.rows)


class ImageWork:
    """The images that the workers of a cluster compute; see :class:`featx.cluster.Work`.

    Parameters
    ----------
    images, store, stored, locate, runtime
        See :func:`compute_on_cluster`.

    Attributes
    ----------
    device : str
        Device that computes the features; empty before a worker is admitted.
    error : EngineError or None
        Error that ends the run, because the backbone is the cause.
    """

    def __init__(
        self, images: ImageFiles, store: FeatureStore, stored: StoredFeatures, locate: Locate, runtime: Runtime
    ) -> None:
        self.images = images
        self.device = ""
        self.error: EngineError | None = None
        self._spec = store.spec
        self._locate = locate
        self._runtime = runtime
        header = store.header()
        self._reference = None if header is None else header.probes
        self._known = prefixes_of(as_bytes(stored.keys()).reshape(-1), 36)
        self._setup: Setup | None = None
        self._sample: PackedImages | None = None
        self._n_features = 0
        self._producers: list[tuple[NDArray[np.float32], dict[str, str]]] = []
        self._n_begun = 0
        self._engines: dict[str, list[str]] = {}

    @property
    def n_items(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def largest(self) -> int:
        """Maximum number of images of a chunk."""
        return max(1, min(_LARGEST, _CHUNK_BYTES // (4 * self._n_features + 300)))

    def call(self, start: int, stop: int) -> tuple[Callable[..., Any], Sequence[Any]]:
        """Return the function that computes a chunk, and its arguments."""
        return compute, (self.setup, PackedImages.of(self.images.take(np.arange(start, stop))))

    async def admit(self, name: str, call: Call) -> str:
        """Let a worker prove that it computes the same features; send it what it lacks."""
        proof = await self._proof(call)
        if not proof.refusal and proof.lacks:
            refusal = await self._send(proof.lacks, call)
            proof = Proof(refusal) if refusal else await self._proof(call)
        if proof.refusal or proof.lacks:
            return proof.refusal or f"it lost the {proof.lacks} that were sent to it"
        if proof.probes is None:
            self.error = no_finite_probes(self._spec, self._locate)
            raise self.error
        if self._reference is None:
            self._reference = proof.probes
            warn_of_probabilities(proof.probes, self._spec, self._runtime)
        if self._reference.shape != proof.probes.shape:
            return f"it gives {proof.probes.shape[1]:,} features per image; expected {self._reference.shape[1]:,}"
        is_same, cosine = reproduces(self._reference, proof.probes)
        if not is_same:
            return (
                f"the features of the probe images have a cosine similarity of {cosine:.4f} with those of the others; "
                f"at least {MIN_COSINE} is required ({proof.producer})"
            )
        for start in range(0, len(self._known), _PIECE // 8):
            await call(keep_known, self.setup.run, self._known[start : start + _PIECE // 8])
        self._admit(name, proof)
        return ""

    def _admit(self, name: str, proof: Proof) -> None:
        assert proof.probes is not None
        self._n_features = proof.probes.shape[1]
        self.device = self.device or proof.device
        if all(proof.producer != producer for _, producer in self._producers):
            self._producers.append((proof.probes, proof.producer))
        if not self._engines:
            report_engine(self._spec, proof.how, self._n_features, self._runtime)
        self._engines.setdefault(proof.how, []).append(name)

    def check(self, start: int, stop: int, result: ChunkRows) -> str:
        """Return a reason if the worker did not find an image that this process finds."""
        states = result.states
        is_read = states.content_hashes.any(axis=1)
        missing = np.flatnonzero(states.reasons.where(lambda reason: reason in (NOT_FOUND, BROKEN_LINK)) & ~is_read)
        if not len(missing) and not is_read.any():
            missing = np.arange(min(1, len(states)))
        for at in missing.tolist():
            image = self.images[start + at]
            if not image.reason and _can_open(self.images, start + at):
                return f"it cannot open {image.address}, which this process can open: {states[at].reason}"
        return ""

    @property
    def setup(self) -> Setup:
        """What a worker needs to know."""
        if self._setup is None:
            file = None if self._spec.weights.startswith("random-") else self._locate()
            path = None if file is None else os.path.abspath(file)
            runtime = self._runtime
            readers = None if runtime.cluster == "dask://local" else runtime.workers
            self._setup = Setup(
                uuid.uuid4().hex,
                self._spec.to_json(),
                readers,
                runtime.batch_size,
                runtime.max_pixels,
                runtime.device,
                path,
            )
        return self._setup

    def new_producers(self) -> list[tuple[NDArray[np.float32], dict[str, str]]]:
        """Return the probe features and the producers that were added since the last call."""
        new = self._producers[self._n_begun :]
        self._n_begun += len(new)
        return new

    def report_engines(self) -> None:
        """Report which workers have which engine and device, if they differ."""
        if len(self._engines) > 1:
            for how, names in self._engines.items():
                self._runtime.notice(f"workers    {how}: {', '.join(names)}")

    async def _proof(self, call: Call) -> Proof:
        if self._sample is None:
            at = next((at for at in range(min(_SAMPLE, len(self.images))) if _can_open(self.images, at)), None)
            chosen = np.arange(0) if at is None else np.array([at])
            self._sample = PackedImages.of(self.images.take(chosen))
        proof: Proof = await call(prove, own_version(), self.setup, self._sample)
        return proof

    async def _send(self, what: str, call: Call) -> str:
        """Send a worker the weights or the graph that it lacks; return a reason if this is not possible."""
        if what == GRAPH:
            assert self._spec.graph is not None
            graph = read_quantized_graph(self._runtime.cache, self._spec.graph)
            if graph is None:
                return f"it needs the graph {self._spec.graph}, which is no longer in {self._runtime.cache}"
            return await _send_content(GRAPH, self._spec.graph, ".graph", graph, call)
        assert self.setup.file is not None
        path = Path(self.setup.file)
        size = path.stat().st_size
        if size > _MOST_BYTES:
            return (
                f"it has no file with the weights (SHA-256 {self._spec.weights[:12]}...), and {path} "
                f"({size / 1e6:,.0f} MB) is too large to be sent (at most {_MOST_BYTES / 1e6:,.0f} MB); copy it to the "
                "same path there"
            )
        return await _send_content(WEIGHTS, self._spec.weights, path.suffix, path.read_bytes(), call)


async def _send_content(what: str, name: str, suffix: str, content: bytes, call: Call) -> str:
    reason = ""
    for start in range(0, len(content), _PIECE):
        piece = content[start : start + _PIECE]
        reason = await call(receive, what, name, suffix, start, piece, start + _PIECE >= len(content))
    return reason


def _can_open(images: ImageFiles, at: int) -> bool:
    try:
        images[at].open().stream.close()
    except OSError:
        return False
    return True
