"""Attacks on the reader processes of a command: kills, suspensions, low limits of the system."""

from __future__ import annotations

import functools
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.attack_images import slow_jpeg
from benchmarks.scene import N_IMAGES, Attack, AttackSucceededError, Ended, Scene, kill_group, require

_N_QUICK, _N_SLOW = 200, 12
_N_ALL = _N_QUICK + _N_SLOW
_EXTRACT = ("extract", "many", "--cache", "new", "--workers", "2", "--json")
_USERS = 54_400
"""Number of the first of some users that do not exist."""

_TICKS = os.sysconf("SC_CLK_TCK")

_SUSPENDED = """
import os, signal, sys, threading, time
from pathlib import Path
from benchmarks.attack_readers import cpu_seconds, readers_of
from featx.readers import ReaderPool, Task
from featx.runtime import Runtime
from featx.source import image_at

def suspend():
    while not (readers := [each for each in readers_of(os.getpid()) if cpu_seconds(each) > 0.8]):
        time.sleep(0.02)
    os.kill(readers[0], signal.SIGSTOP)
    time.sleep(5)
    os.kill(readers[0], signal.SIGCONT)
    helped.append(readers[0])

helped = []
threading.Thread(target=suspend, daemon=True).start()
task, images = Task("decode", 64), [image_at(sys.argv[1])]
with ReaderPool(task, images, Runtime(Path("unused"), workers=1), seconds=4.0) as pool:
    (chunk,) = pool.read()
    print("width", chunk.states[0].width, chunk.states[0].reason, readers_of(os.getpid()) == helped)
"""

_LITTLE_MEMORY = """
import sys
from featx.readers import pool
pool.memory_for = lambda max_pixels: 150
sys.argv = ["featx", *sys.argv[1:]]
from featx.cli import main
main()
"""


def readers_of(pid: int) -> list[int]:
    """Return the ids of the reader processes that a process has started, also after its end."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            words = (folder / "cmdline").read_text() if folder.name.isdigit() else ""
            if "featx.readers.worker" in words and f'"parent": {pid},' in words:
                found.append(int(folder.name))
    return sorted(found)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used; 0 if there is no such process."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _TICKS
    return 0.0


def _busy_readers(process: subprocess.Popen[str], seconds: float = 1.0, n: int = 1) -> list[int]:
    """Wait until `n` reader processes of a command have used so much CPU time, and return them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [each for each in readers_of(process.pid) if cpu_seconds(each) >= seconds]
        if len(found) >= n:
            return found
        require(process.poll() is None, "the command ended before its reader processes were busy")
        time.sleep(0.02)
    require(False, "the command started no reader process")
    return []


def _seconds_until_gone(pid: int, most: float = 10.0) -> float:
    """Return after how many seconds all reader processes of a process have ended."""
    started = time.monotonic()
    while time.monotonic() - started < most and readers_of(pid):
        time.sleep(0.02)
    return time.monotonic() - started


def _leave_orphan(scene: Scene, number: signal.Signals) -> str:
    (scene.root / "set" / "cat" / "slow.jpg").write_bytes(slow_jpeg(20_000))
    process = scene.start("extract", "set")
    try:
        _busy_readers(process)
        process.send_signal(number)
        process.wait(30)
        took = _seconds_until_gone(process.pid)
    finally:
        kill_group(process)
    require(took < 2, f"the reader process is still running {took:.0f} s after {number.name}")
    return f"{number.name}: the reader process ended {took:.1f} s after its parent"


def _kill_reader(scene: Scene, times: int) -> str:
    slow = scene.root / "set" / "cat" / "slow.jpg"
    slow.write_bytes(slow_jpeg(1500))
    _age(slow)
    process = scene.start("extract", "set", "--json")
    try:
        for _ in range(times):
            (child,) = _busy_readers(process)
            os.kill(child, signal.SIGKILL)
            while child in readers_of(process.pid):
                time.sleep(0.01)
        output, errors = process.communicate(timeout=120)
    finally:
        kill_group(process)
    require(process.returncode == 0, f"exit code {process.returncode}: {errors[-200:]}")
    require(("next run tries again" in output) == (times > 1), f"killed {times} times: {output[-300:]}")
    again = scene.featx("extract", "set", "--json").expect(0).result
    require(again["n_images"] == N_IMAGES + 1, f"the failure was remembered: {again['skipped']}")
    return f"killed {times} times: the image was decoded by {'the next run' if times > 1 else 'a new process'}"


def _suspend_briefly(scene: Scene) -> str:
    path = scene.root / "slow.jpg"
    path.write_bytes(slow_jpeg(600))
    output = scene.python(_SUSPENDED, path, PYTHONPATH=str(Path(__file__).parents[1])).expect(0).stdout.strip()
    require(output == "width 2000  True", f"suspended for 5 s with a limit of 4 s: {output}")
    return "the image was decoded after the process was resumed"


