"""How bright pictures with 16 bits are, to notice those that would be nearly black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from featx.images.colour import deep_colour, is_deep, white_of
from featx.images.decode import MAX_PIXELS
from featx.images.files import open_image

_FULL_SCALE = 65535


def brightest(path: Path) -> tuple[int, int] | None:
    """Return the largest value of a picture with more than 8 bits, and the value of white.

    Parameters
    ----------
    path : path
        Any file; only the header of an 8-bit one is read.

    Returns
    -------
    tuple of (int, int) or None
        None for every other file, a broken one too: why it cannot be used shows when it is decoded.
    """
    try:
        with open_image(path) as stream, Image.open(stream, formats=("PNG", "TIFF")) as image:
            grey, colour = is_deep(image), deep_colour(image)
            if not (grey or colour) or image.width * image.height > MAX_PIXELS:
                return None
            values = np.asarray(image)
            return (int(values.max()), white_of(image)) if grey else (int(values.max()) * 257, _FULL_SCALE)
    except Exception:  # Pillow reports bad files with at least eight exception types
        return None
