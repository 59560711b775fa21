"""Read thumbnails and cached features of the training images of a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DatasetError, StoreError
from featx.images import encode_thumbnail
from featx.model import Classifier
from featx.readers import draw_thumbnails
from featx.runtime import Runtime
from featx.source import ImageFile, Place, Source, dataset_source, source_at
from featx.spec import FeatureSpec
from featx.store import FeatureStore, keys_of
from featx.table import Sample

_SIDE = 96


class TrainingImages:
    """Training images of a model, read from the source of the data set; a changed image counts as missing.

    Parameters
    ----------
    classifier : Classifier
        Model whose training images are read.
    data : path or None
        Folder or manifest of the data set; if None, all images count as missing.
    runtime : Runtime
        Cache folder, number of workers and callbacks.

    Attributes
    ----------
    source : Source or None
        Source in which the sample ids are looked up; None if ``data`` is None.

    Raises
    ------
    DatasetError
        If the data set does not exist.
    """

    def __init__(self, classifier: Classifier, data: Place | None, runtime: Runtime) -> None:
        self.source = None if data is None else _source(data)
        self._known = {row.tobytes() for row in classifier.content_hashes}
        if classifier.out_of_fold is not None and classifier.out_of_fold.content_hashes is not None:
            self._known |= {row.tobytes() for row in classifier.out_of_fold.content_hashes}
        self._spec = classifier.spec
        self._runtime = runtime

    def draw(self, sample_ids: Sequence[str]) -> tuple[list[bytes | None], NDArray[np.float32] | None]:
        """Return the thumbnail of each image, and the features of all images.

        Parameters
        ----------
        sample_ids : sequence of str
            Ids of the images.

        Returns
        -------
        list of (bytes or None)
            JPEG files with sides of at most 96 pixels; None for a missing image.
        ndarray of shape (n, n_features), float32, or None
            Features, with NaN in the rows of missing images; None if all images are missing, or if features of other
            images are not in the cache.
        """
        contents: list[bytes | None] = [None] * len(sample_ids)
        thumbnails: list[bytes | None] = [None] * len(sample_ids)
        if self.source is None:
            return thumbnails, None
        runtime, spec = self._runtime, self._spec
        images = [ImageFile(Sample(sample_id), self.source) for sample_id in sample_ids]
        drawn = draw_thumbnails(images, _SIDE, runtime, white=spec.white, page=spec.page)
        for number, thumbnail in enumerate(drawn):
            if thumbnail.content_hash in self._known:
                contents[number] = thumbnail.content_hash
                thumbnails[number] = None if thumbnail.pixels is None else encode_thumbnail(thumbnail.pixels)
            runtime.progress("drawing thumbnails", number + 1, len(images))
        return thumbnails, _features(runtime.cache, spec.unbundled, contents)


def _source(data: Place) -> Source:
    if source_at(data) is None and isinstance(data, Path) and not os.path.isfile(data):
        raise DatasetError(f"{data} is neither a folder nor a manifest")
    return dataset_source(data)


def _features(cache: Path, spec: FeatureSpec, contents: Sequence[bytes | None]) -> NDArray[np.float32] | None:
    known = {i: content for i, content in enumerate(contents) if content is not None}
    if not known:
        return None
    hashes = np.frombuffer(b"".join(known.values()), np.uint8).reshape(-1, 32)
    try:
        rows = FeatureStore(cache, spec).snapshot().rows(keys_of(hashes)).features
    except StoreError:  # another cache, or removed rows: the page shows no map
        return None
    features = np.full((len(contents), rows.shape[1]), np.nan, np.float32)
    features[list(known)] = rows
    return features
