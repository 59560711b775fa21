"""Scan folders and manifests, and the errors if they cannot be used."""

from __future__ import annotations

import os
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import save_image

from featx.dataset import dataset_id, scan, scan_files, scan_list, scan_unlabelled
from featx.errors import AmbiguousLayoutError, DatasetError, DatasetNotFoundError
from featx.files import CACHE_TAG, CACHE_TAG_TEXT, OutsideError, safe_join
from featx.source import OUTPUT_TAG
from featx.table import FileState, OwnFolder, Stamp

posix = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links as POSIX has them")


def add(root: Path, *names: str) -> Path:
    for name in names:
        save_image(root / name, (90, 90, 90))
    return root


def labels(root: Path, **options) -> dict[str, tuple]:
    return {f.sample.sample_id: (f.sample.label, f.sample.split) for f in scan(root, **options).images}


def test_class_folders_are_searched_recursively(tmp_path):
    add(tmp_path, "dog/b.png", "cat/x/y/a.png", "cat/a.png")
    assert labels(tmp_path) == {"cat/a.png": ("cat", None), "cat/x/y/a.png": ("cat", None), "dog/b.png": ("dog", None)}
    assert scan(tmp_path).description == "2 classes (by folder): cat (2 images), dog (1)"


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
    assert scan(tmp_path).description == "2 classes (by folder): cat (2 images), dog (2); train (2), val (1), test (1)"


def test_flat_folder_has_no_labels(tmp_path):
    add(tmp_path, "1.png", "2.png")
    assert labels(tmp_path) == {"1.png": (None, None), "2.png": (None, None)}
    assert scan(tmp_path).description == "2 images, no labels"


def test_images_outside_the_class_folders_are_reported(tmp_path):
    add(tmp_path, "cat/1.png", "dog/2.png", "3.png")
    assert labels(tmp_path)["3.png"] == (None, None)
    assert "1 image outside the class folders, without a label" in scan(tmp_path).description


def test_an_ambiguous_layout_is_an_error_that_lists_both_choices(tmp_path):
    add(tmp_path, *(f"plate{p}/{c}/1.png" for p in (1, 2, 3) for c in ("control", "treated")))
    message = (
        "several of plate1, plate2, plate3 contain folders of the same names: "
        "control, treated. Which folders are the classes: control, treated "
        "(`label_by=parent`) or plate1, plate2, plate3 (`label_by=top`)? If plate1, plate2, plate3 are splits, rename "
        "them train, val or test."
    )
    with pytest.raises(AmbiguousLayoutError) as caught:
        scan(tmp_path)
    assert str(caught.value) == message
    assert labels(tmp_path, label_by="parent")["plate2/treated/1.png"] == ("treated", None)
    assert labels(tmp_path, label_by="top")["plate2/treated/1.png"] == ("plate2", None)
    with pytest.raises(DatasetError, match="`label_by=bottom`: expected parent or top"):
        scan(tmp_path, label_by="bottom")


def test_ambiguous_layout_inside_splits(tmp_path):
    add(tmp_path, *(f"{s}/plate{p}/{c}/1.png" for s in ("train", "test") for p in (1, 2) for c in "ab"))
    with pytest.raises(AmbiguousLayoutError, match="several of plate1, plate2 contain folders of the same names: a, b"):
        scan(tmp_path)
    assert labels(tmp_path, label_by="parent")["train/plate1/b/1.png"] == ("b", "train")


def test_folders_without_images_next_to_class_folders_are_reported(tmp_path):
    add(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "test/dog/x/4.png", "train/out/5.png")
    for empty in ("train/fox", "test/wolf/deep", "test/.git", "test/dog/y"):
        (tmp_path / empty).mkdir(parents=True)
    (tmp_path / "train" / "out" / OUTPUT_TAG).touch()
    (tmp_path / "test" / "wolf" / "notes.txt").write_text("none yet")
    assert scan(tmp_path).remarks == ("no image in test/wolf, train/fox, next to the class folders",)
    assert scan(add(tmp_path / "flat", "1.png")).remarks == ()


