"""Merge the snapshots of one data set in several caches, which list different files of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from featx.errors import DamagedStoreError, StoreError
from featx.store.notes import changing_notes
from featx.store.snapshot import SnapshotContent, read_content_of, write_content_of
from featx.table import Categorical, FileStates, Samples, Texts


def merge_snapshots(cache: Path, dataset_id: str, sources: Sequence[Path]) -> tuple[SnapshotContent | None, list[str]]:
    """Add the file states of snapshots in other caches to the snapshot of a data set.

    Of the states of one file, the one after its last change is used.

    Parameters
    ----------
    cache : path
        Cache whose snapshot is replaced, or created.
    dataset_id : str
    sources : sequence of path
        Snapshots in other caches, which are not changed.

    Returns
    -------
    content : SnapshotContent or None
        Content of the new snapshot; None if no snapshot can be read.
    problems : list of str
        Snapshots that cannot be read, and the reasons.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote the snapshot in ``cache``.
    StoreError
        If the cache cannot be written.
    """
    problems = []
    contents: list[SnapshotContent] = []
    for path in sources:
        try:
            contents.append(read_content_of(path))
        except FileNotFoundError:
            problems.append(f"{path} was deleted while it was merged; the files that it lists are read again")
        except StoreError as error:
            problems.append(f"{error}; the files that it lists are read again")
    with changing_notes(cache):
        with contextlib.suppress(DamagedStoreError, FileNotFoundError):
            contents.insert(0, read_content_of(cache / "datasets" / f"{dataset_id}.h5"))
        if not contents:
            return None, problems
        merged = _merged([content for content in contents if content.root == contents[0].root])
        write_content_of(cache, dataset_id, merged)
    return merged, problems


def _merged(contents: Sequence[SnapshotContent]) -> SnapshotContent:
    """Return the files of all contents in the order of a data set: images before other files, sorted by path."""
    if len(contents) == 1:
        return contents[0]
    kept = [contents[0], *(_for_settings(content, contents[0].decode) for content in contents[1:])]
    samples = Samples(
        Texts.join([content.samples.sample_ids for content in kept]),
        Categorical.join([content.samples.labels for content in kept]),
        Categorical.join([content.samples.groups for content in kept]),
        Categorical.join([content.samples.splits for content in kept]),
    )
    states = FileStates.join([content.states for content in kept])
    mtimes, ctimes = states.stamps[:, 1], states.stamps[:, 3]
    # The last key is the first criterion. A time that is not valid is -1; an image that was not decoded has no width.
    latest_first = np.lexsort((states.widths == 0, -mtimes, -ctimes))
    paths = [name.replace("/", "\0") for name in samples.sample_ids]
    order = sorted(latest_first.tolist(), key=paths.__getitem__)
    at = np.array([one for place, one in enumerate(order) if not place or paths[order[place - 1]] != paths[one]])
    is_ignored = states.are("ignored")[at]
    at = np.concatenate([at[~is_ignored], at[is_ignored]])
    return replace(contents[0], samples=samples.take(at), states=states.take(at))


def _for_settings(content: SnapshotContent, decode: str) -> SnapshotContent:
    """Return the content without images that were skipped with other settings, and may be usable now."""
    if content.decode == decode:
        return content
    at = np.flatnonzero(~content.states.are("skipped"))
    return replace(content, samples=content.samples.take(at), states=content.states.take(at))
