"""Find the images of a data set whose features are stored, and the stored reasons why images were skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.spec import FeatureSpec
from featx.store import FeatureStore, StoredFeatures, keys_of, note_use
from featx.table import FileState

# Snapshots contain this text, and memo_for_spec recognizes it: another text would not be found in existing caches.
_NOT_FINITE = "the backbone gives features of it that are not finite"


@dataclass(frozen=True)
class PassResult:
    """Result of a pass over the images of a data set.

    Parameters
    ----------
    states : list of FileState
        State of each image, in the order of the images.
    n_computed : int
        Number of different contents whose features were computed in this pass.
    device : str
        Device that computed the features; empty if none were computed.
    notes : dict of str to int
        Notes on how images were read, with the number of images to which each note applies.
    """

    states: list[FileState]
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


def reading_key(decode: str, white: int | None, page: int, runtime: Runtime) -> str:
    """Return a key for the settings that determine which images can be read.

    Images that were skipped with other settings are read again.
    """
    limits = {"white": white, "page": page, "max-pixels": runtime.max_pixels}
    return " ".join([decode, *(f"{name} {value}" for name, value in limits.items() if value is not None)])


def look_up(
    images: Sequence[ImageFile], memo: Mapping[str, FileState], store: FeatureStore, runtime: Runtime
) -> PassResult:
    """Look up the features of images in a store; no features are computed.

    Parameters
    ----------
    images : sequence of ImageFile
    memo : mapping of str to FileState
        Stored states of the files, by sample_id.
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
    states = recall(images, memo, stored)
    todo = [image for image, state in zip(images, states, strict=True) if state is None]
    progress = Progress("reading images", runtime, len(todo))
    read = []
    for reading in read_images(Task("hash", max_pixels=runtime.max_pixels), todo, runtime):
        read.append(reading.state)
        progress.advance(1)
    known = stored.contains(keys_of(as_hashes(state.content_hash or bytes(32) for state in read)))
    skipped = {s.content_hash: s for s in memo.values() if s.status == "skipped"}

    def looked_up(state: FileState, here: bool) -> FileState:
        state = state if here else state_of_duplicate(state, skipped)
        return state if here or state.status == "skipped" else replace(state, status="lacking")

    fresh = map(looked_up, read, known.tolist())
    return PassResult([state if state is not None else next(fresh) for state in states], 0, "", {})


def not_finite_reason(spec: FeatureSpec) -> str:
    """Return the reason for skipping an image whose features with this feature spec are not finite."""
    return f"{_NOT_FINITE} (features {spec.id})"


def memo_for_spec(memo: Mapping[str, FileState], spec: FeatureSpec) -> Mapping[str, FileState]:
    """Return the stored file states, without images whose features were not finite with another feature spec."""
    reason = not_finite_reason(spec)
    return {
        name: state
        for name, state in memo.items()
        if not state.reason.startswith(_NOT_FINITE) or state.reason == reason
    }


def recall(
    images: Sequence[ImageFile], memo: Mapping[str, FileState], stored: StoredFeatures
) -> list[FileState | None]:
    """Return the stored state of each image; None for images that must be read.

    A stored state is used only if the size, the times and the inode of the file are unchanged. If the image is usable,
    its row must also be in the store.
    """
    states = [_unchanged(image, memo.get(image.sample.sample_id)) for image in images]
    usable = as_hashes(state.content_hash for state in states if state is not None and state.status == "ok")
    present = iter(stored.contains(keys_of(usable)).tolist())
    return [state if state is not None and (state.status != "ok" or next(present)) else None for state in states]


def _unchanged(image: ImageFile, known: FileState | None) -> FileState | None:
    if known is None or known.mtime_ns < 0 or known.status == "ignored":
        return None
    return known if known.stamp.fits(image.stamp) else None


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


def state_of_duplicate(state: FileState, shown: Mapping[bytes, FileState]) -> FileState:
    """Return the state of a file, completed with the result of decoding a duplicate.

    Parameters
    ----------
    state : FileState
    shown : mapping of bytes to FileState
        States of decoded files, by content hash.
    """
    decoded = shown.get(state.content_hash)
    if decoded is None or decoded is state or not state.content_hash:
        return state
    again = decoded.status == "skipped" and decoded.mtime_ns < 0  # the decoded duplicate is also read again
    return replace(
        state,
        mtime_ns=-1 if again else state.mtime_ns,
        status=decoded.status,
        reason=decoded.reason,
        width=decoded.width,
        height=decoded.height,
    )
