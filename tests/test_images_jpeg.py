"""JPEG decoding at reduced size gives the same image as at full size; unusual files are decoded by Pillow."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from featx.errors import ImageError
from featx.images import decode, prepare
from featx.images.jpeg import decode_jpeg


def scene(width: int, height: int) -> Image.Image:
    """Return smooth waves of colour with a little grain."""
    y, x = np.mgrid[0:height, 0:width] / height
    waves = np.stack([np.sin(9 * x), np.cos(7 * y), np.sin(5 * (x + y))], axis=-1)
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(128 + 90 * waves + grain, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 95}])
def test_full_size_pixels_equal_those_of_pillow(options):
    data = jpeg(scene(200, 150), **options)
    ours, note = decode_jpeg(data, 200, 150, 1.0, "RGB")
    assert ours is not None
    assert note == ""
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_smallest_sufficient_scale_is_used():
    data = jpeg(scene(801, 600))
    sizes = {
        scale: decode_jpeg(data, 801, 600, scale, "RGB")[0].shape[1::-1] for scale in (1.0, 0.51, 0.5, 0.25, 0.1, 0.01)
    }
    whole, half, quarter, eighth = (801, 600), (401, 300), (201, 150), (101, 75)
    assert sizes == {1.0: whole, 0.51: whole, 0.5: half, 0.25: quarter, 0.1: eighth, 0.01: eighth}


@pytest.mark.parametrize("rule", ["crop", "squash", "pad"])
def test_a_large_photograph_looks_the_same(rule, monkeypatch):
    data = jpeg(scene(1600, 1200), quality=95)
    small = prepare(data, 224, rule)
    monkeypatch.setattr(sys.modules["featx.images.decode"], "decode_jpeg", lambda *all: (None, ""))
    whole = prepare(data, 224, rule)
    assert (small.width, small.height) == (whole.width, whole.height) == (1600, 1200)
    assert np.abs(small.pixels.astype(int) - whole.pixels).mean() < 1.5
    assert np.abs(small.signature.astype(int) - whole.signature).max() <= 3


def test_no_fewer_pixels_than_the_backbone_receives():
    calls = []

    def enough(width, height):
        calls.append((width, height))
        return 224 / (0.875 * min(width, height))

    decoded = decode(jpeg(scene(1600, 1200)), enough=enough)
    assert calls == [(1600, 1200)]
    assert decoded.image.size == (400, 300)  # the crop is 7/8 of 300, more than 224
    assert (decoded.width, decoded.height) == (1600, 1200)


def test_a_turned_photograph_keeps_its_upright_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    made = prepare(jpeg(scene(1600, 1200), exif=exif), 64)
    assert (made.width, made.height) == (1200, 1600)


def test_unusual_files_are_left_to_pillow():
    data = jpeg(scene(200, 150))
    assert decode_jpeg(b"\xff\xd8\xff no", 200, 150, 1.0, "RGB") == (None, "")
    scan = data.index(b"\xff\xda")
    left_over = data[:scan] + b"junk" + data[scan:-2] + bytes(400) + data[-2:]
    assert decode_jpeg(left_over, 200, 150, 1.0, "RGB")[0] is None
    with pytest.raises(ImageError, match="part of the image is missing"):
        decode_jpeg(data[: len(data) // 2], 200, 150, 1.0, "RGB")


def test_reason_for_12_bits():
    data = bytearray(jpeg(scene(200, 150)))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(
        ImageError, match="a JPEG with 12 bits per channel, which featx does not read; export the image with 8 bits"
    ):
        decode(bytes(data))


def test_grey_stays_grey_and_cmyk_is_only_checked():
    grey = jpeg(scene(200, 150).convert("L"))
    assert decode_jpeg(grey, 200, 150, 1.0, "L")[0].shape == (150, 200)
    cmyk = jpeg(scene(200, 150).convert("CMYK"))
    assert decode_jpeg(cmyk, 200, 150, 1.0, "CMYK") == (None, "")
    with pytest.raises(ImageError, match="part of the image is missing"):
        decode_jpeg(cmyk[: len(cmyk) // 2], 200, 150, 1.0, "CMYK")
