"""Attacks on input: folders, manifests, weights, model files, and the paths in them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.scene import N_IMAGES, Attack, Ended, Scene, featx_command, require, write_images

_SECONDS = 60.0
_MEGABYTES = 6_000
"""Limit of the address space: enough for a network, but not for an endless file."""

_HUGE = 10**11
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n"
_NOBODY = 65534


def _run(scene: Scene, *words: object, seconds: float = _SECONDS, megabytes: int = _MEGABYTES) -> Ended:
    return scene.featx(*words, seconds=seconds, megabytes=megabytes)


def _hole(path: Path, size: int = _HUGE) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def _counts(scene: Scene, n_skipped: int, n_ignored: int) -> str:
    """Extract features, and check that every file is counted and that the images of the scene are used."""
    result = _run(scene, "extract", "set", "--json").expect(0).result
    found = (result["n_images"], result["n_skipped"], result["n_ignored"])
    require(found == (N_IMAGES, n_skipped, n_ignored), f"images, skipped, ignored: {found}")
    _run(scene, "inspect", "set").expect(0)
    return f"{N_IMAGES} images used, {n_skipped} skipped, {n_ignored} ignored"


def _pipe(name: str, n_skipped: int) -> Callable[[Scene], str]:
    def run(scene: Scene) -> str:
        os.mkfifo(scene.root / "set" / "cat" / name)
        return _counts(scene, n_skipped, 1 - n_skipped)

    return run


def _sockets_and_devices(scene: Scene) -> str:
    folder = scene.root / "set" / "cat"
    for suffix in (".jpg", ""):
        os.symlink("/dev/zero", folder / f"zero{suffix}")
        os.symlink("/dev/tty", folder / f"tty{suffix}")
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(folder / f"socket{suffix}"))
    return _counts(scene, 3, 3)


def _links(scene: Scene) -> str:
    folder = scene.root / "set" / "cat"
    os.symlink("circle.jpg", folder / "circle.jpg")
    os.symlink("circle", folder / "circle")
    os.symlink(".", folder / "again")
    os.symlink("/proc", folder / "system")
    os.symlink("/proc/self/mem", folder / "memory.jpg")
    os.symlink("/proc/kmsg", folder / "kernel.jpg")
    os.symlink("/", folder / "root")
    return _counts(scene, 4, 1)


def _holes(scene: Scene) -> str:
    _hole(scene.root / "set" / "cat" / "hole.jpg")
    _hole(scene.root / "set" / "cat" / "hole")
    return _counts(scene, 1, 1)


def _many_large(scene: Scene) -> str:
    for i in range(8):
        _hole(scene.root / "set" / "cat" / f"large{i}.tif", 800_000_000)
    ended = _run(scene, "extract", "set", "--json", "--workers", 8, seconds=180.0, megabytes=5_000).expect(0)
    require(ended.result["n_skipped"] == 8, f"{ended.result['n_skipped']} skipped")
    return "read one at a time, each skipped"


def _growing(scene: Scene) -> str:
    stop = threading.Event()
    path = scene.root / "set" / "cat" / "log.jpg"

    def grow() -> None:
        size = 1_000
        while not stop.is_set():
            _hole(path, size)
            size += 10_000_000
            time.sleep(0.001)  # the file grows faster than it can be read

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        result = _run(scene, "extract", "set", "--json").expect(0).result
    finally:
        stop.set()
        writer.join()
    require(result["n_images"] == N_IMAGES and result["n_skipped"] == 1, f"{result['n_images']} images")
    return "the growing file is skipped, all others are used"


@contextlib.contextmanager
def _deep(folder: Path, names: list[str]) -> Iterator[None]:
    """Make nested folders with paths that are too long to open, and remove them, which rmtree cannot do."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name in names:
            os.mkdir(name)
            os.chdir(name)
        try:
            yield
        finally:
            for name in reversed(names):
                os.chdir("..")
                os.rmdir(name)
    finally:
        os.chdir(before)


