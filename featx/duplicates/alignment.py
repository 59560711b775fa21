"""Align two thumbnails by their distinct points, and measure how well their textures agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.local_features import Points, Texture
from featx.opencv import start_opencv

_LEAST_SIMILAR, _CERTAINLY_SIMILAR = 0.1, 0.7
"""Correlations of two codes: two points correspond if each is the most similar of the other image to the other from
0.1, or if only one is from 0.7."""

_TOLERANCE = 0.035
"""Largest distance of corresponding points after the alignment, as a fraction of the side."""

_MOST_ALIGNMENTS = 4
_FEWEST_FOR_AFFINE = 4
_SCALES = (0.45, 2.2)
_SIZES, _TURNS = 0.5, 0.45
"""Largest differences of the logarithm of the scale and of the rotation, in radians, of points that move together."""

_STRETCH = (0.38, 2.6)
_SKEW = 1.8
_TILES = 8
_FLAT = 400.0
"""Sum of squares of the texture of a tile that counts as noise."""

_FEWEST_TILES, _MOST_TILES = 6, 30
HIGHEST_SCORE = float(np.sqrt(_MOST_TILES))
"""Score of two equal images with texture everywhere."""

_LEAST_TEXTURE, _LEAST_AREA = 0.35, 0.3
_SHARE_OF_TILE = 0.5
_PROMISING = 1.5
"""Score from which an alignment is refined."""

_STEPS = 6
_FEWEST_PIXELS = 600
_FARTHEST = 8.0
"""Largest shift of a corner by the refinement, in pixels."""

_Affine = NDArray[np.float64]
"""Matrix of shape (3, 2): (x, y, 1) of a point, as fractions of the side, times the matrix is its aligned position."""


class Alignment:
    """Score pairs of images by their points and textures."""

    def __init__(self) -> None:
        self._opencv: Any = start_opencv()

    def score(self, one: tuple[Points, Texture], other: tuple[Points, Texture]) -> float:
        """Return how well two thumbnails agree in their best alignment.

        Corresponding points propose alignments: each pair of points implies a shift, scale and rotation, and those
        that most other pairs agree with are refined to an affine alignment. For each, the texture of the overlap is
        correlated in 8 x 8 tiles. The best alignment is refined by the gradients of the textures (Lucas and Kanade
        1981).

        Returns
        -------
        float
            Mean correlation of the tiles with texture, weighted by their contrast, times the square root of their
            number, up to 30; 0 if no alignment has sufficient overlap.
        """
        best = 0.0
        points, texture = other
        contrasts = _tile_contrasts(texture)
        for is_mirrored in (False, True):
            left, shown = (one[0].mirrored(), one[1].mirrored()) if is_mirrored else one
            side = len(shown.values)
            found = [
                (self._agreement(shown, texture, contrasts, inverse), inverse)
                for inverse in (_inverse_in_pixels(matrix, side) for matrix in proposed(left, points))
            ]
            score, inverse = max(found, key=lambda pair: pair[0], default=(0.0, None))
            if inverse is not None and score >= _PROMISING:
                score = max(score, self._agreement(shown, texture, contrasts, self._refined(shown, texture, inverse)))
            best = max(best, score)
        return best

    def _warped(self, values: NDArray[np.float32], inverse: _Affine) -> NDArray[np.float32]:
        opencv, side = self._opencv, len(values)
        flags = opencv.INTER_LINEAR | opencv.WARP_INVERSE_MAP
        return np.asarray(opencv.warpAffine(values, inverse, (side, side), flags=flags))

    def _agreement(self, one: Texture, other: Texture, contrasts: NDArray[np.float32], inverse: _Affine) -> float:
        moved = self._warped(np.dstack(one), inverse)
        both = (moved[..., 1] > 0.9) * other.shown
        n = _tile_sums(both)
        if n.sum() * abs(np.linalg.det(inverse[:, :2])) < _LEAST_AREA * both.size:
            return 0.0
        tile = both.size // n.size
        if (contrasts * n).sum() < _LEAST_TEXTURE * contrasts.sum() * tile:
            return 0.0
        left, right = (_without_means(values * both, both, n) for values in (moved[..., 0], other.values))
        squares, others = _tile_sums(left * left), _tile_sums(right * right)
        most = np.maximum(squares, others)
        used = (n >= _SHARE_OF_TILE * tile) & (most > _FLAT)
        n_used = int(used.sum())
        if n_used < _FEWEST_TILES:
            return 0.0
        weights = np.sqrt(most[used])
        correlations = _tile_sums(left * right)[used] / np.sqrt((squares[used] + _FLAT) * (others[used] + _FLAT))
        return float((weights * correlations).sum() / weights.sum() * np.sqrt(min(n_used, _MOST_TILES)))

    def _refined(self, one: Texture, other: Texture, inverse: _Affine) -> _Affine:
        """Return the alignment after up to six steps that increase the correlation of the textures."""
        opencv, side = self._opencv, len(one.values)
        gradients = [opencv.Sobel(one.values, opencv.CV_32F, *order, ksize=3) / 8 for order in ((1, 0), (0, 1))]
        layers = np.dstack([one.values, *gradients, one.shown])
        centre = (side - 1) / 2
        down, across = np.mgrid[:side, :side].astype(np.float32) - np.float32(centre)
        result = inverse.copy()
        for _ in range(_STEPS):
            moved = self._warped(layers, result)
            both = (moved[..., 3] > 0.9) & (other.shown > 0.5)
            if both.sum() < _FEWEST_PIXELS:
                return inverse
            values, dx, dy = (moved[..., i][both] for i in range(3))
            left, right = values - values.mean(), other.values[both] - other.values[both].mean()
            gain = float(left @ right) / max(float(left @ left), 1e-6)
            if gain <= 0.05:
                return inverse
            x, y = across[both], down[both]
            slopes = np.stack([dx * x, dx * y, dx, dy * x, dy * y, dy], axis=1) * np.float32(gain)
            slopes -= slopes.mean(axis=0)
            squares = (slopes.T @ slopes).astype(np.float64)
            squares[np.diag_indices(6)] = 1.01 * squares[np.diag_indices(6)] + 1e-3
            step = np.linalg.solve(squares, slopes.T @ (right - np.float32(gain) * left)).reshape(2, 3)
            step[:, 2] -= step[:, :2].sum(axis=1) * centre
            result = result + step
        corners = np.array([[0, 0, 1], [side - 1, 0, 1], [0, side - 1, 1], [side - 1, side - 1, 1]]).T
        return inverse if np.abs((result - inverse) @ corners).max() > _FARTHEST else result


def proposed(one: Points, other: Points) -> list[_Affine]:
    """Return up to four alignments of one thumbnail with another that corresponding points propose."""
    left, right = _corresponding(one, other)
    if len(left) < 2:
        return []
    scales, turns = right[:, 2] / left[:, 2], right[:, 3] - left[:, 3]
    cosines, sines = scales * np.cos(turns), scales * np.sin(turns)
    matrices = np.stack([np.stack([cosines, sines], axis=1), np.stack([-sines, cosines], axis=1)], axis=1)
    shifts = right[:, :2] - np.einsum("mi,mij->mj", left[:, :2], matrices)
    predicted = np.einsum("pi,mij->mpj", left[:, :2], matrices) + shifts[:, None]
    sizes = np.abs(np.log(scales[:, None] / scales))
    angles = np.abs((turns[:, None] - turns + np.pi) % (2 * np.pi) - np.pi)
    together = (np.abs(predicted - right[:, :2]).max(axis=2) < 2 * _TOLERANCE) & (sizes < _SIZES) & (angles < _TURNS)
    together &= ((scales > _SCALES[0]) & (scales < _SCALES[1]))[:, None]
    n_together = together.sum(axis=1)
    alignments: list[_Affine] = []
    is_explained = np.zeros(len(left), np.bool_)
    for i in np.argsort(-n_together, kind="stable"):
        if len(alignments) == _MOST_ALIGNMENTS or n_together[i] < 2:
            break
        if not is_explained[i]:
            is_explained |= together[i]
            similar = (sizes[i] < _SIZES) & (angles[i] < _TURNS)
            affine = _affine(left[:, :2], right[:, :2], together[i], similar)
            alignments.append(np.concatenate([matrices[i], shifts[i][None]]) if affine is None else affine)
    return alignments


def _corresponding(one: Points, other: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places of both thumbnails that correspond, shape (n, 4)."""
    if min(len(one.codes), len(other.codes)) < 2:
        return np.empty((0, 4)), np.empty((0, 4))
    products = _normalized(one.codes) @ _normalized(other.codes).T
    nearest = products.argmax(axis=1)
    similarity = products[np.arange(len(products)), nearest]
    is_mutual = products.argmax(axis=0)[nearest] == np.arange(len(products))
    kept = ((similarity > _LEAST_SIMILAR) & is_mutual) | (similarity > _CERTAINLY_SIMILAR)
    return one.places[kept].astype(np.float64), other.places[nearest[kept]].astype(np.float64)


