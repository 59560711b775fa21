"""Read and write snapshots of data sets: the state and the label of each file in the last scan."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError
from featx.files import is_real_folder
from featx.source import Place, place_of
from featx.store.files import prepare_cache, write_cache_file
from featx.store.hdf5 import StoredFile, new_hdf5, open_stored
from featx.table import Categorical, FileState, FileStates, FileStatus, Memo, Sample, Samples, Texts

_FORMAT_NAME = "featx data set"
_FORMAT_VERSION = 2
_STATUSES: set[str] = {"ok", "skipped", "ignored"}
_OF_SAMPLES = ("label", "group", "split")
_OF_FILES = ("status", "reason", "camera", "day")
_CODES = ("|u1", "<u2", "<u4")
"""Types of the codes of columns with few distinct values."""


@dataclass(frozen=True)
class SnapshotSummary:
    """Summary of the snapshot of a data set.

    Parameters
    ----------
    root : path or other place
        Root folder of the data set.
    n_images, n_skipped, n_ignored : int
        Number of usable images, of skipped images, and of files that are not images.
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of the bytes of all files that were read.
    """

    root: Place
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


@dataclass(frozen=True, eq=False)
class SnapshotContent:
    """Content of a snapshot.

    Parameters
    ----------
    root : str
        Absolute path of the data set.
    decode : str
        Key of the settings with which images were read or skipped, see :func:`featx.lookup.reading_key`.
    samples : Samples
    states : FileStates
        State of each file, in the same order.
    """

    root: str
    decode: str
    samples: Samples
    states: FileStates


def write_snapshot(
    cache: Path, dataset_id: str, root: Place, decode: str, samples: Sequence[Sample], states: Sequence[FileState]
) -> None:
    """Replace the snapshot of a data set; if it has this content already, only its modification time is changed.

    Parameters
    ----------
    cache : path
    dataset_id : str
        Id of the data set; the file is ``cache/datasets/<dataset_id>.h5``.
    root : path or other place
        Root folder of the data set. The absolute path is stored.
    decode : str
        Key of the settings with which images were read or skipped, see :func:`featx.lookup.reading_key`.
    samples : sequence of Sample
        Sample of each file.
    states : sequence of FileState
        State of each file, in the same order.

    Raises
    ------
    StoreError
        If the cache cannot be written.
    """
    content = SnapshotContent(str(root.resolve()), decode, Samples.of(samples), FileStates.of(states))
    write_content_of(cache, dataset_id, content)


def write_content_of(cache: Path, dataset_id: str, content: SnapshotContent) -> None:
    """Replace the snapshot of a data set by the given content; see :func:`write_snapshot`."""
    path = prepare_cache(cache, "datasets") / f"{dataset_id}.h5"
    attrs: dict[str, str | int] = {"format": _FORMAT_NAME, "format_version": _FORMAT_VERSION}
    attrs |= {"root": content.root, "decode": content.decode}
    columns = _columns(content.samples, content.states)
    if _is_stored(path, attrs, columns):
        with contextlib.suppress(OSError):
            os.utime(path)
    else:
        write_cache_file(path, lambda temporary: _write(temporary, attrs, columns))


def read_snapshot(cache: Path, dataset_id: str, decode: str) -> Memo:
    """Return the stored states of the files of a data set, by sample_id.

    A snapshot only saves time. If the snapshot is missing, cannot be read, or has an earlier format, the result is
    empty and all files are read again. Images that were skipped with other settings (``decode``) are also read again.
    """
    folder, nothing = cache / "datasets", Memo(Texts.of([]), FileStates.blank(0))
    try:
        file = StoredFile(folder / f"{dataset_id}.h5") if is_real_folder(folder) else None
        if file is None or not _is_snapshot(file):
            return nothing
        states = _read_states(file)
        known = Memo(_read_texts(file, "sample_id", len(states)), states)
    except OSError:  # the file is missing or damaged
        return nothing
    return known if file.attrs.get("decode") == decode else known.take(~states.are("skipped"))


def read_content_of(path: Path) -> SnapshotContent:
    """Return the whole content of a snapshot, after checking it.

    Raises
    ------
    NewerFormatError, DamagedStoreError, StoreError, FileNotFoundError
        As :func:`summarize_snapshot`.
    """
    file = _opened(path)
    states = _read_states(file)
    names = _read_texts(file, "sample_id", len(states))
    columns: list[Any] = [_read_categorical(file, name, len(states)) for name in _OF_SAMPLES]
    return SnapshotContent(str(file.attrs["root"]), str(file.attrs.get("decode")), Samples(names, *columns), states)


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
    content = read_content_of(path)
    states = content.states
    counts = states.statuses.counts()
    read = states.content_hashes[states.content_hashes.any(axis=1)]
    return SnapshotSummary(
        place_of(content.root), counts.get("ok", 0), counts.get("skipped", 0), counts.get("ignored", 0), read
    )


def _opened(path: Path) -> StoredFile:
    """Open a snapshot, and check its format and its structure."""
    file = open_stored(path, _FORMAT_VERSION)
    version = file.attrs.get("format_version")
    if version == 1 and file.attrs.get("format") == _FORMAT_NAME:
        raise DamagedStoreError(
            f"{path} has format 1, which this version of featx does not read; extract the data set again, or delete "
            "the file"
        )
    if not _is_snapshot(file):
        raise DamagedStoreError(f"{path} is not the snapshot of a data set")
    file.check_structure()
    return file


def _is_snapshot(file: StoredFile) -> bool:
    named = file.attrs.get("format"), file.attrs.get("format_version")
    return named == (_FORMAT_NAME, _FORMAT_VERSION) and is_path(file.attrs.get("root"))


def is_path(text: object) -> bool:
    """Return whether a value is a text that the operating system accepts as a path."""
    try:
        return isinstance(text, str) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _columns(samples: Samples, states: FileStates) -> dict[str, NDArray[Any]]:
    """Return all datasets of a snapshot, which depend only on the rows."""
    columns: dict[str, NDArray[Any]] = {
        "sample_id": samples.sample_ids.content,
        "stamp": states.stamps,
        "content_hash": states.content_hashes,
        "width": states.widths,
        "height": states.heights,
    }
    texts: dict[str, Categorical[Any]] = {name: getattr(samples, f"{name}s") for name in _OF_SAMPLES}
    texts |= {"status": states.statuses, "reason": states.reasons, "camera": states.cameras, "day": states.days}
    for name, column in texts.items():
        used = column.changed(lambda text: text or "").in_order()
        columns |= {name: used.codes, f"{name}_values": Texts.of(used.values).content}
    return columns


def _is_stored(path: Path, attrs: Mapping[str, str | int], columns: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether a snapshot has the given content and is undamaged."""
    try:
        file = StoredFile(path)
        if file.attrs != attrs or file.names != columns.keys():
            return False
        for name, values in columns.items():
            if (file.dtype(name), file.shape(name)) != (values.dtype.str, values.shape):
                return False
            stored = file.mapped(name, values.dtype.str, values.shape)
            is_equal = np.array_equal(stored, values)
            _forget(stored)
            if not is_equal:
                return False
    except OSError:  # the file is missing or damaged
        return False
    return True


