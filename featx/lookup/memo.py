"""What is known of a data set's files: which images have features already, and why others cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.readers import Reader
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.spec import FeatureSpec
from featx.store import FeatureStore, StoredFeatures, keys_of, note_use
from featx.table import FileState

_NOT_FINITE = "the backbone gives features of it that are not finite"


@dataclass(frozen=True)
class PassResult:
    """What a pass over a data set found and did.

    Parameters
    ----------
    states : list of FileState
        One for each image, in order.
    n_computed : int
        Contents computed now.
    device : str
        What computed them; empty if nothing was.
    notes : dict of str to int
        Images read in a way worth knowing, by note.
    """

    states: list[FileState]
    n_computed: int
    device: str
    notes: dict[str, int]


class Progress:
    """How far a pass is, told to the runtime.

    Parameters
    ----------
    stage : str
    runtime : Runtime
    total : int
    """

    def __init__(self, stage: str, runtime: Runtime, total: int) -> None:
        self._stage, self._runtime, self._done, self._total = stage, runtime, 0, total
        self.advance(0)

    def advance(self, n: int) -> None:
        """Tell that n more are done."""
        self._done += n
        self._runtime.progress(self._stage, self._done, self._total)


def reading_key(decode: str, white: int | None, page: int, runtime: Runtime) -> str:
    """Name all that decides which images can be read; those skipped under another name are tried again."""
    limits = {"white": white, "page": page, "max-pixels": runtime.max_pixels}
    return " ".join([decode, *(f"{name} {value}" for name, value in limits.items() if value is not None)])


def look_up(
    images: Sequence[ImageFile], memo: Mapping[str, FileState], store: FeatureStore, runtime: Runtime
) -> PassResult:
    """Find the features of some images in a store without computing any.

    Returns
    -------
    PassResult
        Images that the store lacks have the status ``lacking``, unless the memo says why their content was skipped.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    stored = store.snapshot()
    note_use(store.path)
    memo = memo_for_spec(memo, store.spec)
    states = recall(images, memo, stored)
    todo = [found for found, state in zip(images, states, strict=True) if state is None]
    reader = Reader(contains(stored), None, runtime.n_workers, max_pixels=runtime.max_pixels)
    progress = Progress("reading images", runtime, len(todo))
    read = []
    for reading in reader.read(todo):
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
    """Return why an image is skipped whose features by a spec are not finite."""
    return f"{_NOT_FINITE} (features {spec.id})"


def memo_for_spec(memo: Mapping[str, FileState], spec: FeatureSpec) -> Mapping[str, FileState]:
    """Return what is known of files, without what another recipe found wrong with their features."""
    reason = not_finite_reason(spec)
    return {
        name: state
        for name, state in memo.items()
        if not state.reason.startswith(_NOT_FINITE) or state.reason == reason
    }


def recall(
    images: Sequence[ImageFile], memo: Mapping[str, FileState], stored: StoredFeatures
) -> list[FileState | None]:
    """Return what the memo knows of each image, None for those that must be read.

    A memo counts only if size, times and inode are unchanged and, for a usable image, its row is stored.
    """
    states = [_unchanged(found, memo.get(found.sample.sample_id)) for found in images]
    usable = as_hashes(state.content_hash for state in states if state is not None and state.status == "ok")
    present = iter(stored.contains(keys_of(usable)).tolist())
    return [state if state is not None and (state.status != "ok" or next(present)) else None for state in states]


def _unchanged(found: ImageFile, known: FileState | None) -> FileState | None:
    if known is None or known.mtime_ns < 0 or known.status == "ignored":
        return None
    return known if known.stamp.fits(found.stamp) else None


def contains(stored: StoredFeatures) -> Callable[[bytes], bool]:
    """Return what tells whether a store has the features of a content."""
    return lambda content_hash: bool(stored.contains(keys_of(as_hashes([content_hash])))[0])


def as_hashes(content_hashes: Iterable[bytes]) -> NDArray[np.uint8]:
    """Return hashes as an array of shape (n, 32)."""
    return np.frombuffer(b"".join(content_hashes), np.uint8).reshape(-1, 32)


def state_of_duplicate(state: FileState, shown: Mapping[bytes, FileState]) -> FileState:
    """Return a file's state with what decoding another file of the same content showed."""
    decoded = shown.get(state.content_hash)
    if decoded is None or not state.content_hash:
        return state
    again = decoded.status == "skipped" and decoded.mtime_ns < 0  # as the one that was decoded is read anew
    return replace(
        state,
        mtime_ns=-1 if again else state.mtime_ns,
        status=decoded.status,
        reason=decoded.reason,
        width=decoded.width,
        height=decoded.height,
    )
