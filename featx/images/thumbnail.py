"""Encode thumbnails of images for display."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 70


def encode_thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels of shape (height, width, 3), uint8, as a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
