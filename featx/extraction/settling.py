"""What a pass over a data set leaves behind: its snapshot, and with --strict an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featx.dataset import Dataset
from featx.errors import ImageError
from featx.runtime import Runtime
from featx.store import write_snapshot
from featx.table import FeatureTable, FileState, Sample

_MOST_NAMED = 20


def remember_states(cache: Path, dataset: Dataset, how: str, states: Sequence[FileState]) -> None:
    """Write the snapshot of a data set; single files have none."""
    if not dataset.id:
        return
    entries = [(found.sample, state) for found, state in zip(dataset.pictures, states, strict=True)]
    for entry in dataset.ignored:
        entries.append((Sample(entry.name), FileState(status="ignored", **entry.stamp._asdict())))
    entries.sort(key=lambda pair: pair[0].sample_id.split("/"))
    write_snapshot(cache, dataset.id, dataset.root, how, entries)


def notice_left_out(dataset: Dataset, runtime: Runtime) -> None:
    """Name the folders that were not scanned because featx wrote them."""
    for folder in dataset.left_out[:_MOST_NAMED]:
        files = "1 file" if folder.n_files == 1 else f"{folder.n_files:,} files"
        runtime.notice(f"left out   {folder.path}: {files}, {folder.reason}")
    more = len(dataset.left_out) - _MOST_NAMED
    if more > 0:
        runtime.notice(f"left out   {more:,} more such folders")


def check_strict(table: FeatureTable, strict: bool) -> None:
    """Make sure that every picture could be used, where that is wanted.

    Raises
    ------
    ImageError
        One could not; the message names the first.
    """
    skipped = table.extraction.skipped
    if strict and skipped:
        first = f"{skipped[0].path}: {skipped[0].reason}"
        raise ImageError(f"--strict: {len(skipped):,} pictures cannot be used, the first is {first}")
