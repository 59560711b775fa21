"""The unit of work of a cluster: prepare a worker, and compute the rows of a chunk of images in it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.backbones import FILE_BACKBONE, engine_of, find_backbone
from featx.backbones.source import digest
from featx.cluster import this_worker
from featx.engines import Runner, processor_name
from featx.errors import FeatxError, WeightsError
from featx.execution import probe_features, start
from featx.images import decode_version
from featx.lookup import Progress
from featx.lookup.memo import not_finite_reason
from featx.pipeline.batches import Batches, Readings, rows_of
from featx.readers import ReaderPool, Task
from featx.runtime import Runtime, use_processors
from featx.source import ImageFiles, source_from
from featx.spec import FeatureSpec
from featx.store import Rows, read_quantized_graph, write_graph
from featx.table import Categorical, FileStates, Samples, Texts

WEIGHTS, GRAPH = "weights", "graph"
"""What a worker may lack."""

_MOST_SESSIONS = 2


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know before it computes chunks.

    Parameters
    ----------
    run : str
        Id of the run, by which the worker keeps the contents that are stored.
    spec : str
        Feature spec, as JSON.
    workers : int or None
        Maximum number of reader processes; None for one for each thread of the worker.
    batch_size, max_pixels : int
    device : str
        See :class:`featx.Runtime`.
    file : str or None
        Path of the weights file or backbone file on the machine of the client; None for random weights.
    """

    run: str
    spec: str
    workers: int | None
    batch_size: int
    max_pixels: int
    device: str
    file: str | None


@dataclass(frozen=True)
class Proof:
    """What a worker reports before its first chunk.

    Parameters
    ----------
    refusal : str
        Reason why the worker cannot be used; empty if there is none.
    lacks : str
        ``weights`` or ``graph``, if the worker needs their content; otherwise empty.
    how : str
        Engine, precision and device.
    device : str
    probes : ndarray of shape (n_probes, n_features), float32, or None
        Features of the probe images; None if none are finite.
    producer : dict
        Libraries and CPU of the worker.
    """

    refusal: str = ""
    lacks: str = ""
    how: str = ""
    device: str = ""
    probes: NDArray[np.float32] | None = None
    producer: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PackedImages:
    """Descriptions of images, without pixels, that are sent to a worker.

    Parameters
    ----------
    sources : list of dict
        Descriptions of the sources, see :meth:`featx.source.Source.describe`.
    codes : ndarray of shape (n,), unsigned integer
        Source of each image.
    names : ndarray of shape (n_bytes,), uint8
        Ids of the samples, as in :class:`featx.table.Texts`.
    stamps : ndarray of shape (n, 4), int64
    reasons : Categorical
        See :class:`featx.source.ImageFiles`.
    locators : Categorical or None
        Locator of each image, see :meth:`featx.source.Source.locator`; None if all are empty. With it, a worker needs
        neither the index of an archive nor the query string of an address, which only the client knows.
    """

    sources: list[dict[str, str]]
    codes: NDArray[np.unsignedinteger]
    names: NDArray[np.uint8]
    stamps: NDArray[np.int64]
    reasons: Categorical[str]
    locators: Categorical[str] | None

    @classmethod
    def of(cls, images: ImageFiles) -> PackedImages:
        """Return the descriptions of some images."""
        used = images.sources.in_order()
        sources = [source.describe() for source in used.values]
        names, reasons = images.samples.sample_ids.content, images.reasons.in_order()
        found = Categorical.of(image.locate() for image in images)
        return cls(sources, used.codes, names, images.stamps, reasons, found if found.where(bool).any() else None)

    def unpack(self) -> ImageFiles:
        """Return the images, with sources of this machine."""
        sources = [source_from(description) for description in self.sources]
        samples = Samples.unlabelled(Texts(self.names))
        return ImageFiles(samples, Categorical(self.codes, sources), self.stamps, self.reasons, self.locators)


@dataclass(frozen=True)
class ChunkRows:
    """States and rows of the images of a chunk.

    Parameters
    ----------
    states : FileStates
    rows : Rows
        Rows of the images that were decoded, without those whose features are not finite.
    notes : dict
        Number of images to which each note applies.
    n_not_finite : int
    """

    states: FileStates
    rows: Rows
    notes: dict[str, int]
    n_not_finite: int


def own_version() -> str:
    """Return the version of featx in this process."""
    return str(sys.modules["featx"].__version__)


def prove(version: str, setup: Setup, sample: PackedImages) -> Proof:
    """Prepare this worker, and show that it computes the same features as other machines.

    Parameters
    ----------
    version : str
        Version of featx in the client.
    setup : Setup
    sample : PackedImages
        One image that the client can open.
    """
    if version != own_version():
        return Proof(f"it has featx {own_version()}; expected featx {version}, the version of this process")
    spec = FeatureSpec.from_json(setup.spec)
    here = decode_version()
    if here != spec.decode:
        return Proof(
            f"its decoder gives other pixels ({here}; expected {spec.decode}); install the same versions of Pillow, "
            "simplejpeg and cykooz-resizer"
        )
    lacking = _lacking_image(sample)
    if lacking:
        return Proof(lacking)
    if not engine_of(spec).has_precision(spec.precision):
        return Proof(f"its CPU ({processor_name()}) does not support {spec.precision}")
    if spec.graph is not None and read_quantized_graph(_cache(), spec.graph) is None:
        return Proof(lacks=GRAPH)
    try:
        session = _session(setup)
    except _NoWeightsError:
        return Proof(lacks=WEIGHTS)
    except FeatxError as error:
        return Proof(str(error))
    engine = session.engine
    how = f"{engine.name}, {engine.precision}, {engine.device}"
    return Proof("", "", how, engine.device, session.probes, engine.producer)


