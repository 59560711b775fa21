"""Takes: frames of one recording, told by names that say so, or by numbered names whose neighbours look alike."""

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
"""Largest ratio of two median distances, of neighbouring and of randomly chosen frames, in a recording. It is 0.09 to
0.23 in six webcam recordings, and 0.72 or more in photographs, drawings and tiles that are merely numbered."""

_STILL = 0.15
"""Largest median distance of neighbouring frames where hardly anything moves, so that randomly chosen frames are as
similar; it must also be small relative to the distance of different images of the data set."""

_DIFFERENT = 0.9
"""Quantile of distances at random that is one of different scenes, even where half of the pairs show the same."""

_MOST_STEPS = 64
"""Steps between two folders that are looked at, evenly chosen: a median needs no more."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_DECLARED = re.compile(r"take-(\d{3,9})-(\d{5,9})")


def make_frame_name(recording: int, frame: int) -> str:
    """Return the name, without an ending, by which an image says which take it is a frame of: ``take-003-00012``."""
    return f"take-{recording:03d}-{frame:05d}"


def recording_of(sample_id: str) -> int | None:
    """Return the recording that the name of an image says it is of; None where it says none."""
    frame = _declared_frame(sample_id)
    return None if frame is None else frame[0]


def find_recordings(sample_ids: Sequence[str], signatures: NDArray[np.uint8]) -> list[list[int]]:
    """Find the recordings among images: those that names declare, and sequences of frames among numbered images.

    Images named as :func:`make_frame_name` does are one recording wherever they lie and whatever they show: frames that
    were moved to another label or split still belong to it.

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
    said = [[position for _, position in sorted(frames)] for _, frames in sorted(declared.items())]
    return [recording for recording in said if len(recording) > 1] + _alike_sequences(
        sample_ids, normalized_patterns(signatures)
    )


def recording_numbers(recordings: Sequence[Sequence[int]], n: int) -> NDArray[np.int64]:
    """Return the number of the recording at each of ``n`` positions; elsewhere, negative numbers that all differ."""
    numbers = -1 - np.arange(n)
    for number, recording in enumerate(recordings):
        numbers[list(recording)] = number
    return numbers


def _declared_frame(sample_id: str) -> tuple[int, int] | None:
    match = _DECLARED.fullmatch(_stem(sample_id))
    return (int(match[1]), int(match[2])) if match else None


def _stem(sample_id: str) -> str:
    return sample_id.rpartition("/")[2].rsplit(".", 1)[0]


def _alike_sequences(sample_ids: Sequence[str], shown: NDArray[np.float32]) -> list[list[int]]:
    usual = _distance_at_random(shown[shown.any(axis=1)], _DIFFERENT)
    recordings: list[list[int]] = []
    for folders in _numbered(sample_ids, shown):
        for sequence in _joined(folders, shown, usual):
            positions = [position for _, position in sequence]
            if len(positions) >= _FEWEST:
                recordings += [[positions[i] for i in run] for run in _runs(shown[positions], usual)]
    return recordings


_Sequence = list[tuple[int, int]]
"""Numbers and positions of frames, by number."""


def _numbered(sample_ids: Sequence[str], shown: NDArray[np.float32]) -> Iterable[list[_Sequence]]:
    """Return for each kind of name, its number left out, the sequences of all folders that have it."""
    found: dict[tuple[str, str], dict[str, _Sequence]] = defaultdict(lambda: defaultdict(list))
    for position, sample_id in enumerate(sample_ids):
        folder = sample_id.rpartition("/")[0]
        match = _NUMBERED.fullmatch(_stem(sample_id))
        usable = shown[position].any() and recording_of(sample_id) is None
        if match and len(match[2]) < 19 and usable:
            found[match[1], match[3]][folder].append((int(match[2]), position))
    for folders in found.values():
        yield [sorted(sequence) for sequence in folders.values()]


def _joined(folders: list[_Sequence], shown: NDArray[np.float32], usual_in_set: float) -> Iterator[_Sequence]:
    """Yield sequences, those of folders that share a recording as one."""
    numbers = [{number for number, _ in sequence} for sequence in folders]
    pairs = [
        (one, other)
        for one, other in itertools.combinations(range(len(folders)), 2)
        if numbers[one].isdisjoint(numbers[other])
        and _share_a_recording(folders[one], folders[other], shown, usual_in_set)
    ]
    together = group_pairs(len(folders), pairs)
    alone = set(range(len(folders))).difference(*together)
    for members in [*([number] for number in sorted(alone)), *together]:
        yield sorted(frame for member in members for frame in folders[member])


def _share_a_recording(one: _Sequence, other: _Sequence, shown: NDArray[np.float32], usual_in_set: float) -> bool:
    """Tell whether frames where the numbers run on from one folder to the other are alike as neighbours are."""
    frames = sorted([(*frame, 0) for frame in one] + [(*frame, 1) for frame in other])
    if len(frames) < _FEWEST:
        return False
    at, folder = np.array([frame[1] for frame in frames]), np.array([frame[2] for frame in frames])
    changes = np.flatnonzero(folder[1:] != folder[:-1])
    changes = changes[:: -(-len(changes) // _MOST_STEPS)]
    step = float(np.median(np.linalg.norm(shown[at[changes + 1]] - shown[at[changes]], axis=1)))
    return _is_a_step(step, _distance_at_random(shown[at], 0.5), usual_in_set)


def _is_a_step(step: float, usual: float, usual_in_set: float) -> bool:
    return step <= _ALIKE * usual or _is_still(step, usual_in_set)


def _is_still(step: float, usual_in_set: float) -> bool:
    return step <= min(_STILL, _ALIKE * usual_in_set)


def _distance_at_random(images: NDArray[np.float32], share: float) -> float:
    """Return the quantile of the distances of two images at random; 0 for fewer than two."""
    shuffled = np.random.default_rng(0).permutation(len(images))
    at_random = np.linalg.norm(images - images[shuffled], axis=1)[shuffled != np.arange(len(images))]
    return float(np.quantile(at_random, share)) if len(at_random) else 0.0


def _runs(frames: NDArray[np.float32], usual_in_set: float) -> list[NDArray[np.int64]]:
    steps = np.linalg.norm(frames[1:] - frames[:-1], axis=1)
    step, usual = float(np.median(steps)), _distance_at_random(frames, 0.5)
    if not _is_a_step(step, usual, usual_in_set):
        return []
    if step > _ALIKE * usual:
        usual = usual_in_set
    runs = np.split(np.arange(len(frames)), np.flatnonzero(steps > usual) + 1)
    return [run for run in runs if len(run) > 1]