def test_only_folders_that_contain_the_class_folders_are_listed_twice(tmp_path, monkeypatch):
    """One folder for each image is common, and listing a folder takes longer than listing an image."""
    add(tmp_path, *(f"{c}/{i}/1.png" for c in "ab" for i in range(5)))
    listed, scandir = [], os.scandir

    def counted(folder):
        listed.append(os.path.relpath(folder, tmp_path))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counted)
    for label_by, twice in (("top", {"."}), ("parent", {"a", "b"})):
        listed.clear()
        scan(tmp_path, label_by=label_by)
        expected = dict.fromkeys([".", "a", "b", *(f"{c}/{i}" for c in "ab" for i in range(5))], 1)
        assert Counter(listed) == expected | dict.fromkeys(twice, 2)


def test_hidden_files_caches_and_outputs_are_never_scanned(tmp_path):
    add(tmp_path, "a/1.png", "a/.hidden.png", ".git/2.png", "cache/x/3.png", "sorted/a/1.png", "a/Thumbs.db/1.png")
    add(tmp_path, "sorted/b/2.png", "sorted/b/.hidden.png")
    (tmp_path / "cache" / CACHE_TAG).write_text(CACHE_TAG_TEXT)
    (tmp_path / "sorted" / OUTPUT_TAG).write_text("")
    found = scan(tmp_path)
    assert [f.sample.sample_id for f in found.images] == ["a/1.png"]
    assert found.ignored == ()
    # Such folders are counted and reported.
    left_out = [OwnFolder("cache", 2, "a cache of featx"), OwnFolder("sorted", 2, "an output of featx")]
    assert list(found.own_folders) == list(scan_unlabelled(tmp_path).own_folders) == left_out


@pytest.mark.parametrize(
    "text", ["Signature: 8a477f597d28d172789f06886806bc55\n", CACHE_TAG_TEXT + "x", "", "x" * 100_000]
)
def test_a_folder_with_the_cache_tag_of_another_program_is_scanned(tmp_path, text):
    add(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "cat" / CACHE_TAG).write_text(text)
    found = scan(tmp_path)
    assert [f.sample.sample_id for f in found.images] == ["cat/1.png", "dog/1.png"]
    assert [entry.name for entry in found.ignored] == [f"cat/{CACHE_TAG}"]
    assert found.own_folders == ()


@posix
@pytest.mark.parametrize("tag", [CACHE_TAG, OUTPUT_TAG])
@pytest.mark.parametrize("kind", ["pipe", "link", "link to /dev/zero", "link to itself", "folder"])
def test_folders_whose_tag_is_not_a_regular_file_are_scanned(tmp_path, tag, kind):
    add(tmp_path, "cat/1.png", "dog/1.png")
    path = tmp_path / "cat" / tag
    (tmp_path / "tag").write_text(CACHE_TAG_TEXT)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        os.symlink({"link": "../tag", "link to itself": tag}.get(kind, "/dev/zero"), path)
    found = scan(tmp_path)
    assert [f.sample.sample_id for f in found.images] == ["cat/1.png", "dog/1.png"]
    assert found.own_folders == ()


@pytest.mark.parametrize(
    ("tag", "text", "what"), [(CACHE_TAG, CACHE_TAG_TEXT, "a cache of featx"), (OUTPUT_TAG, "", "an output of featx")]
)
def test_a_data_set_that_is_a_cache_or_an_output_is_an_error_that_names_the_tag(tmp_path, tag, text, what):
    add(tmp_path, "cat/1.png")
    (tmp_path / tag).write_text(text)
    for read in (scan, scan_unlabelled):
        with pytest.raises(DatasetError) as stopped:
            read(tmp_path)
        assert str(stopped.value) == (
            f"{tmp_path} is not scanned, because its file {tag} marks it as {what}; give another folder, or "
            f"delete {tag} if this folder contains your images"
        )