def receive(what: str, name: str, suffix: str, offset: int, piece: bytes, is_last: bool) -> str:
    """Store a piece of the content of a weights file or of a graph; return a reason if the content is wrong.

    Parameters
    ----------
    what : {"weights", "graph"}
    name : str
        SHA-256 of a weights file, or name of a graph.
    suffix : str
        File name extension.
    offset : int
    piece : bytes
    is_last : bool
    """
    path = _received(name, suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f"{suffix}.{os.getpid()}")
    with open(part, "wb" if offset == 0 else "r+b") as stream:
        stream.seek(offset)
        stream.write(piece)
    if not is_last:
        return ""
    if what == GRAPH:
        write_graph(_cache(), name, part.read_bytes())
        part.unlink()
        return "" if read_quantized_graph(_cache(), name) is not None else "the graph changed on its way to the worker"
    if digest(part) != name:
        return "the weights changed on their way to the worker"
    part.replace(path)
    return ""


def keep_known(run: str, prefixes: NDArray[np.uint64]) -> None:
    """Keep the first 8 bytes of content hashes whose features are stored; such images are not decoded."""
    with _lock:
        _known.setdefault(run, []).append(np.sort(prefixes))
        while len(_known) > _MOST_SESSIONS:
            del _known[next(iter(_known))]


def compute(setup: Setup, packed: PackedImages) -> ChunkRows:
    """Read, decode and compute a chunk of images; see :class:`ChunkRows`."""
    session = _session(setup)
    images = packed.unpack()
    readings = Readings(len(images))
    parts: list[Rows] = []
    with (
        session.lock,
        ReaderPool(Task.for_spec(session.spec, setup.max_pixels), images, session.runtime) as pool,
        contextlib.closing(pool.read(is_known=_membership(setup.run))) as chunks,
    ):
        progress = Progress("", session.runtime, len(images))
        batches = Batches(chunks, readings, progress, not_finite_reason(session.spec))
        parts.extend(rows for _, rows in rows_of(session.engine, batches))
    columns = zip(*((rows.keys, rows.signatures, rows.features) for rows in parts), strict=True)
    rows = Rows(*map(np.concatenate, columns)) if parts else Rows.empty(0, session.engine.n_features)
    return ChunkRows(readings.states, rows, dict(readings.notes), readings.n_not_finite)


class _NoWeightsError(Exception):
    """This worker has no file with the weights."""


@dataclass
class _Session:
    """The engine of a feature spec in this worker, which computes one chunk at a time."""

    spec: FeatureSpec
    runtime: Runtime
    engine: Runner
    probes: NDArray[np.float32] | None
    lock: threading.Lock = field(default_factory=threading.Lock)


_lock = threading.RLock()
_sessions: dict[Setup, _Session] = {}
_known: dict[str, list[NDArray[np.uint64]]] = {}


def _session(setup: Setup) -> _Session:
    """Return the engine of a feature spec, started at the first call."""
    setup = replace(setup, run="")
    with _lock:
        if setup in _sessions:
            return _sessions[setup]
        n_threads = this_worker().n_threads
        use_processors(n_threads)
        spec = FeatureSpec.from_json(setup.spec)
        runtime = Runtime(
            _cache(),
            workers=min(setup.workers or n_threads, n_threads),
            batch_size=setup.batch_size,
            device=setup.device,
            max_pixels=setup.max_pixels,
        )
        engine = start(spec, lambda: _weights(spec, setup), runtime)
        while len(_sessions) >= _MOST_SESSIONS:
            del _sessions[next(iter(_sessions))]
        made = _sessions[setup] = _Session(spec, runtime, engine, probe_features(engine, spec))
    return made


def _cache() -> Path:
    return this_worker().folder / "featx"


def _received(name: str, suffix: str) -> Path:
    return this_worker().folder / "featx-received" / f"{name}{suffix}"


def _weights(spec: FeatureSpec, setup: Setup) -> Path | None:
    """Return the weights file of this machine, or the one that was received; nothing is downloaded."""
    if setup.file is None:
        return None
    given = Path(setup.file)
    candidates = [given, _received(spec.weights, given.suffix)]
    if spec.backbone != FILE_BACKBONE:
        with contextlib.suppress(WeightsError):
            candidates.insert(0, find_backbone(spec.backbone).weights.path(spec.size))
    for path in candidates:
        with contextlib.suppress(WeightsError):
            if digest(path) == spec.weights:
                return path
    raise _NoWeightsError


def _lacking_image(sample: PackedImages) -> str:
    for image in sample.unpack():
        try:
            image.open().stream.close()
        except OSError as error:
            return f"it cannot open {image.address}, which this process can open: {error.strerror or error}"
    return ""


def _membership(run: str) -> Callable[[Sequence[bytes]], list[bool]] | None:
    """Return a function that returns for each content hash whether its features are stored."""
    with _lock:
        pieces = list(_known.get(run, ()))
    if not pieces:
        return None

    def is_known(content_hashes: Sequence[bytes]) -> list[bool]:
        known = np.zeros(len(content_hashes), np.bool_)
        wanted = prefixes_of(np.frombuffer(b"".join(one or bytes(32) for one in content_hashes), np.uint8))
        for piece in pieces:
            place = np.minimum(np.searchsorted(piece, wanted), len(piece) - 1)
            known |= piece[place] == wanted
        found: list[bool] = known.tolist()
        return found

    return is_known


def prefixes_of(content: NDArray[np.uint8], width: int = 32) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each row of bytes as numbers, shape (n,)."""
    rows = content.reshape(-1, width)[:, :8]
    return np.ascontiguousarray(rows).view(">u8").reshape(-1).astype(np.uint64)
