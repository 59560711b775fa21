"""Manifests as spreadsheets write them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from conftest import save_picture

from featx.dataset import scan
from featx.dataset.manifest import _csv_rows, read_manifest
from featx.errors import DatasetError, MissingExtraError
from featx.table import Sample

posix = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links as POSIX has them")

TEXT = "path,label,group,split\nx/2.png,dog,g1,test\nx/1.png,cat,,train\n"
SAMPLES = [Sample("x/1.png", "cat", None, "train"), Sample("x/2.png", "dog", "g1", "test")]


def manifest(folder: Path, text: str | bytes, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        TEXT.replace(",", "|"),
        TEXT.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.replace("x/", "x\\"),
        TEXT + "\n,,,\n",
        TEXT.replace("x/1.png", '"x/1.png"'),
        TEXT.replace("path,label", " path , label "),
    ],
)
def test_dialects(tmp_path, content):
    assert read_manifest(manifest(tmp_path, content)) == SAMPLES


def test_other_column_names(tmp_path):
    path = manifest(tmp_path, "file,kind\n1.png,cat\n")
    assert read_manifest(path, "file", "kind") == [Sample("1.png", "cat")]


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns = {
        "path": ["x/2.png", "x/1.png"],
        "label": ["dog", "cat"],
        "group": ["g1", None],
        "split": ["test", "train"],
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "list.parquet")
    assert read_manifest(tmp_path / "list.parquet") == SAMPLES


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'featx\[parquet\]', or save as CSV"):
        read_manifest(manifest(tmp_path, b"PAR1", "list.parquet"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; needed is a header with the columns path and label"),
        ("path,label\n", "lists no pictures"),
        ("file,label\n1.png,cat\n", "no column 'path'; it has file, label. Name the right one with --path-column"),
        ("path,kind\n1.png,cat\n", "no column 'label'; it has path, kind. Name the right one with --label-column"),
        ("path,label\n1.png,cat\n2.png,\n", "row 3: the label is missing; give one or take the row out"),
        ("path,label\n,cat\n", "row 2: the path is missing"),
        ("path,label\n../1.png,cat\n", r"row 2: \.\./1\.png lies outside the manifest's folder"),
        ("path,label\n/etc/1.png,cat\n", "row 2: /etc/1.png lies outside"),
        ("path,label\nC:\\1.png,cat\n", "row 2: C:.*1.png lies outside"),
        ("path,label\na/../../1.png,cat\n", "lies outside"),
        ("path,label\n1.png,cat\n1.png,dog\n", "lists 1.png more than once; keep one row"),
        ("path,label\n./1.png,cat\n1.png,cat\n", "lists 1.png more than once"),
        ("path,label,split\n1.png,cat,holdout\n", "the split is 'holdout'; allowed are train, val, validation, test"),
        ("path,label\n1.png\n", "row 2: 1 values for 2 columns"),
        (b"path,label\n1.png,caf\xe9\n", "is not UTF-8 .*; save it as CSV UTF-8"),
        ('path,label\n"1.png,cat\n', "is no readable CSV"),
    ],
)
def test_errors_name_the_row_and_the_way_out(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_manifest(manifest(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"path,label\n1.png," + b"x" * 200_000, "is no readable CSV: field larger than field limit"),
        (b"path,label\n1.png," + b"x," * 600_000, "is no readable CSV: a row of more than 1,000,000 characters"),
        (b'path,label\n1.png,"' + b'\n","' * 300_000, "is no readable CSV: a row of more than 1,000,000 characters"),
        (b"a," * 400_000, "has more than 1,000 columns, which is what a manifest may have"),
        (bytes(3_000_000), "is no readable CSV: a row of more than 1,000,000 characters"),
        (f"path,label\n{'d/' * 10_000}1.png,a\n".encode(), "a path of 20,005 characters, which no file has"),
        (b"file," + b",".join(b"c%d" % i for i in range(900)), "it has file, c0, .*, c48, and 851 more. Name"),
    ],
)
def test_what_is_no_table_of_paths_is_refused_in_bounded_memory(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_manifest(manifest(tmp_path, text))


@posix
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a hole"])
def test_what_is_no_file_or_too_large_is_refused_unread(tmp_path, kind, suffix):
    path = tmp_path / f"list.{suffix}"
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a device":
        os.symlink("/dev/zero", path)
    else:
        path.touch()
        os.truncate(path, 10**11)
    message = f"cannot be read: {kind}, not a file"
    if kind == "a hole":
        message = "has 100,000,000,000 bytes; a manifest may have 2,000,000,000"
        message = message if suffix == "csv" else "is no readable Parquet file: Parquet magic bytes not found in footer"
    with pytest.raises(DatasetError, match=message):
        read_manifest(path)


def test_a_manifest_that_grows_is_read_no_further(tmp_path):
    path = manifest(tmp_path, TEXT)
    rows = _csv_rows(path)
    next(rows)
    with path.open("a") as stream:
        stream.write("y/3.png,dog,,\n" * 20_000)
    with pytest.raises(DatasetError, match="it grows while it is read"):
        list(rows)


def test_parquet_of_other_types_and_columns_that_are_no_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns = {
        "path": pa.array(["2.png", "1.png", "3.png"]).dictionary_encode(),
        "label": [7, 8, None],
        "plate": pa.array(["P1", "P1", None], pa.large_string()),
        "image": pa.array([b"x" * 50] * 3),
        "box": [[1, 2], [3], []],
        "split": ["train", None, "test"],
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "list.parquet", row_group_size=2)
    with pytest.raises(DatasetError, match="row 4: the label is missing"):
        read_manifest(tmp_path / "list.parquet")
    columns["label"] = [7, 8, 8]
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "list.parquet", row_group_size=2)
    assert read_manifest(tmp_path / "list.parquet") == [
        Sample("1.png", "8", None, None, (("plate", "P1"),)),
        Sample("2.png", "7", None, "train", (("plate", "P1"),)),
        Sample("3.png", "8", None, "test", (("plate", ""),)),
    ]


def test_parquet_bombs_are_refused_by_what_they_say_of_themselves(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    monkeypatch.setattr("featx.dataset.manifest._MOST_ROWS", 100_000)
    monkeypatch.setattr("featx.dataset.manifest._MOST_BYTES", 50_000_000)
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "read_row_group", lambda *_, **__: pytest.fail("read"))
    path = tmp_path / "list.parquet"
    many = pa.nulls(100_001, pa.string())
    pyarrow.parquet.write_table(pa.table({"path": many, "label": many}), path)
    with pytest.raises(DatasetError, match="has more than 100,000 rows"):
        read_manifest(path)
    wide = pa.table({f"c{i}": ["x"] for i in range(1_001)})
    pyarrow.parquet.write_table(wide, path)
    with pytest.raises(DatasetError, match="has more than 1,000 columns"):
        read_manifest(path)
    long = pa.table({"path": ["x" * 30_000_000] * 2, "label": ["a"] * 2})
    pyarrow.parquet.write_table(long, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DatasetError, match=r"unpacks to 60,000,\d+ bytes; a manifest may have 50,000,000"):
        read_manifest(path)


def test_a_long_text_that_parquet_holds_once_is_held_once(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    n = 20_000
    columns = {
        "path": [f"{i}.png" for i in range(n)],
        "label": pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), ["x" * 1_000_000]),
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "list.parquet")
    samples = read_manifest(tmp_path / "list.parquet")  # 20 GB, held apart
    assert len({id(sample.label) for sample in samples}) == 1


def test_scan_of_a_manifest(tmp_path):
    save_picture(tmp_path / "x" / "1.png", (1, 2, 3))
    found = scan(manifest(tmp_path, TEXT))
    assert found.description == "2 classes by list.csv: cat 1, dog 1; train 1, test 1"
    assert [f.size >= 0 for f in found.pictures] == [True, False]  # the second does not exist: skipped later
    assert found.name == "list"


def test_no_file_of_a_manifest_exists(tmp_path):
    with pytest.raises(DatasetError, match="none of the 2 files of .* exists, the first is .*1.png"):
        scan(manifest(tmp_path, TEXT))


def test_label_by_is_for_folders(tmp_path):
    with pytest.raises(DatasetError, match="--label-by is for folders"):
        scan(manifest(tmp_path, TEXT), label_by="top")
