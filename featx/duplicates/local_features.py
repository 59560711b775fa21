"""Describe distinct points of thumbnails, independently of position, size, rotation and contrast."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.opencv import start_opencv

MOST_POINTS = 50
"""Maximum number of points of an image; those with the highest contrast are kept."""

_ENLARGED = 128
"""Side to which thumbnails are enlarged before points are detected, in pixels."""

_CONTRAST, _EDGE = 0.01, 20
_DARKEST, _BRIGHTEST = 12, 243
_SMALLEST_FILL, _LARGEST_FILL = 6, 0.4
_SPREADS = (2.0, 5.0, 12.0)
_FINE, _COARSE = 0.8, 6.0


def _transform() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the matrix that gives the code of a descriptor, and the sign of each value in the mirrored image.

    A SIFT descriptor holds 8 directions of 4 x 4 fields. Its code contains the lowest frequencies: a cosine transform
    of the fields, up to a sum of the two frequencies of 2, and a Fourier transform of the directions, up to a frequency
    of 2; without the constant.
    """
    fields = (np.arange(4) + 0.5) * np.pi / 4
    cosines = [np.cos(frequency * fields) / np.sqrt(4 if frequency == 0 else 2) for frequency in range(3)]
    directions = np.arange(8) * np.pi / 4
    waves = [(0, 1, np.ones(8) / np.sqrt(8))]
    for frequency in (1, 2):
        waves += [
            (frequency, 1, np.cos(frequency * directions) / 2),
            (frequency, -1, np.sin(frequency * directions) / 2),
        ]
    columns, signs = [], []
    for down in range(3):
        for across in range(3 - down):
            for frequency, sign, wave in waves:
                if down + across + frequency:
                    columns.append(np.einsum("i,j,k->ijk", cosines[down], cosines[across], wave).ravel())
                    # Mirroring reverses the order of the rows of fields, and the directions.
                    signs.append(sign * (-1 if down % 2 else 1))
    return np.stack(columns, axis=1).astype(np.float32), np.array(signs, np.float32)


_CODE, MIRROR = _transform()

N_NUMBERS = len(MIRROR)
"""Number of values of the code of a point."""


class Points(NamedTuple):
    """Distinct points of a thumbnail.

    Parameters
    ----------
    places : ndarray of shape (n_points, 4), float32
        Position (x, y) and size as fractions of the side, and direction in radians.
    codes : ndarray of shape (n_points, 29), float32
        Lowest frequencies of the SIFT descriptors (Lowe 2004) with square roots of their values (Arandjelovic and
        Zisserman 2012); ``codes * MIRROR`` are the codes in the mirrored image.
    """

    places: NDArray[np.float32]
    codes: NDArray[np.float32]

    def mirrored(self) -> Points:
        """Return the points of the mirrored thumbnail."""
        places = self.places.copy()
        places[:, 0], places[:, 3] = 1 - places[:, 0], np.pi - places[:, 3]
        return Points(places, self.codes * MIRROR)


class Texture(NamedTuple):
    """A thumbnail without its coarse brightness.

    Parameters
    ----------
    values : ndarray of shape (side, side), float32
        0 in filled areas.
    shown : ndarray of shape (side, side), float32
        0 in filled areas, which are black or white borders, corners left by a rotation, cut-outs and stamps; else 1.
    """

    values: NDArray[np.float32]
    shown: NDArray[np.float32]

    def mirrored(self) -> Texture:
        """Return the texture of the mirrored thumbnail."""
        return Texture(*(np.ascontiguousarray(of[:, ::-1]) for of in self))


class Describer:
    """Find points and texture of grey thumbnails of shape (side, side), uint8, with OpenCV."""

    def __init__(self) -> None:
        self._opencv: Any = start_opencv()
        self._opencv.setNumThreads(1)
        self._sift = self._opencv.SIFT_create(MOST_POINTS, contrastThreshold=_CONTRAST, edgeThreshold=_EDGE)

    def points(self, thumbnail: NDArray[np.uint8]) -> Points:
        """Return the points with the highest contrast."""
        pixels = self._without_fills(thumbnail)[0]
        opencv, size = self._opencv, (_ENLARGED, _ENLARGED)
        grey = np.clip(pixels, 0, 255).astype(np.uint8)
        found, values = self._sift.detectAndCompute(opencv.resize(grey, size, interpolation=opencv.INTER_CUBIC), None)
        if values is None:
            return Points(np.empty((0, 4), np.float32), np.empty((0, N_NUMBERS), np.float32))
        strongest = np.argsort([-point.response for point in found], kind="stable")[:MOST_POINTS]
        places = np.array([(*found[i].pt, found[i].size, 0) for i in strongest], np.float32) / np.float32(_ENLARGED)
        places[:, 3] = np.radians([found[i].angle for i in strongest])
        values = values[strongest]
        roots = np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32)
        return Points(places, np.asarray(roots @ _CODE))

    def texture(self, thumbnail: NDArray[np.uint8]) -> Texture:
        """Return the differences from the surroundings."""
        pixels, shown = self._without_fills(thumbnail)
        blur = self._opencv.GaussianBlur
        share = blur(shown, (0, 0), _COARSE)
        coarse = blur(pixels * shown, (0, 0), _COARSE) / np.maximum(share, 1e-3)
        return Texture((blur(pixels, (0, 0), _FINE) - coarse) * shown, shown)

    def _without_fills(self, thumbnail: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Replace filled areas by means of their surroundings, so that their outlines are not described."""
        shown = 1 - self._filled(thumbnail)
        pixels = thumbnail.astype(np.float32)
        missing = shown == 0
        if not missing.any():
            return pixels, shown
        result = pixels.copy()
        for spread in _SPREADS:
            share = self._opencv.GaussianBlur(shown, (0, 0), spread)
            mean = self._opencv.GaussianBlur(pixels * shown, (0, 0), spread) / np.maximum(share, 1e-6)
            known = missing & (share > 0.1)
            result[known] = mean[known]
            missing &= ~known
        result[missing] = (pixels * shown).sum() / max(1.0, float(shown.sum()))
        return result, shown

    def _filled(self, thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return 1 in small black or white areas, and one pixel around them; a large area is background."""
        filled = np.zeros(thumbnail.shape, np.uint8)
        for extreme in (thumbnail <= _DARKEST, thumbnail >= _BRIGHTEST):
            if extreme.any():
                found = self._opencv.connectedComponentsWithStats(extreme.astype(np.uint8), connectivity=4)
                sizes = found[2][:, self._opencv.CC_STAT_AREA]
                is_fill = (sizes >= _SMALLEST_FILL) & (sizes <= _LARGEST_FILL * thumbnail.size)
                is_fill[0] = False  # all other pixels
                filled |= is_fill[found[1]].astype(np.uint8)
        return np.asarray(self._opencv.dilate(filled, np.ones((3, 3), np.uint8))).astype(np.float32)
