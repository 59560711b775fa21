"""Shared code of benchmarks of the backbone alone: a feature spec with random weights, and the rate of an engine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from featx.backbones import find_backbone_source
from featx.engines import Engine
from featx.images import decode_version
from featx.spec import FeatureSpec

SIDE = 224
"""Side of the input in pixels."""

SECONDS = 3.0
"""Seconds for which a backbone is timed."""


def random_spec(backbone: str) -> FeatureSpec:
    """Return the feature spec of a backbone in float32 with random weights, which do not change the speed."""
    source = find_backbone_source(backbone, "random", SIDE)
    return FeatureSpec(
        source.backbone, source.weights, source.preprocess, SIDE, decode_version(), "openvino", "float32"
    )


def random_pixels(n: int, side: int = SIDE) -> np.ndarray:
    """Return pixels of shape (n, side, side, 3), uint8."""
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)


def engine_rate(engine: Engine, pixels: np.ndarray) -> float:
    """Return the images per second, measured for :data:`SECONDS` after a first batch."""
    list(engine.run([pixels]))
    started = time.perf_counter()

    def batches() -> Iterator[np.ndarray]:
        while time.perf_counter() - started < SECONDS:
            yield pixels

    done = sum(len(features) for features in engine.run(batches()))
    return done / (time.perf_counter() - started)