def test_a_folder_that_contains_only_outputs_is_an_error(tmp_path):
    add(tmp_path, "sorted/a/1.png")
    (tmp_path / "sorted" / OUTPUT_TAG).write_text("")
    with pytest.raises(DatasetError, match="contains no images; its subfolder sorted is an output of featx"):
        scan(tmp_path)


@posix
def test_files_that_are_not_regular_are_skipped_or_ignored_by_name_and_never_opened(tmp_path):
    add(tmp_path, "cat/1.png", "dog/1.png")
    names = ("x.png", "control")
    for name in names:
        os.mkfifo(tmp_path / "cat" / name)
        os.symlink("/dev/zero", tmp_path / "cat" / f"zero-{name}")
        os.symlink(f"circle-{name}", tmp_path / "cat" / f"circle-{name}")
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(tmp_path / "cat" / f"socket-{name}"))
    found = scan(tmp_path)
    kinds = ("circle-", "socket-", "x.png", "zero-")
    skipped = [f"cat/{kind}x.png".replace("x.pngx", "x") for kind in kinds]
    assert [f.sample.sample_id for f in found.images] == ["cat/1.png", *skipped, "dog/1.png"]
    assert sorted(entry.name for entry in found.ignored) == [
        "cat/circle-control", "cat/control", "cat/socket-control", "cat/zero-control",
    ]  # fmt: skip


@posix
def test_a_tree_deeper_than_the_recursion_limit_and_the_longest_path(tmp_path):
    add(tmp_path, "cat/1.png", "dog/1.png")
    before, names = Path.cwd(), ["d"] * 1_050 + ["n" * 200] * 12
    os.chdir(tmp_path / "cat")
    try:
        for level, name in enumerate(names):
            os.mkdir(name)
            os.chdir(name)
            if level == 1_049:
                save_image(Path("deep.png"), (1, 2, 3))
        found = scan(tmp_path)
        for level in reversed(range(len(names))):  # pytest itself could not clean up
            if level == 1_049:
                os.remove("deep.png")
            os.chdir("..")
            os.rmdir(names[level])
    finally:
        os.chdir(before)
    assert [f.sample.sample_id.rpartition("/")[2] for f in found.images] == ["1.png", "deep.png", "n" * 200, "1.png"]
    assert found.images[1].sample.label == "cat"
    assert [f.reason for f in found.images if f.reason] == ["the folder cannot be read: File name too long"]


