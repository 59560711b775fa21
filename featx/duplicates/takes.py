"""Takes: frames of one recording, told by numbered names whose neighbours look alike."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.likeness import patterns

_FEWEST = 8
_ALIKE = 0.4
"""Frames of a take: the median distance of neighbours in parts of that of frames at random. That of six webcam takes
is 0.09 to 0.23, that of photographs, drawings and tiles that are merely numbered 0.72 and more."""

_STILL = 0.15
"""Where hardly anything moves, frames at random are as near as neighbours: the median distance of neighbours that is
enough, if it is small beside that of different pictures of the set too."""

_DIFFERENT = 0.9
"""Quantile of distances at random that is one of different scenes, even where half of the pairs show the same."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


def find_takes(sample_ids: Sequence[str], signatures: NDArray[np.uint8]) -> list[list[int]]:
    """Find sequences of frames among pictures numbered in one folder.

    A sequence of names that differ by their last number is a take if neighbours differ far less than frames at
    random, or hardly at all; it ends where a frame differs from the one before as much as frames at random do.

    Parameters
    ----------
    sample_ids : sequence of str
    signatures : ndarray of shape (n, 16, 16), uint8

    Returns
    -------
    list of list of int
        Positions of the frames of each take, in order of their numbers.
    """
    shown = patterns(signatures)
    sequences: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for position, sample_id in enumerate(sample_ids):
        folder, _, name = sample_id.rpartition("/")
        match = _NUMBERED.fullmatch(name.rsplit(".", 1)[0])
        if match and len(match[2]) < 19:
            sequences[f"{folder}/{match[1]}", match[3]].append((int(match[2]), position))
    usual = _distance_at_random(shown[shown.any(axis=1)], _DIFFERENT)
    takes: list[list[int]] = []
    for sequence in sequences.values():
        positions = [position for _, position in sorted(sequence) if shown[position].any()]
        if len(positions) >= _FEWEST:
            takes += [[positions[i] for i in run] for run in _runs(shown[positions], usual)]
    return takes


def _distance_at_random(pictures: NDArray[np.float32], share: float) -> float:
    """Return the quantile of the distances of two pictures at random; 0 for fewer than two."""
    shuffled = np.random.default_rng(0).permutation(len(pictures))
    at_random = np.linalg.norm(pictures - pictures[shuffled], axis=1)[shuffled != np.arange(len(pictures))]
    return float(np.quantile(at_random, share)) if len(at_random) else 0.0


def _runs(frames: NDArray[np.float32], usual_in_set: float) -> list[NDArray[np.int64]]:
    steps = np.linalg.norm(frames[1:] - frames[:-1], axis=1)
    step, usual = float(np.median(steps)), _distance_at_random(frames, 0.5)
    if step > _ALIKE * usual:
        if step > min(_STILL, _ALIKE * usual_in_set):
            return []
        usual = usual_in_set
    runs = np.split(np.arange(len(frames)), np.flatnonzero(steps > usual) + 1)
    return [run for run in runs if len(run) > 1]
