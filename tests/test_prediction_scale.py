"""Predictions of any number of images: lists, folders of parts, and tables that later runs extend."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import installed, make_classes, save_image
from typer.testing import CliRunner

from featx import files
from featx.cli.app import app
from featx.dataset import stream_lines
from featx.errors import DatasetError, DatasetNotFoundError, ImageError, OptionError, OutputError
from featx.extraction import extract, featurizing
from featx.fitting import fit
from featx.prediction import load, predict
from featx.prediction import parts as parts_module
from featx.prediction.known import KnownRows, row_keys
from featx.prediction.parts import MARKER, RECORD
from featx.prediction.record import TableRecord
from featx.prediction.writing import WRITERS, ParquetWriter

parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    images = make_classes(folder / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 12)
    with installed(folder) as fake:
        fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime).save(folder / "model.featx")
    return folder / "model.featx"


@pytest.fixture
def model(fake, model_file):
    return load(model_file)


@pytest.fixture
def new(tmp_path, monkeypatch):
    """Return a folder of seven images (one of them truncated), relative to the working folder."""
    folder = make_classes(tmp_path / "new", {"x": (210, 45, 45), "y": (20, 50, 210)}, 3)
    (folder / "x" / "torn.png").write_bytes((folder / "x" / "x-00.png").read_bytes()[:50])
    monkeypatch.chdir(tmp_path)
    return Path("new")


@pytest.fixture
def small(monkeypatch):
    """Make blocks of two images."""
    monkeypatch.setattr(featurizing, "IMAGES_A_BLOCK", 2)


def rows_of(table: Path) -> list[dict]:
    """Return the rows of a table in any format, with texts for all values of a CSV file."""
    if table.suffix == ".csv":
        with table.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    if table.suffix == ".jsonl":
        return [json.loads(line) for line in table.read_text().splitlines()]
    if table.is_dir():
        return [row for part in sorted(table.glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]
    return parquet.read_table(table).to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files of a folder, without the lock file."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def add(folder: Path, *names: str) -> None:
    for name in names:
        save_image(folder / name, (200, 60, 50), seed=zlib.crc32(name.encode()))


# Lists


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"new/x/x-00.png\nnew/y/y-00.png\n", ["x-00.png", "y-00.png"]),
        (b"\xef\xbb\xbfnew/x/x-00.png\r\n\r\nnew/y/y-00.png", ["x-00.png", "y-00.png"]),
        (b"new/x/x-00.png\0new/y/y-00.png\0", ["x-00.png", "y-00.png"]),
        (b"./new//x/x-00.png\nnew/x/../y/y-00.png\n", ["x-00.png", "y-00.png"]),
        (b"# no comment\nnew/x/x-00.png\n", ["# no comment", "x-00.png"]),
        (b"new/x/x-00.png\nnew/x/x-00.png\n", ["x-00.png", "x-00.png"]),
    ],
)
def test_a_list_of_paths(fake, model, new, tmp_path, content, names):
    (tmp_path / "list").write_bytes(content)
    rows = predict(model, files_from="list", runtime=fake.runtime).to_dict()["rows"]
    assert [Path(row["path"]).name for row in rows] == names
    assert [row["status"] for row in rows] == ["skipped" if name[0] == "#" else "ok" for name in names]


def test_paths_of_a_list_are_relative_to_its_folder_and_may_be_absolute(fake, model, new, tmp_path):
    outside = save_image(tmp_path / "elsewhere" / "one.png", (200, 50, 40))
    (tmp_path / "new" / "list.txt").write_text(f"x/x-00.png\n../elsewhere/one.png\n{outside}\nx\n")
    rows = predict(model, "new/y/y-00.png", files_from="new/list.txt", runtime=fake.runtime).rows
    assert [(row[0], row[3]) for row in rows] == [
        ("new/y/y-00.png", "ok"),
        ("new/x/x-00.png", "ok"),
        ("new/../elsewhere/one.png", "ok"),
        (outside.as_posix(), "ok"),
        ("new/x", "skipped"),
    ]
    assert rows[-1][5] == "a folder, not a file"


@pytest.mark.skipif(sys.platform == "darwin", reason="this file system does not allow such names")
def test_names_that_are_not_utf8_and_names_with_blanks(fake, model, new, tmp_path):
    odd = os.fsdecode(b"new/\xff odd .png ")
    save_image(tmp_path / odd, (200, 50, 40))
    (tmp_path / "list").write_bytes(os.fsencode(odd) + b"\n")
    assert [(row[0], row[3]) for row in predict(model, files_from="list", runtime=fake.runtime).rows] == [(odd, "ok")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("new/x.png".encode("utf-16"), "list is UTF-16; expected a list in UTF-8, with one path a line"),
        (b"new/gone.png\nalso gone\n", "no file of the 2 paths in list exists; the first is new/gone.png. Relative"),
        (b"a" * 10_001 + b"\n", "list, line 1: the path has more than 10,000 bytes"),
        (b"new/x/x-00.png\n" + b"a" * 20_000, "list, line 2: the path has more than 10,000 bytes"),
        (b"\n\r\n", "list lists no images"),
        (b"", "list lists no images"),
    ],
)
def test_lists_that_cannot_be_used(fake, model, new, tmp_path, content, message):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        predict(model, files_from="list", runtime=fake.runtime)


def test_a_list_that_cannot_be_opened(fake, model, new):
    with pytest.raises(DatasetNotFoundError, match="`files_from=gone`: no such file; give an existing list of paths"):
        predict(model, files_from="gone", runtime=fake.runtime)
    with pytest.raises(DatasetError, match="`files_from=new` cannot be read: Is a directory"):
        predict(model, files_from="new", runtime=fake.runtime)
    with pytest.raises(OptionError, match="no images are given; give paths, or a list of paths with `files_from`"):
        predict(model, runtime=fake.runtime)


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_is_read_relative_to_the_working_folder(fake, model, new, tmp_path):
    (tmp_path / "far").mkdir()
    os.mkfifo(tmp_path / "far" / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "far" / "pipe").write_text("new/x/x-00.png\n"))
    writer.start()
    rows = predict(model, files_from="far/pipe", runtime=fake.runtime).rows
    writer.join()
    assert [(row[0], row[3]) for row in rows] == [("new/x/x-00.png", "ok")]


def test_the_standard_input(new):
    """A process of its own, because the list is read from the file descriptor."""
    code = "from featx.dataset import stream_lines; print([list(d.images) for d in stream_lines('-', 9)])"
    given = "new/x/x-00.png\r\nnew/y/y-01.png\n"
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=True)
    assert "sample_id='new/x/x-00.png'" in done.stdout
    assert done.stdout.count("LocalFolder") == 2


def test_a_list_is_read_in_blocks(new, tmp_path):
    path = tmp_path / "list"
    path.write_text("new/x/x-00.png\n" * 3)
    blocks = stream_lines(path, 2)
    sizes = [len(next(blocks).images)]
    sizes += [len(block.images) for block in blocks]
    assert sizes == [2, 1]


# Blocks


def test_rows_do_not_depend_on_the_size_of_blocks(fake, model, new, tmp_path, monkeypatch):
    (tmp_path / "list.csv").write_text("path\nnew/x/x-00.png\nnew/x/gone.png\nnew/y/y-00.png\nnew/y/y-00.png\n")
    (tmp_path / "lines").write_text("new/y/y-01.png\nnew/y/y-02.png\nnew/x/x-02.png\n")
    given = [new, "list.csv", "new/x/torn.png", "new/x/x-01.png"]
    whole = predict(model, given, files_from="lines", runtime=fake.runtime)
    assert len(whole.rows) == 7 + 4 + 2 + 3
    for size in (1, 2, 3):
        monkeypatch.setattr(featurizing, "IMAGES_A_BLOCK", size)
        for no_cache in (False, True):
            done = predict(model, given, files_from="lines", no_cache=no_cache, runtime=fake.runtime)
            assert done.rows == whole.rows
            counts = (done.n_images, done.n_predicted, done.n_skipped, done.n_new, done.n_kept)
            assert counts == (16, 13, 3, 16, 0)


def test_a_folder_in_blocks_has_one_snapshot(fake, model, images, new, small):
    extract(images, "quadrants", runtime=fake.runtime)
    predict(model, new, runtime=fake.runtime)
    n_computed = fake.n_computed
    before = {path.name: path.read_bytes() for path in (fake.runtime.cache / "datasets").iterdir()}
    reads = []
    runtime = replace(fake.runtime, progress=lambda *at: reads.append(at))
    predict(model, new, runtime=runtime)
    assert fake.n_computed == n_computed
    assert {path.name: path.read_bytes() for path in (fake.runtime.cache / "datasets").iterdir()} == before
    done = [at for at in reads if at[0] == "extracting features"]
    assert done[-1] == ("extracting features", 7, 7)
    assert [at[1] for at in done] == sorted(at[1] for at in done)


def test_a_folder_without_usable_images_is_refused_after_all_blocks(fake, model, tmp_path, small):
    (tmp_path / "texts").mkdir()
    for name in "abcde":
        (tmp_path / "texts" / f"{name}.doc").write_text("text")
    with pytest.raises(DatasetError, match=r"texts contains no images .* only a.doc, b.doc, ..."):
        predict(model, tmp_path / "texts", runtime=fake.runtime)


def test_files_that_are_not_images_are_counted_in_blocks(fake, model, new, small):
    for name in ("a.doc", "x/z.doc", "z/1.doc", "z/2.doc"):
        (new / name).parent.mkdir(exist_ok=True)
        (new / name).write_text("text")
    assert predict(model, new, runtime=fake.runtime).n_ignored == 4


# A folder of parts


def test_a_folder_of_parts(fake, model, new, tmp_path, small):
    whole = predict(model, new, runtime=fake.runtime).to_dict()["rows"]
    done = predict(model, new, "scores", runtime=fake.runtime)
    assert sorted(os.listdir("scores")) == [
        ".lock", MARKER, RECORD, *(f"part-0000{number}.parquet" for number in range(4)),
    ]  # fmt: skip
    assert (done.n_parts, done.n_new, done.n_kept, done.n_images, done.n_skipped) == (4, 7, 0, 7, 1)
    rows = rows_of(tmp_path / "scores")
    hashes = [row.pop("content_hash") for row in rows]
    assert rows == whole
    assert hashes == [hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest() for row in rows]
    dataset = pytest.importorskip("pyarrow.dataset").dataset("scores")
    assert [row["path"] for row in dataset.to_table().to_pylist()] == [row["path"] for row in whole]
    with pytest.raises(OutputError, match="scores exists and is complete; add `only_new=True` to append"):
        predict(model, new, "scores", runtime=fake.runtime)
    again = predict(model, [new / "x"], "scores", overwrite=True, top_k=2, runtime=fake.runtime)
    assert (again.n_parts, len(rows_of(tmp_path / "scores"))) == (2, 4)


def test_a_stopped_run_continues(fake, model, new, tmp_path, small, monkeypatch):
    predict(model, new, "whole", runtime=fake.runtime)
    write, written = parts_module._write_part, []

    def stop_at_the_third(*given):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(write(*given))
        return written[-1]

    monkeypatch.setattr(parts_module, "_write_part", stop_at_the_third)
    message = r"part-00002.parquet cannot be written: No space left on device. Complete parts and computed features are"
    with pytest.raises(OutputError, match=message):
        predict(model, new, "scores", runtime=fake.runtime)
    assert sorted(os.listdir("scores")) == [".lock", RECORD, "part-00000.parquet", "part-00001.parquet"]
    before = {name: os.stat(f"scores/{name}").st_mtime_ns for name in ("part-00000.parquet", "part-00001.parquet")}
    monkeypatch.setattr(parts_module, "_write_part", write)
    done = predict(model, new, "scores", runtime=fake.runtime)
    assert {name: os.stat(f"scores/{name}").st_mtime_ns for name in before} == before
    assert (done.n_images, done.n_kept, done.n_new, done.n_skipped, done.n_parts) == (7, 4, 3, 1, 4)
    ours, theirs = contents(tmp_path / "scores"), contents(tmp_path / "whole")
    assert ours == theirs


def test_a_stopped_run_continues_only_with_the_same_model_options_and_inputs(fake, model, new, images, small):
    predict(model, new, "scores", runtime=fake.runtime)
    os.unlink(f"scores/{MARKER}")
    other = fit(extract(images, "quadrants", runtime=fake.runtime), params={"C": 0.01}, runtime=fake.runtime)
    spec = replace(model, spec=replace(model.spec, resize="squash"))
    start = "scores cannot be continued: "
    for classifier, given, options, message in [
        (other, new, {}, r"another model wrote it \(.*\); start again with `overwrite=True`"),
        (spec, new, {}, "another model wrote it"),
        (model, new, {"top_k": 2}, "it was written with `top_k=1`; this run has `top_k=2`"),
        (model, new, {"reject_rate": 0.2}, "it was written with no `reject_rate`; this run has `reject_rate=0.2`"),
        (model, [new / "x"], {}, r"it is not complete, and its inputs are .*/new, not .*/new/x; start again with"),
        (model, [new / "x"], {"only_new": True}, "it is not complete, and its inputs are"),
    ]:
        with pytest.raises(OutputError, match=start + message):
            predict(classifier, given, "scores", runtime=fake.runtime, **options)
    assert predict(model, "./new/", "scores", runtime=fake.runtime).n_kept == 7
    record = json.loads(Path("scores", RECORD).read_text())
    for change, message in [
        ({"features": "{}"}, r"its features have the feature spec \{\}; this run computes "),
        ({"columns": ["path"]}, "its columns are path; this run writes path, label"),
    ]:
        Path("scores", RECORD).write_text(json.dumps(record | change))
        with pytest.raises(OutputError, match=start + message):
            predict(model, new, "scores", only_new=True, runtime=fake.runtime)


def test_parts_whose_images_changed_are_predicted_again(fake, model, new, tmp_path, small):
    predict(model, new, "scores", runtime=fake.runtime)
    os.unlink(f"scores/{MARKER}")
    save_image(tmp_path / "new" / "y" / "y-02.png", (200, 40, 40))
    os.unlink("new/y/y-00.png")
    done = predict(model, new, "scores", runtime=fake.runtime)
    assert (done.n_images, done.n_kept, done.n_parts) == (6, 4, 3)
    assert any("part 2 of scores: its images have changed, and are predicted again" in one for one in fake.notices)
    predict(model, new, "fresh", runtime=fake.runtime)
    assert contents(tmp_path / "scores") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["truncated", "other columns", "no note"])
def test_parts_that_cannot_be_used_are_predicted_again(fake, model, new, tmp_path, small, damage):
    predict(model, new, "scores", runtime=fake.runtime)
    before = contents(tmp_path / "scores")
    os.unlink(f"scores/{MARKER}")
    part = tmp_path / "scores" / "part-00001.parquet"
    if damage == "truncated":
        part.write_bytes(part.read_bytes()[:100])
    else:
        writer = ParquetWriter(part, ["path"])
        if damage == "other columns":
            writer.note("featx.part", "{}")
        writer.close()
    assert predict(model, new, "scores", runtime=fake.runtime).n_kept == 5
    assert contents(tmp_path / "scores") == before


def test_folders_that_featx_did_not_make_are_refused(fake, model, new, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name, message in [
        ("mine", "`output=mine`: the folder is not empty and was not made by featx; choose another folder"),
        ("file", "`output=file` is not a folder; give a new folder for Parquet parts, or a name that ends in .csv"),
        ("gone/scores", "`output=gone/scores`: the folder gone does not exist; create it"),
        ("n" * 300, "File name too long"),
        ("file/scores", "`output=file/scores`: file is not a folder; choose another folder"),
    ]:
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=message):
                predict(model, new, name, overwrite=overwrite, runtime=fake.runtime)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"
    (tmp_path / "odd.csv").mkdir()
    with pytest.raises(OutputError, match=r"odd.csv` is not a file, which is never replaced"):
        predict(model, new, "odd.csv", runtime=fake.runtime)
    (tmp_path / "empty.parquet").mkdir()
    assert predict(model, new, "empty.parquet", runtime=fake.runtime).n_parts == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"made_by": "featx"}', '{"made_by": "featx", "format": "other"}'])
def test_a_damaged_record_is_refused(fake, model, new, content):
    predict(model, new, "scores", runtime=fake.runtime)
    Path("scores", RECORD).write_text(content)
    with pytest.raises(OutputError, match=r"scores cannot be continued: its record scores/_featx.json cannot be used"):
        predict(model, new, "scores", only_new=True, runtime=fake.runtime)


def test_records_with_other_values_are_refused(fake, model, new):
    predict(model, new, "scores", runtime=fake.runtime)
    path = Path("scores", RECORD)
    record = json.loads(path.read_text())
    for change in (
        {"format_version": 2},
        {"top_k": "1"},
        {"columns": [1]},
        {"pending": {".x.tmp": "../../etc/passwd"}},
        {"pending": {"part": 3}},
        {"reject_rate": "high"},
        {"folder": None},
    ):
        path.write_text(json.dumps(record | change))
        with pytest.raises(OutputError, match="cannot be continued"):
            predict(model, new, "scores", only_new=True, runtime=fake.runtime)
    path.write_text(json.dumps(record | {"pending": {"part-00000.parquet": "part-00009.parquet"}}))
    with pytest.raises(OutputError, match="_featx.json is damaged; start again with `overwrite=True`"):
        predict(model, new, "scores", only_new=True, runtime=fake.runtime)


def test_what_does_not_go_together(fake, model, new):
    for options, message in [
        ({"only_new": True}, "`only_new` requires `output`, the table that is extended; add `output=FILE`"),
        ({"output": "s.csv", "only_new": True, "gallery": "g.html"}, "`gallery` cannot be combined with `only_new`"),
        (
            {"output": "s", "sort_into": "d"},
            r"`sort_into` cannot be combined with a folder of Parquet files \(`output=s`",
        ),
    ]:
        with pytest.raises(OutputError, match=message):
            predict(model, new, runtime=fake.runtime, **options)
    assert fake.n_computed == 0


def test_strict_leaves_a_folder_of_parts_incomplete(fake, model, new, small):
    with pytest.raises(ImageError, match="`strict=True`: 1 image cannot be used: new/x/torn.png: truncated PNG"):
        predict(model, new, "scores", strict=True, runtime=fake.runtime)
    assert MARKER not in os.listdir("scores")
    assert predict(model, new, "scores", runtime=fake.runtime).n_kept == 7


# Only new images


TABLES = ["scores.csv", "scores.jsonl", "scores.parquet", "scores"]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("no_cache", [False, True])
def test_only_new_images_are_appended(fake, model, new, tmp_path, table, no_cache, small):
    def run():
        n_computed = fake.n_computed
        done = predict(model, new, table, only_new=True, no_cache=no_cache, runtime=fake.runtime)
        return done.n_images, done.n_new, done.n_kept, done.n_skipped, fake.n_computed - n_computed

    assert run() == (7, 7, 0, 1, 6)
    first = rows_of(tmp_path / table)
    before = contents(tmp_path / table) if table == "scores" else (tmp_path / table).read_bytes()
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob(f"{table}*")}
    assert run() == (7, 0, 7, 1, 0)
    assert (contents(tmp_path / table) if table == "scores" else (tmp_path / table).read_bytes()) == before
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob(f"{table}*")} == times or table == "scores"
    add(tmp_path / "new", "a.png", "y/y-00a.png")
    assert run() == (9, 2, 7, 1, 2)
    rows = rows_of(tmp_path / table)
    assert rows[:7] == first
    assert [row["path"] for row in rows[7:]] == ["new/a.png", "new/y/y-00a.png"]
    fresh = f"fresh{Path(table).suffix}"
    predict(model, new, fresh, only_new=True, runtime=fake.runtime)
    by_path = {row["path"]: row for row in rows}
    assert by_path == {row["path"]: row for row in rows_of(tmp_path / fresh)}
    assert len(by_path) == len(rows)


@pytest.mark.parametrize("table", TABLES)
def test_the_row_of_a_changed_file_is_replaced(fake, model, new, tmp_path, table, small):
    predict(model, new, table, only_new=True, runtime=fake.runtime)
    before = rows_of(tmp_path / table)
    save_image(tmp_path / "new" / "x" / "x-01.png", (10, 10, 200), size=(50, 50))
    save_image(tmp_path / "new" / "x" / "torn.png", (10, 10, 200), seed=9)
    (tmp_path / "new" / "y" / "y-02.png").unlink()  # the row remains
    os.utime(tmp_path / "new" / "y" / "y-00.png")  # the same content
    done = predict(model, new, table, only_new=True, runtime=fake.runtime)
    assert (done.n_images, done.n_new, done.n_kept, done.n_skipped) == (6, 2, 4, 0)
    assert "2 files have changed since the last run; the rows are replaced" in fake.notices
    rows = rows_of(tmp_path / table)
    paths = [row["path"] for row in rows]
    assert len(set(paths)) == len(paths) == 7
    assert sorted(paths) == sorted(row["path"] for row in before)
    changed = {"new/x/x-01.png": "blue", "new/x/torn.png": "blue"}
    assert {row["path"]: row["label"] for row in rows if row["path"] in changed} == changed
    assert [row for row in rows if row["path"] not in changed] == [row for row in before if row["path"] not in changed]
    assert predict(model, new, table, only_new=True, runtime=fake.runtime).n_new == 0


@pytest.mark.parametrize("table", ["scores.csv", "scores"])
def test_spellings_of_a_path_are_the_same_path(fake, model, new, tmp_path, table, monkeypatch):
    predict(model, [new, "new/x/x-00.png", tmp_path / "new"], table, only_new=True, runtime=fake.runtime)
    paths = [row["path"] for row in rows_of(tmp_path / table)]
    assert len(paths) == 7
    for given in ("./new/", tmp_path / "new", "new/../new", ["new", "new/x"]):
        assert predict(model, given, table, only_new=True, runtime=fake.runtime).n_new == 0
    (tmp_path / "lines").write_text("new/x/x-01.png\n./new//x/x-01.png\n")
    done = predict(model, [], table, files_from="lines", only_new=True, runtime=fake.runtime)
    assert (done.n_images, done.n_new) == (1, 0)
    monkeypatch.chdir(tmp_path / "new")
    assert predict(model, "x", tmp_path / table, only_new=True, runtime=fake.runtime).n_new == 0
    assert [row["path"] for row in rows_of(tmp_path / table)] == paths


def test_a_file_that_cannot_be_read_keeps_its_row_and_is_tried_again(fake, model, new, tmp_path):
    (tmp_path / "lines").write_text("new/x/x-00.png\nnew/late.png\n")
    predict(model, [], "scores.csv", files_from="lines", only_new=True, runtime=fake.runtime)
    assert [(row["status"], row["content_hash"] == "") for row in rows_of(tmp_path / "scores.csv")] == [
        ("ok", False),
        ("skipped", True),
    ]
    before = (tmp_path / "scores.csv").read_bytes()
    done = predict(model, [], "scores.csv", files_from="lines", only_new=True, runtime=fake.runtime)
    assert (done.n_new, done.n_kept, done.n_skipped) == (0, 2, 1)
    assert (tmp_path / "scores.csv").read_bytes() == before
    add(tmp_path / "new", "late.png")
    (tmp_path / "new" / "x" / "x-00.png").rename(tmp_path / "away.png")
    done = predict(model, [], "scores.csv", files_from="lines", only_new=True, runtime=fake.runtime)
    assert (done.n_new, done.n_kept, done.n_skipped) == (1, 1, 0)
    assert [row["status"] for row in rows_of(tmp_path / "scores.csv")] == ["ok", "ok"]


def test_another_model_or_another_table_is_refused(fake, model, new, images, tmp_path):
    predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    before = (tmp_path / "scores.csv").read_bytes()
    other = fit(extract(images, "quadrants", runtime=fake.runtime), params={"C": 0.01}, runtime=fake.runtime)
    trees = fit(extract(images, "quadrants", runtime=fake.runtime), head="knn", runtime=fake.runtime)
    for one in (other, trees):
        with pytest.raises(
            OutputError, match=r"scores.csv cannot be continued: another model wrote it \(.*\); start ag"
        ):
            predict(one, new, "scores.csv", only_new=True, runtime=fake.runtime)
    with pytest.raises(OutputError, match="it was written with `top_k=1`; this run has `top_k=2`"):
        predict(model, new, "scores.csv", only_new=True, top_k=2, runtime=fake.runtime)
    assert (tmp_path / "scores.csv").read_bytes() == before
    predict(model, new, "plain.csv", runtime=fake.runtime)
    with pytest.raises(
        OutputError, match=r"plain.csv cannot be continued: it was not started with `only_new`, so that"
    ):
        predict(model, new, "plain.csv", only_new=True, runtime=fake.runtime)
    predict(model, new, "plain.csv", only_new=True, overwrite=True, runtime=fake.runtime)
    assert predict(model, new, "plain.csv", only_new=True, runtime=fake.runtime).n_new == 0
    predict(trees, new, "trees.csv", only_new=True, runtime=fake.runtime)
    trees.save(tmp_path / "trees.featx")
    assert predict("trees.featx", new, "trees.csv", only_new=True, runtime=fake.runtime).n_new == 0
    (tmp_path / "mine.csv").write_text("a,b\n")
    with pytest.raises(OutputError, match="mine.csv exists and is never replaced, because featx did not write it"):
        predict(model, new, "mine.csv", only_new=True, runtime=fake.runtime)
    (tmp_path / "taken.csv.json").write_text("{}")
    with pytest.raises(
        OutputError, match=r"taken.csv.json exists and is never replaced, because featx did not write it"
    ):
        predict(model, new, "taken.csv", only_new=True, runtime=fake.runtime)


@pytest.mark.parametrize(
    ("old", "changed"),
    [
        ("content_hash\n", "hash\n"),
        (",ok,", ",fine,"),
        (",ok,", ",ok,1,"),
        (",ok,", ',ok,"'),
        ("0\n", "zz\n"),
    ],
)
def test_a_table_that_another_program_changed_is_refused(fake, model, new, tmp_path, old, changed):
    predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    path = tmp_path / "scores.csv"
    text = path.read_text()
    if old == "0\n":
        path.write_text(text[:-3] + "zz\n")
    else:
        path.write_text(text.replace(old, changed, 1))
    with pytest.raises(OutputError, match=r"scores.csv cannot be continued: it was changed by another program \("):
        predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)


def test_a_table_without_a_last_line_end_is_continued(fake, model, new, tmp_path):
    predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    path = tmp_path / "scores.csv"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    add(tmp_path / "new", "a.png")
    assert predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime).n_new == 1
    assert len(rows_of(path)) == 8


@pytest.mark.skipif(sys.platform == "darwin", reason="this file system does not allow such names")
@pytest.mark.parametrize("table", TABLES)
def test_odd_names_are_known_again(fake, model, new, tmp_path, table):
    for name in (b"=1.png", b"\xff.png", b"a\nb.png", b'q"u,o.png', "é.png".encode()):
        save_image(tmp_path / os.fsdecode(name), (200, 50, 40), seed=len(name))
    given = sorted(path.name for path in tmp_path.glob("*.png"))
    done = predict(model, given, table, only_new=True, runtime=fake.runtime)
    assert (done.n_new, done.n_skipped) == (5, 0)
    assert predict(model, given, table, only_new=True, runtime=fake.runtime).n_new == 0
    save_image(tmp_path / os.fsdecode(b"\xff.png"), (20, 50, 240))
    assert predict(model, given, table, only_new=True, runtime=fake.runtime).n_new == 1
    assert len(rows_of(tmp_path / table)) == 5
    assert predict(model, given, table, only_new=True, runtime=fake.runtime).n_new == 0


def test_a_failure_leaves_the_old_table(fake, model, new, tmp_path, monkeypatch):
    predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    before = contents_of_files(tmp_path)
    add(tmp_path / "new", "a.png")

    class Full(WRITERS[".csv"]):
        def write(self, rows):
            raise OSError(28, "No space left on device")

    monkeypatch.setitem(WRITERS, ".csv", Full)
    with pytest.raises(OutputError, match=r"scores.csv cannot be written: No space left on device. The table is unch"):
        predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    assert contents_of_files(tmp_path) == before


def contents_of_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("kill_at", range(8))
def test_a_killed_change_of_parts_is_finished(fake, model, new, tmp_path, small, monkeypatch, kill_at):
    """Killed before each of the steps that replace the parts; the marker stands only beside the old or the new rows."""
    predict(model, new, "scores", runtime=fake.runtime)
    old = rows_of(tmp_path / "scores")
    for name in ("x/x-00.png", "y/y-02.png"):
        save_image(tmp_path / "new" / name, (10, 10, 200), size=(50, 50))
    steps = []

    class KilledError(BaseException):
        pass

    def counted(function):
        def run(*given, **named):
            steps.append(function.__name__)
            if len(steps) > kill_at:
                raise KilledError
            return function(*given, **named)

        return run

    with monkeypatch.context() as patch:
        for name in ("_sync", "replace_file"):
            patch.setattr(parts_module, name, counted(getattr(parts_module, name)))
        patch.setattr(parts_module.os, "replace", counted(os.replace))
        patch.setattr(parts_module, "temporary_file", surviving)
        with pytest.raises(KilledError):
            predict(model, new, "scores", only_new=True, runtime=fake.runtime)
    if MARKER in os.listdir("scores"):
        assert rows_of(tmp_path / "scores") == old
    done = predict(model, new, "scores", only_new=True, runtime=fake.runtime)
    assert done.n_new + done.n_kept == done.n_images == 7
    rows = rows_of(tmp_path / "scores")
    assert sorted(row["path"] for row in rows) == sorted(row["path"] for row in old)
    assert {row["path"]: row["label"] for row in rows}["new/x/x-00.png"] == "blue"
    assert not list((tmp_path / "scores").glob(".*.tmp"))
    assert MARKER in os.listdir("scores")


def surviving(path):
    """Return a temporary file that remains after an exception, as after a kill."""

    @contextlib.contextmanager
    def made():
        yield files._new_temporary(path)

    return made()


def test_two_runs_at_once_lose_and_double_nothing(fake, model, new, tmp_path):
    predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    add(tmp_path / "new", "a.png", "b.png")
    model.save(tmp_path / "m.featx")
    done = []

    def run():
        done.append(predict("m.featx", new, "scores.csv", only_new=True, no_cache=True, runtime=fake.runtime))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.n_new for one in done) == [0, 2]
    assert "another run is writing scores.csv; waiting for it to finish" in fake.notices
    assert len(rows_of(tmp_path / "scores.csv")) == 9


def test_a_lock_file_that_is_a_link_is_refused(fake, model, new, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".scores.csv.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match=r"scores.csv cannot be locked: .*lock is not a regular file; choose another"):
        predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_quiet_night(fake, model, new, tmp_path):
    """An empty list is an error for a new table, but nothing new for an existing one."""
    (tmp_path / "lines").write_text("")
    with pytest.raises(DatasetError, match="lines lists no images"):
        predict(model, [], "scores.csv", files_from="lines", runtime=fake.runtime)
    predict(model, new, "scores.csv", only_new=True, runtime=fake.runtime)
    before = (tmp_path / "scores.csv").read_bytes()
    done = predict(model, [], "scores.csv", files_from="lines", only_new=True, runtime=fake.runtime)
    assert (done.n_images, done.n_new, done.fault) == (0, 0, "")
    assert (tmp_path / "scores.csv").read_bytes() == before


def test_the_command(fake, model, new, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    model.save(tmp_path / "m.featx")
    (tmp_path / "lines").write_text("new/x/x-00.png\n")

    def run(*words):
        done = CliRunner().invoke(app, ["predict", "m.featx", *words])
        return done.exit_code, done.output

    code, text = run("new", "-o", "scores", "--only-new")
    assert code == 0
    assert "table      scores  (1 part)\n" in text
    code, text = run("new", "-o", "scores", "--only-new")
    assert code == 0
    assert "table has  no new images; 7 rows were kept\n" in text
    code, text = run("--files-from", "lines", "--json")
    assert json.loads(text.splitlines()[-1])["n_images"] == 1
    code, text = run("--files-from", "lines")
    assert "--files-from lines --gallery gallery.html" in text
    assert run()[0] == 2
    code, text = run("new", "--only-new")
    assert code == 2
    assert "--only-new requires --output" in text.replace("-o", "--output") or "--only-new requires -o" in text


# Archives and addresses


def zipped(folder: Path, name: str = "new.zip") -> Path:
    """Pack a folder into a zip file, of an earlier date."""
    path = folder.with_name(name)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_a_folder_of_parts_of_an_archive(fake, model, new, tmp_path, small, monkeypatch):
    predict(model, new, "whole.csv", runtime=fake.runtime)
    expected = [
        row | {"path": f"zip://{row['path'].removeprefix('new/')}::new.zip"} for row in rows_of(Path("whole.csv"))
    ]
    zipped(new)
    done = predict(model, "new.zip", "scores", runtime=fake.runtime)
    assert (done.n_images, done.n_skipped, done.n_parts) == (7, 1, 4)
    found = rows_of(Path("scores"))
    for name in ("path", "label", "status", "reason"):
        assert [row[name] for row in found] == [row[name] for row in expected]
    before = contents(tmp_path / "scores")
    os.unlink(f"scores/{MARKER}")
    os.unlink("scores/part-00001.parquet")
    done = predict(model, str(tmp_path / "new.zip"), "others", runtime=fake.runtime)
    assert done.n_kept == 0
    done = predict(model, "new.zip", "scores", runtime=fake.runtime)  # continues
    assert (done.n_kept, done.n_new) == (5, 2)
    assert contents(tmp_path / "scores") == before


@pytest.mark.parametrize("table", ["scores.csv", "scores"])
def test_only_new_members_of_an_archive_are_appended(fake, model, new, tmp_path, table, small):
    zipped(new)
    assert predict(model, "new.zip", table, only_new=True, runtime=fake.runtime).n_new == 7
    done = predict(model, ["./new.zip", tmp_path / "new.zip"], table, only_new=True, runtime=fake.runtime)
    assert (done.n_new, done.n_kept) == (0, 7)
    add(tmp_path / "new", "x/x-05.png", "y/y-01.png")  # one member is new, another one has changed
    zipped(new)
    done = predict(model, "new.zip", table, only_new=True, runtime=fake.runtime)
    assert (done.n_images, done.n_new, done.n_kept) == (8, 2, 6)
    rows = {row["path"]: row["label"] for row in rows_of(Path(table))}
    assert len(rows) == len(rows_of(Path(table))) == 8
    predict(model, "new.zip", "fresh.jsonl", runtime=fake.runtime)
    assert rows == {row["path"]: row["label"] for row in rows_of(Path("fresh.jsonl"))}


def test_lists_name_members_of_archives_and_lie_in_archives(fake, model, new, tmp_path):
    (new / "list.txt").write_text("x/x-00.png\n./y/../y/y-00.png\n../y/y-00.png\n")
    zipped(new)
    (tmp_path / "list").write_text("zip://x/x-00.png::new.zip\nnew/x/x-00.png\nzip://gone.png::new.zip\n")
    rows = predict(model, files_from="list", runtime=fake.runtime).rows
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("zip://x/x-00.png::new.zip", "red", "ok"),
        ("new/x/x-00.png", "red", "ok"),
        ("zip://gone.png::new.zip", "", "skipped"),
    ]
    rows = predict(model, files_from="zip://list.txt::new.zip", runtime=fake.runtime).rows
    assert [(row[0], row[3]) for row in rows] == [
        ("zip://x/x-00.png::new.zip", "ok"),
        ("zip://y/y-00.png::new.zip", "ok"),
        ("zip://../y/y-00.png::new.zip", "skipped"),
    ]
    with pytest.raises(DatasetError, match="`files_from=zip://gone.txt::new.zip`"):
        predict(model, files_from="zip://gone.txt::new.zip", runtime=fake.runtime)


def test_a_manifest_in_blocks_names_members_of_archives(fake, model, new, tmp_path, small):
    zipped(new)
    names = [f"zip://x/x-0{i}.png::new.zip" for i in range(3)]
    (tmp_path / "list.csv").write_text("\n".join(["path", "new/y/y-00.png", *names, ""]))
    rows = predict(model, "list.csv", runtime=fake.runtime).rows
    assert [(row[0], row[3]) for row in rows] == [(name, "ok") for name in ("new/y/y-00.png", *names)]


def test_the_record_of_a_table_has_no_credentials(fake, model, new):
    given = ["https://example.org/a.zip?Signature=secret", "zip://x::new.zip", "new"]
    record = TableRecord.of(model, "m", model.spec, (), (1, None), given)
    here = Path.cwd()
    assert record.inputs == ("https://example.org/a.zip", f"zip://x::{here}/new.zip", f"{here}/new")


@pytest.mark.parametrize("options", [{"output": "s3://b/t.csv"}, {"output": "s3://b/t"}, {"gallery": "gs://b/g.html"}])
def test_outputs_are_local(fake, model, new, options):
    with pytest.raises(OutputError, match=r"^`\w+=\w+://b/\S+` is an address, but outputs are written to local folder"):
        predict(model, new, runtime=fake.runtime, **options)
    assert not {"s3:", "gs:"} & set(os.listdir())


def test_keys_of_paths():
    keys = row_keys(["a.png", "./a.png", "b/../a.png", "/w/a.png", "b.png"], "/w")
    assert len(set(keys.tolist())) == 2
    known = KnownRows(1)
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(1000)]
    for start in range(0, 1000, 10):
        known.add(row_keys(names[start : start + 10], "/"), np.full((10, 1), start // 10, np.uint8))
    chosen = rng.permutation(1000)
    found, values = known.find(row_keys([names[i] for i in chosen], "/"))
    assert found.all()
    assert values[:, 0].tolist() == [i // 10 for i in chosen]
    assert not known.find(row_keys(["x.png"], "/"))[0].any()
    assert not KnownRows().find(row_keys(["x.png"], "/"))[0].any()
    keys = row_keys(
        ["zip://a.png::/w/x.zip", "zip://a.png::x.zip", "zip://a.png::b/../x.zip", "zip://b.png::x.zip"], "/w"
    )
    assert len(set(keys.tolist())) == 2
    keys = row_keys(["s3://b/a.png", "S3://b/a.png", "s3://b//a.png", "s3://b/./a.png", "s3://c/a.png"], "/w")
    assert len(set(keys.tolist())) == 4  # object storage has names such as "/a.png" and "."