def _kill_at_random(scene: Scene) -> str:
    rng = random.Random(0)
    killed = 0

    def disturb(process: subprocess.Popen[str]) -> None:
        nonlocal killed
        while process.poll() is None and killed < 8:
            time.sleep(rng.uniform(0.1, 1.0))
            if readers := readers_of(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(readers), signal.SIGKILL)
                    killed += 1

    n_skipped, _ = _run_disturbed(scene, disturb)
    return f"{killed} kills: {n_skipped} images left to the next run; the result is the same"


def _suspend(scene: Scene, n: int) -> str:
    def disturb(process: subprocess.Popen[str]) -> None:
        for each in _busy_readers(process, 0.8, n)[:n]:
            os.kill(each, signal.SIGSTOP)

    n_skipped, took = _run_disturbed(scene, disturb)
    require(n_skipped == 0, f"{n_skipped} images were skipped")
    require(took >= 10, f"the command ended after {took:.0f} s: the suspended process was not needed")
    return f"replaced; the command ended after {took:.0f} s with the same result"


def _kill_parent(scene: Scene) -> str:
    expected = _undisturbed(scene)
    process = scene.start(*_EXTRACT)
    try:
        _busy_readers(process, 0.8, 2)
        process.kill()
        process.wait(30)
        took = _seconds_until_gone(process.pid)
    finally:
        kill_group(process)
    require(took < 2, f"reader processes are still running {took:.0f} s after their parent was killed")
    _finish(scene, expected, None)
    return f"both reader processes ended {took:.1f} s after their parent; the next run has the same result"


def _exceed_memory(scene: Scene) -> str:
    expected = _undisturbed(scene)
    for name in ("cat/a0050.png", "dog/z.png"):
        path = scene.root / "many" / name
        Image.new("RGBA", (9000, 6000), (90, 90, len(name))).save(path, compress_level=1)
        _age(path)
    done = scene.python(_LITTLE_MEMORY, *_EXTRACT).expect(0)
    reason = "decoding needs more than 150 MB of memory"
    require(done.stdout.count(reason) == 2, f"reasons: {done.stdout[-400:]!r}")
    _require_same(expected, _rows(scene, "new"))
    return f"2 images skipped: {reason}; the features of the {_N_ALL} others are the same"


def _limit(scene: Scene, limits: Mapping[str, int], words: Sequence[str]) -> str:
    expected = _undisturbed(scene)
    ended = scene.featx(*_EXTRACT, *words, limits=limits).expect(0)
    require(ended.result["skipped"] == [], f"skipped: {ended.result['skipped'][:3]}")
    _finish(scene, expected)
    return f"{_N_ALL} images, the same result"


