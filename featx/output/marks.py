"""Recognise from the content of an output file whether featx wrote the file."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

GENERATOR = "featx"
"""Mark of featx: text chunk ``Software`` of a PNG file, ``generator`` of a page, zip comment of a network file."""

_PNG_HEAD = 33
"""Number of bytes of the signature and the first chunk of a PNG file together."""

_PNG_CHUNK = f"tEXtSoftware\0{GENERATOR}".encode()
_HEAD_BYTES = 4096
_INDEX_BYTES = 1 << 20
_FOOTER_BYTES = 1 << 22
_LINE_BYTES = 1 << 22
_PREDICTED = ("path", "label", "confidence", "status", "seen", "reason")
_CSV_HEADS = (
    _PREDICTED,
    ("path", "label", "suggested", "p_label", "p_suggested"),
    ("path", "label", "group", "split", "f0"),
    ("epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"),
)
"""First columns of the CSV tables that featx writes."""

_NPZ = {"features.npy", "sample_id.npy", "content_hash.npy", "features_id.npy"}
_HDF5 = (b"featx table", b"featx store")
_ZIP_COMMENT = len(GENERATOR).to_bytes(2, "little") + GENERATOR.encode()


def has_mark(stream: BinaryIO, suffix: str) -> bool:
    """Return whether a file has the mark of featx; True for an empty file, which may be replaced without loss.

    Parameters
    ----------
    stream : binary file
        File, open for reading at the start.
    suffix : str
        Extension of the file name in lower case.
    """
    if os.fstat(stream.fileno()).st_size == 0:
        return True
    try:
        return _READERS[suffix](stream)
    except (
        KeyError,
        ValueError,
        RecursionError,
        NotImplementedError,
        zipfile.BadZipFile,
    ):  # damaged, or without a mark
        return False


def _has_model(stream: BinaryIO) -> bool:
    with zipfile.ZipFile(stream) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        return "estimator.skops" in sizes and _contains(archive, "model.json", b'"format": "featx model"')


def _contains(archive: zipfile.ZipFile, name: str, text: bytes) -> bool:
    before = b""
    with archive.open(name) as member:
        while part := member.read(_INDEX_BYTES):
            if text in before + part:
                return True
            before = part[-len(text) :]
    return False


def _has_csv_head(stream: BinaryIO) -> bool:
    columns = tuple(stream.readline(_LINE_BYTES).rstrip(b"\r\n").decode("utf-8", "replace").split(","))
    return any(columns[: len(head)] == head for head in _CSV_HEADS)


def _has_prediction(stream: BinaryIO) -> bool:
    row = json.loads(stream.readline(_LINE_BYTES))
    return isinstance(row, dict) and tuple(row)[: len(_PREDICTED)] == _PREDICTED


def _has_parquet_note(stream: BinaryIO) -> bool:
    size = os.fstat(stream.fileno()).st_size
    stream.seek(max(size - _FOOTER_BYTES, 0))
    footer = stream.read(_FOOTER_BYTES)
    n_bytes = int.from_bytes(footer[-8:-4], "little")
    return footer.endswith(b"PAR1") and b"featx." in footer[:-8][-n_bytes:]


def _has_generator(stream: BinaryIO) -> bool:
    return f'<meta name="generator" content="{GENERATOR}">'.encode() in stream.read(_HEAD_BYTES)


def _has_software(stream: BinaryIO) -> bool:
    head = stream.read(_HEAD_BYTES)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and _PNG_CHUNK in head


def _has_index(stream: BinaryIO) -> bool:
    head = stream.read(_INDEX_BYTES)
    return head.startswith(b"featx hdf5 index\n") and any(b'"format": "%s"' % name in head for name in _HDF5)


def _has_arrays(stream: BinaryIO) -> bool:
    with zipfile.ZipFile(stream) as archive:
        return set(archive.namelist()) >= _NPZ


def _has_comment(stream: BinaryIO) -> bool:
    stream.seek(-len(_ZIP_COMMENT), os.SEEK_END)
    return stream.read() == _ZIP_COMMENT


def _names_maker(stream: BinaryIO) -> bool:
    content = json.loads(stream.read(_INDEX_BYTES))
    return isinstance(content, dict) and content.get("made_by") == GENERATOR


def mark_png(content: bytes) -> bytes:
    """Return a PNG file with the mark of featx; the pixels do not change."""
    chunk = (len(_PNG_CHUNK) - 4).to_bytes(4, "big") + _PNG_CHUNK + zlib.crc32(_PNG_CHUNK).to_bytes(4, "big")
    return content[:_PNG_HEAD] + chunk + content[_PNG_HEAD:]


_READERS: dict[str, Callable[[BinaryIO], bool]] = {
    ".featx": _has_model,
    ".csv": _has_csv_head,
    ".jsonl": _has_prediction,
    ".ndjson": _has_prediction,
    ".parquet": _has_parquet_note,
    ".html": _has_generator,
    ".htm": _has_generator,
    ".png": _has_software,
    ".h5": _has_index,
    ".npz": _has_arrays,
    ".keras": _has_comment,
    ".json": _names_maker,
}
"""Functions that search for the mark, by extension; formats that cannot have a mark, such as ``.npy``, are missing."""


def can_carry_mark(suffix: str) -> bool:
    """Return whether files with the given extension can have the mark of featx."""
    return suffix in _READERS
