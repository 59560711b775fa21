"""Find the cached augmented views of the training part of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from featx.augmentation import PRESETS, read_policy
from featx.errors import SpecError
from featx.lookup.memo import as_hashes
from featx.source import ImageFile, ImageFiles
from featx.store import FeatureStore, StoredFeatures, keys_of, note_use
from featx.table import FileState, FileStates, Views


@dataclass(frozen=True)
class StoredViews:
    """The augmented views of a data set, with their store.

    Parameters
    ----------
    store : FeatureStore
    views : Views
    """

    store: FeatureStore
    views: Views


def views_policy(augment: str | None, views: int) -> str | None:
    """Return the canonical augmentation policy; None if no views are requested.

    Raises
    ------
    SpecError
        If there is no such policy, or only one of ``augment`` and ``views`` is given.
    """
    if augment is None:
        if views:
            raise SpecError(
                f"`views={views}` requires `augment`; expected {', '.join(PRESETS)} or values such as "
                "rotation=15,flip=horizontal"
            )
        return None
    policy = read_policy(augment)
    if not views:
        raise SpecError(f"`augment={augment}` requires a number of views of each image, such as `views=4`")
    return policy


def views_store(plain: FeatureStore, policy: str, seed: int) -> FeatureStore:
    """Return the store of augmented views that belongs to a store of images."""
    return FeatureStore(plain.path.parent.parent, replace(plain.spec, augment=policy, augment_seed=seed))


def look_up_views(
    images: Sequence[ImageFile], states: Sequence[FileState], store: FeatureStore, n: int
) -> StoredViews | None:
    """Return the stored views of the training part; None if any view is missing.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    chosen = unique_training_images(images, states)
    if lacking_views(chosen, store.snapshot(), n):
        return None
    note_use(store.path)
    return StoredViews(store, describe_views(store, n, len(chosen), 0, 0.0))


def describe_views(store: FeatureStore, n: int, n_contents: int, n_computed: int, seconds: float) -> Views:
    """Return the description of the stored views, ``n`` views for each of ``n_contents`` contents."""
    spec = store.spec
    policy = spec.augment or ""
    n_cached = n * n_contents - n_computed
    return Views(n, policy, spec.augment_seed, spec.id, store.path, n_computed, n_cached, seconds)


def unique_training_images(images: Sequence[ImageFile], states: Sequence[FileState]) -> dict[bytes, ImageFile]:
    """Return one image for each usable content of the training part, by content hash, in the order of the images."""
    columns, known = ImageFiles.of(images), FileStates.of(states)
    chosen: dict[bytes, ImageFile] = {}
    for at in np.flatnonzero(known.are("ok") & columns.samples.are_training()).tolist():
        content_hash = known.content_hashes[at].tobytes()
        if content_hash not in chosen:
            chosen[content_hash] = columns[at]
    return chosen


def lacking_views(contents: Mapping[bytes, ImageFile], stored: StoredFeatures, n: int) -> dict[bytes, list[int]]:
    """Return the numbers of the missing views, by content hash; contents without missing views are left out."""
    hashes = as_hashes(contents)
    numbers = range(1, n + 1)
    present = np.array([stored.contains(keys_of(hashes, view)) for view in numbers]).reshape(n, len(hashes))
    lacking = {
        content: [view for view, is_there in zip(numbers, column, strict=True) if not is_there]
        for content, column in zip(contents, present.T.tolist(), strict=True)
    }
    return {content: views for content, views in lacking.items() if views}
