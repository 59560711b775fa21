"""Check all files of a cache."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.arguments import checked
from featx.runtime import Runtime
from featx.store import FileKind, Finding, check_file, list_files


@dataclass(frozen=True)
class CheckedFile:
    """A cache file and the result of its check.

    Parameters
    ----------
    path : path
    kind : {"features", "journal", "data set", "graph", "pairs", "note", "mark", "old", "leftover", "other"}
        Purpose of the file; see :class:`featx.store.CacheFile`.
    n_bytes : int
        Size of the file in bytes.
    finding : Finding
        Status, numbers of rows, problem, and what to do.
    """

    path: Path
    kind: FileKind
    n_bytes: int
    finding: Finding

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of ``files`` in the JSON object that ``featx cache verify --json`` prints."""
        return {"path": str(self.path), "kind": self.kind, "n_bytes": self.n_bytes, **vars(self.finding)}


@dataclass(frozen=True)
class Verification:
    """Result of checking a cache.

    Parameters
    ----------
    cache : path
    files : tuple of CheckedFile
    seconds : float
        Wall time in seconds.

    Examples
    --------
    >>> import featx
    >>> featx.verify_cache().n_damaged
    0
    """

    cache: Path
    files: tuple[CheckedFile, ...]
    seconds: float

    @property
    def n_damaged(self) -> int:
        """Number of damaged files."""
        return sum(file.finding.status == "damaged" for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx cache verify --json`` prints."""
        return {
            "cache": str(self.cache),
            "n_files": len(self.files),
            "n_damaged": self.n_damaged,
            "n_rows": sum(file.finding.n_rows for file in self.files),
            "n_bytes": sum(file.n_bytes for file in self.files),
            "files": [file.to_dict() for file in self.files],
            "seconds": round(self.seconds, 3),
        }


@checked()
def verify_cache(*, runtime: Runtime | None = None) -> Verification:
    """Check every byte of all cache files; no file is changed.

    Each feature row is compared with a checksum, each feature spec with the name of its folder, each graph with a
    digest, and the structure of each HDF5 file with a checksum. The files of training runs are not checked.

    Parameters
    ----------
    runtime : Runtime, optional
        Cache folder, and callback for the progress in bytes.

    Returns
    -------
    Verification

    Raises
    ------
    StoreError
        If the folder is not a cache.

    Examples
    --------
    >>> import featx
    >>> [file.finding.problem for file in featx.verify_cache().files if file.finding.status == "damaged"]
    []
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    files = list_files(runtime.cache)
    total, done = sum(file.n_bytes for file in files), 0
    checked = []
    for file in files:
        finding = check_file(file)
        done += file.n_bytes
        runtime.progress("checking the cache, byte", done, total)
        if finding is not None:
            checked.append(CheckedFile(file.path, file.kind, file.n_bytes, finding))
    return Verification(runtime.cache, tuple(checked), time.monotonic() - started)
