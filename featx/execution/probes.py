"""Compute the features of the probe images, which show whether an engine gives the same results."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import make_views
from featx.engines import Runner
from featx.images import prepare, probe_files
from featx.spec import FeatureSpec


def probe_features(runner: Runner, spec: FeatureSpec) -> NDArray[np.float32] | None:
    """Return the features of the probe images, shape (n_probes, n_features), or None if no row is finite.

    Rows that are not finite are set to zero. If the feature spec has ``augment``, the first view of each probe image is
    used, so that the features also show whether the views are the same.
    """
    files = probe_files().values()
    pixels = np.stack([prepare(data, spec.size, spec.resize).pixels for data in files])
    if spec.augment is not None:
        contents = b"".join(hashlib.sha256(data).digest() for data in files)
        hashes = np.frombuffer(contents, np.uint8).reshape(-1, 32)
        pixels = make_views(pixels, hashes, 1, spec.augment, spec.augment_seed)
    features = next(iter(runner.run([pixels])))
    return zero_non_finite(features) if np.isfinite(features).all(axis=1).any() else None


def zero_non_finite(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features, shape (n, n_features), with rows that are not finite set to zero."""
    finite = np.isfinite(features).all(axis=1, keepdims=True)
    return features if finite.all() else np.where(finite, features, np.float32(0))
