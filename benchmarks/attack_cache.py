"""Attacks on the cache: planted files, folders that are not caches, and files that replace each other."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.scene import N_IMAGES, Attack, Scene, require

_OLD = time.time() - 7200
_HEAD = struct.Struct("<17sII")
_ID = "0123456789abcdef"
_FOREIGN_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# made by a backup program\n"


def _contents(folder: Path) -> dict[str, str | bytes]:
    """Return the content of all files in a tree of folders, and the targets of links, which are not followed."""
    found: dict[str, str | bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def _age(folder: Path) -> None:
    """Set the times of files to two hours ago."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (_OLD, _OLD), follow_symlinks=False)


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("years of work")


def _add_image(scene: Scene) -> None:
    """Add an image, so that the next extraction computes features."""
    new = scene.root / "set" / "cat" / "new.png"
    new.write_bytes((scene.root / "set" / "cat" / "cat000.png").read_bytes() + b"\n")


def _segment(scene: Scene) -> Path:
    return next((scene.root / "cache" / "features").glob("*/*.h5"))


def _gc_elsewhere(scene: Scene) -> str:
    refused = 0
    for number, tag in enumerate((None, _FOREIGN_TAG)):
        project = scene.root / f"project{number}"
        _write(project, "training/run1/model.pt", "training/run1/done", ".draft.tmp", "features/x.damaged")
        _write(project, f"features/{_ID}.journal", f"training/{_ID}/done", f"features/.{_ID}.h5.{_ID}.tmp")
        if tag is not None:
            (project / "CACHEDIR.TAG").write_text(tag)
        _age(project)
        before = _contents(project)
        for words in (["gc"], ["gc", "--gone"], ["gc", "--dry-run"], ["ls"], ["verify"]):
            scene.featx("cache", *words, "--cache", project).expect(1, "CACHEDIR.TAG")
            refused += 1
        require(_contents(project) == before, f"files are gone: {set(before) - set(_contents(project))}")
    return f"refused {refused} times in one line; no file is lost"


def _gc_links(scene: Scene) -> str:
    home, cache, store = scene.root / "home", scene.root / "cache", _segment(scene).parent
    _write(home, "thesis/done", "thesis/thesis.tex", f"{_ID}/done", f"{_ID}/last.npz", f"{_ID}.graph", f"{_ID}.h5")
    _write(home, f"{_ID}.h5.damaged", f"{_ID}.journal", f".{_ID}.h5.{_ID}.tmp")
    before = _contents(home)
    for folder in ("training", "graphs", "datasets", "features"):
        kept = cache / folder
        aside = shutil.move(kept, scene.root / f"aside-{folder}") if kept.exists() else None
        (cache / folder).symlink_to(home)
        _age(home)
        _age(cache)
        scene.featx("cache", "gc", "--gone").expect(0, f"{folder}, a link")
        require(_contents(home) == before, f"lost through a linked {folder}: {set(before) - set(_contents(home))}")
        (cache / folder).unlink()
        if aside is not None:
            shutil.move(aside, kept)
    (cache / "training").mkdir(exist_ok=True)
    (cache / "training" / _ID).symlink_to(home / _ID)
    (store / f"{_ID}.h5.damaged").symlink_to(home / f"{_ID}.h5.damaged")
    _age(home)
    _age(cache)
    scene.featx("cache", "gc", "--gone").expect(0)
    require(_contents(home) == before, f"lost through linked files: {set(before) - set(_contents(home))}")
    require((cache / "training" / _ID).is_symlink(), "a link that featx did not make is gone")
    return "4 linked folders, a linked run and a linked file: none was followed, each is listed"


def _gc_names(scene: Scene) -> str:
    cache = scene.root / "cache"
    names = [".draft.tmp", "image.png", "features/x.damaged", "features/mine.journal", "graphs/mine.graph"]
    names += ["graphs/mine.json", "training/thesis/done", f"training/{_ID}/done", f"training/{_ID}/model.pt"]
    names += [f"features/{_ID}/x.h5", f"features/.{_ID}.h5.1.tmp", f"features/{_ID}.txt", "datasets/.mine.h5.tmp"]
    _write(cache, *names)
    _age(cache)
    scene.featx("cache", "gc", "--gone").expect(0, "not written by featx")
    lost = [name for name in names if not (cache / name).exists()]
    require(not lost, f"lost: {lost}")
    return f"{len(names)} files of other names: all kept"


