"""What folders and manifests say, and what is said when they do not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from conftest import save_picture

from featx.dataset import OUTPUT_TAG, dataset_id, gather, scan, scan_unlabelled
from featx.errors import AmbiguousLayoutError, DatasetError, DatasetNotFoundError
from featx.table import FileState


def add(root: Path, *names: str) -> Path:
    for name in names:
        save_picture(root / name, (90, 90, 90))
    return root


def labels(root: Path, **options) -> dict[str, tuple]:
    return {f.sample.sample_id: (f.sample.label, f.sample.split) for f in scan(root, **options).pictures}


def test_class_folders_are_searched_recursively(tmp_path):
    add(tmp_path, "dog/b.png", "cat/x/y/a.png", "cat/a.png")
    assert labels(tmp_path) == {"cat/a.png": ("cat", None), "cat/x/y/a.png": ("cat", None), "dog/b.png": ("dog", None)}
    assert scan(tmp_path).description == "2 classes by folder: cat 2, dog 1"


def test_order_does_not_depend_on_the_file_system(tmp_path):
    add(tmp_path, "b/2.png", "a/3.png", "b/1.png", "a-b/1.png", "a/10.png")
    assert list(labels(tmp_path)) == ["a/10.png", "a/3.png", "a-b/1.png", "b/1.png", "b/2.png"]


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_split_folders(tmp_path, validation):
    add(tmp_path, "train/cat/1.png", "train/dog/2.png", f"{validation}/cat/3.png", "test/dog/4.png")
    assert labels(tmp_path) == {
        "test/dog/4.png": ("dog", "test"),
        "train/cat/1.png": ("cat", "train"),
        "train/dog/2.png": ("dog", "train"),
        f"{validation}/cat/3.png": ("cat", "val"),
    }
    assert scan(tmp_path).description == "2 classes by folder: cat 2, dog 2; train 2, val 1, test 1"


def test_flat_folder_has_no_labels(tmp_path):
    add(tmp_path, "1.png", "2.png")
    assert labels(tmp_path) == {"1.png": (None, None), "2.png": (None, None)}
    assert scan(tmp_path).description == "2 pictures, no labels"


def test_pictures_beside_class_folders_are_said(tmp_path):
    add(tmp_path, "cat/1.png", "dog/2.png", "3.png")
    assert labels(tmp_path)["3.png"] == (None, None)
    assert "1 picture outside the class folders, without a label" in scan(tmp_path).description


def test_ambiguous_layout_stops_and_asks(tmp_path):
    add(tmp_path, *(f"plate{p}/{c}/1.png" for p in (1, 2, 3) for c in ("control", "treated")))
    message = (
        "plate1, plate2, plate3 each contain control, treated. Which are the classes: control, treated (--label-by "
        "parent) or plate1, plate2, plate3 (--label-by top)?"
    )
    with pytest.raises(AmbiguousLayoutError) as caught:
        scan(tmp_path)
    assert str(caught.value) == message
    assert labels(tmp_path, label_by="parent")["plate2/treated/1.png"] == ("treated", None)
    assert labels(tmp_path, label_by="top")["plate2/treated/1.png"] == ("plate2", None)
    with pytest.raises(DatasetError, match="--label-by bottom: allowed are parent and top"):
        scan(tmp_path, label_by="bottom")


def test_ambiguous_layout_inside_splits(tmp_path):
    add(tmp_path, *(f"{s}/plate{p}/{c}/1.png" for s in ("train", "test") for p in (1, 2) for c in "ab"))
    with pytest.raises(AmbiguousLayoutError, match="plate1, plate2 each contain a, b"):
        scan(tmp_path)
    assert labels(tmp_path, label_by="parent")["train/plate1/b/1.png"] == ("b", "train")


def test_folders_without_images_beside_class_folders_are_named(tmp_path):
    add(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "test/dog/x/4.png", "train/out/5.png")
    for empty in ("train/fox", "test/wolf/deep", "test/.git", "test/dog/y"):
        (tmp_path / empty).mkdir(parents=True)
    (tmp_path / "train" / "out" / OUTPUT_TAG).touch()
    (tmp_path / "test" / "wolf" / "notes.txt").write_text("none yet")
    assert scan(tmp_path).remarks == ("no image in test/wolf, train/fox, beside the class folders",)
    assert scan(add(tmp_path / "flat", "1.png")).remarks == ()


def test_hidden_files_caches_and_outputs_are_never_scanned(tmp_path):
    add(tmp_path, "a/1.png", "a/.hidden.png", ".git/2.png", "cache/x/3.png", "sorted/a/1.png", "a/Thumbs.db/1.png")
    (tmp_path / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (tmp_path / "sorted" / OUTPUT_TAG).write_text("")
    found = scan(tmp_path)
    assert [f.sample.sample_id for f in found.pictures] == ["a/1.png"]
    assert found.ignored == ()


def test_non_images_are_listed(tmp_path):
    add(tmp_path, "a/1.png", "a/renamed.dat")
    (tmp_path / "a" / "notes.txt").write_text("notes")
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / "a" / "broken.jpg").write_bytes(b"")
    found = scan(tmp_path)
    assert [f.sample.sample_id for f in found.pictures] == ["a/1.png", "a/broken.jpg", "a/renamed.dat"]
    assert [entry.name for entry in found.ignored] == ["LICENSE", "a/notes.txt"]


def test_known_files_are_not_opened_again(tmp_path, monkeypatch):
    add(tmp_path, "a/1.png")
    odd = tmp_path / "a" / "odd"
    odd.write_text("no image")
    status = odd.stat()
    memo = {"a/odd": FileState(status.st_size, status.st_mtime_ns, status="ignored")}
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))
    assert [entry.name for entry in scan(tmp_path, memo=memo).ignored] == ["a/odd"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_neither_loop_nor_double(tmp_path):
    root, outside = tmp_path / "set", tmp_path / "elsewhere"
    add(root, "a/1.png")
    add(outside, "2.png")
    os.symlink(root, root / "a" / "loop")
    os.symlink(root / "a", root / "b")
    os.symlink(outside, root / "c")
    os.symlink(outside, root / "d")
    os.symlink(outside / "2.png", root / "a" / "link.png")
    os.symlink(outside / "gone.png", root / "a" / "broken.png")
    names = [f.sample.sample_id for f in scan(root).pictures]
    assert names == ["a/1.png", "a/broken.png", "a/link.png", "c/2.png"]


def test_names_that_are_no_text(tmp_path):
    add(tmp_path, "a/new\nline.png", "a/quote'\".png", "a/שלום.png")
    if sys.platform == "linux":
        save_picture(Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.png")), (1, 2, 3))
    names = {f.sample.sample_id for f in scan(tmp_path).pictures}
    assert {"a/new\nline.png", "a/quote'\".png", "a/שלום.png"} <= names
    assert sys.platform != "linux" or "a/\udcff.png" in names


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="no such file or folder: .*nowhere"):
        scan(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="is empty; put pictures into it, one subfolder for each class"):
        scan(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"holds no picture \(JPEG, .*\), only x.txt"):
        scan(tmp_path)
    for name in ("1.czi", "2.czi", "3.lif"):
        (tmp_path / name).write_bytes(b"II*\0")
    with pytest.raises(DatasetError, match=r"2 \.czi \(microscope files\), 1 \.lif .*; export them as TIFF"):
        scan(tmp_path)
    (tmp_path / "list.xlsx").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="is a spreadsheet; save it as CSV"):
        scan(tmp_path / "list.xlsx")
    (tmp_path / "set.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"set.zip is an archive, neither a folder nor a manifest .*; unpack it"):
        scan(tmp_path / "set.zip")
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(DatasetError, match="neither a folder nor a manifest"):
        scan(tmp_path / "set.json")


def test_camera_raw_files_give_no_thumbnails(tmp_path):
    add(tmp_path, "a/1.png")
    (tmp_path / "a" / "2.nef").write_bytes(b"II*\0" + bytes(100))
    assert [entry.name for entry in scan(tmp_path).ignored] == ["a/2.nef"]


def test_labels_do_not_matter_for_prediction(tmp_path):
    add(tmp_path, *(f"plate{p}/{c}/1.png" for p in (1, 2) for c in "ab"))
    found = scan_unlabelled(tmp_path)
    assert [f.sample.label for f in found.pictures] == [None] * 4
    assert found.id != dataset_id(tmp_path)


def test_single_files_are_pictures_whatever_their_names(tmp_path):
    files = [save_picture(tmp_path / "x.png", (1, 2, 3)), tmp_path / "y.txt"]
    files[1].write_text("no picture")
    found = gather(files)
    assert [f.path for f in found.pictures] == files
