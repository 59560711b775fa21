"""Write and read the segments of a feature store: HDF5 files with rows sorted by key (docs/format.md)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.files import NotRegularError, open_new
from featx.store.files import entries, exists, write_cache_file
from featx.store.hdf5 import StoredFile, new_hdf5
from featx.store.header import MOST_PROBES, StoreHeader, producers_text, read_producers
from featx.store.merging import MergedRows
from featx.store.rows import KEY_BYTES, RowFile, Rows, sortable
from featx.table import SIGNATURE_SHAPE

FORMAT_VERSION = 3
SEGMENT_NAME = r"[0-9a-f]{16}\.h5"
"""Pattern of the names of segments."""

_SEGMENT_FORMAT = "featx features"
_EXPORT_FORMAT = "featx store"


@dataclass(frozen=True)
class SegmentHeader:
    """Metadata of a segment.

    Parameters
    ----------
    path : path
    store : StoreHeader
        Header of the store, as it was when the segment was written.
    sequence : int
        Number of the segment: larger than the numbers of all segments of the store that existed before.
    replaces : frozenset of str
        Names without suffix of older segments whose rows are all in this segment, except rows that were removed.
    n_rows : int
    n_bytes : int
        Size of the file in bytes.
    """

    path: Path
    store: StoreHeader
    sequence: int
    replaces: frozenset[str]
    n_rows: int
    n_bytes: int

    @property
    def name(self) -> str:
        """Name of the file without suffix: the digest of its content."""
        return self.path.stem


@dataclass(frozen=True, eq=False)
class Segment:
    """An open segment: its header and its rows."""

    header: SegmentHeader
    rows: RowFile

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.header.path


@dataclass(frozen=True)
class Segments:
    """The segments of a store at a point in time.

    Parameters
    ----------
    live : tuple of Segment
        Segments that are used, the largest first.
    dead : tuple of SegmentHeader
        Segments that are replaced by a live segment, and not yet deleted.
    damaged : dict of path to DamagedStoreError
        Segments whose index cannot be read, or which belong to another store.
    """

    live: tuple[Segment, ...]
    dead: tuple[SegmentHeader, ...]
    damaged: dict[Path, DamagedStoreError]


def write_segment(
    folder: Path,
    header: StoreHeader,
    merged: MergedRows,
    sequence: int,
    replaces: frozenset[str],
    confirm: Callable[[], None],
) -> Path:
    """Write a segment, named after the digest of its content; return its path.

    Parameters
    ----------
    folder : path
        Folder of the store.
    header : StoreHeader
    merged : MergedRows
        Rows of the segment.
    sequence, replaces
        See :class:`SegmentHeader`.
    confirm : callable
        Called after the content is written, before the file gets its name; an exception of ``confirm`` prevents this.

    Raises
    ------
    StoreError
        If the segment cannot be written.
    """
    attrs = _attrs(_SEGMENT_FORMAT, header) | {"sequence": sequence, "replaces": json.dumps(sorted(replaces))}
    path = folder / f"{_digest(attrs, header, merged)}.h5"

    def write(temporary: Path) -> None:
        _write(temporary, attrs, header, merged.n_rows, merged.blocks())
        confirm()

    write_cache_file(path, write)
    return path


def write_export(path: Path, header: StoreHeader, n_rows: int, blocks: Iterator[Rows]) -> None:
    """Write all rows of a store to one file, whose bytes depend only on the header and the rows.

    Parameters
    ----------
    path : path
        New file.
    header : StoreHeader
    n_rows : int
        Number of rows in all blocks together.
    blocks : iterator of Rows
        Undamaged rows with ascending keys.
    """
    ordered = sorted(header.producers, key=lambda producer: producers_text((producer,)))
    header = StoreHeader(header.spec, header.probes, tuple(ordered))
    _write(path, _attrs(_EXPORT_FORMAT, header), header, n_rows, ((rows, rows.checksums()) for rows in blocks))


def segment_paths(folder: Path) -> list[Path]:
    """Return the paths of all segments in the folder of a store, sorted."""
    return [path for path in entries(folder) if re.fullmatch(SEGMENT_NAME, path.name)]


def open_segments(folder: Path) -> Segments:
    """Open the segments of a store, and verify their indexes.

    Segments that another run merges meanwhile are listed again, so that no row is missed.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote a segment.
    StoreError
        If a segment cannot be read.
    """
    while True:
        paths = segment_paths(folder)
        opened: list[Segment] = []
        damaged: dict[Path, DamagedStoreError] = {}
        with contextlib.suppress(FileNotFoundError):
            for path in paths:
                try:
                    segment = open_segment(path)
                    _check_store(segment.header, opened)
                    opened.append(segment)
                except DamagedStoreError as error:
                    damaged[path] = error
            # A list of files that change while they are listed may lack a new file as well as the files it replaces.
            if segment_paths(folder) == paths:
                break
    replaced = frozenset[str]().union(*(segment.header.replaces for segment in opened))
    live = [segment for segment in opened if segment.header.name not in replaced]
    live.sort(key=lambda segment: (-segment.header.n_rows, segment.header.sequence))
    dead = tuple(segment.header for segment in opened if segment.header.name in replaced)
    return Segments(tuple(live), dead, damaged)


def _check_store(header: SegmentHeader, others: Sequence[Segment]) -> None:
    if hashlib.sha256(header.store.spec.encode("utf-8", "surrogatepass")).hexdigest()[:16] != header.path.parent.name:
        raise DamagedStoreError(f"the feature spec in {header.path} does not match the name of its folder")
    if any(other.header.store.n_features != header.store.n_features for other in others):
        raise DamagedStoreError(f"{header.path} has another number of features per image than {others[0].path}")


def list_segments(folder: Path) -> tuple[list[SegmentHeader], dict[Path, StoreError]]:
    """Return the headers of the live segments of a store, and the errors of unreadable segments; no index is verified.

    The headers are sorted by sequence.
    """
    headers: list[SegmentHeader] = []
    errors: dict[Path, StoreError] = {}
    for path in segment_paths(folder):
        try:
            headers.append(read_segment_header(path))
        except FileNotFoundError:  # another run has merged this segment meanwhile
            continue
        except StoreError as error:
            errors[path] = error
    replaced = frozenset[str]().union(*(header.replaces for header in headers))
    live = [header for header in headers if header.name not in replaced]
    return sorted(live, key=lambda header: header.sequence), errors


def read_segment_header(path: Path) -> SegmentHeader:
    """Return the header of a segment, without verifying its index.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote the file.
    DamagedStoreError
        If the file is not a segment, or its header is damaged.
    FileNotFoundError
        If the file does not exist.
    """
    return _header(_opened(path), path)


def open_segment(path: Path) -> Segment:
    """Open a segment, and verify its index: the keys and the checksums of the rows. No row is read.

    Raises
    ------
    NewerFormatError, DamagedStoreError, FileNotFoundError
        As :func:`read_segment_header`; also if the index is damaged.
    """
    file = _opened(path)
    header = _header(file, path)
    n = header.n_rows
    rows = Rows(
        file.mapped("key", "u1", (n, KEY_BYTES)),
        file.mapped("signature", "u1", (n, *SIGNATURE_SHAPE)),
        file.mapped("features", "<f4", (n, header.store.n_features)),
    )
    crcs = file.mapped("crc", "<u4", (n,))
    if not (file.has_checksum("key") and file.has_checksum("crc")):
        raise DamagedStoreError(f"{path}: the index has no checksum")
    keys = sortable(rows.keys)
    if not (keys[1:] > keys[:-1]).all():
        raise DamagedStoreError(f"{path}: the rows are not sorted by key")
    return Segment(header, RowFile(rows, crcs, keys, np.arange(n)))


def check_content(segment: Segment) -> None:
    """Check the name of a segment and its HDF5 structure, which only other programs read; no row is read.

    Raises
    ------
    DamagedStoreError
        If the structure or the name is wrong.
    """
    file = _opened(segment.path)
    file.check_structure()
    if _digest(file.attrs, segment.header.store, MergedRows([segment.rows])) != segment.header.name:
        raise DamagedStoreError(f"{segment.path}: the name is not the digest of the content")


def suspect_path(segment: Path) -> Path:
    """Return the path of the mark of a segment in which a damaged row was read."""
    return segment.with_suffix(".suspect")


def mark_suspect(segment: Path) -> bool:
    """Mark a segment, so that the next writer checks its rows; return whether there is a mark."""
    path = suspect_path(segment)
    try:
        open_new(path).close()
    except FileExistsError:
        return True
    except OSError:  # the cache is read-only
        return False
    return True


def is_suspect(segment: Path) -> bool:
    """Return whether a damaged row was read in a segment."""
    return exists(suspect_path(segment))


def _attrs(name: str, header: StoreHeader) -> dict[str, str | int]:
    return {
        "format": name,
        "format_version": FORMAT_VERSION,
        "spec": header.spec,
        "producers": producers_text(header.producers),
    }


def _digest(attrs: Mapping[str, str | int], header: StoreHeader, merged: MergedRows) -> str:
    """Return the digest of the attributes and the probe features of a segment, and of its keys and checksums."""
    of_keys, of_crcs = hashlib.sha256(), hashlib.sha256()
    for keys, crcs in merged.index():
        of_keys.update(keys.tobytes())
        of_crcs.update(crcs.astype("<u4", copy=False).tobytes())
    whole = hashlib.sha256(json.dumps(dict(attrs), sort_keys=True).encode())
    for part in (header.probes.astype("<f4", copy=False).tobytes(), of_keys.digest(), of_crcs.digest()):
        whole.update(part)
    return whole.hexdigest()[:16]


def _write(
    path: Path,
    attrs: Mapping[str, str | int],
    header: StoreHeader,
    n: int,
    blocks: Iterator[tuple[Rows, NDArray[np.uint32]]],
) -> None:
    with new_hdf5(path, attrs) as file:
        file.add("probes", header.probes)
        key = file.create("key", (n, KEY_BYTES), "u1", checked=True)
        signature = file.create("signature", (n, *SIGNATURE_SHAPE), "u1")
        features = file.create("features", (n, header.n_features), "<f4")
        crc = file.create("crc", (n,), "<u4", checked=True)
        for rows, crcs in blocks:
            key.append(rows.keys)
            signature.append(rows.signatures)
            features.append(rows.features)
            crc.append(crcs)


def _opened(path: Path) -> StoredFile:
    try:
        return StoredFile(path)
    except (FileNotFoundError, StoreError):
        raise
    except NotRegularError as error:  # treated as damage, so that the file is set aside
        raise DamagedStoreError(f"{path} is {error.strerror}") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def _header(file: StoredFile, path: Path) -> SegmentHeader:
    if file.attrs.get("format") != _SEGMENT_FORMAT:
        raise DamagedStoreError(f"{path} is not a segment of a feature store of featx")
    version = file.attrs.get("format_version")
    if not isinstance(version, int) or version < FORMAT_VERSION:
        raise DamagedStoreError(f"{path} has the invalid format version {version!r}")
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} has format {version}; this version of featx reads format {FORMAT_VERSION}. Update featx, or "
            "choose another `cache`"
        )
    shape = file.shape("probes")
    if len(shape) != 2 or not 0 < 4 * math.prod(shape) <= MOST_PROBES:
        raise DamagedStoreError(f"{path}: probes has the invalid shape {shape}")
    probes = np.array(file.mapped("probes", "<f4", shape))
    producers = read_producers(file.attrs.get("producers"))
    if not producers:
        raise DamagedStoreError(f"{path} has no valid attribute producers")
    spec, sequence = file.attrs.get("spec"), file.attrs.get("sequence")
    if not isinstance(spec, str):
        raise DamagedStoreError(f"{path} has no feature spec")
    replaces = _names(file.attrs.get("replaces"))
    if type(sequence) is not int or replaces is None:
        raise DamagedStoreError(f"{path} has no valid attributes sequence and replaces")
    n_rows = file.shape("crc")
    if len(n_rows) != 1:
        raise DamagedStoreError(f"{path}: crc has the invalid shape {n_rows}")
    return SegmentHeader(path, StoreHeader(spec, probes, producers), sequence, replaces, n_rows[0], file.n_bytes)


def _names(text: object) -> frozenset[str] | None:
    try:
        names = json.loads(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return frozenset(names)