def _images_as_cache(scene: Scene) -> str:
    before = _contents(scene.root / "set")
    commands: list[list[object]] = [["extract", "set"], ["fit", "set", "-o", "n.featx"], ["predict", "m.featx", "set"]]
    commands += [["compare", "set", "--backbones", "efficientnet-lite0"], ["finetune", "set"], ["cache", "gc"]]
    for words in commands:
        scene.featx(*words, "--cache", "set").expect(1, "not a featx cache", "--cache")
        require(_contents(scene.root / "set") == before, f"featx {words[0]} wrote into the images")
    found = scene.featx("extract", "set", "--json").expect(0).result
    require(found["n_images"] == N_IMAGES, f"{found['n_images']} images are left")
    return f"{len(commands)} commands refused it before anything was written"


def _foreign_tags(scene: Scene) -> str:
    tags: dict[str, Callable[[Path], object]] = {
        "of a backup program": lambda tag: tag.write_text(_FOREIGN_TAG),
        "a link to featx's own": lambda tag: tag.symlink_to(scene.root / "cache" / "CACHEDIR.TAG"),
        "a pipe": os.mkfifo,
        "a folder": Path.mkdir,
        "a hole of 1 TB": lambda tag: (tag.touch(), os.truncate(tag, 1 << 40)),
    }
    for number, (what, make) in enumerate(tags.items()):
        cache = scene.root / f"other{number}"
        cache.mkdir()
        make(cache / "CACHEDIR.TAG")
        scene.featx("extract", "set", "--cache", cache, seconds=30).expect(1, "CACHEDIR.TAG", "another program")
        require([path.name for path in cache.iterdir()] == ["CACHEDIR.TAG"], f"written beside a tag that is {what}")
    return f"{len(tags)} kinds of tag: refused, nothing written"


def _odd_paths(scene: Scene) -> str:
    (scene.root / "file").write_text("mine")
    (scene.root / "dangling").symlink_to("gone")
    (scene.root / "loop").symlink_to("loop")
    paths = ["file", "file/cache", "dangling", "loop", "loop/cache", "n" * 300, "/dev/null", "/proc/cache"]
    for path in paths:
        scene.featx("extract", "set", "--cache", path).expect(1, "the cache")
        scene.featx("cache", "gc", "--cache", path)
    require((scene.root / "file").read_text() == "mine", "a file was overwritten")
    return f"{len(paths)} paths that are not folders: one line each"


def _planted(scene: Scene, plant: Callable[[Path], object], what: str) -> str:
    cache, store = scene.root / "cache", _segment(scene)
    scene.featx("predict", "m.featx", "set/cat", "-o", "scores.csv").expect(0)
    graph, snapshot = next((cache / "graphs").glob("*.graph")), next((cache / "datasets").glob("*.h5"))
    paths = [store.parent / name for name in ("journal", "lock", "used", "writer", "unfinished", store.name)]
    paths += [cache / "latest.json", cache / "networks.json", graph, graph.with_suffix(".json"), snapshot]
    for number, path in enumerate(paths):
        path.unlink(missing_ok=True)
        plant(path)
        _add_image(scene)
        with (scene.root / "set" / "cat" / "new.png").open("ab") as stream:
            stream.write(b"\n" * number)
        found = scene.featx("extract", "set", "--json", seconds=60).expect(0).result
        require(found["n_images"] == N_IMAGES + 1, f"{found['n_images']} images with {what} as {path.name}")
        require((scene.root / "victim").read_bytes() == b"precious", f"overwritten through {what} as {path.name}")
        if path.is_symlink() or not path.is_file():
            path.unlink(missing_ok=True)
    return f"{len(paths)} names: replaced or ignored"


def _planted_links(scene: Scene) -> str:
    victim = scene.root / "victim"
    victim.write_text("precious")
    return _planted(scene, lambda path: path.symlink_to(victim), "a link")


def _planted_pipes(scene: Scene) -> str:
    (scene.root / "victim").write_text("precious")
    return _planted(scene, os.mkfifo, "a pipe")


def _hard_links(scene: Scene) -> str:
    journal = _segment(scene).parent / "journal"
    victim = scene.root / "victim"
    victim.write_text("precious")
    os.link(victim, journal)
    _add_image(scene)
    scene.featx("extract", "set").expect(0)
    require(victim.read_bytes() == b"precious", "overwritten through a hard link")
    return "the journal is a new file"