@posix
def test_a_folder_that_is_deleted_while_it_is_listed_is_one_skipped_entry(tmp_path, monkeypatch):
    add(tmp_path, "cat/a/1.png", "cat/b/1.png", "dog/1.png")
    original = os.scandir

    def scandir(folder):
        if str(folder).endswith("cat/a"):
            (tmp_path / "cat" / "b" / "1.png").unlink(missing_ok=True)
            (tmp_path / "cat" / "b").rmdir()
        return original(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found = scan(tmp_path)
    assert [(f.sample.sample_id, f.reason) for f in found.images] == [
        ("cat/a/1.png", ""), ("cat/b", "the folder cannot be read: No such file or directory"), ("dog/1.png", ""),
    ]  # fmt: skip
    assert found.images[1].sample.label is None
    assert found.description == "2 classes (by folder): cat (1 image), dog (1)"


@posix
def test_folders_of_the_system_are_not_entered(tmp_path):
    add(tmp_path, "cat/1.png", "dog/1.png")
    if not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    os.symlink("/proc/self", tmp_path / "cat" / "p")
    os.symlink("/proc", tmp_path / "cat" / "q")
    found = scan(tmp_path)
    assert [f.sample.sample_id for f in found.images] == ["cat/1.png", "cat/p", "cat/q", "dog/1.png"]
    assert [f.reason for f in found.images if f.reason] == [
        f"the folder cannot be read: it leads to /proc/{os.getpid()}, which belongs to a virtual file system",
        "the folder cannot be read: it leads to /proc, which belongs to a virtual file system",
    ]
    assert found.ignored == ()


@posix
def test_paths_that_cannot_be_read_are_one_clear_error(tmp_path):
    os.symlink("me", tmp_path / "me")
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("me", "cannot be read: Too many levels of symbolic links"),
        ("n" * 300, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: the name contains a character that is not allowed in file names"),
        ("\ud800", "cannot be read: the name contains a character that is not allowed in file names"),
        ("pipe", "pipe is neither a folder nor a manifest"),
    ):
        with pytest.raises(DatasetError, match=message):
            scan(tmp_path / name)
        assert len(dataset_id(tmp_path / name)) == 16
    with pytest.raises(DatasetNotFoundError, match="no such file or folder"):
        scan(tmp_path / "pipe" / "safe_join")


def test_a_sample_id_that_leads_out_of_its_folder_is_never_a_path(tmp_path):
    for name in ("/etc/passwd", "../x.png", "a/../../x.png", "", ".", "a\0b", "\ud800"):
        with pytest.raises(OutsideError, match="the name does not lead to a file inside its folder"):
            safe_join(tmp_path, name)
    for name in ("a.png", "a/b.png", "..a/b..png", "~/x", "-x", "\udcff.png"):
        assert safe_join(tmp_path, name) == tmp_path / name


def test_non_images_are_listed(tmp_path):
    add(tmp_path, "a/1.png", "a/renamed.dat")
    (tmp_path / "a" / "notes.txt").write_text("notes")
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / "a" / "broken.jpg").write_bytes(b"")
    found = scan(tmp_path)
    assert [f.sample.sample_id for f in found.images] == ["a/1.png", "a/broken.jpg", "a/renamed.dat"]
    assert [entry.name for entry in found.ignored] == ["LICENSE", "a/notes.txt"]


def test_the_number_of_files_is_reported_while_they_are_listed(tmp_path, monkeypatch):
    add(tmp_path, *(f"{c}/{i}.png" for c in "ab" for i in range(4)))
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"a/{i}.png,x\n" for i in range(4)))
    for name in ("featx.dataset.scan", "featx.source.source"):
        monkeypatch.setattr(sys.modules[name], "BLOCK", 3)
    for read, expected in (
        (lambda progress: scan(tmp_path, progress=progress), [3, 6, 9]),
        (lambda progress: scan_unlabelled(tmp_path, progress=progress), [3, 6, 9]),
        (lambda progress: scan(tmp_path / "list.csv", progress=progress), [0, 3]),
    ):
        reported: list[int] = []
        read(reported.append)
        assert reported == expected


def test_entries_of_a_folder_that_cannot_be_read_have_no_label(tmp_path, monkeypatch):
    add(tmp_path, "a/1.png", "b/1.png", "c/1.png")
    original = os.scandir

    def scandir(folder):
        if str(folder).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return original(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found = scan(tmp_path)
    assert [(f.sample.sample_id, f.sample.label, f.reason) for f in found.images] == [
        ("a/1.png", "a", ""),
        ("b", None, "the folder cannot be read: Permission denied"),
        ("c/1.png", "c", ""),
    ]


def test_known_files_are_not_opened_again(tmp_path, monkeypatch):
    add(tmp_path, "a/1.png")
    odd = tmp_path / "a" / "odd"
    odd.write_text("no image")
    memo = {"a/odd": FileState(status="ignored", **Stamp.of(odd.stat())._asdict())}
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))
    assert [entry.name for entry in scan(tmp_path, memo=memo).ignored] == ["a/odd"]


