"""Read and write snapshots of data sets: the state and the label of each file in the last scan."""

from __future__ import annotations

import math
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.files import is_real_folder
from featx.store.files import prepare_cache, write_cache_file
from featx.store.hdf5 import StoredFile, new_hdf5
from featx.table import FileState, FileStatus, Sample

_FORMAT_NAME = "featx data set"
_FORMAT_VERSION = 1
_NOT_READ = bytes(32)
_STATUSES: dict[str, FileStatus] = {"ok": "ok", "skipped": "skipped", "ignored": "ignored"}
_OF_SAMPLES = ("sample_id", "label", "group", "split")
_OF_FILES = ("status", "reason", "camera", "day")
_TEXTS = (*_OF_SAMPLES, *_OF_FILES)
_IDENTITY = ("inode", "ctime_ns")
_NUMBERS = ("size", "mtime_ns", "width", "height", *_IDENTITY)


@dataclass(frozen=True)
class SnapshotSummary:
    """Summary of the snapshot of a data set.

    Parameters
    ----------
    root : path
        Root folder of the data set.
    n_images, n_skipped, n_ignored : int
        Number of usable images, of skipped images, and of files that are not images.
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of the bytes of all files that were read.
    """

    root: Path
    n_images: int
    n_skipped: int
    n_ignored: int
    content_hashes: NDArray[np.uint8]

    @property
    def is_gone(self) -> bool:
        """Whether the root does not exist; False if the operating system reports an error."""
        try:
            return not self.root.exists()
        except OSError:
            return False


def write_snapshot(
    cache: Path, dataset_id: str, root: Path, decode: str, entries: Sequence[tuple[Sample, FileState]]
) -> None:
    """Replace the snapshot of a data set.

    Parameters
    ----------
    cache : path
    dataset_id : str
        Id of the data set; the file is ``cache/datasets/<dataset_id>.h5``.
    root : path
        Root folder of the data set. The absolute path is stored.
    decode : str
        Key of the settings with which images were read or skipped, see :func:`featx.lookup.reading_key`.
    entries : sequence of (Sample, FileState)
        Sample and state of each file, in sample_id order.

    Raises
    ------
    StoreError
        If the cache cannot be written.
    """
    path = prepare_cache(cache, "datasets") / f"{dataset_id}.h5"
    write_cache_file(path, lambda temporary: _write(temporary, root, decode, entries))


def read_snapshot(cache: Path, dataset_id: str, decode: str) -> dict[str, FileState]:
    """Return the stored states of the files of a data set, by sample_id.

    A snapshot only saves time. If the snapshot is missing, cannot be read, or is from an early version of featx that
    did not store camera names, the result is empty and all files are read again. Images that were skipped with other
    settings (``decode``) are also read again.
    """
    folder = cache / "datasets"
    try:
        return _read(StoredFile(folder / f"{dataset_id}.h5"), decode) if is_real_folder(folder) else {}
    except OSError:  # the file is missing or damaged
        return {}


def summarize_snapshot(path: Path) -> SnapshotSummary:
    """Check a whole snapshot, and return a summary.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote the file.
    DamagedStoreError
        If the file is damaged, or is not the snapshot of a data set.
    StoreError
        If the file cannot be read.
    FileNotFoundError
        If the file does not exist.
    """
    try:
        file = StoredFile(path)
    except (FileNotFoundError, StoreError):
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    version = file.attrs.get("format_version")
    if isinstance(version, int) and version > _FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} has format {version}; this version of featx reads format {_FORMAT_VERSION}. Update featx"
        )
    if not _is_snapshot(file):
        raise DamagedStoreError(f"{path} is not the snapshot of a data set")
    file.check_structure()
    n = math.prod(file.shape("sample_id"))
    for name in file.names.intersection(_TEXTS) | {"sample_id", "status"}:
        _read_texts(file, name, n)
    for name in file.names.intersection(_IDENTITY) | set(_NUMBERS).difference(_IDENTITY):
        file.mapped(name, "<i8", (n,))
    statuses, hashes = _statuses(file, n)
    counts = Counter(statuses)
    read = hashes[hashes.any(axis=1)]
    return SnapshotSummary(Path(str(file.attrs["root"])), counts["ok"], counts["skipped"], counts["ignored"], read)