def _holes(scene: Scene) -> str:
    cache, store = scene.root / "cache", _segment(scene)
    graph = next((cache / "graphs").glob("*.graph"))
    paths = [cache / "latest.json", cache / "networks.json", graph.with_suffix(".json"), graph]
    for path in paths:
        path.touch()
        os.truncate(path, 1 << 40)
    store.unlink()
    for words in (["extract", "set"], ["cache", "ls"], ["fit", "-o", "n.featx"]):
        scene.featx(*words, seconds=60, megabytes=20_000).expect(0)
    return f"{len(paths)} files of 1 TB of zeros: none was read completely"


def _swapped(scene: Scene) -> str:
    from benchmarks.scene import write_images

    images = scene.root / "bmp"
    write_images(images, 6, ".bmp")
    _age(images)
    scene.featx("extract", "bmp").expect(0)
    cat, dog, aside = images / "cat" / "cat000.bmp", images / "dog" / "dog000.bmp", images / "aside"
    cat.rename(aside)
    dog.rename(cat)
    aside.rename(dog)
    shutil.copy2(images / "cat" / "cat005.bmp", images / "dog" / "dog005.bmp")  # the same inode, size and time
    found = scene.featx("extract", "bmp", "--json").expect(0).result
    require(found["n_computed"] == 0, f"{found['n_computed']} images were computed again")
    scene.featx("cache", "export", "-o", "have.csv").expect(0)
    scene.featx("extract", "bmp", "--cache", "fresh").expect(0)
    scene.featx("cache", "export", "-o", "right.csv", "--cache", "fresh").expect(0)
    have, right = ((scene.root / name).read_text().splitlines() for name in ("have.csv", "right.csv"))
    stale = [line.split(",")[0] for line, other in zip(have, right, strict=True) if line != other]
    require(not stale, f"stale features: {stale}")
    return "read again; no features recomputed, none stale"


