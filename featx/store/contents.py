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
from featx.store.features import FeatureStore
from featx.store.files import CACHE_TAG, FOLDERS, entries, exists, is_cache, is_temporary
from featx.store.sorted_file import StoreHeader, read_header

FileKind = Literal["features", "journal", "data set", "graph", "note", "mark", "leftover", "other"]
"""Purpose of a cache file."""

_ID = "[0-9a-f]{16}"
_NAMES: dict[str, dict[str, FileKind]] = {
    ".": {rf"{re.escape(CACHE_TAG)}|notes\.lock": "mark", r"latest\.json|networks\.json": "note"},
    "features": {
        rf"{_ID}\.h5": "features",
        rf"{_ID}\.journal": "journal",
        rf"{_ID}\.(lock|used)": "mark",
        rf"{_ID}\.h5\.damaged": "leftover",
    },
    "datasets": {rf"{_ID}\.h5": "data set"},
    "graphs": {rf"{_ID}\.graph": "graph", rf"{_ID}(\.int8)?\.json": "note"},
}
"""Patterns of the names of the files that featx writes, by folder; files with other names are not from featx."""


@dataclass(frozen=True)
class CacheFile:
    """A file of a cache.

    Parameters
    ----------
    path : path
    kind : {"features", "journal", "data set", "graph", "note", "mark", "leftover", "other"}
        ``mark``: an empty file, or a file with constant content. ``leftover``: a file that a killed run or a repair
        left behind. ``other``: an entry that featx did not write, such as a link, a folder or a file with another name.
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
    for folder in _NAMES:
        for path in entries(cache / folder, follow=folder == "."):
            if folder == "." and path.name in FOLDERS and is_real_folder(path):
                continue
            with contextlib.suppress(FileNotFoundError):  # another run may have renamed or deleted the file
                status = os.lstat(path)
                is_file = stat.S_ISREG(status.st_mode)
                kind = _kind(folder, path) if is_file else "other"
                listed.append(CacheFile(path, kind, status.st_size if is_file else 0, status.st_mtime))
    return sorted(listed, key=lambda file: file.path)


def _kind(folder: str, path: Path) -> FileKind:
    for names, kind in _NAMES[folder].items():
        if is_temporary(path.name, names):
            return "leftover"
        if re.fullmatch(names, path.name):
            # A journal without a sorted file is never read, because the feature spec of its rows is unknown.
            return "leftover" if kind == "journal" and not exists(path.with_suffix(".h5")) else kind
    return "other"


def open_store(path: Path) -> FeatureStore:
    """Return the feature store to which a sorted file belongs; the feature spec is read from the file.

    Raises
    ------
    DamagedStoreError, NewerFormatError
        If the file cannot be read.
    """
    return FeatureStore(path.parent.parent, spec_of(path, read_header(path)))


def spec_of(path: Path, header: StoreHeader) -> FeatureSpec:
    """Return the feature spec of a sorted file.

    Raises
    ------
    DamagedStoreError
        If the name of the file is not the digest of the feature spec.
    NewerFormatError
        If this version of featx cannot read the feature spec.
    """
    if hashlib.sha256(header.spec.encode("utf-8", "surrogatepass")).hexdigest()[:16] != path.stem:
        raise DamagedStoreError(f"the feature spec in {path} does not match its file name")
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
    """Record the current time as the last use of a feature store: as the time of the empty file ``<id>.used``."""
    used = store.with_suffix(".used")
    with contextlib.suppress(OSError):  # features can also be read from a read-only cache
        if is_regular(used):
            os.utime(used)
        elif is_regular(store):
            open_new(used).close()  # fails if another entry, such as a link, has this name


def last_use(store: Path) -> float:
    """Return the time of the last use of a feature store, or else the time when its sorted file was written."""
    used = store.with_suffix(".used")
    return os.lstat(used if is_regular(used) else store).st_mtime
