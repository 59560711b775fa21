"""The images of a data set, listed with what the last run knew of its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from featx.dataset import Dataset, dataset_id, scan
from featx.lookup.snapshot import notice_odd
from featx.options import DatasetOptions
from featx.runtime import Runtime
from featx.store import read_snapshot
from featx.table import FileState


class Listed(NamedTuple):
    """A data set, and what is known of its files.

    Parameters
    ----------
    dataset : Dataset
    memo : mapping of str to FileState
        By sample_id, as the snapshot of the last run says.
    """

    dataset: Dataset
    memo: Mapping[str, FileState]


def list_images(path: Path, how: str, options: DatasetOptions, runtime: Runtime, suffix: str = "") -> Listed:
    """List the images of a folder or a manifest, and report what is odd about it.

    Parameters
    ----------
    path : path
    how : str
        How images are read, see :func:`featx.lookup.reading_key`.
    options : DatasetOptions
    runtime : Runtime
    suffix : str
        Added to the line that says what was understood.

    Raises
    ------
    DatasetError
        It cannot be understood.
    """
    with runtime.stage("listing the images"):
        memo = read_snapshot(runtime.cache, dataset_id(path), how)
        dataset = scan(path, memo=memo, **options.select(DatasetOptions))
    runtime.notice(f"{path}: {dataset.description}{suffix}")
    notice_odd(dataset, path, runtime)
    return Listed(dataset, memo)
