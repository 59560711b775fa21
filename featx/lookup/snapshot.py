"""Save the snapshot of a data set, report remarks, and raise errors about images that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from featx.dataset import Dataset
from featx.errors import ImageError
from featx.runtime import Runtime
from featx.source import Place
from featx.store import changing_notes, read_snapshot, write_snapshot
from featx.table import Categorical, FeatureTable, FileState, FileStates, Memo, Samples, Texts

_MOST_NAMED = 20


def remember_states(
    cache: Path, dataset: Dataset, how: str, states: Sequence[FileState], whole: Dataset | None = None
) -> None:
    """Write the snapshot of a data set, if the data set has an id; single files and lists have none.

    Parameters
    ----------
    cache : path
    dataset : Dataset
    how : str
        Key of the settings for reading images, see :func:`featx.lookup.reading_key`.
    states : sequence of FileState
        State of each image.
    whole : Dataset, optional
        The data set with all its images, which may be more than those of ``dataset``, a shard of it. The stored states
        of the other images remain in the snapshot.
    """
    if not dataset.id:
        return
    with changing_notes(cache):
        _write(cache, dataset, how, FileStates.of(states), None if whole is dataset else whole)


def _write(cache: Path, dataset: Dataset, how: str, all_states: FileStates, whole: Dataset | None) -> None:
    samples = dataset.images.samples
    if whole is not None:
        samples, all_states = _with_others(samples, all_states, whole, read_snapshot(cache, dataset.id, how))
    if dataset.ignored:
        others = Samples.unlabelled(dataset.ignored.names)
        samples = Samples(
            Texts.join([samples.sample_ids, others.sample_ids]),
            Categorical.join([samples.labels, others.labels]),
            Categorical.join([samples.groups, others.groups]),
            Categorical.join([samples.splits, others.splits]),
        )
        all_states = FileStates.join([all_states, FileStates.ignored(dataset.ignored.stamps)])
    write_snapshot(cache, dataset.id, dataset.root, how, samples, all_states)


def _with_others(samples: Samples, states: FileStates, whole: Dataset, memo: Memo) -> tuple[Samples, FileStates]:
    """Return the samples and states of a shard, and the stored ones of the other images, in data-set order."""
    all_samples = whole.images.samples
    used = memo.take(~memo.states.are("ignored"))
    at = used.find(all_samples.sample_ids)
    own = Memo(samples.sample_ids, states).find(all_samples.sample_ids)
    at = np.where(own >= 0, len(used) + own, at)
    kept = np.flatnonzero(at >= 0)
    return all_samples.take(kept), FileStates.gather([used.states, states], at[kept])


def notice_own_folders(dataset: Dataset, runtime: Runtime) -> None:
    """Report the folders that were not scanned because they contain output of featx."""
    for folder in dataset.own_folders[:_MOST_NAMED]:
        files = "1 file" if folder.n_files == 1 else f"{folder.n_files:,} files"
        runtime.notice(f"left out   {folder.path}: {files}, {folder.reason}")
    more = len(dataset.own_folders) - _MOST_NAMED
    if more > 0:
        runtime.notice(f"left out   {more:,} more such folders")


def report_remarks(dataset: Dataset, name: str | Place, runtime: Runtime) -> None:
    """Report the remarks about a data set, and the folders that were not scanned."""
    for remark in dataset.remarks:
        runtime.notice(f"{name}: {remark}")
    notice_own_folders(dataset, runtime)


def stop_if_none_usable(table: FeatureTable, where: str) -> None:
    """Check that at least one image could be used.

    Raises
    ------
    ImageError
        If no image could be used; the message states the most frequent reason.
    """
    why = _why_none_usable(table, where)
    if why:
        raise ImageError(why)


def _why_none_usable(table: FeatureTable, where: str) -> str:
    skipped = table.extraction.skipped
    if len(table) or not skipped:
        return ""
    first: dict[str, str] = {}
    for image in skipped:
        first.setdefault(image.reason, image.path)
    return describe_unusable(Counter(image.reason for image in skipped), first, where)


def describe_unusable(reasons: Counter[str], first: Mapping[str, str], where: str) -> str:
    """Return a message with the most frequent reason why images could not be used.

    Parameters
    ----------
    reasons : Counter
        Number of images by reason.
    first : mapping of str to str
        Path of the first image by reason.
    where : str
        Origin of the images, for the message, such as ``"of flowers"``.
    """
    n_skipped = reasons.total()
    reason, n = reasons.most_common(1)[0]
    if n_skipped == 1:
        return f"the only image {where} cannot be used: {first[reason]}: {reason}"
    which = "all of them, such as" if n == n_skipped else f"{n:,} of them, such as" if n > 1 else "the first is"
    return f"none of the {n_skipped:,} images {where} can be used; {which} {first[reason]}: {reason}"


def check_strict(table: FeatureTable, strict: bool) -> None:
    """Check that every image could be used, if ``strict`` is true.

    Raises
    ------
    ImageError
        If any image was skipped; the message states the first one and its reason.
    """
    skipped = table.extraction.skipped
    if strict and skipped:
        raise skipped_error(len(skipped), f"{skipped[0].path}: {skipped[0].reason}")


def skipped_error(n: int, first: str) -> ImageError:
    """Return the error for ``strict=True`` and ``n`` skipped images; ``first`` is the first one with its reason."""
    what = "1 image cannot be used:" if n == 1 else f"{n:,} images cannot be used; the first is"
    return ImageError(f"`strict=True`: {what} {first}")