def _write(path: Path, attrs: Mapping[str, str | int], columns: Mapping[str, NDArray[Any]]) -> None:
    with new_hdf5(path, attrs) as file:
        for name, values in columns.items():
            file.add(name, values)


def _read_states(file: StoredFile) -> FileStates:
    """Return the states of all files; check that every usable image has a content hash."""
    n = math.prod(file.shape("width"))
    statuses, reasons, cameras, days = (_read_categorical(file, name, n) for name in _OF_FILES)
    content: NDArray[np.uint8] = _copied(file, "content_hash", "u1", (n, 32))
    is_ok = statuses.where(lambda status: status == "ok")
    if not set(statuses.values) <= _STATUSES or (is_ok & ~content.any(axis=1)).any():
        raise DamagedStoreError("a file has an invalid status")
    return FileStates(
        _copied(file, "stamp", "<i8", (n, 4)),
        content,
        _copied(file, "width", "<i4", (n,)),
        _copied(file, "height", "<i4", (n,)),
        cast("Categorical[FileStatus]", statuses),
        reasons,
        cameras,
        days,
    )


def _read_texts(file: StoredFile, name: str, n: int | None = None) -> Texts:
    """Return a column of texts; check that there are ``n`` texts."""
    content: NDArray[np.uint8] = _copied(file, name, "u1", (math.prod(file.shape(name)),))
    texts = Texts(content)
    if (n is not None and len(texts) != n) or content[-1:].any():
        raise DamagedStoreError(f"{name} has {len(texts)} texts; expected {n}")
    return texts


def _read_categorical(file: StoredFile, name: str, n: int) -> Categorical[str]:
    dtype = file.dtype(name)
    if dtype not in _CODES:
        raise DamagedStoreError(f"{name} has dtype {dtype}; expected one of {', '.join(_CODES)}")
    values = list(_read_texts(file, f"{name}_values"))
    codes = _copied(file, name, dtype, (n,))
    if n and codes.max() >= len(values):
        raise DamagedStoreError(f"{name} has a code without a value")
    return Categorical(codes, values)


def _copied(file: StoredFile, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a copy of a dataset, because Windows cannot replace a file that is mapped into memory."""
    mapped = file.mapped(name, dtype, shape)
    values = np.array(mapped)
    _forget(mapped)
    return values


def _forget(mapped: NDArray[Any]) -> None:
    """Release the memory of the file to which a mapped array belongs; it is read again when it is needed."""
    source: Any = mapped
    while source is not None and not isinstance(source, mmap.mmap):
        source = getattr(source, "base", None)
    if source is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        source.madvise(mmap.MADV_DONTNEED)


def text_column(values: Sequence[str | None]) -> NDArray[np.bytes_]:
    """Return texts as byte strings of equal width (at least one byte); None becomes an empty text."""
    encoded = [(value or "").encode("utf-8", "surrogateescape") for value in values]
    return np.array(encoded, f"S{max(map(len, encoded), default=0) or 1}")
