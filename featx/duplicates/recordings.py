"""Find recordings: images whose names declare them as frames, and numbered images whose neighbours are similar."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.similarity import normalized_patterns
from featx.duplicates.union_find import group_pairs

_FEWEST = 8
_ALIKE = 0.4
"""Maximum ratio, in a recording, of the median distance of neighbouring frames to the median distance of randomly
chosen frames. This ratio is 0.09 to 0.23 in six webcam recordings, and 0.72 or more in photographs, drawings and tiles
that are merely numbered."""

_STILL = 0.15
"""Largest median distance of neighbouring frames where hardly anything moves, so that randomly chosen frames are as
similar; it must also be small relative to the distance of different images of the data set."""

_DIFFERENT = 0.9
"""Quantile of the distances of random pairs that represents different scenes, even if half of the pairs show the same
scene."""

_MOST_STEPS = 64
"""Maximum number of steps between two folders that are compared; these are evenly spaced and enough for a median."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_DECLARED = re.compile(r"take-(\d{3,9})-(\d{5,9})")


def make_frame_name(recording: int, frame: int) -> str:
    """Return the name, without extension, that declares an image as a frame of a recording: ``take-003-00012``."""
    return f"take-{recording:03d}-{frame:05d}"


def recording_of(sample_id: str) -> int | None:
    """Return the number of the recording that the name of an image declares; None if the name declares no recording."""
    frame = _declared_frame(sample_id)
    return None if frame is None else frame[0]


def find_recordings(sample_ids: Sequence[str], signatures: NDArray[np.uint8]) -> list[list[int]]:
    """Find recordings: those declared by names, and sequences of frames among numbered images.

    Images with names of :func:`make_frame_name` belong to the declared recording, whatever their folder and content:
    frames that were moved to another label or split still belong to it.

    Other names that differ by their last number are a sequence. A sequence is a recording if neighbours differ far less
    than randomly chosen frames, or hardly at all; it ends where a frame differs from the previous one as much as
    randomly chosen frames do. A sequence may span several folders, as when the frames of one recording were distributed
    to ``train`` and ``test``: the numbers continue, and the frames on both sides of the change are as similar as
    neighbours in a recording.

    Parameters
    ----------
    sample_ids : sequence of str
    signatures : ndarray of shape (n, 16, 16), uint8

    Returns
    -------
    list of list of int
        Positions of the frames of each recording, in order of their numbers.
    """
    declared: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for position, sample_id in enumerate(sample_ids):
        if frame := _declared_frame(sample_id):
            declared[frame[0]].append((frame[1], position))
    by_name = [[position for _, position in sorted(frames)] for _, frames in sorted(declared.items())]
    return [recording for recording in by_name if len(recording) > 1] + _similar_sequences(
        sample_ids, normalized_patterns(signatures)
    )


def recording_numbers(recordings: Sequence[Sequence[int]], n: int) -> NDArray[np.int64]:
    """Return the recording number of each of ``n`` positions; other images have unique negative numbers."""
    numbers = -1 - np.arange(n)
    for number, recording in enumerate(recordings):
        numbers[list(recording)] = number
    return numbers


def _declared_frame(sample_id: str) -> tuple[int, int] | None:
    match = _DECLARED.fullmatch(_stem(sample_id))
    return (int(match[1]), int(match[2])) if match else None


def _stem(sample_id: str) -> str:
    return sample_id.rpartition("/")[2].rsplit(".", 1)[0]


def _similar_sequences(sample_ids: Sequence[str], patterns: NDArray[np.float32]) -> list[list[int]]:
    usual = _random_distance(patterns[patterns.any(axis=1)], _DIFFERENT)
    recordings: list[list[int]] = []
    for folders in _numbered(sample_ids, patterns):
        for sequence in _joined(folders, patterns, usual):
            positions = [position for _, position in sequence]
            if len(positions) >= _FEWEST:
                recordings += [[positions[i] for i in run] for run in _runs(patterns[positions], usual)]
    return recordings


_Sequence = list[tuple[int, int]]
"""Numbers and positions of frames, sorted by number."""


def _numbered(sample_ids: Sequence[str], patterns: NDArray[np.float32]) -> Iterable[list[_Sequence]]:
    """Yield, for each name without its last number, the sequences of all folders that contain this name."""
    sequences: dict[tuple[str, str], dict[str, _Sequence]] = defaultdict(lambda: defaultdict(list))
    for position, sample_id in enumerate(sample_ids):
        folder = sample_id.rpartition("/")[0]
        match = _NUMBERED.fullmatch(_stem(sample_id))
        usable = patterns[position].any() and recording_of(sample_id) is None
        if match and len(match[2]) < 19 and usable:
            sequences[match[1], match[3]][folder].append((int(match[2]), position))
    for folders in sequences.values():
        yield [sorted(sequence) for sequence in folders.values()]


def _joined(folders: list[_Sequence], patterns: NDArray[np.float32], usual_in_set: float) -> Iterator[_Sequence]:
    """Yield sequences; the sequences of folders that share a recording are joined."""
    numbers = [{number for number, _ in sequence} for sequence in folders]
    pairs = [
        (one, other)
        for one, other in itertools.combinations(range(len(folders)), 2)
        if numbers[one].isdisjoint(numbers[other])
        and _share_a_recording(folders[one], folders[other], patterns, usual_in_set)
    ]
    together = group_pairs(len(folders), pairs)
    alone = set(range(len(folders))).difference(*together)
    for members in [*([number] for number in sorted(alone)), *together]:
        yield sorted(frame for member in members for frame in folders[member])


def _share_a_recording(one: _Sequence, other: _Sequence, patterns: NDArray[np.float32], usual_in_set: float) -> bool:
    """Return whether consecutive frames in different folders are as similar as neighbours in a recording."""
    frames = sorted([(*frame, 0) for frame in one] + [(*frame, 1) for frame in other])
    if len(frames) < _FEWEST:
        return False
    at, folder = np.array([frame[1] for frame in frames]), np.array([frame[2] for frame in frames])
    changes = np.flatnonzero(folder[1:] != folder[:-1])
    changes = changes[:: -(-len(changes) // _MOST_STEPS)]
    step = float(np.median(np.linalg.norm(patterns[at[changes + 1]] - patterns[at[changes]], axis=1)))
    return _is_a_step(step, _random_distance(patterns[at], 0.5), usual_in_set)


def _is_a_step(step: float, usual: float, usual_in_set: float) -> bool:
    return step <= _ALIKE * usual or _is_still(step, usual_in_set)


def _is_still(step: float, usual_in_set: float) -> bool:
    return step <= min(_STILL, _ALIKE * usual_in_set)


def _random_distance(images: NDArray[np.float32], share: float) -> float:
    """Return a quantile of the distances of random pairs of images; 0 for fewer than two images."""
    shuffled = np.random.default_rng(0).permutation(len(images))
    distances = np.linalg.norm(images - images[shuffled], axis=1)[shuffled != np.arange(len(images))]
    return float(np.quantile(distances, share)) if len(distances) else 0.0


def _runs(frames: NDArray[np.float32], usual_in_set: float) -> list[NDArray[np.int64]]:
    steps = np.linalg.norm(frames[1:] - frames[:-1], axis=1)
    step, usual = float(np.median(steps)), _random_distance(frames, 0.5)
    if not _is_a_step(step, usual, usual_in_set):
        return []
    if step > _ALIKE * usual:
        usual = usual_in_set
    runs = np.split(np.arange(len(frames)), np.flatnonzero(steps > usual) + 1)
    return [run for run in runs if len(run) > 1]
