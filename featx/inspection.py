"""Inspect a data set without a backbone: invalid images, duplicates, conflicts, leaks between splits, tiny classes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.arguments import checked
from featx.contrast import Indistinct, find_blank
from featx.dataset import scan
from featx.duplicates import (
    LARGEST_SHARE_OF_VERSIONS,
    UnionFind,
    detail_measure,
    drop_dominating_groups,
    find_named_versions,
    find_near_duplicates,
    find_recordings,
    find_transformed,
    group_pairs,
    recording_numbers,
    thumbnail_similarity,
)
from featx.extraction import TooDarkError, stop_if_too_dark
from featx.images import CROP_FRACTION
from featx.lookup import notice_own_folders
from featx.options import LabelBy, PixelOptions, check_ranges
from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import ImageFile, place_of
from featx.table import SIGNATURE_SHAPE, FileState, OwnFolder, Sample, Skipped, coarse

_DECODED_SIDE = round(224 / CROP_FRACTION)
"""Side for which an image is decoded: as for the rule ``crop`` and the usual size of 224 pixels, so that thumbnails are
the same as for ``fit``."""

_DETAIL_SIDE = 32
FEW = 10
"""Classes with fewer images are tiny: with 5 folds, a test fold has only one or two images of the class."""


@dataclass(frozen=True)
class Inspection:
    """Result of the inspection of a data set.

    Parameters
    ----------
    name : str
        Name of the data set.
    description : str
        How the folders or the manifest were interpreted.
    n_images : int
        Number of valid images.
    invalid : tuple of Skipped
        Invalid images, with reasons.
    ignored : tuple of str
        Files that are not images.
    duplicates : tuple of tuple of str
        Groups of images with the same bytes.
    near_duplicates : tuple of tuple of str
        Groups of near-duplicates. Groups that consist only of duplicates, of frames of one recording, or of versions of
        one image are not included.
    recordings : tuple of tuple of str
        Frames of each recording, recognised by names that declare a recording or by numbered names of similar images.
    versions : tuple of tuple of str
        Versions of one image, recognised by their names: as for ``fit``, but without features, so that the versions
        must be similar by their thumbnails.
    duplicate_conflicts : tuple of tuple of str
        Groups of duplicates with different labels: at least one label of a group is certainly wrong.
    near_duplicate_conflicts : tuple of tuple of str
        Groups of near-duplicates with different labels, which may show different objects that look alike.
    across_splits : tuple of tuple of str
        Groups of duplicates or near-duplicates in different splits.
    too_alike : tuple of str
        Classes with a group of apparent near-duplicates that is too large to be plausible and is therefore not listed.
    classes : dict of str to int
        Number of valid images of each class.
    tiny : tuple of str
        Classes with fewer than 10 images.
    dark : str or None
        Warning that 16-bit images would be nearly black; None if there is no need for it.
    white : int or None
        Value of the parameter ``white`` that corrects dark images; None if there is no such value.
    notes : dict of str to int
        Notes on how images were read, with the number of images.
    remarks : tuple of str
        Remarks on labels, folders or the manifest.
    seconds : float
        Wall time.
    own_folders : tuple of OwnFolder
        Folders that featx wrote itself.
    blank : tuple of str
        Images without contrast in their 16 x 16 thumbnail: fully transparent, or of one colour.
    blank_classes : tuple of str
        Classes in which all images are blank.

    Examples
    --------
    >>> import featx
    >>> inspection = featx.inspect("data")
    >>> inspection.n_images, inspection.invalid
    (300, ())
    """

    name: str
    description: str
    n_images: int
    invalid: tuple[Skipped, ...]
    ignored: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[tuple[str, ...], ...]
    recordings: tuple[tuple[str, ...], ...]
    versions: tuple[tuple[str, ...], ...]
    duplicate_conflicts: tuple[tuple[str, ...], ...]
    near_duplicate_conflicts: tuple[tuple[str, ...], ...]
    across_splits: tuple[tuple[str, ...], ...]
    too_alike: tuple[str, ...]
    classes: dict[str, int]
    tiny: tuple[str, ...]
    dark: str | None
    notes: dict[str, int]
    remarks: tuple[str, ...]
    seconds: float
    white: int | None = None
    own_folders: tuple[OwnFolder, ...] = ()
    blank: tuple[str, ...] = ()
    blank_classes: tuple[str, ...] = ()

    @property
    def conflicts(self) -> tuple[tuple[str, ...], ...]:
        """Groups of duplicates, followed by groups of near-duplicates, with different labels."""
        return self.duplicate_conflicts + self.near_duplicate_conflicts

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx inspect --json``."""
        conflicts = ("conflicts", "duplicate_conflicts", "near_duplicate_conflicts")
        groups = ("duplicates", "near_duplicates", "recordings", "versions", *conflicts, "across_splits")
        return {
            "n_images": self.n_images,
            "invalid": [{"path": one.path, "reason": one.reason} for one in self.invalid],
            "ignored": list(self.ignored),
            "own_folders": [folder.to_dict() for folder in self.own_folders],
            **{name: [list(group) for group in getattr(self, name)] for name in groups},
            "too_alike": list(self.too_alike),
            "classes": dict(self.classes),
            "tiny": list(self.tiny),
            "dark": self.dark,
            "white": self.white,
            "blank": list(self.blank),
            "blank_classes": list(self.blank_classes),
            "notes": dict(self.notes),
            "remarks": list(self.remarks),
            "seconds": round(self.seconds, 3),
        }


