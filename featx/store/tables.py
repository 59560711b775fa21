"""Write a feature table to a self-contained HDF5 file (docs/format.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.store.hdf5 import new_hdf5
from featx.store.snapshot import text_column

_FORMAT_NAME = "featx table"
_FORMAT_VERSION = 1


def write_table(
    path: Path,
    attributes: Mapping[str, str],
    texts: Mapping[str, Sequence[str | None]],
    content_hashes: NDArray[np.uint8],
    n_features: int,
    chunks: Iterator[tuple[int, NDArray[np.float32]]],
) -> None:
    """Write a feature table.

    Parameters
    ----------
    path : path
        File to write.
    attributes : mapping
        Text attributes of the file, by name.
    texts : mapping
        Text columns by name, each of length n_samples. Bytes that are not valid UTF-8 are represented by surrogate
        escapes.
    content_hashes : ndarray of shape (n_samples, 32), uint8
        SHA-256 of the bytes of each image file.
    n_features : int
        Number of features per image.
    chunks : iterator of (int, ndarray of shape (n, n_features), float32)
        First position and features of consecutive samples; only one chunk is in memory at a time.
    """
    with new_hdf5(path, {"format": _FORMAT_NAME, "format_version": _FORMAT_VERSION, **attributes}) as file:
        for name, column in texts.items():
            file.add(name, text_column(column))
        file.add("content_hash", content_hashes)
        features = file.create("features", (len(content_hashes), n_features), "<f4")
        for _, values in chunks:
            features.append(values)
