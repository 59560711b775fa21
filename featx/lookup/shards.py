"""Divide the images of a data set into shards, which are extracted on different machines without a scheduler."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.dataset import Dataset
from featx.errors import DatasetError, OptionError
from featx.runtime import Runtime
from featx.store import MOST_SHARDS, ShardRecord, remember_shards
from featx.table import FileStates, Texts


@dataclass(frozen=True)
class Shard:
    """One of the parts of a data set.

    Parameters
    ----------
    number : int
        Number of the shard, from 1.
    count : int
        Number of all shards.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def read_shard(text: str | None) -> Shard | None:
    """Return the shard with a text such as ``3/16``; None for no text.

    Raises
    ------
    OptionError
        If the text is not a number, a slash, and the number of shards.

    Examples
    --------
    >>> from featx.lookup import read_shard
    >>> read_shard("3/16")
    Shard(number=3, count=16)
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text)
    if found is None:
        raise OptionError(
            f"`shard={text}`: expected the number of the shard and the number of all shards, such as 3/16"
        )
    number, count = int(found[1]), int(found[2])
    if not 1 <= count <= MOST_SHARDS:
        raise OptionError(f"`shard={text}`: expected from 1 to {MOST_SHARDS:,} shards, such as 3/16")
    if not 1 <= number <= count:
        raise OptionError(f"`shard={text}`: expected a number from 1 to {count:,} before the slash")
    return Shard(number, count)


def images_of_shard(dataset: Dataset, shard: Shard | None, runtime: Runtime) -> Dataset:
    """Return the data set with only the images of a shard, and report their number; all images if there is no shard.

    An image belongs to the shard that a digest of its sample id selects, whatever the other images are.
    """
    if shard is None:
        return dataset
    at = np.flatnonzero(shard_numbers(dataset.images.samples.sample_ids, shard.count) == shard.number)
    runtime.notice(f"shard {shard}: {len(at):,} of {len(dataset.images):,} images")
    return replace(dataset, images=dataset.images.take(at))


def shard_numbers(sample_ids: Texts, count: int) -> NDArray[np.int64]:
    """Return the number of the shard of each sample, from 1 to ``count``."""
    digests = b"".join(
        hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).digest()[:8] for sample_id in sample_ids
    )
    return (np.frombuffer(digests, ">u8") % np.uint64(count)).astype(np.int64) + 1


def stop_if_empty(shard: Shard | None, part: Dataset, whole: Dataset) -> None:
    """Check that a shard has images.

    Raises
    ------
    DatasetError
        If no image belongs to the shard, because there are too many shards for the data set.
    """
    if not part.images:
        n = len(whole.images)
        raise DatasetError(
            f"`shard={shard}`: {whole.name} has {n:,} {'image' if n == 1 else 'images'}, and none of them belongs to "
            "this shard, so that there is nothing to extract; use fewer shards"
        )


def note_shard(
    cache: Path, shard: Shard | None, whole: Dataset, features_id: str, states: FileStates, n_views: int = 0
) -> None:
    """Record that a shard, if there is one, is extracted, so that a later merge can name the missing shards.

    Parameters
    ----------
    cache : path
    shard : Shard or None
    whole : Dataset
        The data set with the images of all shards.
    features_id : str
        Id of the feature store.
    states : FileStates
        State of each image of the shard.
    n_views : int
        Number of augmented views; 0 for the images themselves.
    """
    if shard is None:
        return
    images = whole.images
    listing = hashlib.sha256(images.samples.sample_ids.content.tobytes())
    listing.update(np.ascontiguousarray(images.stamps[:, 0]).astype("<i8").tobytes())
    n_images, n_skipped = int(states.are("ok").sum()), int(states.are("skipped").sum())
    record = ShardRecord(shard.count, shard.number, listing.hexdigest()[:16], len(images), n_images, n_skipped, n_views)
    remember_shards(cache, f"{whole.id}-{features_id}", str(whole.root.resolve()), [record])
