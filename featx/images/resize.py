"""Resize RGB pixels with antialiased filters: bilinear for the pixels of a backbone, box for thumbnails."""

from __future__ import annotations

import platform
import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HAS_WHEEL = (sys.platform, platform.machine()) != ("linux", "aarch64")
"""Whether cykooz-resizer is published for this platform; elsewhere, Pillow resizes all images."""

if HAS_WHEEL:
    from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge of a part of an image, in pixels."""

_MOST_COPIED = 4_000_000 if HAS_WHEEL else 0
"""Largest number of pixels that are copied for cykooz-resizer, which takes 6 bytes per pixel. Pillow resizes larger
images without a copy; only images of other formats than JPEG are usually that large after decoding."""

_SHIFT = 1e-6
"""Shift of the cells in pixels. A pixel whose centre lies between two cells then belongs to the left or upper cell, as
in Pillow. Without the shift, rounding errors decide, and values differ from those of Pillow by up to ten levels."""

# glibc returns freed memory to the system above a limit that follows the largest block freed so far. Without a block of
# this size, each image takes 240 page faults, which is 0.4 ms. The block is never written, so it takes no memory.
bytes(8_000_000)


class ResizableImage:
    """An RGB image that can be resized several times.

    The values do not depend on the vector instructions of the processor or on threads. The two libraries differ by at
    most two levels.

    Parameters
    ----------
    image : PIL.Image.Image of mode RGB, or ndarray of shape (height, width, 3), uint8
    """

    def __init__(self, image: Image.Image | NDArray[np.uint8]) -> None:
        self.width, self.height = image.size if isinstance(image, Image.Image) else image.shape[1::-1]
        self._is_copied = self.width * self.height <= _MOST_COPIED
        if self._is_copied:
            self._copy = ImageData(self.width, self.height, PixelType.U8x3, image.tobytes())
            self._resizer = Resizer()
        else:
            self._image = image if isinstance(image, Image.Image) else Image.fromarray(image)

    def resize(self, width: int, height: int, box: Box | None = None) -> NDArray[np.uint8]:
        """Return pixels of shape (height, width, 3), by antialiased bilinear interpolation.

        Parameters
        ----------
        width, height : int
            Size of the result, at least 1.
        box : tuple of float, optional
            Part of the image that is resized. The default is the whole image.
        """
        if not self._is_copied:
            return np.asarray(self._image.resize((width, height), Image.Resampling.BILINEAR, box=box))
        left, top, right, bottom = box or (0, 0, self.width, self.height)
        return self._resized(width, height, FilterType.bilinear, CropBox(left, top, right - left, bottom - top))

    def average(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the means of the cells of a grid, shape (height, width, 3)."""
        if not self._is_copied:
            return np.asarray(self._image.resize((width, height), Image.Resampling.BOX))
        box = CropBox(_SHIFT, _SHIFT, self.width - _SHIFT, self.height - _SHIFT)
        return self._resized(width, height, FilterType.box, box)

    def _resized(self, width: int, height: int, filter: FilterType, box: CropBox) -> NDArray[np.uint8]:
        resized = ImageData(width, height, PixelType.U8x3)
        self._resizer.resize(self._copy, resized, ResizeOptions(ResizeAlg.convolution(filter), crop_box=box))
        return np.frombuffer(resized.get_buffer(), np.uint8).reshape(height, width, 3)
