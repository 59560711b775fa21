"""Check every file of a cache."""

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
    """A file of a cache, and what a check of it found.

    Parameters
    ----------
    path : path
    kind : {"features", "journal", "data set", "graph", "note", "mark", "leftover", "other"}
        What it is for.
    n_bytes : int
        Its size.
    finding : Finding
        Its status, its rows, what is wrong and what to do.
    """

    path: Path
    kind: FileKind
    n_bytes: int
    finding: Finding

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"path": str(self.path), "kind": self.kind, "n_bytes": self.n_bytes, **vars(self.finding)}


@dataclass(frozen=True)
class Verification:
    """What a check of a cache found.

    Parameters
    ----------
    cache : path
    files : tuple of CheckedFile
    seconds : float
        Wall time.
    """

    cache: Path
    files: tuple[CheckedFile, ...]
    seconds: float

    @property
    def n_damaged(self) -> int:
        """Files that are damaged."""
        return sum(file.finding.status == "damaged" for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx cache verify --json``."""
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
    """Check every byte of every file of a cache; nothing is changed.

    Rows of features are compared with their checksums, recipes with the names of their files, graphs with their
    digests, and HDF5 files as a whole with what was written.

    Parameters
    ----------
    runtime : Runtime, optional
        Names the cache; takes progress, in bytes.

    Raises
    ------
    StoreError
        The folder is no cache.
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