def _edit_index(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the index of a cache file, and write the correct checksum of the changed index."""
    content = path.read_bytes()
    length = _HEAD.unpack(content[: _HEAD.size])[1]
    index = json.loads(content[_HEAD.size : _HEAD.size + length])
    change(index)
    text = json.dumps(index, sort_keys=True).encode().ljust(length)
    head = _HEAD.pack(b"featx hdf5 index\n", len(text), zlib.crc32(text))
    path.write_bytes(head + text + content[len(head) + len(text) :])


_OF_STORES: Mapping[str, tuple[str, Any]] = {
    "a negative shape": ("probes.shape", [-1, 34]),
    "a huge shape": ("probes.shape", [1 << 30, 1 << 30]),
    "no probes": ("probes.shape", [0, 1280]),
    "a shape of text": ("features.shape", ["1", "2"]),
    "a shape of fractions": ("crc.shape", [2.5]),
    "a rank of 40": ("key.shape", [1] * 40),
    "an offset of text": ("features.offset", "9"),
    "a negative offset": ("key.offset", -8),
    "an offset inside the index": ("key.offset", 8),
    "overlapping datasets": ("features.offset", 12345),
    "objects as values": ("probes.dtype", "|O"),
    "a format of text": ("attrs.format_version", "1"),
    "a format of 0": ("attrs.format_version", 0),
    "no producers": ("attrs.producers", "[]"),
    "producers of numbers": ("attrs.producers", "[1, 2]"),
    "producers 10,000 deep": ("attrs.producers", "[" * 10_000),
    "a spec that is no text": ("attrs.spec", [7]),
    "half a surrogate as spec": ("attrs.spec", "\ud800"),
}


def _set(index: dict[str, Any], where: str, value: Any) -> None:
    place, name = where.split(".")
    (index["attrs"] if place == "attrs" else index["datasets"][place])[name] = value


def _absurd_stores(scene: Scene) -> str:
    store = _segment(scene)
    sound = store.read_bytes()
    for what, (where, value) in _OF_STORES.items():
        for path in store.parent.glob("*.h5*"):
            path.unlink()
        store.write_bytes(sound)
        _edit_index(store, lambda index, where=where, value=value: _set(index, where, value))  # type: ignore[misc]
        scene.featx("cache", "ls").expect(0, "damaged")
        if what in ("a negative shape", "no producers", "half a surrogate as spec"):
            scene.featx("extract", "set").expect(0, "was damaged and has been renamed to")
            require(store.read_bytes() == sound, f"another segment after {what}")
    return f"{len(_OF_STORES)} indexes with correct checksums: reported as damaged, set aside and made again"


_OF_SNAPSHOTS: Mapping[str, tuple[str, Any]] = {
    "a negative shape": ("stamp.shape", [-1, 4]),
    "a huge shape": ("sample_id.shape", [1 << 50]),
    "text of 1 GB each": ("sample_id.dtype", "|S999999999"),
    "fractions as sizes and times": ("stamp.dtype", "<f8"),
    "a root with a zero byte": ("attrs.root", "/data\0"),
    "a root that is no path": ("attrs.root", "\ud800"),
    "a root of numbers": ("attrs.root", 7),
}


def _absurd_snapshots(scene: Scene) -> str:
    folder = scene.root / "cache" / "datasets"
    shutil.rmtree(folder)
    scene.featx("extract", "set").expect(0)
    snapshot = next(folder.glob("*.h5"))
    for what, (where, value) in _OF_SNAPSHOTS.items():
        _edit_index(snapshot, lambda index, where=where, value=value: _set(index, where, value))  # type: ignore[misc]
        scene.featx("cache", "ls").expect(0, "damaged")
        scene.featx("cache", "gc").expect(1, "no row is removed")
        found = scene.featx("extract", "set", "--json").expect(0).result
        require((found["n_images"], found["n_computed"]) == (N_IMAGES, 0), f"computed again with {what}")
    scene.featx("cache", "verify").expect(0)
    return f"{len(_OF_SNAPSHOTS)} snapshots with correct checksums: reported as damaged, made again"


def _absurd_notes(scene: Scene) -> str:
    note = scene.root / "cache" / "latest.json"
    original = json.loads(note.read_text())
    texts = ["[" * 200_000, '{"a":' * 200_000, "NaN", "1" * 10_000, '{"data": NaN}', "\0", ""]
    changes: list[dict[str, Any]] = [{"data": "/x\0"}, {"data": "\ud800"}, {"data": [1]}, {"spec": "[" * 50_000}]
    changes += [{"options": []}, {"options": {"views": "x"}}, {"options": {"no such": 1}}, {"options": {"augment": 3}}]
    texts += [json.dumps({**original, **change}) for change in changes]
    for text in texts:
        note.write_text(text)
        scene.featx("fit", "-o", "n.featx").expect(1, "featx fit DATA")
    scene.featx("extract", "set").expect(0)
    return f"{len(texts)} versions of latest.json: reported as damaged, written again"


def _odd_times(scene: Scene) -> str:
    notes = scene.root / "set" / "notes.txt"
    notes.write_text("no image")
    images = (scene.root / "set").rglob("*.png")
    for number, path in enumerate([notes, *(scene.root / "cache").rglob("*"), *images]):
        seconds = -1e5 if number % 2 else 1e14  # or the latest time that the file system can store
        os.utime(path, (seconds, seconds))
    for words in (["extract", "set"], ["cache", "ls"], ["cache", "gc"], ["cache", "verify"], ["fit", "-o", "n.featx"]):
        scene.featx(*words).expect(0)
    return "files from before 1970 and from the far future: read, listed, kept"


ATTACKS: tuple[Attack, ...] = (
    Attack("cache gc, ls and verify on a project that is not a cache", _gc_elsewhere),
    Attack("cache gc on a cache with linked folders, runs and files", _gc_links),
    Attack("cache gc on a cache with files of other names", _gc_names),
    Attack("the folder of images given as --cache", _images_as_cache),
    Attack("a CACHEDIR.TAG of another program, a link, a pipe or 1 TB", _foreign_tags),
    Attack("a cache path that is a file, a circular link, a dangling link, a device", _odd_paths),
    Attack("links in place of the files of the cache", _planted_links),
    Attack("pipes in place of the files of the cache", _planted_pipes),
    Attack("a hard link in place of a journal", _hard_links),
    Attack("sparse files of 1 TB as files of the cache", _holes),
    Attack("images of equal size and time swapped, or overwritten in place", _swapped),
    Attack("segments with invalid indexes and correct checksums", _absurd_stores),
    Attack("snapshots with invalid indexes and correct checksums", _absurd_snapshots),
    Attack("latest.json with invalid content", _absurd_notes),
    Attack("files with impossible times", _odd_times),
)
