"""Which augmented views of a data set's training part are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from featx.augmentation import PRESETS, read_policy
from featx.errors import SpecError
from featx.lookup.memo import as_hashes
from featx.source import ImageFile
from featx.store import FeatureStore, StoredFeatures, keys_of, note_use
from featx.table import FileState, Views

"""A key has two bytes for the number of the view."""


@dataclass(frozen=True)
class Augmented:
    """The views of a data set, and the store that has them.

    Parameters
    ----------
    store : FeatureStore
    views : Views
    """

    store: FeatureStore
    views: Views


def views_policy(augment: str | None, views: int) -> str | None:
    """Return the canonical policy where views are asked for, None where they are not.

    Raises
    ------
    SpecError
        No such policy, or a policy without a number of views, or the other way round.
    """
    if augment is None:
        if views:
            raise SpecError(
                f"{views} views are asked for, but not how they are made; add `augment` with {', '.join(PRESETS)}, or "
                "values as rotation=15,flip=horizontal"
            )
        return None
    policy = read_policy(augment)
    if not views:
        raise SpecError(f"`augment={augment}` without views; say how many of each image are wanted, as `views=4`")
    return policy


def views_store(plain: FeatureStore, policy: str, seed: int) -> FeatureStore:
    """Return the store of the views of a recipe's images."""
    return FeatureStore(plain.path.parent.parent, replace(plain.spec, augment=policy, augment_seed=seed))


def look_up_views(
    images: Sequence[ImageFile], states: Sequence[FileState], store: FeatureStore, n: int
) -> Augmented | None:
    """Return the views of the training part if a store has all of them; none are computed.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    chosen = contents_to_train_on(images, states)
    if lacking_views(chosen, store.snapshot(), n):
        return None
    note_use(store.path)
    return Augmented(store, described(store, n, len(chosen), 0, 0.0))


def described(store: FeatureStore, n: int, n_contents: int, n_computed: int, seconds: float) -> Views:
    """Return what there is to know of ``n`` views each of some contents."""
    spec = store.spec
    policy = spec.augment or ""
    n_cached = n * n_contents - n_computed
    return Views(n, policy, spec.augment_seed, spec.id, store.path, n_computed, n_cached, seconds)


def contents_to_train_on(images: Sequence[ImageFile], states: Sequence[FileState]) -> dict[bytes, ImageFile]:
    """Return an image of each usable content that is learnt from, in order."""
    chosen: dict[bytes, ImageFile] = {}
    for found, state in zip(images, states, strict=True):
        if state.status == "ok" and found.sample.is_training:
            chosen.setdefault(state.content_hash, found)
    return chosen


def lacking_views(contents: Mapping[bytes, ImageFile], stored: StoredFeatures, n: int) -> dict[bytes, list[int]]:
    """Return the numbers of the views that are not stored, by content; nothing of contents that lack none."""
    hashes = as_hashes(contents)
    numbers = range(1, n + 1)
    present = np.array([stored.contains(keys_of(hashes, view)) for view in numbers]).reshape(n, len(hashes))
    found = {
        content: [view for view, is_there in zip(numbers, column, strict=True) if not is_there]
        for content, column in zip(contents, present.T.tolist(), strict=True)
    }
    return {content: views for content, views in found.items() if views}
