"""The cache folder: when a folder is a cache, foreign files in it, and links, which are not followed."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import make_graph
from test_store import rows, segment_of, write

from featx.errors import StoreError
from featx.store import (
    check_cache,
    has_graph,
    last_use,
    list_files,
    note_use,
    prepare_cache,
    read_graph,
    read_latest,
    read_snapshot,
    write_cache_file,
    write_graph,
    write_latest,
    write_snapshot,
)

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


def plant(path: Path, what: str, victim: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if what == "link":
        path.symlink_to(victim)
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


@needs_links
@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
@pytest.mark.parametrize("name", ["segment", "journal", "lock", "used", "writer", "unfinished"])
def test_links_pipes_and_folders_are_neither_written_nor_waited_for(tmp_path, name, what):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.utime(victim, (0, 0))
    store = write(tmp_path / "cache", rows(1))
    note_use(store.path)
    path = segment_of(store) if name == "segment" else store.path / name
    plant(path, what, victim)
    if what == "folder" and name in ("journal", "lock", "writer", "unfinished"):
        with pytest.raises(StoreError, match="it is a folder; move the folder away|cannot be written: Is a directory"):
            write(tmp_path / "cache", rows(2))
    else:
        write(tmp_path / "cache", rows(2))
        assert store.snapshot().contains(rows(2).keys).all()
        if name == "segment":
            assert os.path.lexists(path.with_suffix(".h5.damaged"))
    note_use(store.path)
    assert last_use(store.path) > 0
    assert (victim.read_text(), victim.stat().st_mtime) == ("precious", 0)


@needs_links
@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_notes_graphs_and_snapshots_are_read_only_from_regular_files(tmp_path, what):
    cache = tmp_path / "cache"
    write_snapshot(cache, "0123", Path("/data"), "1-ab", [], [])
    write_latest(cache, {"data": "x"})
    write_graph(cache, "a" * 16, make_graph())
    for path in (cache / "latest.json", cache / "graphs" / f"{'a' * 16}.graph", cache / "datasets" / "0123.h5"):
        plant(path, what, path.rename(tmp_path / path.name))
    assert read_latest(cache) is None
    assert read_graph(cache, "a" * 16) is None
    assert not has_graph(cache, "a" * 16)
    assert read_snapshot(cache, "0123", "1-ab") == {}
    if what != "folder":  # links and pipes are replaced by files of featx
        write_latest(cache, {"data": "y"})
        write_graph(cache, "a" * 16, make_graph())
        assert read_latest(cache) == {"data": "y"}
        assert read_graph(cache, "a" * 16) == make_graph()


@needs_links
def test_a_cache_copied_with_hard_links_does_not_change_the_original(tmp_path):
    first = write(tmp_path / "first", rows(1, 2), finish=False)
    journal = first.path / "journal"
    before = journal.read_bytes()
    shutil.copytree(tmp_path / "first", tmp_path / "second", copy_function=os.link)
    second = write(tmp_path / "second", rows(3), finish=False)
    assert len(second.snapshot().keys()) == 3
    assert journal.read_bytes() == before


@needs_links
@pytest.mark.parametrize("folder", ["features", "datasets", "graphs", "training"])
def test_linked_folders_are_not_entered(tmp_path, folder):
    cache = tmp_path / "cache"
    write(cache, rows(1))
    (tmp_path / "home").mkdir()
    shutil.rmtree(cache / folder, ignore_errors=True)
    (cache / folder).symlink_to("../home")
    for do in (lambda cache: check_cache(cache, [folder]), lambda cache: prepare_cache(cache, folder)):
        with pytest.raises(StoreError, match=f"{folder} is a link, which featx does not follow inside its cache"):
            do(cache)
    assert [file.kind for file in list_files(cache) if file.path.name == folder] == ["other"]
    assert not list((tmp_path / "home").iterdir())


def test_a_folder_that_is_not_empty_never_becomes_a_cache(tmp_path):
    cache = tmp_path / "cache"
    assert not check_cache(cache)
    cache.mkdir()
    (cache / ".gitignore").write_text("*")
    assert not check_cache(cache)
    (cache / "image.png").write_bytes(b"")
    for do in (check_cache, lambda cache: prepare_cache(cache, "features"), list_files):
        with pytest.raises(StoreError, match="is not empty and has no CACHEDIR.TAG of featx.*choose another `cache`"):
            do(cache)
    assert sorted(path.name for path in cache.iterdir()) == [".gitignore", "image.png"]
    (cache / "image.png").unlink()
    prepare_cache(cache, "features")
    assert check_cache(cache)


@needs_links
def test_a_folder_with_the_tag_of_another_program_is_not_a_cache(tmp_path):
    prepare_cache(tmp_path / "good", "features")
    for number, plant_tag in enumerate(
        [
            lambda tag: tag.write_text("Signature: 8a477f597d28d172789f06886806bc55\n"),
            lambda tag: tag.write_text((tmp_path / "good" / "CACHEDIR.TAG").read_text() + " "),
            lambda tag: tag.symlink_to(tmp_path / "good" / "CACHEDIR.TAG"),
            os.mkfifo,
            Path.mkdir,
        ]
    ):
        cache = tmp_path / str(number)
        cache.mkdir()
        plant_tag(cache / "CACHEDIR.TAG")
        for do in (check_cache, lambda cache: prepare_cache(cache, "features"), list_files):
            with pytest.raises(StoreError, match="has a CACHEDIR.TAG that featx did not write"):
                do(cache)


@needs_links
def test_paths_that_cannot_be_a_cache_are_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "file/cache", "dangling", "loop", "loop/cache", "n" * 300, "zero\0"):
        for do in (check_cache, lambda cache: prepare_cache(cache, "features")):
            with pytest.raises(StoreError, match="the cache .* (cannot be (read|written)|is a link to)"):
                do(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "loop"]


def test_many_runs_may_create_one_cache_at_the_same_time(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: prepare_cache(tmp_path / "cache", ("features", "graphs")[i % 2]), range(64)))
    assert len(made) == 64
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["CACHEDIR.TAG", "features", "graphs"]


@needs_links
def test_a_read_only_file_is_replaced_and_keeps_its_mode(tmp_path):
    path = tmp_path / "cache" / "latest.json"
    write_latest(tmp_path / "cache", {"data": "x"})
    for mode in (0o400, 0o444, 0o600, 0o640):
        path.chmod(mode)
        seen: list[int] = []
        write_cache_file(path, lambda new, seen=seen: seen.append(stat.S_IMODE(new.stat().st_mode)))
        assert seen == [mode | 0o200]
        assert stat.S_IMODE(path.stat().st_mode) == mode
