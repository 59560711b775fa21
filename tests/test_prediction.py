"""Tables of predictions: every image is listed, no file is overwritten, and no file is incomplete."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_classes, save_image
from typer.testing import CliRunner

from featx import table as table_module
from featx.cli.app import app
from featx.cli.wording import in_options
from featx.errors import (
    ClassifierError,
    DatasetError,
    DatasetNotFoundError,
    ImageError,
    OutputError,
    SpecError,
    WeightsError,
)
from featx.extraction import extract
from featx.fitting import fit
from featx.prediction import predict, sorting
from featx.prediction.writing import WRITERS
from featx.source import OUTPUT_TAG

COLUMNS = ["path", "label", "confidence", "status", "seen", "reason", "p_blue", "p_red"]


@pytest.fixture
def model(fake, images):
    return fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime)


@pytest.fixture
def new(tmp_path):
    """Return a folder with two new images, a duplicate of a training image, a truncated image and a text file."""
    folder = make_classes(tmp_path / "new", {"x": (210, 45, 45), "y": (20, 50, 210)}, 1)
    shutil.copy(tmp_path / "set" / "red" / "red-00.png", folder / "x" / "known.png")
    (folder / "x" / "torn.png").write_bytes((folder / "x" / "x-00.png").read_bytes()[:50])
    (folder / "notes.txt").write_text("notes")
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv(fake, model, new, tmp_path):
    done = predict(model, new, tmp_path / "scores.csv", runtime=fake.runtime)
    rows = read_csv(tmp_path / "scores.csv")
    assert list(rows[0]) == COLUMNS
    assert [(Path(r["path"]).name, r["label"], r["status"], r["seen"]) for r in rows] == [
        ("known.png", "red", "ok", "true"),
        ("torn.png", "", "skipped", ""),
        ("x-00.png", "red", "ok", "false"),
        ("y-00.png", "blue", "ok", "false"),
    ]
    assert rows[1]["reason"].startswith("truncated PNG")
    assert rows[1]["confidence"] == rows[1]["p_red"] == ""
    assert float(rows[0]["confidence"]) == max(float(rows[0]["p_red"]), float(rows[0]["p_blue"]))
    assert (done.n_images, done.n_predicted, done.n_rejected, done.n_skipped) == (4, 3, 0, 1)
    assert (done.n_seen, done.n_ignored, done.output) == (1, 1, tmp_path / "scores.csv")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes, devices and links")
def test_paths_that_are_not_regular_files_are_skipped_or_a_clear_error(fake, model, new, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("circle", tmp_path / "circle")
    image = new / "x" / "x-00.png"
    done = predict(model, [tmp_path / "pipe.png", image, "/dev/zero"], runtime=fake.runtime)
    assert [(row["path"], row["status"], row["reason"]) for row in done.to_dict()["rows"]] == [
        ((tmp_path / "pipe.png").as_posix(), "skipped", "a named pipe, not a file"),
        (image.as_posix(), "ok", ""),
        ("/dev/zero", "skipped", "a device, not a file"),
    ]
    for path, reason in (
        (tmp_path / "circle", "Too many levels of symbolic links"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "a\0b", "the name contains a character that is not allowed in file names"),
    ):
        with pytest.raises(DatasetError, match=f"cannot be read: {reason}"):
            predict(model, [image, path], runtime=fake.runtime)
    with pytest.raises(DatasetNotFoundError, match="no such file or folder: .*x-00.png/below"):
        predict(model, image / "below", runtime=fake.runtime)


def test_json_lines_and_parquet_hold_the_same_rows(fake, model, new, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = predict(model, new, runtime=fake.runtime).to_dict()["rows"]
    predict(model, new, tmp_path / "scores.jsonl", runtime=fake.runtime)
    predict(model, new, tmp_path / "scores.parquet", runtime=fake.runtime)
    lines = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert parquet.read_table(tmp_path / "scores.parquet").to_pylist() == rows


def test_top_k(fake, model, new):
    done = predict(model, new, top_k=2, runtime=fake.runtime)
    assert done.columns == (*COLUMNS, "label_2", "confidence_2")
    first = done.to_dict()["rows"][0]
    assert (first["label"], first["label_2"]) == ("red", "blue")
    assert first["confidence"] + first["confidence_2"] == pytest.approx(1)
    with pytest.raises(OutputError, match="`top_k=3`: the model has 2 classes; expected a number from 1 to 2"):
        predict(model, new, top_k=3)


def test_the_backbone_runs_once_and_not_for_cached_images(fake, model, new):
    assert fake.n_computed == 24
    for _ in range(2):
        predict(model, new, runtime=fake.runtime)
        assert fake.n_computed == 26


def test_no_cache_leaves_no_trace(fake, model, new):
    before = {path: path.stat().st_mtime_ns for path in fake.runtime.cache.rglob("*")}
    assert predict(model, new, no_cache=True, runtime=fake.runtime).n_predicted == 3
    assert fake.n_computed == 24 + 3
    assert {path: path.stat().st_mtime_ns for path in fake.runtime.cache.rglob("*")} == before


def test_rows_do_not_depend_on_the_size_of_chunks(fake, model, new, monkeypatch):
    whole = predict(model, new, runtime=fake.runtime).rows
    monkeypatch.setattr(table_module, "CHUNK", 1)
    assert predict(model, new, runtime=fake.runtime).rows == whole


def test_files_and_folders_in_the_order_given(fake, model, new, tmp_path):
    one = save_image(tmp_path / "one.png", (220, 40, 40))
    text = tmp_path / "text.doc"
    text.write_text("no image")
    rows = predict(model, [one, text, new, one], runtime=fake.runtime).rows
    assert [Path(row[0]).name for row in rows] == [
        "one.png", "text.doc", "known.png", "torn.png", "x-00.png", "y-00.png", "one.png",
    ]  # fmt: skip
    assert rows[1][5].startswith("not an image")


def test_outputs_are_not_overwritten(fake, model, new, tmp_path):
    output = tmp_path / "scores.csv"
    output.write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="exists and is never replaced, because featx did not write it"):
            predict(model, new, output, overwrite=overwrite, runtime=fake.runtime)
    assert output.read_text() == "precious"
    output.unlink()
    predict(model, new, output, runtime=fake.runtime)
    with pytest.raises(OutputError, match="exists; add `overwrite=True` to replace it"):
        predict(model, new, output, runtime=fake.runtime)
    predict(model, new, output, top_k=2, overwrite=True, runtime=fake.runtime)
    assert len(read_csv(output)) == 4
    assert "label_2" in output.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [("scores.xls", "must end in .csv, .jsonl, .ndjson or .parquet"), ("none/scores.csv", "does not exist; create it")],
)
def test_invalid_outputs_are_refused_before_any_work(fake, model, new, tmp_path, name, message):
    with pytest.raises(OutputError, match=message):
        predict(model, new, tmp_path / name, runtime=fake.runtime)
    assert fake.n_computed == 24


def test_a_failure_leaves_no_incomplete_table(fake, model, new, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()

    class Full(WRITERS[".csv"]):
        def write(self, rows):
            raise OSError(28, "No space left on device")

    monkeypatch.setitem(WRITERS, ".csv", Full)
    with pytest.raises(OSError, match=r"scores.csv cannot be written: No space left on device"):
        predict(model, new, folder / "scores.csv", runtime=fake.runtime)
    assert os.listdir(folder) == []


def test_sort_into_class_folders(fake, model, new, tmp_path):
    target = tmp_path / "sorted"
    predict(model, new, sort_into=target, runtime=fake.runtime)
    found = {path.relative_to(target).as_posix() for path in target.rglob("*.png")}
    assert found == {"red/known.png", "red/x-00.png", "blue/y-00.png"}
    assert (target / "red" / "x-00.png").read_bytes() == (new / "x" / "x-00.png").read_bytes()
    assert (target / OUTPUT_TAG).exists()
    with pytest.raises(OutputError, match="the folder is not empty; add `overwrite=True`, or choose another folder"):
        predict(model, new, sort_into=target, runtime=fake.runtime)
    predict(model, new, sort_into=target, overwrite=True, link=True, runtime=fake.runtime)
    assert (target / "red" / "x-00.png").stat().st_ino == (new / "x" / "x-00.png").stat().st_ino


@pytest.mark.parametrize("given", ["zip://x::set.zip", "s3://bucket/x"])
def test_links_to_what_is_no_local_file_are_refused(fake, model, tmp_path, given):
    with pytest.raises(OutputError, match=f"`link`: {given} is no local folder or image; leave out `link`"):
        predict(model, given, sort_into=tmp_path / "sorted", link=True, runtime=fake.runtime)
    assert not (tmp_path / "sorted").exists()


def test_links_without_a_folder_to_sort_into_are_refused(fake, model, new):
    n_starts = fake.starts
    with pytest.raises(OutputError, match="`link` requires `sort_into`; add `sort_into=FOLDER`, or leave out"):
        predict(model, new, link=True, runtime=fake.runtime)
    assert fake.starts == n_starts
    shown = CliRunner().invoke(app, ["predict", "any.featx", str(new), "--link"])
    assert shown.exit_code == 2
    assert "--link requires --sort-into" in shown.output


def test_sort_into_keeps_all_images_with_the_same_name(fake, model, tmp_path):
    for folder in ("p", "q"):
        save_image(tmp_path / folder / "same.png", (200, 50, 40), seed=len(folder + folder))
    target = tmp_path / "sorted"
    predict(model, [tmp_path / "p", tmp_path / "q"], sort_into=target, runtime=fake.runtime)
    assert len(list((target / "red").iterdir())) == 2


def test_images_are_never_sorted_into_their_own_folder(fake, model, tmp_path):
    data = make_classes(tmp_path / "mine", {"red": (210, 40, 40), "blue": (20, 60, 210)}, 3)
    (tmp_path / "way").symlink_to(data, target_is_directory=True)
    (tmp_path / "empty").mkdir()
    before = sorted(path.as_posix() for path in tmp_path.rglob("*"))
    for given, folder, message in [
        (data, data, "the folder is not empty and was not made by featx"),
        (data / "red", data, "the folder is not empty and was not made by featx"),
        (data, data / "sorted", "the folder is, contains or lies in .*, which is predicted; choose another folder"),
        (data, data / "red" / "deep" / "sorted", "the folder is, contains or lies in .*, which is predicted"),
        (data, tmp_path / "way" / "sorted", "the folder is, contains or lies in .*, which is predicted"),
        (tmp_path / "way", data / "sorted", "the folder is, contains or lies in .*, which is predicted"),
        (data, data / "red" / "red-00.png", r"Not a directory|is not a folder"),
        (data, tmp_path / "set" / "red" / "red-00.png" / "x", r"is not a folder"),
    ]:
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=message):
                predict(model, given, sort_into=folder, overwrite=overwrite, runtime=fake.runtime)
    assert fake.n_computed == 24  # only the training images, so that no work was done
    assert sorted(path.as_posix() for path in tmp_path.rglob("*")) == before

    # sorted images may be predicted, but not sorted into their own folder
    target = tmp_path / "sorted"
    predict(model, data, sort_into=target, runtime=fake.runtime)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "red-00.png").symlink_to(target / "red" / "red-00.png")
    for given in (target / "red", target / "red" / "red-00.png", [data, target / "blue"]):
        with pytest.raises(OutputError, match="the folder is, contains or lies in .*, which is predicted"):
            predict(model, given, sort_into=target, overwrite=True, runtime=fake.runtime)
    with pytest.raises(OutputError, match="an input image has this path"):
        predict(model, tmp_path / "links", sort_into=target, overwrite=True, runtime=fake.runtime)
    assert {p.name: p.read_bytes() for p in target.glob("*/*")} == {p.name: p.read_bytes() for p in data.glob("*/*")}


def test_only_folders_made_by_featx_are_sorted_into_again(fake, model, new, tmp_path):
    for number, tag in enumerate((None, b"another program's", "a link", "a folder")):
        folder = tmp_path / f"mine-{number}"
        folder.mkdir()
        (folder / "red").write_text("mine")
        if tag == "a link":
            (tmp_path / "tag").write_bytes(sorting._TAG_TEXT)
            (folder / OUTPUT_TAG).symlink_to(tmp_path / "tag")
        elif tag == "a folder":
            (folder / OUTPUT_TAG).mkdir()
        elif tag is not None:
            (folder / OUTPUT_TAG).write_bytes(tag)
        with pytest.raises(OutputError, match="the folder is not empty and was not made by featx; choose another"):
            predict(model, new, sort_into=folder, overwrite=True, runtime=fake.runtime)
        assert (folder / "red").read_text() == "mine"


def test_class_folders_that_are_links_are_not_entered(fake, model, new, tmp_path):
    target, elsewhere = tmp_path / "sorted", tmp_path / "elsewhere"
    predict(model, new, sort_into=target, runtime=fake.runtime)
    (target / "red").rename(elsewhere)
    (target / "red").symlink_to(elsewhere, target_is_directory=True)
    before = {path.name: path.stat().st_ino for path in elsewhere.iterdir()}
    with pytest.raises(OutputError, match="red is a link or a file, not a folder. The images sorted so far are"):
        predict(model, new, sort_into=target, overwrite=True, runtime=fake.runtime)
    assert {path.name: path.stat().st_ino for path in elsewhere.iterdir()} == before


def test_hard_links_lead_to_the_targets_of_symbolic_links(fake, model, tmp_path):
    real = save_image(tmp_path / "real" / "one.png", (200, 50, 40))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "one.png").symlink_to("../real/one.png")
    for overwrite in (False, True):
        options = {"link": True, "overwrite": overwrite, "runtime": fake.runtime}
        predict(model, tmp_path / "links", sort_into=tmp_path / "a" / "sorted", **options)
        made = tmp_path / "a" / "sorted" / "red" / "one.png"
        assert not made.is_symlink()
        assert made.stat().st_ino == real.stat().st_ino
    with pytest.raises(OutputError, match="an input image has this path"):  # the copy would replace the input
        predict(model, real, sort_into=tmp_path / "a" / "sorted", overwrite=True, runtime=fake.runtime)
    made.unlink()
    save_image(made, (1, 2, 3))
    predict(model, tmp_path / "links", sort_into=tmp_path / "a" / "sorted", **options)
    assert made.stat().st_ino == real.stat().st_ino
    assert sorted(path.name for path in made.parent.iterdir()) == ["one.png"]


def test_an_image_that_cannot_be_copied_leaves_no_incomplete_file(fake, model, tmp_path, monkeypatch):
    for number in range(3):
        save_image(tmp_path / "new" / f"{number}.png", (200, 50, 40), seed=number)
    copy, copied = shutil.copyfileobj, []

    def fill_the_disk(source, target, length=0):
        copied.append(target)
        if len(copied) == 2:
            target.write(source.read(10))
            raise OSError(28, "No space left on device")
        copy(source, target, length)

    monkeypatch.setattr("featx.output.folders.shutil.copyfileobj", fill_the_disk)
    target = tmp_path / "sorted"
    with pytest.raises(
        OutputError, match=r"1.png cannot be put into .*: No space left on device. The images sorted so far"
    ):
        predict(model, tmp_path / "new", sort_into=target, runtime=fake.runtime)
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == sorted([OUTPUT_TAG, "0.png"])
    assert (target / "red" / "0.png").read_bytes() == (tmp_path / "new" / "0.png").read_bytes()


def test_long_names_are_sorted_too(fake, model, tmp_path):
    long = "n" * 251 + ".png"
    for folder in ("p", "q"):
        save_image(tmp_path / folder / long, (200, 50, 40), seed=ord(folder))
    labels = replace(model, classes_=("b" * 300, "c" * 300))
    target = tmp_path / "sorted"
    predict(labels, [tmp_path / "p", tmp_path / "q", tmp_path / "q" / long], sort_into=target, runtime=fake.runtime)
    found = [path for path in target.rglob("*") if path.suffix == ".png"]
    assert len(found) == 2
    assert all(len(path.name) <= 255 for path in found)


def test_class_names_that_are_not_valid_folder_names(fake, model, new, tmp_path):
    hostile = replace(model, classes_=("../up", "a/b:c"))
    target = tmp_path / "deep" / "sorted"
    predict(hostile, new, sort_into=target, runtime=fake.runtime)
    assert sorted(path.name for path in target.iterdir() if path.is_dir()) == ["_up", "a_b_c"]
    assert sorted(path.name for path in target.parent.iterdir()) == ["sorted"]


def test_file_names_that_are_not_text_are_escaped_in_the_table(fake, model, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "odd") + b"/\xff\n'\".png"))
    try:
        save_image(odd, (200, 50, 40))
    except OSError:
        pytest.skip("this file system does not allow such a name")
    predict(model, tmp_path / "odd", tmp_path / "scores.csv", runtime=fake.runtime)
    rows = read_csv(tmp_path / "scores.csv")
    assert rows[0]["path"].endswith("\\udcff\n'\".png")
    assert predict(model, tmp_path / "odd", sort_into=tmp_path / "sorted", runtime=fake.runtime).n_predicted == 1


def test_bad_input(fake, model, tmp_path):
    with pytest.raises(DatasetNotFoundError, match="no such file or folder: .*nothing"):
        predict(model, tmp_path / "nothing", runtime=fake.runtime)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="is empty"):
        predict(model, tmp_path / "empty", runtime=fake.runtime)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    assert predict(model, bad, runtime=fake.runtime).n_skipped == 1
    with pytest.raises(ImageError, match="`strict=True`: 1 image cannot be used: .*bad.png: empty file"):
        predict(model, bad, strict=True, runtime=fake.runtime)


def test_the_command_fails_if_no_image_can_be_predicted(fake, model, new, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    model.save(tmp_path / "m.featx")
    for name, content in (("bad.png", b""), ("worse.png", b"no image"), ("worst.png", b"none either")):
        (tmp_path / name).write_bytes(content)

    def run(*words: Path | str):
        return CliRunner().invoke(app, ["predict", str(tmp_path / "m.featx"), *map(str, words)])

    done = run(tmp_path / "bad.png")
    assert done.exit_code == 1
    assert f"error: the only image given cannot be used: {tmp_path}/bad.png: empty file (0 bytes)\n" in done.output
    paths = [tmp_path / name for name in ("bad.png", "worse.png", "worst.png")]
    done = run(*paths, "-o", tmp_path / "scores.csv")
    assert done.exit_code == 1
    assert "error: none of the 3 images given can be used; 2 of them, such as " in done.output
    assert f"({tmp_path}/scores.csv lists each reason)\n" in done.output
    assert [row["status"] for row in read_csv(tmp_path / "scores.csv")] == ["skipped"] * 3
    assert run(*paths, new).exit_code == 0


@pytest.mark.parametrize("name", ["list.csv", "list.txt", "list.parquet"])
def test_lists_are_read(fake, model, new, tmp_path, name):
    names = ["new/y/y-00.png", "new/x/gone.png", "new/x/x-00.png", "new/y/y-00.png"]
    if name.endswith("parquet"):
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table({"path": names}), tmp_path / name)
    else:
        (tmp_path / name).write_text("\n".join(["path", *names]))
    rows = predict(model, [tmp_path / name, new / "x" / "x-00.png"], runtime=fake.runtime).rows
    assert [(Path(row[0]).name, row[1], row[3]) for row in rows] == [
        ("y-00.png", "blue", "ok"),
        ("gone.png", "", "skipped"),
        ("x-00.png", "red", "ok"),
        ("y-00.png", "blue", "ok"),
        ("x-00.png", "red", "ok"),
    ]
    assert rows[1][5] == "no such file"
    assert [row[0] for row in rows[:2]] == [(tmp_path / name).as_posix() for name in names[:2]]


def test_the_column_of_a_list_can_be_named(fake, model, new, tmp_path):
    (tmp_path / "list.csv").write_text("a,b\nnew/x/x-00.png,new/y/y-00.png\n")
    with pytest.raises(DatasetError, match="no column 'path'; its columns are a, b. Choose one with `path_column`"):
        predict(model, tmp_path / "list.csv", runtime=fake.runtime)
    rows = predict(model, tmp_path / "list.csv", path_column="b", runtime=fake.runtime).rows
    assert [row[1] for row in rows] == ["blue"]


def test_an_image_with_the_name_of_a_list_is_an_image(fake, model, new, tmp_path):
    shutil.copy(new / "x" / "x-00.png", tmp_path / "odd.txt")
    assert [row[1] for row in predict(model, tmp_path / "odd.txt", runtime=fake.runtime).rows] == ["red"]


def test_inputs_that_cannot_be_predicted_are_refused_by_type(fake, model, new, tmp_path):
    for name, message in (
        ("set.zip", "set.zip cannot be used: its directory at the end is missing, so that it is damaged or truncated"),
        ("set.7z", r"is an archive that featx does not read; expected a folder, a .zip or .tar file, a manifest \(.*"),
        ("set.tar.gz", "is a compressed tar archive, from which no file can be read without all files before it; "),
        ("list.xlsx", "is a spreadsheet; save it as CSV and give that file"),
    ):
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(DatasetError, match=message):
            predict(model, [new, tmp_path / name], runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    with pytest.raises(
        ClassifierError, match=r"new is not a model file, but .*m.featx is; give the model first: featx predict "
    ):
        predict(new, [tmp_path / "m.featx"])


def test_other_weights_are_refused(fake, model, new):
    (Path(os.environ["KERAS_HOME"]) / "models" / "quadrants.h5").write_bytes(b"changed")
    with pytest.raises(
        WeightsError,
        match="differ from those of quadrants .*give the right file to predict or report `on` as `weights=FILE`",
    ):
        predict(model, new, runtime=fake.runtime)


def test_the_features_are_read_in_chunks(fake, model, new, monkeypatch):
    """The whole table of features is never read."""
    monkeypatch.setattr(table_module.FeatureTable, "X", property(lambda self: pytest.fail("read all features")))
    predict(model, new, runtime=fake.runtime)


def test_the_probabilities_equal_those_of_the_classifier(fake, model, new):
    rows = predict(model, new, runtime=fake.runtime).rows
    direct = model.predict(new, runtime=fake.runtime)
    ok = [row for row in rows if row[3] == "ok"]
    assert tuple(row[0] for row in ok) == direct.paths
    np.testing.assert_array_equal([row[6:8] for row in ok], direct.probabilities)


def test_the_progress_of_sorting_is_reported(fake, model, new, tmp_path):
    calls = []
    runtime = replace(fake.runtime, progress=lambda *at: calls.append(at))
    predict(model, new, sort_into=tmp_path / "sorted", runtime=runtime)
    stage = "sorting the images into folders"
    assert [at[1:] for at in calls if at[0] == stage] == [(0, 0), (0, 4), (2, 4), (3, 4), (3, 4), (1, 1)]


def test_a_model_of_another_decoder_is_refused_with_the_call_that_fits_it_again(fake, images):
    model = fit(images, head="knn", backbone="quadrants", runtime=fake.runtime)
    other = replace(model, spec=replace(model.spec, decode="1-ffffffffffff"))
    with pytest.raises(SpecError, match="computed with decoder 1-ffffffffffff; this machine has .*, which") as caught:
        other.predict(images, runtime=fake.runtime)
    call = f"featx.fit({str(images.resolve())!r}, head='knn', backbone='quadrants'"
    assert f"cykooz-resizer, or fit the model again: `{call}" in str(caught.value)
    assert f"featx fit {images.resolve()} --head knn --backbone quadrants" in in_options(str(caught.value))
    own = replace(other, evaluation=replace(other.evaluation, head="MyEstimator"))
    with pytest.raises(SpecError, match="cykooz-resizer, or fit the model again$"):
        own.predict(images, runtime=fake.runtime)
