"""Takes: frames of one recording, told by names that say so, or by numbered names whose neighbours look alike."""

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
_DECLARED = re.compile(r"take-(\d{3,9})-(\d{5,9})")


def frame_name(take: int, frame: int) -> str:
    """Return the name, without an ending, by which a picture says which take it is a frame of: ``take-003-00012``."""
    return f"take-{take:03d}-{frame:05d}"


def declared_take(sample_id: str) -> int | None:
    """Return the take that the name of a picture says it is of; None where it says none."""
    frame = _declared_frame(sample_id)
    return None if frame is None else frame[0]


def find_takes(sample_ids: Sequence[str], signatures: NDArray[np.uint8]) -> list[list[int]]:
    """Find the takes among pictures: those that names declare, and sequences of frames numbered in one folder.

    Pictures that are named as :func:`frame_name` does are one take wherever they lie and however they look: frames that
    were moved to another label or split are frames of it still. Other names that differ by their last number are a
    take if neighbours differ far less than frames at random, or hardly at all; it ends where a frame differs from
    the one before as much as frames at random do.

    Parameters
    ----------
    sample_ids : sequence of str
    signatures : ndarray of shape (n, 16, 16), uint8

    Returns
    -------
    list of list of int
        Positions of the frames of each take, in order of their numbers.
    """
    declared: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for position, sample_id in enumerate(sample_ids):
        if frame := _declared_frame(sample_id):
            declared[frame[0]].append((frame[1], position))
    said = [[position for _, position in sorted(frames)] for _, frames in sorted(declared.items())]
    return [take for take in said if len(take) > 1] + _alike_sequences(sample_ids, patterns(signatures))


def _declared_frame(sample_id: str) -> tuple[int, int] | None:
    match = _DECLARED.fullmatch(_stem(sample_id))
    return (int(match[1]), int(match[2])) if match else None


def _stem(sample_id: str) -> str:
    return sample_id.rpartition("/")[2].rsplit(".", 1)[0]


def _alike_sequences(sample_ids: Sequence[str], shown: NDArray[np.float32]) -> list[list[int]]:
    sequences: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for position, sample_id in enumerate(sample_ids):
        match = _NUMBERED.fullmatch(_stem(sample_id))
        if match and len(match[2]) < 19 and declared_take(sample_id) is None:
            sequences[f"{sample_id.rpartition('/')[0]}/{match[1]}", match[3]].append((int(match[2]), position))
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