def _is_snapshot(file: StoredFile) -> bool:
    named = file.attrs.get("format"), file.attrs.get("format_version")
    return named == (_FORMAT_NAME, _FORMAT_VERSION) and is_path(file.attrs.get("root"))


def is_path(text: object) -> bool:
    """Return whether a value is a text that the operating system accepts as a path."""
    try:
        return isinstance(text, str) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _write(path: Path, root: Path, decode: str, entries: Sequence[tuple[Sample, FileState]]) -> None:
    attrs: dict[str, str | int] = {"format": _FORMAT_NAME, "format_version": _FORMAT_VERSION}
    attrs |= {"root": str(root.resolve()), "decode": decode}
    samples = [sample for sample, _ in entries]
    states = [state for _, state in entries]
    with new_hdf5(path, attrs) as file:
        for name in _TEXTS:
            source: Sequence[Sample | FileState] = states if name in _OF_FILES else samples
            file.add(name, text_column([getattr(record, name) for record in source]))
        for name in _NUMBERS:
            file.add(name, np.array([getattr(state, name) for state in states], np.int64))
        hashes = b"".join(state.content_hash or _NOT_READ for state in states)
        file.add("content_hash", np.frombuffer(hashes, np.uint8).reshape(-1, 32))


def _read(file: StoredFile, decode: str) -> dict[str, FileState]:
    if not _is_snapshot(file) or not file.names.issuperset(_OF_FILES):
        return {}
    same_decode = file.attrs.get("decode") == decode
    n = math.prod(file.shape("sample_id"))
    unknown = set(_IDENTITY) - file.names  # not stored by early versions of featx, whose times are therefore not used
    sizes, times, widths, heights, inodes, changes = (
        [-1] * n if unknown and name in ("mtime_ns", *_IDENTITY) else file.mapped(name, "<i8", (n,)).tolist()
        for name in _NUMBERS
    )
    ids, reasons, cameras, days = (_read_texts(file, name, n) for name in ("sample_id", "reason", "camera", "day"))
    statuses, content = _statuses(file, n)
    hashes = [row.tobytes() for row in content]
    return {
        sample_id: FileState(
            sizes[i],
            times[i],
            b"" if hashes[i] == _NOT_READ else hashes[i],
            statuses[i],
            sys.intern(reasons[i]),
            widths[i],
            heights[i],
            sys.intern(cameras[i]),
            sys.intern(days[i]),
            inodes[i],
            changes[i],
        )
        for i, sample_id in enumerate(ids)
        if same_decode or statuses[i] != "skipped"
    }


def _statuses(file: StoredFile, n: int) -> tuple[list[FileStatus], NDArray[np.uint8]]:
    """Return the status and the content hash of each file; check that every usable image has a content hash."""
    texts = _read_texts(file, "status", n)
    content: NDArray[np.uint8] = file.mapped("content_hash", "u1", (n, 32))
    is_ok = np.array([text == "ok" for text in texts], np.bool_)
    if not set(texts) <= set(_STATUSES) or not content[is_ok].any(axis=1).all():
        raise DamagedStoreError("a file has an invalid status")
    return [_STATUSES[text] for text in texts], content


def text_column(values: Sequence[str | None]) -> NDArray[np.bytes_]:
    """Return texts as byte strings of equal width (at least one byte); None becomes an empty text."""
    encoded = [(value or "").encode("utf-8", "surrogateescape") for value in values]
    return np.array(encoded, f"S{max(map(len, encoded), default=0) or 1}")


def _read_texts(file: StoredFile, name: str, n: int) -> list[str]:
    dtype = file.dtype(name)
    if not re.fullmatch(r"\|S[1-9]\d{0,8}", dtype):
        raise DamagedStoreError(f"{name} has dtype {dtype}; expected text")
    return [value.decode("utf-8", "surrogateescape") for value in file.mapped(name, dtype, (n,)).tolist()]
