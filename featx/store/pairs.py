"""Write and read what the comparison of the images of a data set found, so that only new images are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError, StoreError
from featx.store.files import entries, prepare_cache, write_cache_file
from featx.store.hdf5 import StoredFile, new_hdf5, open_stored

_FORMAT_NAME = "featx pairs"
_FORMAT_VERSION = 2
_OF_IMAGES = {"content_hash": "u1", "signature_crc": "<u4", "count": "<i4", "span": "<f4", "reach": "<f4"}
_OF_NEIGHBOURS = {"neighbour": "<i4", "neighbour_gap": "<f4"}
_OF_PAIRS = {"one": "<i4", "other": "<i4", "pair_gap": "<f4"}
_OF_VERSIONS = {"version_one": "<i4", "version_other": "<i4"}


@dataclass(frozen=True)
class StoredPairs:
    """Neighbours of images, and pairs of similar images.

    Parameters
    ----------
    method : str
        How the images were compared. Pairs of another method are not used.
    n_lost : int
        Number of images that were removed since the spans were determined.
    columns : dict of str to ndarray
        ``content_hash`` (uint8, shape (n, 32), ascending), ``signature_crc`` (uint32), ``count`` (int32), ``span`` and
        ``reach`` (float32) of each image; ``neighbour`` (int32) and ``neighbour_gap`` (float32) of each neighbour;
        ``one``, ``other`` (int32) and ``pair_gap`` (float32) of each pair; ``version_one`` and ``version_other``
        (int32) of each pair of versions of one original.
    versions_of : str
        Digest of the images and groups among which versions were searched for; empty if they were not.
    """

    method: str
    n_lost: int
    columns: dict[str, NDArray[Any]]
    versions_of: str = ""


def write_pairs(cache: Path, features_id: str, dataset_id: str, pairs: StoredPairs) -> None:
    """Replace the pairs of a data set: the file ``cache/pairs/<features id>-<data-set id>.h5``.

    Raises
    ------
    StoreError
        If the cache cannot be written.
    """
    path = prepare_cache(cache, "pairs") / f"{features_id}-{dataset_id}.h5"
    attrs: dict[str, str | int] = {"format": _FORMAT_NAME, "format_version": _FORMAT_VERSION}
    attrs |= {"features_id": features_id, "method": pairs.method, "n_lost": pairs.n_lost}
    attrs["versions_of"] = pairs.versions_of

    def write(temporary: Path) -> None:
        with new_hdf5(temporary, attrs) as file:
            for name, dtype in {**_OF_IMAGES, **_OF_NEIGHBOURS, **_OF_PAIRS, **_OF_VERSIONS}.items():
                file.add(name, pairs.columns[name].astype(dtype, copy=False))

    write_cache_file(path, write)


def read_pairs(cache: Path, features_id: str, dataset_id: str) -> Iterator[tuple[bool, StoredPairs]]:
    """Yield the pairs of a data set, then those of other data sets with the same features.

    Pairs only save time: files that cannot be read are left out.

    Yields
    ------
    bool
        Whether the pairs are those of the data set.
    StoredPairs
    """
    folder = cache / "pairs"
    own = folder / f"{features_id}-{dataset_id}.h5"
    try:
        others = [path for path in entries(folder) if path.name.startswith(f"{features_id}-") and path != own]
    except StoreError:
        return
    for path in [own, *(path for path in others if path.suffix == ".h5")]:
        try:
            yield path == own, check_pairs(path)
        except OSError:  # the file is missing or damaged
            continue


def check_pairs(path: Path) -> StoredPairs:
    """Read and check the whole file of the pairs of a data set.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote the file.
    DamagedStoreError
        If the file is damaged, or does not contain pairs.
    StoreError
        If the file cannot be read.
    FileNotFoundError
        If the file does not exist.
    """
    file = open_stored(path, _FORMAT_VERSION)
    version = file.attrs.get("format_version")
    method, n_lost = file.attrs.get("method"), file.attrs.get("n_lost")
    versions_of = file.attrs.get("versions_of")
    named = file.attrs.get("format"), version, file.attrs.get("features_id")
    is_known = named == (_FORMAT_NAME, _FORMAT_VERSION, path.name.partition("-")[0])
    is_known &= isinstance(versions_of, str)
    if not is_known or not isinstance(method, str) or not isinstance(n_lost, int) or n_lost < 0:
        raise DamagedStoreError(f"{path} does not contain the pairs of a data set")
    file.check_structure()
    columns = _columns(file)
    if not _is_consistent(columns):
        raise DamagedStoreError(f"{path}: the numbers of images, neighbours and pairs do not fit together")
    return StoredPairs(method, n_lost, columns, str(versions_of))


def _columns(file: StoredFile) -> dict[str, NDArray[Any]]:
    columns = {}
    for names, first in (
        (_OF_IMAGES, "count"),
        (_OF_NEIGHBOURS, "neighbour"),
        (_OF_PAIRS, "one"),
        (_OF_VERSIONS, "version_one"),
    ):
        length = (file.shape(first) or (0,))[0]
        for name, dtype in names.items():
            shape = (length, 32) if name == "content_hash" else (length,)
            columns[name] = file.mapped(name, dtype, shape)
    return columns


def _is_consistent(columns: dict[str, NDArray[Any]]) -> bool:
    """Return whether positions are in range and in order, so that no later computation can fail or mix up images."""
    n = len(columns["count"])
    hashes = np.ascontiguousarray(columns["content_hash"]).view("S32").reshape(n)
    counts, neighbours = columns["count"].astype(np.int64), columns["neighbour"]
    if (counts < 0).any() or counts.sum() != len(neighbours) or not (hashes[1:] > hashes[:-1]).all():
        return False
    of = np.repeat(np.arange(n), counts)
    gaps = columns["neighbour_gap"]
    is_ordered = (gaps[1:] >= gaps[:-1]) | (of[1:] > of[:-1])
    if not is_ordered.all() or not _are_positions(neighbours, n) or (neighbours == of).any():
        return False
    one, other = columns["one"], columns["other"]
    codes = one.astype(np.int64) * n + other
    in_order = bool((codes[1:] > codes[:-1]).all() and (one < other).all())
    in_order &= all(_are_positions(columns[name], n) for name in _OF_VERSIONS)
    numbers = [gaps, columns["pair_gap"], columns["span"], columns["reach"]]
    return in_order and _are_positions(one, n) and _are_positions(other, n) and all(map(_are_gaps, numbers))


def _are_positions(values: NDArray[Any], n: int) -> bool:
    return bool(((values >= 0) & (values < n)).all())


def _are_gaps(values: NDArray[Any]) -> bool:
    """Return whether gaps are multiples of 0.5 of a possible size; -1 stands for none."""
    return bool(((values >= -1) & (values < 1 << 24) & (2 * values == np.floor(2 * values))).all())
