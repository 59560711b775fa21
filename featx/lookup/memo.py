"""Find the images of a data set whose features are stored, and the stored reasons why images were skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import ImageFiles
from featx.spec import FeatureSpec
from featx.store import FeatureStore, StoredFeatures, keys_of, note_use
from featx.table import Categorical, FileStates, FileStatus, Memo, find_rows, gathered, stamps_fit

# Snapshots contain this text, and memo_for_spec recognizes it: another text would not be found in existing caches.
_NOT_FINITE = "the backbone gives features of it that are not finite"

_WITHOUT_INODE = np.array([1, 1, 0, 1])
"""Factors of the numbers of a stamp; an inode of 0 is not compared."""

_ROWS = 1 << 16
"""Number of images that are compared with their stored states at a time."""


@dataclass(frozen=True)
class PassResult:
    """Result of a pass over the images of a data set.

    Parameters
    ----------
    states : FileStates
        State of each image, in the order of the images.
    n_computed : int
        Number of different contents whose features were computed in this pass.
    device : str
        Device that computed the features; empty if none were computed.
    notes : dict of str to int
        Notes on how images were read, with the number of images to which each note applies.
    """

    states: FileStates
    n_computed: int
    device: str
    notes: dict[str, int]


class Progress:
    """Count the images of a pass and report the count to the runtime.

    Parameters
    ----------
    stage : str
        Name of the stage that is reported.
    runtime : Runtime
    total : int
        Number of all images of the pass.
    """

    def __init__(self, stage: str, runtime: Runtime, total: int) -> None:
        self._stage, self._runtime, self._done, self._total = stage, runtime, 0, total
        self.advance(0)

    def advance(self, n: int) -> None:
        """Report that ``n`` more images are processed."""
        self._done += n
        self._runtime.progress(self._stage, self._done, self._total)

    def rename(self, stage: str) -> None:
        """End the stage, and continue with another name, so that the rate is that from now on."""
        if stage != self._stage and self._done < self._total:
            self._runtime.progress(self._stage, self._total, self._total)
            self._stage = stage
            self.advance(0)


def reading_key(decode: str, white: int | None, page: int, runtime: Runtime) -> str:
    """Return a key for the settings that determine which images can be read.

    Images that were skipped with other settings are read again.
    """
    limits = {"white": white, "page": page, "max-pixels": runtime.max_pixels}
    return " ".join([decode, *(f"{name} {value}" for name, value in limits.items() if value is not None)])


def look_up(images: ImageFiles, memo: Memo, store: FeatureStore, runtime: Runtime) -> PassResult:
    """Look up the features of images in a store; no features are computed.

    Parameters
    ----------
    images : ImageFiles
    memo : Memo
        Stored states of the files.
    store : FeatureStore
    runtime : Runtime

    Returns
    -------
    PassResult
        State of each image. An image without features in the store has the status ``skipped`` if ``memo`` contains a
        reason why an image with the same content was skipped; otherwise ``lacking``.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    stored = store.snapshot()
    note_use(store.path)
    memo = memo_for_spec(memo, store.spec)
    recalled = recall(images, memo, stored)
    report_renumbered(recalled, runtime)
    todo = recalled.images_to_read(images)
    progress = Progress("reading images", runtime, len(todo))
    read = FileStates.blank(len(todo))
    for at, reading in enumerate(read_images(Task("hash", max_pixels=runtime.max_pixels), todo, runtime)):
        read.assign(at, [reading.state])
        progress.advance(1)
    # A file that could not be read has a hash of zeros, which no stored row has.
    lacking = ~stored.contains(keys_of(read.content_hashes))
    skipped = memo.states.take(memo.states.are("skipped"))
    read = with_states_of_duplicates(read, np.flatnonzero(lacking), skipped)
    lacking &= ~read.are("skipped")
    rows = np.where(lacking, len(read), np.arange(len(read)))
    lacks: Categorical[FileStatus] = Categorical.constant("lacking", 1)
    read = read.replaced(statuses=gathered([read.statuses, lacks], rows))
    return PassResult(recalled.states(read), 0, "", {})


def not_finite_reason(spec: FeatureSpec) -> str:
    """Return the reason for skipping an image whose features with this feature spec are not finite."""
    return f"{_NOT_FINITE} (features {spec.id})"


def memo_for_spec(memo: Memo, spec: FeatureSpec) -> Memo:
    """Return the stored file states, without images whose features were not finite with another feature spec."""
    reason = not_finite_reason(spec)
    return memo.take(memo.states.reasons.where(lambda text: not text.startswith(_NOT_FINITE) or text == reason))