def test_a_stamp_fits_into_64_bits_and_an_unknown_inode_is_ignored():
    times = {"st_mtime_ns": 10**20, "st_ctime_ns": -(10**20)}
    assert Stamp.of(os.stat_result((0o100644, 2**64 - 1, 0, 1, 0, 0, 9, 0, 0, 0), times)) == (9, -1, 2**63 - 1, -1)
    assert Stamp(1, 2, 0, 4).fits(Stamp(1, 2, 3, 4))
    for other in (Stamp(9, 2, 3, 4), Stamp(1, 9, 3, 4), Stamp(1, 2, 9, 4), Stamp(1, 2, 3, 9)):
        assert not Stamp(1, 2, 3, 4).fits(other)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_cause_neither_loops_nor_duplicates(tmp_path):
    root, outside = tmp_path / "set", tmp_path / "elsewhere"
    add(root, "a/1.png")
    add(outside, "2.png")
    os.symlink(root, root / "a" / "loop")
    os.symlink(root / "a", root / "b")
    os.symlink(outside, root / "c")
    os.symlink(outside, root / "d")
    os.symlink(outside / "2.png", root / "a" / "link.png")
    os.symlink(outside / "gone.png", root / "a" / "broken.png")
    names = [f.sample.sample_id for f in scan(root).images]
    assert names == ["a/1.png", "a/broken.png", "a/link.png", "c/2.png"]


def test_names_with_unusual_characters(tmp_path):
    add(tmp_path, "a/new\nline.png", "a/quote'\".png", "a/שלום.png")
    if sys.platform == "linux":
        save_image(Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.png")), (1, 2, 3))
    names = {f.sample.sample_id for f in scan(tmp_path).images}
    assert {"a/new\nline.png", "a/quote'\".png", "a/שלום.png"} <= names
    assert sys.platform != "linux" or "a/\udcff.png" in names


def test_errors_state_what_to_do(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="no such file or folder: .*nowhere"):
        scan(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="is empty; put the images of each class into a subfolder of it"):
        scan(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"contains no images \(JPEG, .*\), only x.txt"):
        scan(tmp_path)
    for name in ("1.czi", "2.czi", "3.lif"):
        (tmp_path / name).write_bytes(b"II*\0")
    with pytest.raises(DatasetError, match=r"2 \.czi \(microscope files\), 1 \.lif .*; export these as TIFF"):
        scan(tmp_path)
    (tmp_path / "list.xlsx").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="is a spreadsheet; save it as CSV"):
        scan(tmp_path / "list.xlsx")
    (tmp_path / "set.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"set.zip cannot be used: its directory at the end is missing"):
        scan(tmp_path / "set.zip")
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(DatasetError, match="neither a folder nor a manifest"):
        scan(tmp_path / "set.json")


def test_camera_raw_files_give_no_thumbnails(tmp_path):
    add(tmp_path, "a/1.png")
    (tmp_path / "a" / "2.nef").write_bytes(b"II*\0" + bytes(100))
    assert [entry.name for entry in scan(tmp_path).ignored] == ["a/2.nef"]
    add(tmp_path, "3.svs")
    (tmp_path / "list.csv").write_text("path,label\na/1.png,x\na/2.nef,y\n3.svs,y\ngone.nef,y\n")
    files = [tmp_path / name for name in ("a/1.png", "a/2.nef", "3.svs", "gone.nef")]
    reasons = {
        "1.png": "",
        "2.nef": ".nef (camera raw files) is not read; export it as TIFF, PNG or JPEG",
        "3.svs": ".svs (whole-slide files) is not read; export it as TIFF, PNG or JPEG",
        "gone.nef": "",  # the reader reports that it does not exist
    }
    for found in (scan(tmp_path / "list.csv"), scan_list(tmp_path / "list.csv"), scan_files(files)):
        assert {Path(one.address).name: one.reason for one in found.images} == reasons


def test_labels_are_ignored_for_prediction(tmp_path):
    add(tmp_path, *(f"plate{p}/{c}/1.png" for p in (1, 2) for c in "ab"))
    found = scan_unlabelled(tmp_path)
    assert [f.sample.label for f in found.images] == [None] * 4
    assert found.id != dataset_id(tmp_path)


def test_single_files_are_images_with_any_ending(tmp_path):
    files = [save_image(tmp_path / "x.png", (1, 2, 3)), tmp_path / "y.txt"]
    files[1].write_text("no image")
    found = scan_files(files)
    assert [Path(f.address) for f in found.images] == files
