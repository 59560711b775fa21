"""Resizing of RGB pixels: like Pillow, and independent of vector instructions, threads and the library in use."""

from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from featx.images import decode, decode_version, prepare, probe_files
from featx.images.resize import HAS_WHEEL, ResizableImage

SHAPES = [(1, 1), (1, 5000), (5000, 1), (3, 2000), (64, 64), (375, 500), (33, 1000), (224, 224), (223, 225)]
"""Heights and widths."""

needs_wheel = pytest.mark.skipif(not HAS_WHEEL, reason="there is no cykooz-resizer for 64-bit ARM Linux")


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> int:
    """Return the largest difference of two images of the same shape, in levels."""
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


def boxes(height: int, width: int) -> list[tuple[float, float, float, float] | None]:
    """Return the whole image, and the fractional box that the rule ``crop`` selects."""
    side = 0.875 * min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return [None, (left, top, left + side, top + side)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(224, 224), (16, 16), (1, 224), (224, 1)])
def test_bilinear_values_are_within_two_levels_of_those_of_pillow(shape, size):
    pixels = noise(*shape)
    for box in boxes(*shape):
        theirs = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=box)
        assert difference(ResizableImage(pixels).resize(*size, box=box), np.asarray(theirs)) <= 2


@needs_wheel
@pytest.mark.parametrize("shape", SHAPES)
def test_values_do_not_depend_on_vector_instructions(shape):
    from cykooz_resizer import CpuExtensions

    image = ResizableImage(noise(*shape))
    best = image._resizer.cpu_extensions
    others = [CpuExtensions.none, CpuExtensions.sse4_1] if best == CpuExtensions.avx2 else [CpuExtensions.none]

    def values(extensions):
        image._resizer.cpu_extensions = extensions
        assert image._resizer.cpu_extensions == extensions
        return [image.average(16, 16), *(image.resize(224, 224, box) for box in boxes(*shape))]

    expected = values(best)
    for extensions in others:
        for ours, same in zip(values(extensions), expected, strict=True):
            np.testing.assert_array_equal(ours, same)


def test_an_image_of_pillow_and_an_array_give_the_same_values():
    pixels = noise(75, 100)
    as_image = ResizableImage(Image.fromarray(pixels))
    assert (as_image.width, as_image.height) == (100, 75)
    np.testing.assert_array_equal(as_image.resize(64, 48), ResizableImage(pixels).resize(64, 48))


def test_values_do_not_depend_on_threads():
    images = [noise(100 + i, 150) for i in range(40)]
    expected = [ResizableImage(pixels).resize(64, 64) for pixels in images]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda pixels: ResizableImage(pixels).resize(64, 64), images))
    for ours, alone in zip(made, expected, strict=True):
        np.testing.assert_array_equal(ours, alone)


def test_large_images_are_resized_by_pillow_without_a_copy():
    pixels = np.tile(noise(500, 500), (4, 5, 1))  # 5 million pixels
    theirs = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(ResizableImage(pixels).resize(224, 224), np.asarray(theirs))


@needs_wheel
@pytest.mark.parametrize("rule", ["crop", "squash", "pad", "fit"])
def test_without_cykooz_resizer_pixels_are_within_two_levels_and_the_version_differs(rule, monkeypatch):
    version = decode_version()
    with_it = [prepare(data, 224, rule) for data in probe_files().values()]
    monkeypatch.setattr(sys.modules["featx.images.resize"], "_MOST_COPIED", 0)
    for ours, data in zip(with_it, probe_files().values(), strict=True):
        other = prepare(data, 224, rule)
        assert difference(ours.pixels, other.pixels) <= 2
        assert difference(ours.signature, other.signature) <= 1
    decode_version.cache_clear()
    other_version = decode_version()
    decode_version.cache_clear()
    assert other_version != version


@pytest.mark.parametrize("shape", [(374, 500), (375, 499), (24, 40), (1, 3), (161, 134), (1000, 1000)])
def test_signature_is_within_one_level_of_a_grey_thumbnail_by_pillow(shape):
    """In images whose sides are multiples of 8 but not 16, the centres of pixels lie between two cells."""
    pixels = noise(*shape)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    grey = Image.fromarray(pixels).convert("L").resize((64, 64), Image.Resampling.BOX)
    assert difference(prepare(stream.getvalue(), 64).signature, np.asarray(grey)) <= 1


def test_pixels_of_a_prepared_image_are_contiguous():
    stream = io.BytesIO()
    Image.fromarray(noise(60, 80)).save(stream, "JPEG", quality=95)
    for rule in ("crop", "squash", "pad", "fit"):
        pixels = prepare(stream.getvalue(), 32, rule).pixels
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous


def test_plain_jpeg_files_are_decoded_to_an_array_and_turned_files_upright():
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, 24:] = (0, 255, 0)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    decoded = decode(stream.getvalue())
    assert isinstance(decoded.upright, np.ndarray)
    np.testing.assert_array_equal(np.asarray(decoded.image), decoded.upright)
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, exif=exif)
    turned = decode(stream.getvalue())
    assert (turned.width, turned.height) == turned.image.size == (32, 48)
    np.testing.assert_array_equal(np.asarray(turned.image), np.rot90(decoded.upright, -1))
