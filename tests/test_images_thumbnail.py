"""Encoded thumbnails are small JPEG files of the same size."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from featx.images import encode_thumbnail


def test_an_encoded_thumbnail_is_a_jpeg_of_the_same_size():
    pixels = np.full((30, 50, 3), (10, 120, 240), np.uint8)
    with Image.open(io.BytesIO(encode_thumbnail(pixels))) as image:
        assert (image.format, image.size) == ("JPEG", (50, 30))
        assert np.abs(np.asarray(image).astype(int) - pixels).max() < 8