class Recalled(NamedTuple):
    """Stored states of the images of a pass.

    Parameters
    ----------
    memo : Memo
    at : ndarray of shape (n,), int64
        Position in the memo of the state of each image; -1 for images that must be read.
    n_renumbered : int
        Number of images that must be read only because their inodes have changed.
    """

    memo: Memo
    at: NDArray[np.int64]
    n_renumbered: int

    @property
    def todo(self) -> NDArray[np.int64]:
        """Positions of the images that must be read."""
        return np.flatnonzero(self.at < 0)

    def images_to_read(self, images: ImageFiles) -> ImageFiles:
        """Return the images that must be read, in order."""
        todo = self.todo
        return images if len(todo) == len(images) else images.take(todo)

    def states(self, read: FileStates) -> FileStates:
        """Return the states of all images, given the states of those that were read."""
        n = len(self.at)
        if len(read) == n:
            return read
        if not len(read) and np.array_equal(self.at, np.arange(n)):
            return self.memo.states.take(slice(n))  # without a copy
        at = self.at.copy()
        at[self.todo] = len(self.memo) + np.arange(len(read))
        return FileStates.gather([self.memo.states, read], at)


def recall(images: ImageFiles, memo: Memo, stored: StoredFeatures) -> Recalled:
    """Find the stored state of each image.

    A stored state is used only if the size, the times and the inode of the file are unchanged. If the image is usable,
    its row must also be in the store.
    """
    at = memo.find(images.samples.sample_ids)
    known = memo.states
    is_ok, is_ignored = known.are("ok"), known.are("ignored")
    n_renumbered = 0
    for start in range(0, len(at) if len(known) else 0, _ROWS):
        part = at[start : start + _ROWS]
        places = np.maximum(part, 0)
        stamps, listed = known.stamps[places], images.stamps[start : start + _ROWS]
        is_known = (part >= 0) & (stamps[:, 1] >= 0) & ~is_ignored[places]
        fits = is_known & stamps_fit(stamps, listed)
        n_renumbered += int((is_known & ~fits & stamps_fit(stamps * _WITHOUT_INODE, listed)).sum())
        usable = np.flatnonzero(fits & is_ok[places])
        fits[usable] = stored.contains(keys_of(known.content_hashes[places[usable]]))
        part[~fits] = -1
    return Recalled(memo, at, n_renumbered)


def report_renumbered(recalled: Recalled, runtime: Runtime) -> None:
    """Report that most files must be read only because their inodes have changed; see docs/decisions/listing.md."""
    if recalled.n_renumbered > len(recalled.at) // 2:
        runtime.notice(
            f"{recalled.n_renumbered:,} files have new inode numbers, but the same sizes and times; they are read "
            "again. If this is reported at each run, mount their file system with stable inode numbers"
        )


def membership_test(stored: StoredFeatures) -> Callable[[Sequence[bytes]], list[bool]]:
    """Return a function that returns for each content hash whether the store contains its features."""

    def is_known(content_hashes: Sequence[bytes]) -> list[bool]:
        # A file that could not be read has an empty hash.
        known: list[bool] = stored.contains(keys_of(as_hashes(one or bytes(32) for one in content_hashes))).tolist()
        return known

    return is_known


def as_hashes(content_hashes: Iterable[bytes]) -> NDArray[np.uint8]:
    """Return content hashes as an array of shape (n, 32), uint8."""
    return np.frombuffer(b"".join(content_hashes), np.uint8).reshape(-1, 32)


def with_states_of_duplicates(states: FileStates, rows: NDArray[np.int64], shown: FileStates) -> FileStates:
    """Return states of files, some of which are completed with the result of decoding a duplicate.

    Parameters
    ----------
    states : FileStates
    rows : ndarray of shape (n,), int64
        Positions of the files that were not decoded.
    shown : FileStates
        States of decoded files. If several have the same content, the last one counts.
    """
    rows = rows[states.content_hashes[rows].any(axis=1)]
    found = find_rows(states.content_hashes[rows], shown.content_hashes)
    rows, found = rows[found >= 0], found[found >= 0]
    if not len(rows):
        return states
    at = np.arange(len(states))
    at[rows] = len(states) + found
    names = ("statuses", "reasons", "widths", "heights")
    columns = {name: gathered([getattr(states, name), getattr(shown, name)], at) for name in names}
    # If the decoded duplicate is read again by the next run, so are the others.
    again = rows[shown.are("skipped")[found] & (shown.stamps[found, 1] < 0)]
    stamps = states.stamps.copy()
    stamps[again, 1] = -1
    return states.replaced(stamps=stamps, **columns)
