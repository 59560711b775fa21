"""Where a classifier comes from: its recipe in full, the images it learnt from, its file and the libraries."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from featx.files import digest, open_regular
from featx.model import Classifier


def provenance(classifier: Classifier) -> dict[str, Any]:
    """Return the keys ``recipe``, ``contents``, ``file`` and ``versions`` of ``featx report --json``.

    ``contents`` is the SHA-256 over the sorted SHA-256 of the different files learnt from: equal for the same
    images, wherever they lie. ``file`` is None for a classifier in memory, or whose file is gone.
    """
    distinct = np.unique(classifier.content_hashes, axis=0)
    spec = classifier.spec
    return {
        "recipe": {"id": spec.id, **json.loads(spec.to_json())},
        "contents": {"n": len(distinct), "sha256": hashlib.sha256(distinct.tobytes()).hexdigest()},
        "file": None if classifier.file is None else _file(Path(classifier.file)),
        "versions": dict(classifier.versions),
    }


def _file(path: Path) -> dict[str, Any] | None:
    try:
        with open_regular(path) as stream:
            status = os.fstat(stream.fileno())
            sha256 = digest(stream, status.st_size)
    except OSError:
        return None
    try:
        written = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    except (OSError, OverflowError, ValueError):  # a time that no calendar has
        written = ""
    return {"sha256": sha256, "n_bytes": status.st_size, "modified": written}
