"""Attacks on outputs: existing files that featx did not write, and sorting into the folder of the images."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scene import Attack, AttackSucceededError, Scene, require

_MINE = b"written by the user\n"


def _foreign(scene: Scene) -> str:
    (scene.root / "set" / "l.csv").write_text("path,label\n" + "".join(f"{one},x\n" for one in _images(scene)))
    manifest, image = scene.root / "set" / "l.csv", scene.root / "set" / "cat" / "cat000.png"
    kept = {path: path.read_bytes() for path in (manifest, image)}
    for path in kept:
        for words in ([], ["--overwrite"]):
            ended = scene.featx("fit", "set", "-o", path, *words)
            require(path.read_bytes() == kept[path], f"fit -o replaced {path.name}")
            require(ended.code in (1, 2), f"exit code {ended.code}")
    commands = [(*words, name) for *words, name in _OUTPUTS]
    for *words, name in commands:
        path = scene.root / name
        path.write_bytes(_MINE)
        scene.featx(*words, name, "--overwrite").expect(1, "never replaced")
        require(path.read_bytes() == _MINE, f"{words[0]} replaced {name}")
    return f"refused, 2 and {len(commands)} kinds of outputs"


_OUTPUTS = (
    ("fit", "set", "-o", "mine.featx"),
    ("predict", "m.featx", "set", "-o", "mine.csv"),
    ("predict", "m.featx", "set", "-o", "mine.jsonl"),
    ("predict", "m.featx", "set", "-o", "mine.parquet"),
    ("predict", "m.featx", "set", "--gallery", "mine.html"),
    ("predict", "m.featx", "set", "--gallery", "mine.png"),
    ("report", "m.featx", "--html", "page.html"),
    ("report", "m.featx", "--suspects", "doubt.csv"),
    ("extract", "set", "--preview", "preview.png"),
    *(("cache", "export", "-o", f"table{suffix}") for suffix in (".h5", ".npz", ".npy", ".csv", ".parquet")),
)


def _no_file(scene: Scene) -> str:
    own = scene.root / "own.csv"
    scene.featx("predict", "m.featx", "set", "-o", own).expect(0)
    before = own.read_bytes()
    (scene.root / "link.csv").symlink_to("own.csv")
    (scene.root / "folder.csv").mkdir()
    os.mkfifo(scene.root / "pipe.csv")
    for name in ("link.csv", "folder.csv", "pipe.csv"):
        scene.featx("predict", "rbf.featx", "set", "-o", name, "--overwrite", seconds=60).expect(1, name)
    require(own.read_bytes() == before, "the target of a link was replaced")
    require((scene.root / "link.csv").is_symlink(), "a link was replaced")
    return "refused: a link, a folder, a pipe"


def _at_once(scene: Scene) -> str:
    runs = [scene.start("fit", "set", "--head", head, "-o", "one.featx") for head in ("logreg", "ridge")]
    errors = [run.communicate(timeout=200)[1] for run in runs]
    codes = sorted(run.returncode for run in runs)
    require(codes == [0, 1], f"exit codes {codes}")
    loser = errors[[run.returncode for run in runs].index(1)]
    if "exists; add --overwrite" not in loser and "another run" not in loser:
        raise AttackSucceededError(f"unclear: {loser!r}")
    scene.featx("report", "one.featx").expect(0)
    return "one wrote it, the other was refused"


def _private(scene: Scene) -> str:
    for name, *words in (("s.csv", "predict", "m.featx", "set", "-o"), ("m.featx", "fit", "set", "-o")):
        if not (scene.root / name).exists():
            scene.featx(*words, name).expect(0)
        (scene.root / name).chmod(0o600)
        scene.featx(*words, name, "--overwrite").expect(0)
        mode = (scene.root / name).stat().st_mode & 0o777
        require(mode == 0o600, f"{name} has mode {mode:o}")
    return "mode 600 was kept"


def _planted(scene: Scene) -> str:
    victim = scene.root / "victim"
    victim.write_bytes(_MINE)
    for number in range(os.getpid(), os.getpid() + 4000):
        (scene.root / f".s.csv.{number}.tmp").symlink_to(victim)
    scene.featx("predict", "m.featx", "set", "-o", "s.csv").expect(0)
    require(victim.read_bytes() == _MINE, "the link's target was overwritten")
    require(not (scene.root / "s.csv").is_symlink(), "the table is a link")
    return "the table is a file, the link's target is unchanged"


def _sorted_home(scene: Scene) -> str:
    before = _contents(scene.root / "set")
    for given, folder in (("set/cat", "set"), ("set", "set"), ("set", "set/cat/sorted"), ("set", ".")):
        for words in ([], ["--overwrite"]):
            scene.featx("predict", "m.featx", given, "--sort-into", folder, *words).expect(1, "--sort-into")
            require(_contents(scene.root / "set") == before, f"{given} into {folder} changed the images")
    scene.featx("extract", "set").expect(0)
    scene.featx("predict", "m.featx", "set", "--sort-into", "sorted").expect(0)
    n = len(list((scene.root / "sorted").glob("*/*.png")))
    scene.featx("predict", "rbf.featx", "sorted/cat", "sorted/dog", "--sort-into", "sorted", "--overwrite").expect(1)
    require(len(list((scene.root / "sorted").glob("*/*.png"))) == n, "sorted images are lost")
    return "refused; no image is lost or hidden"


def _link_of_links(scene: Scene) -> str:
    (scene.root / "links").mkdir()
    for image in (scene.root / "set" / "cat").iterdir():
        (scene.root / "links" / image.name).symlink_to(f"../set/cat/{image.name}")
    scene.featx("predict", "m.featx", "links", "--sort-into", "a/sorted", "--link").expect(0)
    made = [path for path in (scene.root / "a").rglob("*.png") if path.exists()]
    require(len(made) == 14, f"{14 - len(made)} of 14 links are broken")
    return "14 of 14 links point to the files"


def _entered_link(scene: Scene) -> str:
    scene.featx("predict", "m.featx", "set", "--sort-into", "sorted").expect(0)
    (scene.root / "sorted" / "cat").rename(scene.root / "elsewhere")
    (scene.root / "sorted" / "cat").symlink_to("../elsewhere")
    before = {path.name: path.stat().st_ino for path in (scene.root / "elsewhere").iterdir()}
    scene.featx("predict", "m.featx", "set", "--sort-into", "sorted", "--overwrite").expect(1, "is a link")
    after = {path.name: path.stat().st_ino for path in (scene.root / "elsewhere").iterdir()}
    require(after == before, "files behind the link were replaced")
    return "the link was not followed"


def _sorted_full(scene: Scene) -> str:
    with small_disk(scene.root / "disk", "60k") as disk:
        command = ("predict", "m.featx", "set", "--sort-into", disk / "out")
        ended = scene.featx(*command).expect(1, "No space left")
        whole = {hashlib.sha256(path.read_bytes()).digest() for path in (scene.root / "set").rglob("*.png")}
        torn = [path for path in disk.rglob("*") if path.is_file() and not path.name.startswith(".featx-output")]
        torn = [path for path in torn if hashlib.sha256(path.read_bytes()).digest() not in whole]
        require(not torn, f"torn: {[path.name for path in torn]}")
    return ended.last[:120]


def _full(scene: Scene) -> str:
    with small_disk(scene.root / "disk", "64k") as disk:
        (disk / "filler").write_bytes(bytes(1 << 16))
        for words in (("predict", "m.featx", "set", "-o", disk / "s.csv"), ("fit", "set", "-o", disk / "m.featx")):
            scene.featx(*words, "--json").expect(1, "No space left", "kept in the cache")
            require(os.listdir(disk) == ["filler"], f"left: {os.listdir(disk)}")
        mount("-o", "remount,size=8m", disk)
        for words in (("predict", "m.featx", "set", "-o", disk / "s.csv"), ("fit", "set", "-o", disk / "m.featx")):
            scene.featx(*words).expect(0)
    return "one line, no incomplete file; the same command then continues"


def _long_name(scene: Scene) -> str:
    (scene.root / "set").rename(scene.root / ("n" * 240))
    scene.featx("fit", "n" * 240).expect(0)
    scene.featx("predict", "m.featx", "n" * 240, "-o", "n" * 251 + ".csv").expect(0)
    scene.featx("predict", "m.featx", "n" * 240, "-o", "n" * 252 + ".csv").expect(1, "File name too long")
    return "240 bytes: written under a shorter name; 255 bytes work"


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a small file system in memory, and unmount it at the end."""
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "none", place)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def mount(*words: object) -> None:
    """Run ``mount``."""
    subprocess.run([shutil.which("mount") or "/bin/mount", *map(str, words)], check=True, capture_output=True)


def _images(scene: Scene) -> list[str]:
    root = scene.root / "set"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _row(name: str, run: Callable[[Scene], str], needs_root: bool = False) -> Attack:
    return Attack(name, run, needs_root=needs_root)


ATTACKS: tuple[Attack, ...] = (
    _row("every output to a file that featx did not write, with --overwrite", _foreign),
    _row("an output to a link, a folder, a pipe", _no_file),
    _row("two runs write one model at once", _at_once),
    _row("a private output is replaced", _private),
    _row("links with predictable temporary names", _planted),
    _row("--sort-into into the folder of the images", _sorted_home),
    _row("--sort-into --link of symbolic links", _link_of_links),
    _row("--sort-into a class folder that is a link", _entered_link),
    _row("the disk is full while images are sorted", _sorted_full, True),
    _row("the disk is full when a table or a model is written", _full, True),
    _row("names of 240 and 255 bytes", _long_name),
)
