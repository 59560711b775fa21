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
from featx.lookup import recall_table
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
        Name of the data set.
    features_id : str
        Id of the feature store.
    n_images : int
        Number of images, which is the number of rows in the file.
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
    label_by: LabelBy | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    overwrite: bool = False,
    runtime: Runtime | None = None,
) -> Export:
    """Write the cached features of a data set to a file; no features are computed.

    Parameters
    ----------
    output : path
        File to write: ``.h5``, ``.npz``, ``.npy`` (only the features), ``.csv`` or ``.parquet``; docs/format.md
        describes the content. The file is written in chunks of rows under a temporary name, and then renamed.
    data : path, optional
        Folder or manifest, as for :func:`featx.extract`; by default the data set extracted last.
    features : str, optional
        Id of a feature store; by default the store of the data set extracted last.
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


def _with_progress(table: FeatureTable, runtime: Runtime) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the chunks of a table and report progress."""
    for start, features in table.chunks():
        yield start, features
        runtime.progress("exporting features", start + len(features), len(table))
