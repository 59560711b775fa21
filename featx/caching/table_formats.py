"""Write a feature table to one file, in chunks of rows: HDF5, npz, npy, CSV or Parquet."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from featx.output import csv_path, escape_formula, import_pyarrow, utf8_text
from featx.store import write_table
from featx.table import FeatureTable

Chunks = Iterator[tuple[int, NDArray[np.float32]]]
"""Chunks of consecutive samples: the position of the first sample, and the features."""


def _texts(table: FeatureTable) -> dict[str, list[str]]:
    names = ("sample_id", "label", "group", "split")
    return {name: [getattr(sample, name) or "" for sample in table.samples] for name in names}


def _attributes(table: FeatureTable) -> dict[str, str]:
    extraction = table.extraction
    return {
        "name": table.name,
        "backbone": extraction.backbone,
        "spec": table.spec.to_json(),
        "features_id": extraction.features_id,
    }


def _write_h5(path: Path, table: FeatureTable, chunks: Chunks) -> None:
    write_table(path, _attributes(table), _texts(table), table.content_hashes, table.extraction.n_features, chunks)


def _write_npy(path: Path, table: FeatureTable, chunks: Chunks) -> None:
    with path.open("wb") as stream:
        _write_array(stream, table, chunks)


def _write_npz(path: Path, table: FeatureTable, chunks: Chunks) -> None:
    """Write the format of ``numpy.savez``; the features are written in chunks, and no modification time is stored."""
    texts: Mapping[str, Any] = {**_texts(table), **_attributes(table)}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(zipfile.ZipInfo("features.npy"), "w", force_zip64=True) as member:
            _write_array(member, table, chunks)
        for name, value in {**texts, "content_hash": table.content_hashes}.items():
            array = np.asarray(value, None if len(value) else "U1")
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, (1, 0), allow_pickle=False)


def _write_array(stream: IO[bytes], table: FeatureTable, chunks: Chunks) -> None:
    shape = (len(table), table.extraction.n_features)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    for _, features in chunks:
        stream.write(features.astype("<f4", copy=False).tobytes())


def _write_csv(path: Path, table: FeatureTable, chunks: Chunks) -> None:
    numbers = ",%.9g" * table.extraction.n_features + "\n"  # nine digits reproduce every float32
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        writer = csv.writer(stream, lineterminator="")
        writer.writerow(_columns(table))
        stream.write("\n")
        for start, features in chunks:
            for sample, values in zip(table.samples[start : start + len(features)], features.tolist(), strict=True):
                texts = (escape_formula(text or "") for text in (sample.label, sample.group, sample.split))
                writer.writerow([csv_path(sample.sample_id), *texts])
                stream.write(numbers % tuple(values))


def _write_parquet(path: Path, table: FeatureTable, chunks: Chunks) -> None:
    pa, parquet = import_pyarrow()
    names = _columns(table)
    fields = [(name, pa.string()) for name in names[:4]] + [(name, pa.float32()) for name in names[4:]]
    schema = pa.schema(fields, {f"featx.{name}": utf8_text(text) for name, text in _attributes(table).items()})
    with parquet.ParquetWriter(path, schema) as writer:
        for start, features in chunks:
            samples = table.samples[start : start + len(features)]
            texts = zip(*((s.sample_id, s.label, s.group, s.split) for s in samples), strict=True)
            columns = [pa.array([None if t is None else utf8_text(t) for t in column], pa.string()) for column in texts]
            columns += [pa.array(column) for column in np.ascontiguousarray(features.T)]
            writer.write_table(pa.table(columns, schema=schema))


def _columns(table: FeatureTable) -> Sequence[str]:
    return ["path", "label", "group", "split", *(f"f{i}" for i in range(table.extraction.n_features))]


WRITERS: dict[str, Callable[[Path, FeatureTable, Chunks], None]] = {
    ".h5": _write_h5,
    ".npz": _write_npz,
    ".npy": _write_npy,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
"""Functions that write a feature table to a file, by the ending of the file name."""
