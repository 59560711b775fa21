"""Manifests as spreadsheets write them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import save_picture

from featx.dataset import scan
from featx.dataset.manifest import read_manifest
from featx.errors import DatasetError, MissingExtraError
from featx.table import Sample

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
