"""Accuracy lost by bfloat16 and by reduced JPEG decoding: default backbone, real weights, images like photographs."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from featx.backbones import build_network, find_backbone_source
from featx.engines import convert
from featx.engines.openvino import OpenVINORunner, has_bfloat16
from featx.images import prepare
from featx.spec import FeatureSpec


def photograph(seed: int, width: int, height: int) -> Image.Image:
    """Return a generated image with the spectrum of a photograph: clouds of all sizes, objects with edges, noise."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 8):
        coarse = rng.normal(0, 1, (2**octave + 1, 2**octave + 1, 3)).astype(np.float32)
        bands = [
            Image.fromarray(coarse[:, :, band]).resize((width, height), Image.Resampling.BICUBIC) for band in range(3)
        ]
        image += np.stack([np.asarray(band) for band in bands], axis=-1) / 1.6**octave
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    for _ in range(6):
        (cx, cy), radius, colour = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.3), rng.normal(0, 1, 3)
        body = (x - cx * width / height) ** 2 + (y - cy) ** 2 < radius**2
        image[body] = image[body] * 0.3 + colour.astype(np.float32)
    image += rng.normal(0, 0.03, (*image.shape[:2], 1)).astype(np.float32)
    return Image.fromarray(np.clip(110 + 60 * image, 0, 255).astype(np.uint8))


def real_tiles():
    """Yield overlapping tiles of the two photographs that scikit-learn contains, a temple and a flower."""
    for image in load_sample_images().images:
        for top in range(0, 427 - 256, 85):
            for left in range(0, 640 - 256, 128):
                yield Image.fromarray(image[top : top + 256, left : left + 256])


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


@pytest.fixture(scope="module")
def graph():
    source = find_backbone_source("efficientnet-lite0")
    spec = FeatureSpec(source.backbone, source.weights, source.preprocess, 224, "1-0", "openvino", "float32")
    return convert(build_network(replace(spec, precision="float32"), source.file))


def features(graph, pixels, precision="float32"):
    return next(iter(OpenVINORunner(graph, precision).run([pixels]))).astype(np.float64)


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_bfloat16_agrees_with_float32(graph):
    if not has_bfloat16():
        pytest.skip("this CPU does not support bfloat16")
    pixels = np.stack([prepare(jpeg(tile), 224).pixels for tile in real_tiles()])
    exact = features(graph, pixels)
    assert cosines(exact[:-1], exact[1:]).mean() < 0.9  # the images differ, so that agreement is meaningful
    agreement = cosines(exact, features(graph, pixels, "bfloat16"))
    assert agreement.mean() >= 0.999
    assert agreement.min() >= 0.995


def test_reduced_decoding_of_a_large_photograph_keeps_its_features(graph, monkeypatch):
    data = jpeg(photograph(0, 4000, 3000))
    small = prepare(data, 224)
    monkeypatch.setattr(sys.modules["featx.images.decode"], "decode_jpeg", lambda *all: (None, ""))
    whole = prepare(data, 224)
    assert not np.array_equal(small.pixels, whole.pixels)
    a, b = features(graph, np.stack([small.pixels, whole.pixels]))
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.99
