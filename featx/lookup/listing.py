"""List the images of a data set, with the file states that the last run stored."""

from __future__ import annotations

from typing import NamedTuple

from featx.dataset import Dataset, dataset_id, scan
from featx.lookup.snapshot import report_remarks
from featx.options import DatasetOptions
from featx.runtime import Runtime
from featx.source import Place
from featx.store import read_snapshot
from featx.table import Memo


class Listed(NamedTuple):
    """A data set, and the stored states of the files in it.

    Parameters
    ----------
    dataset : Dataset
    memo : Memo
        State of each file in the last run, read from the snapshot.
    """

    dataset: Dataset
    memo: Memo


def list_images(path: Place, how: str, options: DatasetOptions, runtime: Runtime, prefix: str = "") -> Listed:
    """List the images of a folder or a manifest, and report a description and remarks.

    Parameters
    ----------
    path : path or other place
    how : str
        Key of the settings for reading images, see :func:`featx.lookup.reading_key`.
    options : DatasetOptions
    runtime : Runtime
    prefix : str
        Text before the notice that describes the data set.

    Raises
    ------
    DatasetError
        If the folder or the manifest cannot be used as a data set.
    """
    with runtime.stage("listing the images") as advance:
        memo = read_snapshot(runtime.cache, dataset_id(path), how)
        dataset = scan(path, memo=memo, progress=lambda n: advance(n, 0), **options.select(DatasetOptions))
    runtime.notice(f"{prefix}{path}: {dataset.description}")
    report_remarks(dataset, path, runtime)
    return Listed(dataset, memo)
