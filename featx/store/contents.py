"""What lies in a cache folder, file by file; and when a feature store was used last."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

from featx.errors import DamagedStoreError, NewerFormatError, SpecError
from featx.spec import FeatureSpec
from featx.store.base import Head, read_head
from featx.store.features import FeatureStore
from featx.store.files import CACHE_TAG

_KINDS = {
    ("features", ".h5"): "features",
    ("features", ".journal"): "journal",
    ("features", ".lock"): "mark",
    ("features", ".used"): "mark",
    ("datasets", ".h5"): "data set",
    ("graphs", ".graph"): "graph",
    ("graphs", ".json"): "note",
}
_NOTES = ("latest.json", "networks.json")


@dataclass(frozen=True)
class CacheFile:
    """A file of a cache.

    Parameters
    ----------
    path : path
    kind : {"features", "journal", "data set", "graph", "note", "mark", "leftover", "other"}
        A mark is an empty or constant file; a leftover is what a killed run or a repair left; another file is none
        of featx.
    n_bytes : int
        Its size.
    mtime : float
        When it was changed last, in seconds of the system's clock.
    """

    path: Path
    kind: str
    n_bytes: int
    mtime: float


def list_files(cache: Path) -> list[CacheFile]:
    """Return the files of a cache, sorted by path; none if there is no such folder."""
    found = []
    for folder in (".", "features", "datasets", "graphs"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in (cache / folder).iterdir():
                with contextlib.suppress(FileNotFoundError):  # another run renames and deletes
                    if path.is_file():
                        status = path.stat()
                        found.append(CacheFile(path, _kind(folder, path), status.st_size, status.st_mtime))
    return sorted(found, key=lambda file: file.path)


def _kind(folder: str, path: Path) -> str:
    if (path.name.startswith(".") and path.suffix == ".tmp") or (folder, path.suffix) == ("features", ".damaged"):
        return "leftover"
    if folder == ".":
        return "note" if path.name in _NOTES else "mark" if path.name == CACHE_TAG else "other"
    kind = _KINDS.get((folder, path.suffix), "other")
    # Rows without a base file are never read: whose they are is not known.
    return "leftover" if kind == "journal" and not path.with_suffix(".h5").exists() else kind


def open_store(path: Path) -> FeatureStore:
    """Return the feature store of a base file, by the recipe that the file names.

    Raises
    ------
    DamagedStoreError, NewerFormatError
        It cannot be read.
    """
    return FeatureStore(path.parent.parent, spec_of(path, read_head(path)))


def spec_of(path: Path, head: Head) -> FeatureSpec:
    """Return the recipe of a base file.

    Raises
    ------
    DamagedStoreError
        It is not the one that the file's name is a digest of.
    NewerFormatError
        This featx does not know such recipes.
    """
    if hashlib.sha256(head.spec.encode()).hexdigest()[:16] != path.stem:
        raise DamagedStoreError(f"{path} holds another feature recipe than its name says")
    try:
        return FeatureSpec.from_json(head.spec)
    except SpecError as error:  # the digest is right: somebody meant it
        raise NewerFormatError(f"{path} is of a later featx: {error}; update featx or choose another --cache") from None


def note_use(store: Path) -> None:
    """Note that a feature store is used now, in the time of the empty file ``<id>.used`` beside it."""
    if store.exists():
        with contextlib.suppress(OSError):  # a cache that may only be read is good enough to read
            store.with_suffix(".used").touch()


def last_use(store: Path) -> float:
    """Return when a feature store was used last: what was noted, or else when its file was written."""
    used = store.with_suffix(".used")
    return (used if used.exists() else store).stat().st_mtime
