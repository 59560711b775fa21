"""List the files of a cache, and record when a feature store was last used."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from featx.errors import DamagedStoreError, NewerFormatError, SpecError
from featx.files import is_real_folder, is_regular, open_new
from featx.spec import FeatureSpec
from featx.store.features import FeatureStore, has_store
from featx.store.files import CACHE_TAG, FOLDERS, entries, is_cache, is_temporary
from featx.store.header import StoreHeader
from featx.store.journal import read_journal_header
from featx.store.segments import SEGMENT_NAME, list_segments
from featx.store.writing import CLAIM, JOURNAL, LOCK, UNFINISHED

FileKind = Literal["features", "journal", "data set", "graph", "pairs", "note", "mark", "old", "leftover", "other"]
"""Purpose of a cache file."""

USED = "used"
"""Name of the empty file whose modification time is the time of the last use of a store."""

_ID = "[0-9a-f]{16}"
_NAMES: dict[str, dict[str, FileKind]] = {
    ".": {rf"{re.escape(CACHE_TAG)}|notes\.lock": "mark", r"latest\.json|networks\.json": "note"},
    "features": {rf"{_ID}\.(h5|h5\.damaged|journal|lock|used)": "old"},
    "datasets": {rf"{_ID}\.h5": "data set", rf"{_ID}-{_ID}\.json": "note"},
    "pairs": {rf"{_ID}-{_ID}\.h5": "pairs"},
    "graphs": {rf"{_ID}\.graph": "graph", rf"{_ID}(\.int8)?\.json": "note"},
}
"""Patterns of the names of the files that featx writes, by folder; files with other names are not from featx."""

_STORE_NAMES: dict[str, FileKind] = {
    SEGMENT_NAME: "features",
    JOURNAL: "journal",
    rf"{LOCK}|{CLAIM}|{UNFINISHED}|{USED}|{_ID}\.suspect": "mark",
    rf"{SEGMENT_NAME}\.damaged": "leftover",
}
"""Patterns of the names of the files in the folder of a feature store."""


@dataclass(frozen=True)
class CacheFile:
    """A file of a cache.

    Parameters
    ----------
    path : path
    kind : {"features", "journal", "data set", "graph", "pairs", "note", "mark", "old", "leftover", "other"}
        ``features``: a segment of a feature store. ``mark``: a file that is empty, has constant content, or describes a
        run. ``old``: a file of a feature store of format 1, which is not read. ``leftover``: a file that a killed
        run or a repair left behind. ``other``: an entry that featx did not write, such as a link, a folder or a file
        with another name.
    n_bytes : int
        Size in bytes; 0 if the entry is not a regular file.
    mtime : float
        Time of the last change, in seconds since 1970.
    """

    path: Path
    kind: FileKind
    n_bytes: int
    mtime: float


def list_files(cache: Path) -> list[CacheFile]:
    """Return the files of a cache except the files of training runs, sorted by path.

    Links are not followed. If there is no cache, the list is empty.

    Raises
    ------
    StoreError
        If the folder is not a cache, or cannot be listed.
    """
    if not is_cache(cache):
        return []
    listed = []
    for folder, names in _NAMES.items():
        for path in entries(cache / folder, follow=folder == "."):
            if is_real_folder(path):
                if folder == "." and path.name in FOLDERS:
                    continue
                if folder == "features" and re.fullmatch(_ID, path.name):
                    listed += [_listed(one, _STORE_NAMES) for one in entries(path)]
                    continue
            listed.append(_listed(path, names))
    return sorted((file for file in listed if file is not None), key=lambda file: file.path)


def _listed(path: Path, names: dict[str, FileKind]) -> CacheFile | None:
    """Return a file of a cache; None if another run has renamed or deleted the file meanwhile."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return CacheFile(path, "other", 0, status.st_mtime)
    return CacheFile(path, _kind(path, names), status.st_size, status.st_mtime)


def _kind(path: Path, names: dict[str, FileKind]) -> FileKind:
    for pattern, kind in names.items():
        if is_temporary(path.name, pattern):
            return "leftover"
        if re.fullmatch(pattern, path.name):
            return kind
    return "other"


def list_stores(cache: Path) -> list[Path]:
    """Return the folders of the feature stores of a cache, sorted."""
    return [path for path in entries(cache / "features") if re.fullmatch(_ID, path.name) and has_store(path)]


def open_store(path: Path) -> FeatureStore:
    """Return the feature store in a folder; the feature spec is read from its files.

    Raises
    ------
    DamagedStoreError, NewerFormatError
        If no file of the store can be read.
    """
    return FeatureStore(path.parent.parent, spec_of(path, read_store_header(path)))


def read_store_header(path: Path) -> StoreHeader:
    """Return the header of the store in a folder.

    Raises
    ------
    DamagedStoreError, NewerFormatError
        If no file of the store can be read.
    """
    headers, errors = list_segments(path)
    journal = read_journal_header(path / JOURNAL)
    found = [*(header.store for header in headers), *([] if journal is None else [journal])]
    if not found:
        raise next(iter(errors.values()), DamagedStoreError(f"{path} has no features"))
    return found[0]


def spec_of(path: Path, header: StoreHeader) -> FeatureSpec:
    """Return the feature spec of the store in a folder.

    Raises
    ------
    DamagedStoreError
        If the name of the folder is not the digest of the feature spec.
    NewerFormatError
        If this version of featx cannot read the feature spec.
    """
    if hashlib.sha256(header.spec.encode("utf-8", "surrogatepass")).hexdigest()[:16] != path.name:
        raise DamagedStoreError(f"the feature spec in {path} does not match the name of this folder")
    try:
        spec = FeatureSpec.from_json(header.spec)
    except SpecError as error:  # the digest is correct, so that the spec is not damaged
        raise NewerFormatError(
            f"{path} was written by a later version of featx: {error}. Update featx, or choose another `cache`"
        ) from None
    if spec.to_json() != header.spec:
        raise DamagedStoreError(f"the feature spec in {path} does not have the form that featx writes")
    return spec


def note_use(store: Path) -> None:
    """Record the current time as the last use of a feature store: as the time of the empty file ``used``."""
    used = store / USED
    with contextlib.suppress(OSError):  # features can also be read from a read-only cache
        if is_regular(used):
            os.utime(used)
        elif has_store(store):
            open_new(used).close()  # fails if another entry, such as a link, has this name


def last_use(store: Path) -> float:
    """Return the time of the last use of a feature store, or else the time of the last change of its files."""
    used = store / USED
    return os.lstat(used if is_regular(used) else store).st_mtime
