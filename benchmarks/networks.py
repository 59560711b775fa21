"""What benchmarks of networks alone share: a recipe with random weights, and how fast an engine runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from featx.backbones import find_backbone_source
from featx.engines import Engine
from featx.images import decode_version
from featx.spec import FeatureSpec

SIDE = 224
"""Pixels on every side of what a network sees."""

SECONDS = 3.0
"""How long a network is timed."""


def random_recipe(backbone: str) -> FeatureSpec:
    """Return the recipe of a network with random weights, which change no speed, in float32."""
    source = find_backbone_source(backbone, "random", SIDE)
    return FeatureSpec(
        source.backbone, source.weights, source.preprocess, SIDE, decode_version(), "openvino", "float32"
    )


def random_pixels(n: int, side: int = SIDE) -> np.ndarray:
    """Return pixels of shape (n, side, side, 3), uint8."""
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)


def engine_rate(engine: Engine, pixels: np.ndarray) -> float:
    """Return images a second, over that time, after a first batch."""
    list(engine.run([pixels]))
    started = time.perf_counter()

    def batches() -> Iterator[np.ndarray]:
        while time.perf_counter() - started < SECONDS:
            yield pixels

    done = sum(len(features) for features in engine.run(batches()))
    return done / (time.perf_counter() - started)