@checked()
def inspect(
    data: str | Path = "data",
    *,
    white: int | None = None,
    page: int = 1,
    label_by: LabelBy | None = None,
    path_column: str = "path",
    label_column: str = "label",
    runtime: Runtime | None = None,
) -> Inspection:
    """Read every image of a data set once, and report problems, without a backbone and without the cache.

    Parameters
    ----------
    data : path
        Folder or manifest, as for :func:`featx.extract`.
    white, page, label_by, path_column, label_column
        As for :func:`featx.extract`.
    runtime : Runtime, optional
        Number of workers, pixel limit and callbacks.

    Returns
    -------
    Inspection

    Raises
    ------
    DatasetError
        If the folder or manifest cannot be interpreted as a data set.

    Examples
    --------
    >>> import featx
    >>> featx.inspect("data").classes["0"]
    30
    """
    check_ranges(locals(), PixelOptions)
    runtime = runtime or Runtime()
    started = time.monotonic()
    place = place_of(data)
    with runtime.stage("listing the images") as advance:
        dataset = scan(
            place,
            label_by=label_by,
            path_column=path_column,
            label_column=label_column,
            progress=lambda n: advance(n, 0),
        )
    runtime.notice(f"{place}: {dataset.description}")
    notice_own_folders(dataset, runtime)
    reader = _DatasetReader(runtime, white, page)
    reader.read(dataset.images)
    with runtime.stage("finding near-duplicates") as advance:
        exact, near, recordings, versions = reader.groups(advance)
    samples, indistinct = reader.samples, reader.indistinct()
    classes = Counter(sample.label for sample in samples if sample.label is not None)
    every = [*exact, *near]
    dark, white_for_dark = _check_dark(dataset.images, runtime) if white is None else (None, None)
    return Inspection(
        name=dataset.name,
        description=dataset.description,
        n_images=len(samples),
        invalid=tuple(reader.invalid),
        ignored=tuple(dataset.ignored.names),
        duplicates=_paths(samples, exact),
        near_duplicates=_paths(samples, near),
        recordings=_paths(samples, recordings),
        versions=_paths(samples, versions),
        duplicate_conflicts=_paths(samples, _mixed(samples, exact, lambda sample: sample.label)),
        near_duplicate_conflicts=_paths(samples, _mixed(samples, near, lambda sample: sample.label)),
        across_splits=_paths(samples, _mixed(samples, every, lambda sample: sample.split)),
        too_alike=reader.too_alike,
        classes=dict(sorted(classes.items())),
        tiny=tuple(sorted(label for label, count in classes.items() if count < FEW)),
        dark=dark,
        white=white_for_dark,
        notes=dict(reader.notes),
        remarks=dataset.remarks,
        seconds=time.monotonic() - started,
        own_folders=dataset.own_folders,
        blank=indistinct.blank,
        blank_classes=indistinct.blank_classes,
    )


