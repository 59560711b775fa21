"""Describe the provenance of a classifier: feature spec, training images, model file and library versions."""

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
    """Return the keys ``feature_spec``, ``contents``, ``file`` and ``versions`` of ``featx report --json``.

    ``contents`` contains the SHA-256 of the sorted SHA-256 digests of the different training files, which depends only
    on the content of the files and not on their paths. ``file`` is None if the classifier was not loaded from a file,
    or if the file cannot be read.
    """
    distinct = np.unique(classifier.content_hashes, axis=0)
    spec = classifier.spec
    return {
        "feature_spec": {"id": spec.id, **json.loads(spec.to_json())},
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
    except (OSError, OverflowError, ValueError):  # a time outside the range of datetime
        written = ""
    return {"sha256": sha256, "n_bytes": status.st_size, "modified": written}