def _depth(scene: Scene) -> str:
    with _deep(scene.root / "set" / "cat", ["d"] * 1_200 + ["n" * 200] * 12):
        return _counts(scene, 1, 0)


def _vanishing(scene: Scene) -> str:
    stop = threading.Event()
    folder = scene.root / "set" / "cat"

    def come_and_go() -> None:
        while not stop.is_set():
            for i in range(20):
                (folder / f"f{i}" / "g").mkdir(parents=True, exist_ok=True)
            for i in range(20):
                (folder / f"f{i}" / "g").rmdir()
                (folder / f"f{i}").rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        code = "from pathlib import Path\nfrom featx.dataset import scan\nfor _ in range(300): scan(Path('set'))"
        ended = scene.python(code)
    finally:
        stop.set()
        thread.join()
    require(ended.code == 0, ended.last)
    return "300 scans"


def _as_nobody(scene: Scene, *words: object) -> Ended:
    """Run a command as another user, who owns no files."""
    for folder in (scene.root.parent, scene.root):
        folder.chmod(0o755)
    who = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    home = scene.root / "home"
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    done = subprocess.run(
        [*who, *featx_command(), *map(str, words)],
        cwd=scene.root,
        env={**os.environ, "HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    result = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return Ended(done.returncode, done.stdout, done.stderr, 0.0, result)


def _closed_folders(scene: Scene) -> str:
    for name in ("closed", "unsearchable"):
        write_images(scene.root / "set" / "cat" / name, 1)
    (scene.root / "set" / "cat" / "closed").chmod(0)
    (scene.root / "set" / "cat" / "unsearchable").chmod(0o744)
    cache = scene.root / "home" / "cache"
    result = _as_nobody(scene, "extract", "set", "--cache", cache, "--json").expect(0).result
    # One folder that cannot be listed, and two folders inside a folder that can be listed but not entered.
    require(
        (result["n_images"], result["n_skipped"]) == (N_IMAGES, 3), f"{result['n_images']} images, {result['skipped']}"
    )
    return "each folder is one skipped entry"


def _closed_ways(scene: Scene) -> str:
    closed = scene.root / "closed"
    closed.mkdir()
    closed.chmod(0o700)
    reason = "Permission denied"
    _as_nobody(scene, "extract", closed / "set").expect(1, reason)
    _as_nobody(scene, "extract", closed / "set.csv").expect(1, reason)
    _as_nobody(scene, "predict", closed / "m.featx", "set").expect(1, reason)
    _as_nobody(scene, "predict", "m.featx", closed / "x.png").expect(1, reason)
    _as_nobody(scene, "report", closed / "m.featx").expect(1, reason)
    _as_nobody(scene, "extract", "set", "--weights", closed / "w.pth").expect(1, reason)
    _as_nobody(scene, "extract", "set", "--backbone", closed / "net.onnx", "--preprocess", "tf").expect(1, reason)
    return "one clear line for each of 7 options"


def _manifests(scene: Scene) -> str:
    def refused(name: str, *texts: str) -> None:
        _run(scene, "extract", scene.root / "set" / name).expect(1, *texts)

    folder = scene.root / "set"
    os.mkfifo(folder / "pipe.csv")
    refused("pipe.csv", "a named pipe, not a file")
    os.symlink("/dev/zero", folder / "zero.csv")
    refused("zero.csv", "a device, not a file")
    _hole(folder / "hole.csv")
    refused("hole.csv", "100,000,000,000 bytes")
    _hole(folder / "small-hole.csv", 1_900_000_000)
    refused("small-hole.csv", "a row has more than")
    (folder / "folder.csv").mkdir()
    refused("folder.csv", "is empty")
    with (folder / "field.csv").open("wb") as stream:
        stream.write(b"path,label\ncat/cat000.png,")
        for _ in range(1_000):
            stream.write(b"x" * 1_000_000)
    refused("field.csv", "a row has more than")
    (folder / "columns.csv").write_text("path,label," + ",".join(map(str, range(1_000_000))) + "\n")
    refused("columns.csv", "is not a readable CSV file")
    return "7 manifests refused in bounded memory"


def _parquet(scene: Scene) -> str:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return "not run: pyarrow is not installed"
    folder = scene.root / "set"
    nulls = pyarrow.nulls(10_000_000, pyarrow.string())
    table = pyarrow.table({"path": nulls, "label": nulls})
    with pyarrow.parquet.ParquetWriter(folder / "rows.parquet", table.schema) as writer:
        for _ in range(3):
            writer.write_table(table)
    long = pyarrow.table({"path": ["x" * 50_000_000], "label": ["a"]})
    with pyarrow.parquet.ParquetWriter(
        folder / "long.parquet", long.schema, compression="zstd", use_dictionary=False
    ) as writer:
        for _ in range(45):
            writer.write_table(long)
    labels = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 100_000, pyarrow.int32()), ["x" * 1_000_000])
    paths = [f"{i}.png" for i in range(100_000)]
    pyarrow.parquet.write_table(pyarrow.table({"path": paths, "label": labels}), folder / "labels.parquet")
    sizes = [path.stat().st_size for path in folder.glob("*.parquet")]
    require(max(sizes) < 20_000_000, f"no bombs: {sizes}")
    _run(scene, "extract", folder / "rows.parquet").expect(1, "has more than 20,000,000 rows")
    _run(scene, "extract", folder / "long.parquet").expect(1, "decompresses to 2,250,")
    _run(scene, "extract", folder / "labels.parquet").expect(1, "none of the 100,000 files")
    return f"3 bombs, the largest {max(sizes) / 1e6:.1f} MB, refused in bounded memory"


