"""Take a feature table out of the cache, as one self-contained file."""

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
    """What was exported.

    Parameters
    ----------
    output : path
        The file.
    name : str
        Name of the data set.
    features_id : str
        The store that the features are from.
    n_images : int
        Rows.
    n_skipped : int
        Images of the data set that could not be used, and are not in the file.
    n_features : int
        Numbers per row.
    n_bytes : int
        Size of the file.
    seconds : float
        Wall time.
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
        """Return the JSON keys of ``featx cache export --json``."""
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
    """Write the features of a data set to a file; nothing is computed.

    Parameters
    ----------
    output : path
        New file: ``.h5``, ``.npz``, ``.npy`` (the features alone), ``.csv`` or ``.parquet``; docs/format.md says what
        is in it. It is written row by row to a temporary name and renamed.
    data : path, optional
        Folder or manifest, as :func:`featx.extract` takes it; the set extracted last if not given.
    features : str, optional
        Id of a feature store; that of the set extracted last if not given.
    label_by, path_column, label_column : str, optional
        As for :func:`featx.extract`; for the set extracted last, what was said then if not given.
    overwrite : bool
        Replace a file that featx wrote; a ``.npy`` file, which cannot show that, is never replaced.
    runtime : Runtime, optional
        Cache folder, threads and callbacks.

    Raises
    ------
    OutputError
        The file exists and may not be replaced, has another ending, has no folder, or cannot be written.
    MissingExtraError
        Parquet without pyarrow.
    StoreError
        No such feature store, or nothing was extracted yet.
    DatasetError
        Images without features; the message says which command extracts them.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    file = OutputFile(output, WRITERS, overwrite, inputs=[] if data is None else [data])
    table = recall_table(
        data, features, label_by=label_by, path_column=path_column, label_column=label_column, runtime=runtime
    )
    write = WRITERS[file.suffix]
    file.write(lambda temporary: write(temporary, table, _told(table, runtime)))
    done = table.extraction
    return Export(
        output=file.path,
        name=table.name,
        features_id=done.features_id,
        n_images=len(table),
        n_skipped=len(done.skipped),
        n_features=done.n_features,
        n_bytes=file.path.stat().st_size,
        seconds=time.monotonic() - started,
    )


def _told(table: FeatureTable, runtime: Runtime) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the chunks of a table and tell how far it is."""
    for start, features in table.chunks():
        yield start, features
        runtime.progress("exporting features", start + len(features), len(table))
