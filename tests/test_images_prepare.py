"""Conversion of images to the square that a backbone receives."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from featx.images import decode_version, prepare, probe_files, probes
from featx.images import prepare as public_prepare


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def stripes(width: int, height: int) -> np.ndarray:
    """Return an image whose red value is the column and whose green value is the row, scaled to 0 to 255."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / (width - 1), 255 * y / (height - 1), np.zeros_like(x)], axis=-1)


def test_crop_keeps_the_centre_of_the_shorter_side():
    made = prepare(png(stripes(160, 80)), 70, "crop").pixels  # 7/8 of 80 is 70: pixels are copied, not resampled
    np.testing.assert_array_equal(made, stripes(160, 80).astype(np.uint8)[5:75, 45:115])


def test_squash_shows_the_whole_image():
    made = prepare(png(stripes(160, 80)), 40, "squash").pixels
    assert made[20, 0, 0] < 4
    assert made[20, 39, 0] > 251


def test_pad_keeps_the_shape_and_adds_grey():
    made = prepare(png(stripes(160, 80)), 40, "pad").pixels
    assert made[0, 20].tolist() == [127, 127, 127]
    assert made[39, 20].tolist() == [127, 127, 127]
    assert made[20, 0, 0] < 8
    assert made[20, 39, 0] > 247


@pytest.mark.parametrize(("shape", "expected"), [((80, 160), (20, 40)), ((30, 10), (30, 10)), ((3000, 1), (40, 1))])
def test_fit_keeps_the_shape_and_does_not_enlarge(shape, expected):
    assert prepare(png(np.full((*shape, 3), 200)), 40, "fit").pixels.shape == (*expected, 3)


def test_shrinking_is_antialiased():
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    made = prepare(png(np.stack([board] * 3, axis=-1)), 32, "squash").pixels
    assert np.abs(made.astype(int) - 127).max() < 3


@pytest.mark.parametrize("rule", ["crop", "squash", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (3000, 1), (1, 3000), (2, 2)])
def test_extreme_shapes(rule, shape):
    made = prepare(png(np.full((*shape, 3), 200)), 64, rule)
    assert made.pixels.shape == (64, 64, 3)
    assert made.signature.shape == (64, 64)
    assert (made.height, made.width) == shape


def test_signature_is_a_thumbnail_of_the_whole_image():
    left_dark = np.zeros((64, 128, 3))
    left_dark[:, 64:] = 255
    signature = prepare(png(left_dark), 32, "crop").signature
    assert signature.dtype == np.uint8
    assert (signature[:, :32] == 0).all()
    assert (signature[:, 32:] == 255).all()


def test_decode_version_changes_with_any_pixel(monkeypatch):
    before = decode_version()
    assert before.startswith(f"{probes.DECODE_VERSION}-")

    def one_pixel_off(data, size, rule):
        made = public_prepare(data, size, rule)
        pixels = made.pixels.copy()
        pixels[0, 0, 0] ^= 1
        return type(made)(pixels, made.signature, made.width, made.height)

    monkeypatch.setattr(probes, "prepare", one_pixel_off)
    decode_version.cache_clear()
    changed = decode_version()
    decode_version.cache_clear()
    assert changed != before


def test_probe_images_cover_many_formats():
    names = list(probe_files())
    assert names == sorted(names)
    assert {name.rsplit(".")[-1] for name in names} == {"jpg", "png", "gif", "webp", "tif", "bmp"}
    assert sum(map(len, probe_files().values())) < 60_000