def _normalized(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(codes / np.maximum(np.sqrt(np.square(codes).sum(axis=1, keepdims=True)), 1e-6))


def _affine(
    left: NDArray[np.float64], right: NDArray[np.float64], together: NDArray[np.bool_], similar: NDArray[np.bool_]
) -> _Affine | None:
    """Fit an affine alignment to points that move together; None if there are too few or it distorts too much."""
    if together.sum() < _FEWEST_FOR_AFFINE:
        return None
    homogeneous = np.column_stack([left, np.ones(len(left))])
    for _ in range(2):
        matrix = np.linalg.lstsq(homogeneous[together], right[together], rcond=None)[0]
        closer = (np.abs(homogeneous @ matrix - right).max(axis=1) < _TOLERANCE) & similar
        if closer.sum() < _FEWEST_FOR_AFFINE:
            break
        together = closer
    largest, smallest = np.linalg.svd(matrix[:2], compute_uv=False)
    if largest > _STRETCH[1] or smallest < _STRETCH[0] or largest > _SKEW * smallest:
        return None
    return np.asarray(matrix)


def _inverse_in_pixels(matrix: _Affine, side: int) -> _Affine:
    """Return the inverse of an alignment, shape (2, 3), for positions of the centres of pixels."""
    inverse = np.linalg.inv(matrix[:2])
    shift = -matrix[2] @ inverse * side + (inverse.sum(axis=0) - 1) / 2
    return np.concatenate([inverse.T, shift[:, None]], axis=1)


def _tile_sums(values: NDArray[np.float32]) -> NDArray[np.float32]:
    size = len(values) // _TILES
    return np.asarray(values.reshape(_TILES, size, _TILES, size).sum(axis=(1, 3)))


def _without_means(
    values: NDArray[np.float32], shown: NDArray[np.float32], n: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return values minus the mean of their tile, 0 where they are not shown."""
    size = len(values) // _TILES
    means = np.repeat(np.repeat(_tile_sums(values) / np.maximum(n, 1), size, axis=0), size, axis=1)
    return np.asarray((values - means) * shown, np.float32)


def _tile_contrasts(one: Texture) -> NDArray[np.float32]:
    return np.sqrt(_tile_sums(np.square(_without_means(one.values, one.shown, _tile_sums(one.shown)))))