def _limit_processes(scene: Scene, words: Sequence[str]) -> str:
    """Allow more and more processes and threads until a run succeeds.

    Each run has a user of its own: root has no such limit, and ended processes count until the system removes them.
    """
    expected = _undisturbed(scene)
    known = scene.featx(*words).expect(0).result if words != _EXTRACT else {}
    scene.let_in()
    wrong: list[str] = []
    for most in range(6, 60, 2):
        user = str(_USERS + most)
        shutil.rmtree(scene.root / "new")
        shutil.copytree(scene.root / "cache", scene.root / "new")
        for path in (scene.root, *(scene.root / "new").rglob("*"), scene.root / "new"):
            os.chown(path, int(user), int(user))
        ended = scene.featx(
            *words,
            prefix=("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
            limits={"RLIMIT_NPROC": most},
            HOME=str(scene.root),
            OPENBLAS_NUM_THREADS="1",
        )
        require(_seconds_until_gone(ended.pid) < 2, f"limit {most}: reader processes are still running")
        if ended.code == 0:
            if known:
                require(ended.result == known | {"seconds": ended.result["seconds"]}, f"limit {most}: another result")
            else:
                require(ended.result["skipped"] == [], f"limit {most}: skipped: {ended.result['skipped'][:3]}")
                _finish(scene, expected)
            require(not wrong, "; ".join(wrong))
            return f"limits below {most}: one clear line each; {most}: {_N_ALL} images, the same result"
        try:
            ended.expect(1)
            require(ended.last.startswith("error: "), f"the last line is {ended.last!r}")
        except AttackSucceededError as error:
            wrong.append(f"limit {most}: {str(error)[-160:]}")
    raise AttackSucceededError("no run succeeded")


def _without_shared_memory(scene: Scene) -> str:
    expected = _undisturbed(scene)
    hide = 'mount -t tmpfs -o ro,size=4k none /dev/shm && exec "$@"'
    ended = scene.featx(*_EXTRACT, prefix=("unshare", "--mount", "sh", "-c", hide, "sh")).expect(0)
    require(ended.result["skipped"] == [], f"skipped: {ended.result['skipped'][:3]}")
    _finish(scene, expected)
    return f"{_N_ALL} images, the same result"


def _write_many(scene: Scene) -> None:
    """Write images that two reader processes decode in some seconds."""
    rng = np.random.default_rng(0)
    for number in range(_N_ALL):
        folder = scene.root / "many" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"a{number:04}.jpg"
        if number % (_N_ALL // _N_SLOW) == 5:
            path.write_bytes(slow_jpeg(200, number))
        else:
            Image.fromarray(rng.integers(0, 256, (256, 256, 3), np.uint8)).save(path, quality=95)
        _age(path)


def _undisturbed(scene: Scene) -> dict[str, NDArray[Any]]:
    """Write many images, and return the features of a run without faults; make the cache ``new`` for another run."""
    _write_many(scene)
    shutil.copytree(scene.root / "cache", scene.root / "new")
    quiet = ("quiet" if word == "new" else word for word in _EXTRACT)
    shutil.copytree(scene.root / "cache", scene.root / "quiet")
    result = scene.featx(*quiet).expect(0).result
    require(result["n_computed"] == _N_ALL, f"{result['n_computed']} of {_N_ALL} computed without faults")
    return _rows(scene, "quiet")


def _run_disturbed(scene: Scene, disturb: Callable[[subprocess.Popen[str]], None]) -> tuple[int, float]:
    """Extract features while `disturb` runs; return the number of images left to the next run, and the duration."""
    expected = _undisturbed(scene)
    started = time.monotonic()
    process = scene.start(*_EXTRACT)
    try:
        disturb(process)
        output, errors = process.communicate(timeout=120)
    finally:
        kill_group(process)
    took = time.monotonic() - started
    Ended(process.returncode, output, errors, took).expect(0)
    gone = _seconds_until_gone(process.pid)
    require(gone < 2, "reader processes are still running after the command")
    n_skipped = output.count("next run tries again")
    _finish(scene, expected, n_skipped)
    return n_skipped, took


def _finish(scene: Scene, expected: Mapping[str, NDArray[Any]], n_left: int | None = 0) -> None:
    """Run again, and compare the features with those of a run without faults."""
    again = scene.featx(*_EXTRACT).expect(0).result
    require(n_left is None or again["n_computed"] == n_left, f"{again['n_computed']} computed again, {n_left} skipped")
    require(again["skipped"] == [], f"the next run skipped {again['skipped'][:3]}")
    _require_same(expected, _rows(scene, "new"))


def _rows(scene: Scene, cache: str) -> dict[str, NDArray[Any]]:
    path = scene.root / f"{cache}.npz"
    scene.featx("cache", "export", "many", "--cache", cache, "-o", path, "--overwrite").expect(0)
    with np.load(path) as held:
        return {name: held[name] for name in held.files}


def _require_same(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> None:
    for name, values in expected.items():
        require(np.array_equal(values, found[name]), f"{name} differ from those of a run without faults")


def _age(path: Path) -> None:
    """Set the time of a file to an hour ago: files that were just written are read again by the next run."""
    os.utime(path, (time.time() - 3600,) * 2)


ATTACKS: tuple[Attack, ...] = (
    *(
        Attack(
            f"{number.name} to a command while its reader process decodes",
            functools.partial(_leave_orphan, number=number),
        )
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
    ),
    Attack("a reader process is killed", functools.partial(_kill_reader, times=1)),
    Attack(
        "a reader process is killed, and the process that replaces it too", functools.partial(_kill_reader, times=2)
    ),
    Attack("a reader process is suspended for longer than its time limit, and resumed", _suspend_briefly),
    Attack("reader processes are killed at random times", _kill_at_random),
    Attack("one of two reader processes is suspended and never resumed", functools.partial(_suspend, n=1)),
    Attack("both reader processes are suspended and never resumed", functools.partial(_suspend, n=2)),
    Attack("SIGKILL to a command with two busy reader processes", _kill_parent),
    Attack("images beyond the memory limit among others", _exceed_memory),
    Attack(
        "at most 64 open files, 8 workers",
        functools.partial(_limit, limits={"RLIMIT_NOFILE": 64}, words=("--workers", "8")),
    ),
    *(
        Attack(
            f"{words[0]} with few processes and threads allowed by `ulimit -u`",
            functools.partial(_limit_processes, words=words),
            needs_root=True,
        )
        for words in (("inspect", "many", "--json"), _EXTRACT)
    ),
    Attack("/dev/shm is empty and read-only", _without_shared_memory, needs_root=True),
)
