"""Keep the comparison of a data set in the cache, and recall it for the images that are unchanged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.duplicates import neighbours
from featx.duplicates.comparison import Candidates, Comparison
from featx.duplicates.neighbours import Neighbours
from featx.duplicates.similarity import LENGTH
from featx.errors import StoreError
from featx.store import StoredPairs, read_pairs, write_pairs

_FEWEST = 100
"""Smaller data sets are compared in less time than it takes to read and write a file."""

_METHOD = json.dumps(
    {
        "patterns": f"grey 16 x 16, length {LENGTH}, 8 orientations, version 1",
        "farthest": neighbours.FARTHEST,
        "part": neighbours.PART,
        "neighbour": neighbours.NEIGHBOUR,
        "most": [neighbours.MOST_NEAR_DUPLICATES, neighbours.MOST_LOST],
    }
)
"""What a stored comparison depends on, apart from the signatures."""

VERSIONS_METHOD = "featx versions 2"
"""Name of the method that finds versions, which changes with the pairs that it finds."""


class Versions(NamedTuple):
    """Pairs of versions of one original, as positions, and the digest of the images and groups that were searched."""

    of: str = ""
    pairs: Sequence[tuple[int, int]] = ()


NO_VERSIONS = Versions()


def versions_digest(content_hashes: NDArray[np.uint8], signatures: NDArray[np.uint8], groups: NDArray[np.int64]) -> str:
    """Return the digest of images and of the groups that are known of them; see :meth:`KeptComparison.versions`."""
    digest = hashlib.sha256(VERSIONS_METHOD.encode())
    for part in (content_hashes, _checksums(signatures), groups.astype("<i8")):
        digest.update(part.tobytes())
    return digest.hexdigest()


class KeptComparison:
    """The comparison of the images of one data set, kept in the cache.

    Parameters
    ----------
    cache : path
    features_id : str
        Id of the feature store that contains the signatures.
    dataset_id : str
        Id of the data set; empty if the images belong to no data set, whose comparison is then not kept.
    """

    def __init__(self, cache: Path, features_id: str, dataset_id: str) -> None:
        self._cache, self._features_id, self._dataset_id = cache, features_id, dataset_id
        self._is_current = False
        self._versions = NO_VERSIONS

    def recall(self, content_hashes: NDArray[np.uint8], signatures: NDArray[np.uint8]) -> Comparison | None:
        """Return the stored comparison of the images that are unchanged; None if there is none.

        If there is no comparison of this data set, for example because its folder was renamed, that of the data set
        that has most images in common is used.

        Parameters
        ----------
        content_hashes : ndarray of shape (n, 32), uint8
            SHA-256 of each file's bytes, ascending.
        signatures : ndarray of shape (n, 16, 16), uint8
        """
        n = len(content_hashes)
        if not self._dataset_id or n < _FEWEST:
            return None
        checksums = _checksums(signatures)
        best, best_place, n_best = None, np.empty(0, np.int64), 0
        for is_own, stored in read_pairs(self._cache, self._features_id, self._dataset_id):
            if stored.method != _METHOD:
                continue
            place = _places(stored, content_hashes, checksums)
            n_common = int((place >= 0).sum())
            if n_common > n_best:
                best, best_place, n_best = stored, place, n_common
            if is_own and n_common:
                self._is_current = n_common == n == len(place)
                self._versions = Versions(stored.versions_of, _pairs(stored, "version_one", "version_other"))
                break
        return None if best is None else _comparison(best).placed(best_place, n)

    def versions(self, of: str) -> Sequence[tuple[int, int]] | None:
        """Return the stored pairs of versions; None if they were not searched for among these images and groups.

        Parameters
        ----------
        of : str
            Digest of :func:`versions_digest`.
        """
        return self._versions.pairs if self._versions.of == of else None

    def keep(
        self,
        content_hashes: NDArray[np.uint8],
        signatures: NDArray[np.uint8],
        comparison: Comparison | None,
        versions: Versions = NO_VERSIONS,
    ) -> None:
        """Store a comparison, unless it is already stored; see :meth:`recall`.

        A cache that cannot be written is no error, because a comparison only saves time.
        """
        n = len(content_hashes)
        is_current = self._is_current and versions.of == self._versions.of
        is_empty = comparison is None and not versions.of
        if not self._dataset_id or n < _FEWEST or is_current or is_empty:
            return
        comparison = comparison or Comparison.none(n)
        lists, pairs = comparison.neighbours, comparison.candidates
        columns: dict[str, NDArray[Any]] = {
            "content_hash": content_hashes,
            "signature_crc": _checksums(signatures),
            "count": lists.counts,
            "span": lists.spans,
            "reach": pairs.reaches,
            "neighbour": lists.at,
            "neighbour_gap": lists.gaps,
            "one": pairs.ones,
            "other": pairs.others,
            "pair_gap": pairs.gaps,
            "version_one": np.array([one for one, _ in versions.pairs], np.int64),
            "version_other": np.array([other for _, other in versions.pairs], np.int64),
        }
        stored = StoredPairs(_METHOD, comparison.n_lost, columns, versions.of)
        with contextlib.suppress(StoreError):
            write_pairs(self._cache, self._features_id, self._dataset_id, stored)


def _checksums(signatures: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return np.array([zlib.crc32(signature) for signature in np.ascontiguousarray(signatures)], np.uint32)


def _places(stored: StoredPairs, content_hashes: NDArray[np.uint8], checksums: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the position of each stored image among all images; -1 for an image that is missing or has changed."""
    n = len(content_hashes)
    hashes = np.ascontiguousarray(content_hashes).view("S32").reshape(n)
    known = np.ascontiguousarray(stored.columns["content_hash"]).view("S32").reshape(-1)
    place = np.minimum(np.searchsorted(hashes, known), n - 1)
    same = (hashes[place] == known) & (checksums[place] == stored.columns["signature_crc"])
    return np.where(same, place, -1)


def _pairs(stored: StoredPairs, *names: str) -> list[tuple[int, int]]:
    one, other = (stored.columns[name].tolist() for name in names)
    return list(zip(one, other, strict=True))


def _comparison(stored: StoredPairs) -> Comparison:
    columns = stored.columns
    lists = Neighbours(
        columns["count"].astype(np.int64), columns["neighbour"], columns["neighbour_gap"], columns["span"]
    )
    ones, others = columns["one"].astype(np.int64), columns["other"].astype(np.int64)
    return Comparison(lists, Candidates(ones, others, columns["pair_gap"], columns["reach"]), stored.n_lost)