def _networks(scene: Scene) -> str:
    for suffix in ("pth", "h5", "keras", "onnx"):
        os.mkfifo(scene.root / f"pipe.{suffix}")
        os.symlink("/dev/zero", scene.root / f"zero.{suffix}")
        _hole(scene.root / f"hole.{suffix}")
    (scene.root / "net.onnx").write_bytes(b"net")
    os.mkfifo(scene.root / "net.json")
    reasons = {"pipe": "a named pipe, not a file", "zero": "a device, not a file", "hole": "100,000,000,000 bytes"}
    for name, reason in reasons.items():
        _run(scene, "extract", "set", "--weights", f"{name}.pth").expect(1, reason)
        _run(scene, "predict", "m.featx", "set", "--weights", f"{name}.pth").expect(1, reason)
        for suffix in ("h5", "keras", "onnx"):
            words = ("--backbone", f"{name}.{suffix}", "--preprocess", "tf", "--size", 32)
            _run(scene, "extract", "set", *words).expect(1, reason)
    _run(scene, "extract", "set", "--backbone", "net.onnx").expect(1, "a named pipe, not a file")
    return "16 refused"


def _models(scene: Scene) -> str:
    os.mkfifo(scene.root / "pipe.featx")
    _hole(scene.root / "hole.featx")
    for name, reason in (
        ("pipe.featx", "a named pipe"),
        ("/dev/zero", "a device"),
        ("hole.featx", "not a featx model"),
    ):
        _run(scene, "predict", name, "set").expect(1, reason)
        _run(scene, "report", name).expect(1, reason)
    return "6 refused"


def _named_to_predict(scene: Scene) -> str:
    os.mkfifo(scene.root / "pipe.png")
    _hole(scene.root / "hole.png")
    words = ("predict", "m.featx", "pipe.png", "/dev/zero", "hole.png", "set", "--json", "-o", "s.csv")
    result = _run(scene, *words).expect(0).result
    require((result["n_predicted"], result["n_skipped"]) == (N_IMAGES, 3), f"{result}")
    _run(scene, "predict", "m.featx", "pipe.png", "set", "--gallery", "g.html").expect(0)
    return "3 skipped with their reasons, the others predicted"


