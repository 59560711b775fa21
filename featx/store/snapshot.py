"""The data-set snapshot: which file had which content and label at the last scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from featx.store.files import prepare_cache, write_whole
from featx.store.hdf5 import new_hdf5
from featx.table import FileState, Sample

_FORMAT_NAME = "featx data set"
_FORMAT_VERSION = 1
_NOT_READ = bytes(32)


def write_snapshot(
    cache: Path, dataset_id: str, root: Path, decode: str, entries: Sequence[tuple[Sample, FileState]]
) -> None:
    """Replace the snapshot of a data set.

    Parameters
    ----------
    cache : path
    dataset_id : str
        Names the file ``cache/datasets/<dataset_id>.h5``.
    root : path
        The data set's root, for people who look.
    decode : str
        Decode version under which skipped images were skipped.
    entries : sequence of (Sample, FileState)
        In sample_id order.

    Raises
    ------
    StoreError
        The cache cannot be written.
    """
    path = prepare_cache(cache, "datasets") / f"{dataset_id}.h5"
    write_whole(path, lambda temporary: _write(temporary, root, decode, entries))


def read_snapshot(cache: Path, dataset_id: str, decode: str) -> dict[str, FileState]:
    """Return what is known of the files of a data set, by sample_id.

    A snapshot is a memo: where it is missing or unreadable nothing is known, and files are read again. So are
    images that another decode version skipped.
    """
    try:
        with h5py.File(cache / "datasets" / f"{dataset_id}.h5", "r", locking=False) as file:
            return _read(file, decode)
    except Exception:  # h5py raises OSError, KeyError, ValueError, TypeError, ... on a damaged file
        return {}


def _write(path: Path, root: Path, decode: str, entries: Sequence[tuple[Sample, FileState]]) -> None:
    samples = [sample for sample, _ in entries]
    states = [state for _, state in entries]
    with new_hdf5(path) as file:
        file.attrs["format"], file.attrs["format_version"] = _FORMAT_NAME, _FORMAT_VERSION
        file.attrs["root"], file.attrs["decode"] = _encode(str(root)), decode
        _strings(file, "sample_id", [s.sample_id for s in samples])
        _strings(file, "label", [s.label for s in samples])
        _strings(file, "group", [s.group for s in samples])
        _strings(file, "split", [s.split for s in samples])
        _strings(file, "status", [s.status for s in states])
        _strings(file, "reason", [s.reason for s in states])
        for name in ("size", "mtime_ns", "width", "height"):
            file.create_dataset(name, data=np.array([getattr(s, name) for s in states], np.int64))
        hashes = b"".join(s.content_hash or _NOT_READ for s in states)
        file.create_dataset("content_hash", data=np.frombuffer(hashes, np.uint8).reshape(-1, 32))


def _read(file: h5py.File, decode: str) -> dict[str, FileState]:
    if file.attrs["format"] != _FORMAT_NAME or file.attrs["format_version"] != _FORMAT_VERSION:
        return {}
    same_decode = file.attrs["decode"] == decode
    columns = [file[name][()] for name in ("size", "mtime_ns", "width", "height")]
    sizes, times, widths, heights = (column.tolist() for column in columns)
    ids, statuses, reasons = (
        [_decode(value) for value in file[name][()]] for name in ("sample_id", "status", "reason")
    )
    hashes = [row.tobytes() for row in file["content_hash"][()]]
    return {
        sample_id: FileState(
            sizes[i],
            times[i],
            b"" if hashes[i] == _NOT_READ else hashes[i],
            statuses[i],
            reasons[i],
            widths[i],
            heights[i],
        )
        for i, sample_id in enumerate(ids)
        if same_decode or statuses[i] != "skipped"
    }


def _strings(file: h5py.File, name: str, values: Sequence[str | None]) -> None:
    encoded: Any = np.array([_encode(v or "") for v in values], object)
    file.create_dataset(name, data=encoded, dtype=h5py.string_dtype("utf-8"))


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
