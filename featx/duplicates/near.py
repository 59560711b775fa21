"""Find near-duplicates: images that were saved again, resized, retouched, mirrored or rotated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.comparison import Comparison, similar_pairs
from featx.duplicates.pairs import Agree, FoundPairs
from featx.duplicates.similarity import Patterns

_ORIENTATIONS = 8


class NearDuplicates(NamedTuple):
    """Pairs of near-duplicates, and the comparison of the images.

    Parameters
    ----------
    pairs : list of (int, int)
        Pairs of positions, the smaller first, in ascending order.
    comparison : Comparison or None
        What a later comparison of these and other images need not compute again; None if it is too large to be kept.
    """

    pairs: list[tuple[int, int]]
    comparison: Comparison | None


def find_near_duplicates(
    signatures: NDArray[np.uint8],
    agree: Agree,
    progress: Callable[[int, int], None] = lambda done, total: None,
    marks: Sequence[NDArray[np.int64]] = (),
    known: Comparison | None = None,
) -> NearDuplicates:
    """Find pairs of near-duplicates.

    Two images are near-duplicates if the distance of their patterns, in one of eight orientations, is at most 0.45 and
    at most 0.45 times the distance from each of the two images to its 12th neighbour beyond its near-duplicates, and if
    a second measure agrees. The near-duplicates of an image are the largest number of nearest neighbours, up to 1,000,
    for which this limit holds. All pairs are compared, except pairs of images that were compared before; the result
    does not depend on what was compared before. The memory grows linearly with the number of images.

    If more than a million pairs, and more than 8 for each image, are found, redundant pairs are left out: pairs of
    images that each have 16 near-duplicates and are already in the same group.

    Parameters
    ----------
    signatures : ndarray of shape (n, 16, 16), uint8
        Grey thumbnails, one for each content.
    agree : callable
        Second measure, called with pairs that pass the first.
    progress : callable
        Called with (images compared, total); each image counts once for its limit and once per orientation.
    marks : sequence of ndarray of shape (n,), int64
        Properties of the images, such as the number of their class. A pair that shares a property never
        makes a pair redundant that does not share this property.
    known : Comparison, optional
        Earlier comparison of some of these images.

    Returns
    -------
    NearDuplicates
    """
    n = len(signatures)
    patterns = Patterns(signatures)
    total = n * (1 + _ORIENTATIONS)
    done = 0

    def advance(compared: int) -> None:
        nonlocal done
        done = max(done, min(compared, total - 1))
        progress(done, total)

    comparison, limits = (known or Comparison.none(n)).completed(patterns, advance)
    found = FoundPairs(n, agree, marks)
    if comparison is not None:
        candidates = comparison.candidates.within(limits)
        found.add(candidates.ones, candidates.others)
    else:
        for ones, others, _ in similar_pairs(patterns, np.arange(n), limits, advance, found.is_settled):
            found.add(ones, others)
    pairs = found.pairs()
    progress(total, total)
    return NearDuplicates(pairs, comparison)