class _DatasetReader:
    """Read all images once, and keep their content hashes and thumbnails."""

    def __init__(self, runtime: Runtime, white: int | None, page: int) -> None:
        self._runtime, self._white, self._page = runtime, white, page
        self._hashes: list[bytes] = []
        self._rows: dict[bytes, int] = {}
        self._signatures: list[NDArray[np.uint8]] = []
        self._details: list[NDArray[np.uint8]] = []
        self.samples: list[Sample] = []
        self.invalid: list[Skipped] = []
        self.notes: Counter[str] = Counter()
        self.too_alike: tuple[str, ...] = ()

    def read(self, images: Sequence[ImageFile]) -> None:
        """Read all images; of duplicates, only the first is decoded."""
        states: list[FileState] = []
        task = Task("decode", _DECODED_SIDE, "squash", self._white, self._page, self._runtime.max_pixels)
        for reading in read_images(task, images, self._runtime):
            states.append(reading.state)
            if reading.prepared is not None:
                self._rows[reading.state.content_hash] = len(self._signatures)
                self._signatures.append(reading.prepared.signature)
                self._details.append(_detail(reading.prepared.pixels))
                if reading.prepared.note:
                    self.notes[reading.prepared.note] += 1
            self._runtime.progress("reading images", len(states), len(images))
        reasons = {state.content_hash: state.reason for state in states if state.status == "skipped"}
        for position, (image, state) in enumerate(zip(images, states, strict=True)):
            if state.content_hash in self._rows:
                self.samples.append(image.sample)
                self._hashes.append(state.content_hash)
            else:
                reason = state.reason or reasons[state.content_hash]
                self.invalid.append(Skipped(image.sample.sample_id, reason, position))

    def indistinct(self) -> Indistinct:
        """Return the images without contrast."""
        signatures = np.array([self._signatures[self._rows[one]] for one in self._hashes], np.uint8)
        signatures = signatures.reshape(-1, *SIGNATURE_SHAPE)
        return find_blank(
            [sample.sample_id for sample in self.samples],
            [sample.label for sample in self.samples],
            coarse(signatures),
        )

    def groups(
        self, progress: Callable[[int, int], None]
    ) -> tuple[list[list[int]], list[list[int]], list[list[int]], list[list[int]]]:
        """Return duplicates, near-duplicates, recordings and versions, as positions among the samples."""
        rows = [self._rows[content_hash] for content_hash in self._hashes]
        if not rows:
            return [], [], [], []
        first = {row: i for i, row in reversed(list(enumerate(rows)))}
        same = [(first[row], i) for i, row in enumerate(rows)]
        signatures = np.stack(self._signatures)
        sample_ids = [sample.sample_id for sample in self.samples]
        patterns = coarse(signatures)
        shown = patterns[rows]
        recordings = find_recordings(sample_ids, shown)
        labels = [sample.label for sample in self.samples]
        similarities = [thumbnail_similarity(shown)]
        versions = find_named_versions(sample_ids, labels, recordings, rows, similarities)
        together = [*recordings, *versions]
        group_of = recording_numbers(together, len(rows))
        mark = group_of[[first[row] for row in range(len(signatures))]]
        pairs = [
            (first[one], first[other])
            for one, other in self._near(patterns, mark, lambda done, total: progress(done, 2 * total))
        ]
        pairs, too_alike = drop_dominating_groups(labels, pairs, together)
        pairs += self._augmented(
            signatures,
            group_pairs(len(rows), [*same, *pairs]),
            recordings,
            versions,
            labels,
            lambda done, total: progress(total + done, 2 * total),
        )
        self.too_alike = tuple(too_alike)
        apart = [(one, other) for one, other in pairs if group_of[one] != group_of[other]]
        near = [group for group in group_pairs(len(rows), [*same, *apart]) if len({rows[i] for i in group}) > 1]
        return group_pairs(len(rows), same), near, recordings, versions

    def _augmented(
        self,
        signatures: NDArray[np.uint8],
        near: Sequence[Sequence[int]],
        recordings: Sequence[Sequence[int]],
        versions: Sequence[Sequence[int]],
        labels: Sequence[str | None],
        progress: Callable[[int, int], None],
    ) -> list[tuple[int, int]]:
        """Return pairs of augmented versions of one original, as for ``fit``, which are in no group yet."""
        samples = {content_hash: i for i, content_hash in reversed(list(enumerate(self._hashes)))}
        contents = sorted(samples)
        order = np.array([self._rows[content] for content in contents])
        at = np.array([samples[content] for content in contents])
        groups = UnionFind(len(self._hashes))
        for group in (*near, *versions):
            groups.union_all(group)
        known = groups.numbers()
        known[[i for recording in recordings for i in recording]] = -1
        hashes = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, 32)
        found = find_transformed(hashes, lambda some: signatures[order[some]], known[at], progress)
        pairs = [(int(at[one]), int(at[other])) for one, other in found]
        return drop_dominating_groups(labels, pairs, [*recordings, *versions], LARGEST_SHARE_OF_VERSIONS)[0]

    def _near(
        self,
        signatures: NDArray[np.uint8],
        recording_numbers_of: NDArray[np.int64],
        progress: Callable[[int, int], None],
    ) -> list[tuple[int, int]]:
        """Return pairs of near-duplicates, as for ``fit``, but with larger thumbnails instead of features."""
        agree = detail_measure(np.stack(self._details))
        return find_near_duplicates(signatures, agree, progress, marks=[recording_numbers_of]).pairs


def _detail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey thumbnail of shape (32, 32) from pixels of shape (256, 256, 3)."""
    size = _DECODED_SIDE // _DETAIL_SIDE
    grey: NDArray[np.float32] = pixels.reshape(_DETAIL_SIDE, size, _DETAIL_SIDE, size, 3).mean((1, 3, 4), np.float32)
    return np.rint(grey).astype(np.uint8)


def _mixed(
    samples: Sequence[Sample], groups: Sequence[list[int]], of: Callable[[Sample], str | None]
) -> list[list[int]]:
    """Return the groups whose members differ in a property, without groups that are part of a larger group."""
    mixed = [group for group in groups if len({of(samples[i]) for i in group} - {None}) > 1]
    largest: Counter[int] = Counter()
    for group in mixed:
        for i in group:
            largest[i] = max(largest[i], len(group))
    return [group for group in mixed if len(group) == largest[group[0]]]


def _paths(samples: Sequence[Sample], groups: Sequence[list[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(samples[i].sample_id for i in group) for group in groups)


def _check_dark(images: Sequence[ImageFile], runtime: Runtime) -> tuple[str | None, int | None]:
    """Return a warning if 16-bit images would be nearly black, and the value of ``white`` that corrects them."""
    try:
        with runtime.stage("looking for dark images"):
            stop_if_too_dark(images, runtime)
    except TooDarkError as error:
        return str(error), error.white
    return None, None
