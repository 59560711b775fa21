"""Manifests as spreadsheets and other programs write them."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest
from conftest import save_image

from featx.dataset import scan
from featx.dataset.manifest import _csv_rows, read_manifest, read_paths
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
        "sep=;\r\n" + TEXT.replace(",", ";"),
        '"sep=\t"\n' + TEXT.replace(",", "\t"),
        TEXT.replace("\n", ",\n"),
        "path label group split\nx/2.png dog g1 test\nx/1.png cat <NA> Train\n",
        "path  label   group  split\n\nx/2.png   dog   g1  testing\nx/1.png   cat  nan  training\n",
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
    with pytest.raises(MissingExtraError, match=r"pip install 'featx\[parquet\]', or save the table as CSV"):
        read_manifest(manifest(tmp_path, b"PAR1", "list.parquet"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a header with the columns path and label"),
        ("path,label\n", "lists no images"),
        ("file,label\n1.png,cat\n", "no column 'path'; its columns are file, label. Choose one with `path_column`"),
        ("path,kind\n1.png,cat\n", "no column 'label'; its columns are path, kind. Choose one with `label_column`"),
        ("path,label\n1.png,cat\n2.png,\n", "row 3: the label is missing; add a label or remove the row"),
        ("path,label\n,cat\n", "row 2: the path is missing"),
        ("path,label\n../1.png,cat\n", r"row 2: \.\./1\.png is outside the folder of the manifest"),
        ("path,label\n/etc/1.png,cat\n", "row 2: /etc/1.png is outside"),
        ("path,label\nC:\\1.png,cat\n", "row 2: C:.*1.png is outside"),
        ("path,label\na/../../1.png,cat\n", "is outside"),
        (
            "path,label\n1.png,cat\n2.png,a\n1.png,dog\n./2.png,b\n2.png,b\n3.png,b\n3.png,b\n",
            r"lists 2 images more than once, with different labels: 1.png \(cat, dog\), 2.png \(a, b\); keep one row",
        ),
        ("path,label,split\n1.png,cat,train\n1.png,cat,test\n", r"different splits: 1.png \(test, train\)"),
        (
            "path,label\n1.png,cat\n2.png,nan\n",
            "row 3: the label 'nan' stands for a missing value; add a label",
        ),
        (
            "path,label\n1.png,#N/A\n2.png,a\n3.png,\n",
            r"row 2: the label '#N/A'.*\(2 rows cannot be used; the last is row 4\)",
        ),
        ("path,label\n\n\n1.png,\n", "row 4: the label is missing"),
        ("path,label,label\n1.png,a,b\n", "has 2 columns 'label'; rename all but one"),
        ("path,label,split\n1.png,cat,fold3\n", "the split is 'fold3'; expected train, val, validation, test"),
        ("path,label\n1.png\n", "row 2: the row has 1 values; expected 2, one for each column"),
        (
            b"path,label\n1.png,\xcf\xf0\xe8\xe2\xe5\xf2\n",
            r"is not UTF-8 \(.*\), and its encoding cannot be determined; save the table as CSV",
        ),
        (b"path,label\n1.png,caf\x8e\n", "is not UTF-8 .*; save the table as CSV UTF-8"),
        (b"path,label\n1.png,\x81\x8d\n", "is not UTF-8 .*; save the table as CSV UTF-8"),
        ("1.png,cat,7\n", "has no header: its first row contains the file 1.png. .*, such as path,name1,name2"),
        ('path,label\n"1.png,cat\n', "is not a readable CSV file"),
    ],
)
def test_errors_state_the_row_and_what_to_do(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_manifest(manifest(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"path,label\n1.png," + b"x" * 200_000, "is not a readable CSV file: field larger than field limit"),
        (b"path,label\n1.png," + b"x," * 600_000, "not a readable CSV file: a row has more than 1,000,000 characters"),
        (b'path,label\n1.png,"' + b'\n","' * 300_000, "readable CSV file: a row has more than 1,000,000 characters"),
        (b"a," * 400_000, "has more than 1,000 columns, the maximum for a manifest"),
        (bytes(3_000_000), "is not a readable CSV file: a row has more than 1,000,000 characters"),
        (f"path,label\n{'d/' * 10_000}1.png,a\n".encode(), "the path has 20,005 characters, but no file has"),
        (b"file," + b",".join(b"c%d" % i for i in range(900)), "columns are file, c0, .*, c48, and 851 more. Choose"),
    ],
)
def test_a_file_that_is_not_a_table_of_paths_is_an_error_in_bounded_memory(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_manifest(manifest(tmp_path, text))


@posix
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a hole"])
def test_a_pipe_a_device_or_a_too_large_file_is_an_error_before_reading(tmp_path, kind, suffix):
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
        message = "has 100,000,000,000 bytes; a manifest may have at most 2,000,000,000"
        parquet_message = "is not a readable Parquet file: Parquet magic bytes not found in footer"
        message = message if suffix == "csv" else parquet_message
    with pytest.raises(DatasetError, match=message):
        read_manifest(path)


def test_a_manifest_that_grows_while_it_is_read_is_an_error(tmp_path):
    path = manifest(tmp_path, TEXT)
    rows = _csv_rows(path)
    next(rows)
    with path.open("a") as stream:
        stream.write("y/3.png,dog,,\n" * 20_000)
    with pytest.raises(DatasetError, match="the file grew while it was read"):
        list(rows)


def test_parquet_of_other_types_and_columns_that_are_not_text(tmp_path):
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


def test_parquet_bombs_are_an_error_from_their_metadata(tmp_path, monkeypatch):
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
    with pytest.raises(DatasetError, match=r"decompresses to 60,000,\d+ bytes; a manifest may have at most 50,000,000"):
        read_manifest(path)


def test_a_repeated_text_that_parquet_stores_once_is_in_memory_once(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    n = 20_000
    columns = {
        "path": [f"{i}.png" for i in range(n)],
        "label": pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), ["x" * 1_000_000]),
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "list.parquet")
    samples = read_manifest(tmp_path / "list.parquet")  # 20 GB if each row had its own text
    assert len({id(sample.label) for sample in samples}) == 1


def test_absolute_paths_inside_the_folder(tmp_path):
    text = f"path,label\n{tmp_path}/x/1.png,cat\n../{tmp_path.name}/2.png,dog\nx/../3.png,dog\n"
    samples = read_manifest(manifest(tmp_path, text))
    assert [sample.sample_id for sample in samples] == ["2.png", "3.png", "x/1.png"]
    with pytest.raises(DatasetError, match=rf"row 2: {tmp_path}2/1.png is outside the folder of the manifest"):
        read_manifest(manifest(tmp_path, f"path,label\n{tmp_path}2/1.png,cat\n"))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_absolute_paths_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path = manifest(tmp_path / "real", f"path,label\n{tmp_path}/link/1.png,cat\n{tmp_path}/real/2.png,dog\n")
    for folder in ("real", "link"):
        samples = read_manifest(tmp_path / folder / path.name)
        assert [sample.sample_id for sample in samples] == ["1.png", "2.png"]


def test_the_error_states_what_to_remove_from_paths_of_another_machine(tmp_path):
    save_image(tmp_path / "x" / "1.png", (1, 2, 3))
    with pytest.raises(DatasetError, match=r"\(x/1.png exists: remove /home/ann/set/ from the paths\)"):
        read_manifest(manifest(tmp_path, "path,label\n/home/ann/set/x/1.png,cat\n"))


def test_repeated_rows_are_used_once_and_counted(tmp_path):
    remarks = []
    path = manifest(tmp_path, "path,label\n1.png,a\n2.png,b\n1.png,a\n./1.png,a\n2.png,b\n")
    assert read_manifest(path, remark=remarks.append) == [Sample("1.png", "a"), Sample("2.png", "b")]
    assert remarks == ["3 rows repeat an image with the same label; each image is used once: 1.png, 2.png"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("1.png,class a\n2.png,class b\n", {}),
        ("class a;1.png\nclass b;2.png\n", {}),
        ("1.png\tclass a\n2.png\tclass b\n", {}),
        ("1.png  class a\n2.png  class b\n", {}),
        ("1.png,class a,x\n2.png,class b,y\n", {"path_column": "1.png", "label_column": "class a"}),
    ],
)
def test_lists_without_a_header(tmp_path, text, options):
    remarks = []
    found = read_manifest(manifest(tmp_path, text, "list.txt"), **options, remark=remarks.append)
    assert [(one.sample_id, one.label) for one in found] == [("1.png", "class a"), ("2.png", "class b")]
    assert remarks == ["no header: the first row contains the file 1.png and is read as data"]


def test_names_with_blanks_in_a_list_with_blanks(tmp_path):
    save_image(tmp_path / "my photo.png", (1, 2, 3))
    found = read_manifest(manifest(tmp_path, "my photo.png 1\nyour photo.png 0\n", "list.txt"))
    assert [(one.sample_id, one.label) for one in found] == [("my photo.png", "1"), ("your photo.png", "0")]


def test_rows_with_several_possible_separators_are_an_error(tmp_path):
    rows = "1.png class a\n2.png class b\n"
    with pytest.raises(DatasetError, match="has no header: its first row contains the file 1.png. .* path,name1,name2"):
        read_manifest(manifest(tmp_path, rows, "list.txt"))
    found = read_manifest(manifest(tmp_path, f"path label\n{rows}", "list.txt"))
    assert [(one.sample_id, one.label) for one in found] == [("1.png", "class a"), ("2.png", "class b")]


def test_windows_1252_is_read_and_reported(tmp_path):
    remarks = []
    path = manifest(tmp_path, "path;label\nMüller.png;Gänseblümchen\n".encode("cp1252"))
    assert read_manifest(path, remark=remarks.append) == [Sample("Müller.png", "Gänseblümchen")]
    assert remarks == ["not UTF-8; read as Windows-1252, which Excel uses for CSV. Is the word 'Müller.png' correct?"]


def test_values_of_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    def labels(values: list) -> list[str | None]:
        table = pa.table({"path": [b"1.png", b"2.png"], "label": values, "box": [[1, 2], [3]]})
        pyarrow.parquet.write_table(table, tmp_path / "list.parquet")
        return [sample.label for sample in read_manifest(tmp_path / "list.parquet")]

    assert labels([1.0, 0.0]) == ["1", "0"]
    assert labels([1.5, 0.0]) == ["1.5", "0"]
    assert labels([True, False]) == ["True", "False"]
    assert labels([7, 8]) == ["7", "8"]
    assert labels([b"cat", "dög".encode()]) == ["cat", "dög"]
    for missing in (None, float("nan")):
        with pytest.raises(DatasetError, match="row 3: the label is missing; add a label or remove the row"):
            labels([1.0, missing])
    with pytest.raises(DatasetError, match="column 'label' of .* contains lists or records; expected text or numbers"):
        labels([["a"], ["b"]])


@pytest.mark.parametrize("as_struct", [True, False])
def test_parquet_with_images_is_an_error_that_does_not_print_them(tmp_path, as_struct):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    content = save_image(tmp_path / "1.png", (1, 2, 3)).read_bytes()
    image = {"bytes": content, "path": "1.png"} if as_struct else content
    pyarrow.parquet.write_table(pa.table({"image": [image], "label": [0]}), tmp_path / "list.parquet")
    for column in ("path", "image"):
        with pytest.raises(DatasetError) as caught:
            read_manifest(tmp_path / "list.parquet", column)
        assert "column image of" in str(caught.value)
        assert "contains images; expected paths. Write each image to a file" in str(caught.value)
        assert len(str(caught.value)) < 400


def test_scan_of_a_manifest(tmp_path):
    save_image(tmp_path / "x" / "1.png", (1, 2, 3))
    found = scan(manifest(tmp_path, TEXT))
    assert found.description == "2 classes (by list.csv): cat (1 image), dog (1); train (1), test (1)"
    assert [f.size >= 0 for f in found.images] == [True, False]  # the second does not exist: skipped later
    assert found.name == "list"


def test_no_file_of_a_manifest_exists(tmp_path):
    with pytest.raises(DatasetError, match="none of the 2 files in .* exists; the first is .*1.png"):
        scan(manifest(tmp_path, TEXT))


def test_images_written_as_text_are_not_printed(tmp_path):
    image, numbers, caption = "iVBORw0KGgo" + "A" * 5000, " ".join(["70"] * 2304), "a cat that sits " * 300
    for text, columns, message in (
        (f"path,label\n{image},a\n{image},b\n", {}, "1 image more than once, with different labels: iVBOR"),
        (f"emotion,pixels\n0,{numbers}\n", {"path_column": "pixels", "label_column": "emotion"}, "^no file in "),
        (f"path,label\n/{image},a\n", {}, "is outside the folder of the manifest"),
    ):
        with pytest.raises(DatasetError, match=message) as caught:
            scan(manifest(tmp_path, text), **columns)
        assert len(str(caught.value)) < 700
        assert "..." in str(caught.value)
    (tmp_path / "1.png").touch()
    found = scan(manifest(tmp_path, f"path,label\n1.png,{caption}\n2.png,{caption.upper()}\n"))
    assert len(found.description) + len(" ".join(found.remarks)) < 1200


def test_label_by_applies_only_to_folders(tmp_path):
    with pytest.raises(DatasetError, match="`label_by=top` applies only to folders"):
        scan(manifest(tmp_path, TEXT), label_by="top")


def test_files_are_found_by_names_that_are_spelled_differently(tmp_path):
    for name in (unicodedata.normalize("NFD", "ä/Löwe.png"), "plain.png", "Big.PNG", "id7.jpg", "x/y.z.tif"):
        save_image(tmp_path / name, (1, 2, 3))
    rows = "ä/Löwe.png,a\nplain.png,a\nbig.png,b\nid7,b\nx/y.z,b\ngone.png,b\n"
    found = scan(manifest(tmp_path, unicodedata.normalize("NFC", f"path,label\n{rows}")))
    assert [Path(one.address).name for one in found.images if one.size < 0] == ["gone.png"]
    assert {Path(one.address).name for one in found.images} >= {"plain.png", "Big.PNG", "id7.jpg", "y.z.tif"}
    assert found.remarks == (
        "1 name in other upper and lower case than the file: big.png is Big.PNG",
        "2 names without the ending of the file: id7 is id7.jpg, x/y.z is x/y.z.tif",
    )


def test_names_that_match_several_files_are_not_resolved(tmp_path):
    for name in ("id7.jpg", "id7.png", "1.png"):
        save_image(tmp_path / name, (1, 2, 3))
    found = scan(manifest(tmp_path, "path,label\nid7,a\n1.png,b\n"))
    assert [(one.sample.sample_id, one.size < 0) for one in found.images] == [("1.png", False), ("id7", True)]


def test_two_spellings_of_one_file_are_one_image(tmp_path):
    save_image(tmp_path / "1.png", (1, 2, 3))
    assert len(scan(manifest(tmp_path, "path,label\n1,a\n1.png,a\n")).images) == 1
    with pytest.raises(DatasetError, match=r"lists 1 image more than once, with different labels: 1.png \(a, b\)"):
        scan(manifest(tmp_path, "path,label\n1,a\n1.png,b\n"))


def test_the_error_names_the_folder_that_contains_the_files(tmp_path):
    save_image(tmp_path / "train" / "id7.jpg", (1, 2, 3))
    with pytest.raises(
        DatasetError, match=r"train/id7.jpg exists: move the manifest into train, or write train/ before"
    ):
        scan(manifest(tmp_path, "path,label\nid7,a\nid8,b\n"))


def test_labels_that_differ_only_in_spelling_are_reported(tmp_path):
    for i in range(3):
        save_image(tmp_path / f"{i}.png", (1, 2, 3))
    found = scan(manifest(tmp_path, "path,label\n0.png,ANGER\n1.png,anger\n2.png,NA\n"))
    assert found.remarks == (
        "classes 'ANGER' and 'anger' differ only in spelling; if they are the same class, give the labels one name",
        "class 'NA' may stand for a missing value; if it does, remove the images of this class",
    )


def test_lists_for_prediction_need_no_labels(tmp_path):
    for i in (1, 2):
        save_image(tmp_path / "x" / f"{i}.png", (1, 2, 3))
    for text in (
        "path\nx/2.png\nx/1.png\n",
        "path,label\nx/2.png,\nx/1.png,cat\n",
        "image,kind\nx/2.png,nan\nx/1.png,cat\n",
        "x/2.png\nx/1.png\n",
        "x/2.png 1\nx/1.png 0\n",
        "name\nx/2.png\nx/1.png\n",
    ):
        assert read_paths(manifest(tmp_path, text)) == ["x/2.png", "x/1.png"]
    with pytest.raises(DatasetError, match="no column 'path'; its columns are a, b. Choose one with `path_column`"):
        read_paths(manifest(tmp_path, "a,b\n1,2\n"))
    assert read_paths(manifest(tmp_path, "a,b\n1,x/2.png\n2,x/1.png\n"), "b") == ["x/2.png", "x/1.png"]
    with pytest.raises(DatasetError, match="row 2: /etc/1.png is outside the folder of the manifest"):
        read_paths(manifest(tmp_path, "path\n/etc/1.png\n"))


def test_paths_that_are_too_long_for_the_system(tmp_path):
    save_image(tmp_path / "1.png", (1, 2, 3))
    with pytest.raises(DatasetError, match="row 2: /xxx.* is outside the folder of the manifest"):
        read_manifest(manifest(tmp_path, f"path,label\n/{'x' * 300}/2.png,cat\n"))
    found = scan(manifest(tmp_path, f"path,label\n{'x' * 300}/2.png,cat\n1.png,dog\n"))
    assert [one.size < 0 for one in found.images] == [False, True]


def test_both_missing_columns_are_reported_together(tmp_path):
    message = "neither a column 'path' nor a column 'label'; its columns are Bild, Art. Choose two"
    with pytest.raises(DatasetError, match=message):
        read_manifest(manifest(tmp_path, "Bild;Art\n1.png;a\n"))


def test_ignored_blanks_around_labels_are_reported(tmp_path):
    remarks = []
    path = manifest(tmp_path, "path,label\n1.png,a\n2.png,a \n3.png, b\n")
    assert {sample.label for sample in read_manifest(path, remark=remarks.append)} == {"a", "b"}
    assert remarks == ["blanks around labels are ignored: 'a '"]
