"""Export a feature table from the cache to a self-contained file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.arguments import checked
from featx.caching.table_formats import WRITERS
from featx.errors import ArgumentError
from featx.lookup import recall_store, recall_table
from featx.options import LabelBy
from featx.output import OutputFile
from featx.runtime import Runtime
from featx.table import FeatureTable


@dataclass(frozen=True)
class Export:
    """Result of exporting a feature table.

    Parameters
    ----------
    output : path
        The file that was written.
    name : str
        Name of the data set; empty if a whole feature store was exported.
    features_id : str
        Id of the feature store.
    n_images : int
        Number of images, which is the number of rows in the file; for a whole feature store with augmented views, the
        number of views.
    n_skipped : int
        Number of images of the data set that could not be used and are therefore not in the file.
    n_features : int
        Number of features per row.
    n_bytes : int
        Size of the file in bytes.
    seconds : float
        Wall time in seconds.

    Examples
    --------
    >>> import featx
    >>> export = featx.export_features("features.npz", overwrite=True)
    >>> export.n_images, export.n_features
    (300, 1280)
    """

    output: Path
    name: str
    features_id: str
    n_images: int
    n_skipped: int
    n_features: int
    n_bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx cache export --json`` prints."""
        return {**self.__dict__, "output": str(self.output), "seconds": round(self.seconds, 3)}


@checked()
def export_features(
    output: str | Path,
    data: str | Path | None = None,
    *,
    features: str | None = None,
    whole_store: bool = False,
    label_by: LabelBy | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    overwrite: bool = False,
    runtime: Runtime | None = None,
) -> Export:
    """Write the cached features of a data set, or all rows of a feature store, to a file; no features are computed.

    Parameters
    ----------
    output : path
        File to write: ``.h5``, ``.npz``, ``.npy`` (only the features), ``.csv`` or ``.parquet``; docs/format.md
        describes the content. The file is written in chunks of rows under a temporary name, and then renamed.
    data : path, optional
        Folder or manifest, as for :func:`featx.extract`; by default the data set extracted last.
    features : str, optional
        Id of a feature store; by default the store of the data set extracted last.
    whole_store : bool
        Write all rows of the feature store, sorted by key, without paths and labels, to a ``.h5`` file. The bytes of
        this file depend only on the rows, not on the order in which they were computed, on interruptions or workers.
    label_by, path_column, label_column : str, optional
        As for :func:`featx.extract`. If ``data`` is None, the values of the last extraction are the defaults.
    overwrite : bool
        Replace a file that featx wrote. A ``.npy`` file is never replaced, because it does not record which program
        wrote it.
    runtime : Runtime, optional
        Cache folder, number of workers and callbacks.

    Returns
    -------
    Export

    Raises
    ------
    OutputError
        If the file exists and may not be replaced, if its name has another ending, if its folder does not exist, or if
        it cannot be written.
    ArgumentError
        If ``whole_store`` is true, and a data set or its labels are given.
    MissingExtraError
        If pyarrow is needed for Parquet and is not installed.
    StoreError
        If there is no such feature store, or no data set has been extracted yet.
    DatasetError
        If images have no features; the message contains the command that computes them.

    Examples
    --------
    >>> import featx
    >>> import numpy as np
    >>> done = featx.export_features("features.npz", overwrite=True)
    >>> with np.load("features.npz") as arrays:
    ...     arrays["features"].shape
    (300, 1280)
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    if whole_store:
        if data is not None or label_by is not None or path_column is not None or label_column is not None:
            raise ArgumentError(
                "`whole_store=True` exports the rows of all data sets, without paths and labels; leave out the "
                "data set, `label_by`, `path_column` and `label_column`"
            )
        return _export_store(OutputFile(output, [".h5"], overwrite), features, runtime, started)
    file = OutputFile(output, WRITERS, overwrite, inputs=[] if data is None else [data])
    table = recall_table(
        data, features, label_by=label_by, path_column=path_column, label_column=label_column, runtime=runtime
    )
    write = WRITERS[file.suffix]
    file.write(lambda temporary: write(temporary, table, _with_progress(table, runtime)))
    extraction = table.extraction
    return Export(
        output=file.path,
        name=table.name,
        features_id=extraction.features_id,
        n_images=len(table),
        n_skipped=len(extraction.skipped),
        n_features=extraction.n_features,
        n_bytes=file.path.stat().st_size,
        seconds=time.monotonic() - started,
    )


def _export_store(file: OutputFile, features: str | None, runtime: Runtime, started: float) -> Export:
    store = recall_store(features, runtime)
    stored, n_rows = store.snapshot(), 0

    def write(temporary: Path) -> None:
        nonlocal n_rows
        n_rows = stored.export(temporary, lambda done, total: runtime.progress("exporting features", done, total))

    file.write(write)
    header = store.header()
    return Export(
        output=file.path,
        name="",
        features_id=store.spec.id,
        n_images=n_rows,
        n_skipped=0,
        n_features=0 if header is None else header.n_features,
        n_bytes=file.path.stat().st_size,
        seconds=time.monotonic() - started,
    )


def _with_progress(table: FeatureTable, runtime: Runtime) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the chunks of a table and report progress."""
    for start, features in table.chunks():
        yield start, features
        runtime.progress("exporting features", start + len(features), len(table))
