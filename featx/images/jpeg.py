"""JPEG files at reduced size: libjpeg-turbo shrinks while it decodes, which is fast and antialiased."""

from __future__ import annotations

import math

import simplejpeg
from PIL import Image


def decode_jpeg(data: bytes, width: int, height: int, scale: float = 1.0) -> Image.Image | None:
    """Decode a JPEG of 8-bit grey or colour.

    Parameters
    ----------
    data : bytes
        A whole file.
    width, height : int
        Size of its picture, in pixels.
    scale : float
        The smallest scale that is enough, at most 1; of 1, 1/2, 3/8, 1/4 and 1/8 the next above is used.

    Returns
    -------
    PIL.Image.Image or None
        Mode RGB, as stored (no EXIF orientation applied); None for a file with anything unusual about it, which a
        more tolerant decoder may read or find a reason for.
    """
    scale = min(scale, 1.0)
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            colorspace="RGB",
            min_height=math.ceil(height * scale),
            min_width=math.ceil(width * scale),
            min_factor=2,  # other eighths are no faster than full size
            strict=True,
        )
    except ValueError:
        return None
    return Image.fromarray(pixels)
