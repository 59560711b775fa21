"""The training pictures of a model, found again in their data set: thumbnails, and features from the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.classifier import Classifier
from featx.errors import DatasetNotFoundError, ImageError, StoreError
from featx.images import Guard, encode_thumbnail
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import FeatureStore, keys_of

_SIDE = 72
_MEGABYTES = 1000


class Pictures:
    """Finds pictures of a model below the root of its data set; those that have changed since count as lost.

    Parameters
    ----------
    classifier : Classifier
    data : path or None
        The data set's folder or manifest; without it no picture is found.
    runtime : Runtime

    Raises
    ------
    DatasetNotFoundError
        No such data set.
    """

    def __init__(self, classifier: Classifier, data: Path | None, runtime: Runtime) -> None:
        if data is not None and not data.exists():
            raise DatasetNotFoundError(f"no such file or folder: {data}")
        self._root = None if data is None else data if data.is_dir() else data.parent
        self._known = {row.tobytes() for row in classifier.content_hashes}
        self._spec = classifier.spec
        self._runtime = runtime

    def draw(self, sample_ids: Sequence[str]) -> tuple[list[bytes | None], NDArray[np.float32] | None]:
        """Return a thumbnail of each picture, JPEG of 72 pixels, and their features.

        Returns
        -------
        list of (bytes or None)
            None where a picture is lost.
        ndarray of shape (n, feature_dim), float32, or None
            Rows of lost pictures are nan; None where the cache lacks features.
        """
        contents: list[bytes | None] = [None] * len(sample_ids)
        thumbnails: list[bytes | None] = [None] * len(sample_ids)
        if self._root is None:
            return thumbnails, None
        root = self._root

        with Guard(megabytes=_MEGABYTES) as guard, ThreadPoolExecutor(self._runtime.n_workers) as pool:
            jobs = [pool.submit(self._draw_one, root / sample_id, guard) for sample_id in sample_ids]
            for number, job in enumerate(jobs):
                contents[number], thumbnails[number] = job.result()
                self._runtime.progress("thumbnails", number + 1, len(jobs))
        return thumbnails, _features(self._runtime.cache, self._spec, contents)

    def _draw_one(self, path: Path, guard: Guard) -> tuple[bytes | None, bytes | None]:
        try:
            data = path.read_bytes()
        except OSError:
            return None, None
        content = hashlib.sha256(data).digest()
        if content not in self._known:
            return None, None
        how = {"size": _SIDE, "resize": "pad", "white": self._spec.white, "page": self._spec.page}
        try:
            prepared = guard.prepare(data, **how, max_pixels=self._runtime.max_pixels)
        except ImageError:
            return content, None
        return content, encode_thumbnail(prepared.pixels)


def _features(cache: Path, spec: FeatureSpec, contents: Sequence[bytes | None]) -> NDArray[np.float32] | None:
    found = [i for i, content in enumerate(contents) if content is not None]
    if not found:
        return None
    hashes = np.frombuffer(b"".join(contents[i] or b"" for i in found), np.uint8).reshape(-1, 32)
    try:
        rows = FeatureStore(cache, spec).snapshot().rows(keys_of(hashes)).features
    except StoreError:  # another cache, or rows that were removed: the page is drawn without a map
        return None
    features = np.full((len(contents), rows.shape[1]), np.nan, np.float32)
    features[found] = rows
    return features
