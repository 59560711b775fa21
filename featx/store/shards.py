"""Record which shards of a data set were extracted into a cache."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from featx.errors import DamagedStoreError
from featx.store.files import entries, prepare_cache
from featx.store.notes import changing_notes, read_json, write_json

MOST_SHARDS = 1_000_000
"""Maximum number of shards of a data set."""

_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.json")


@dataclass(frozen=True, order=True)
class ShardRecord:
    """A shard whose extraction is finished.

    Parameters
    ----------
    count, number : int
        Number of shards, and number of this shard, from 1.
    listing : str
        Digest of the names and sizes of all images of the data set, as this run listed them.
    n_listed : int
        Number of all images of the data set.
    n_images, n_skipped : int
        Number of images of this shard with features, and of skipped images.
    views : int
        Number of augmented views of each image; 0 for the images themselves.
    """

    count: int
    number: int
    listing: str
    n_listed: int
    n_images: int
    n_skipped: int
    views: int = 0


def remember_shards(cache: Path, name: str, root: str, records: Iterable[ShardRecord]) -> None:
    """Add records to the file ``cache/datasets/<name>.json``.

    Parameters
    ----------
    cache : path
    name : str
        Ids of the data set and of the feature store, with a hyphen between them.
    root : str
        Absolute path of the data set.
    records : iterable of ShardRecord

    Raises
    ------
    StoreError
        If the cache cannot be written.
    """
    path = prepare_cache(cache, "datasets") / f"{name}.json"
    with changing_notes(cache):
        known = _read(path)
        new = sorted({*(known[1] if known else ()), *records})
        if known != (root, new):
            write_json(path, {"root": root, "shards": [asdict(record) for record in new]})


def list_shards(cache: Path) -> dict[str, tuple[str, list[ShardRecord]]]:
    """Return the root and the records of each data set and feature store, by the name of the file.

    Files that cannot be read are left out; they only serve to report missing shards.
    """
    paths = [path for path in entries(cache / "datasets") if _NAME.fullmatch(path.name)]
    found = {path.stem: _read(path) for path in paths}
    return {name: known for name, known in found.items() if known is not None}


def check_shards(path: Path) -> None:
    """Check that a file contains records of shards.

    Raises
    ------
    DamagedStoreError
        If featx did not write the content.
    """
    if _read(path) is None:
        raise DamagedStoreError(f"{path} does not contain records of shards")


def _read(path: Path) -> tuple[str, list[ShardRecord]] | None:
    content = read_json(path)
    if content is None or not isinstance(content.get("root"), str) or not isinstance(content.get("shards"), list):
        return None
    records = [_record(value) for value in content["shards"]]
    return None if None in records else (content["root"], sorted(record for record in records if record is not None))


def _record(value: Any) -> ShardRecord | None:
    kinds = {one.name: str if one.name == "listing" else int for one in fields(ShardRecord)}
    if not isinstance(value, dict) or {name: type(one) for name, one in value.items()} != kinds:
        return None
    record = ShardRecord(**value)
    return record if 1 <= record.number <= record.count <= MOST_SHARDS else None