def _sample_ids(scene: Scene) -> str:
    """Write a model whose sample ids are paths of system files."""
    secret = scene.root / "secret.png"
    os.mkfifo(secret)
    names = [str(secret), "../secret.png", "cat/../../secret.png", "/dev/zero", "a\0b", "\ud800"]
    with zipfile.ZipFile(scene.root / "m.featx") as source, zipfile.ZipFile(scene.root / "e.featx", "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "model.json":
                header = json.loads(content)
                header["sample_ids"][: len(names)] = names
                content = json.dumps(header).encode()
            target.writestr(entry.filename, content)
    ended = _run(scene, "report", "e.featx", "--html", "p.html", "--data", "set")
    ended.expect(ended.code)
    require(ended.code in (0, 1), f"exit code {ended.code}")
    return "6 names: no file outside the data set was opened"


def _foreign_tag(scene: Scene) -> str:
    (scene.root / "set" / "cat" / "CACHEDIR.TAG").write_text(_TAG)
    return _counts(scene, 0, 1)


def _own_tags(scene: Scene) -> str:
    (scene.root / "set" / "dog" / ".featx-output").touch()
    for words in (("extract", "set"), ("inspect", "set")):
        _run(scene, *words).expect(0, "left out   dog: 14 files, an output of featx")
        result = _run(scene, *words, "--json").expect(0).result
        require(result["own_folders"] == [{"path": "dog", "n_files": 14, "reason": "an output of featx"}], f"{result}")
    require(_run(scene, "extract", "set", "--json").result["n_ignored"] == 14, "the folder is not counted as ignored")
    (scene.root / "set" / ".featx-output").touch()
    _run(scene, "extract", "set").expect(1, "because its file .featx-output marks it")
    _run(scene, "extract", "cache").expect(1, "because its file CACHEDIR.TAG marks it")
    return "listed with its 14 files; a tag in DATA itself is an error that names it"


def _planted_tags(scene: Scene) -> str:
    folder = scene.root / "set"
    os.mkfifo(folder / "cat" / ".featx-output")
    os.mkfifo(folder / "dog" / "CACHEDIR.TAG")
    os.symlink("/dev/zero", folder / "CACHEDIR.TAG")
    return _counts(scene, 0, 2)


def _footage(scene: Scene) -> str:
    os.mkfifo(scene.root / "pipe.mp4")
    for name, reason in (("pipe.mp4", "a named pipe, not a file"), ("/dev/zero", "a device, not a file")):
        ended = _run(scene, "capture", "someone", "--source", name, "--no-preview", "--full-frame")
        if "needs OpenCV" in ended.stderr:
            return "not run: OpenCV is not installed"
        ended.expect(1, reason)
    return "2 refused"


ATTACKS: tuple[Attack, ...] = (
    Attack("a named pipe with an image's name", _pipe("pipe.jpg", 1)),
    Attack("a named pipe without an image's name", _pipe("control", 0)),
    Attack("sockets and devices in a folder", _sockets_and_devices),
    Attack("circular links, links to /, to /proc and into it", _links),
    Attack("sparse files of 100 GB in a folder", _holes),
    Attack("8 sparse files of 800 MB, 8 threads", _many_large),
    Attack("a file that grows while it is read", _growing),
    Attack("1,212 nested folders, a path of 4,800 bytes", _depth),
    Attack("folders that appear and disappear while they are listed", _vanishing),
    Attack("folders without permission to list or enter them", _closed_folders, needs_root=True),
    Attack("a file below a folder that may not be entered", _closed_ways, needs_root=True),
    Attack("manifests that are pipes, devices, sparse files, or not tables", _manifests),
    Attack("Parquet bombs", _parquet),
    Attack("pipes, devices and sparse files as weights and networks", _networks),
    Attack("pipes, devices and sparse files as models", _models),
    Attack("pipes, devices and sparse files as arguments of predict", _named_to_predict),
    Attack("sample ids of a model that lead to other files", _sample_ids),
    Attack("the cache tag of another program in a class", _foreign_tag),
    Attack("tags of featx in a class and in DATA", _own_tags),
    Attack("tags that are pipes and links", _planted_tags),
    Attack("pipes and devices as videos", _footage),
)
