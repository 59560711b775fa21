"""The faults that ``benchmarks.faults`` injects into merges of the caches of shards."""

from __future__ import annotations

import contextlib
import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.damage import small_disk
from benchmarks.extraction_runs import Ended, FaultCounts, Place, end
from featx.store import list_segments

_SHARDS = 3


class Shards:
    """The caches of the shards of a data set, and the seconds that their merge takes.

    Parameters
    ----------
    place : Place
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folders = [place.fresh_cache() for _ in range(_SHARDS)]
        for number, folder in enumerate(self.folders, 1):
            place.run(folder, None, "--shard", f"{number}/{_SHARDS}")
        self.content = [_content(folder) for folder in self.folders]
        self.snapshot = _snapshot(place.whole)
        target, times = place.root / "timed", []
        for _ in range(3):
            running = self.start(target)
            started = time.monotonic()
            end(running)
            times.append(time.monotonic() - started)
            shutil.rmtree(target)
        self.seconds = sorted(times)[1]

    def start(self, target: Path, folders: list[Path] | None = None) -> subprocess.Popen[str]:
        """Start a merge, and return when it begins, after all imports."""
        words = [sys.executable, "-W", "ignore", "-m", "benchmarks.merge_runs", target, *(folders or self.folders)]
        pipe = subprocess.PIPE
        running = subprocess.Popen([str(word) for word in words], stdout=pipe, stderr=pipe, text=True)
        assert running.stdout is not None
        running.stdout.readline()
        return running

    def compare(self, target: Path, counts: FaultCounts) -> None:
        """Merge again without faults; count lost, doubled and wrong rows, and changed caches of shards."""
        stored = self.place.opened(target).snapshot().keys()
        counts.wrong += end(self.start(target)).code != 0
        found = self.place.opened(target)
        counts.lost += len(np.setdiff1d(stored, found.snapshot().keys()))
        counts.doubled += sum(header.n_rows for header in list_segments(found.path)[0]) - self.place.n_images
        counts.wrong += not self.place.is_same(target)
        counts.wrong += _snapshot(target) != self.snapshot
        counts.wrong += [_content(folder) for folder in self.folders] != self.content


def killed(shards: Shards, tries: int, rng: random.Random) -> FaultCounts:
    """Kill merges at random times, then merge again."""
    counts, cut = FaultCounts(tries), []
    for _ in range(tries):
        target = shards.place.root / "killed"
        running = shards.start(target)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0, 1.1 * shards.seconds))
        running.kill()
        end_of(running)
        cut.append(shards.place.n_rows(target))
        shards.compare(target, counts)
        shutil.rmtree(target)
    n = sum(0 < n < shards.place.n_images for n in cut)
    counts.remark = f"{n} of the killed merges had copied some of the rows"
    return counts


def disk_full(shards: Shards, tries: int, rng: random.Random) -> FaultCounts:
    """Let the disk become full during merges, then free space and merge again."""
    counts, full = FaultCounts(tries), 0
    for _ in range(tries):
        with small_disk(shards.place, rng.randrange(int(1.5 * len(shards.place.store)))) as (target, make_room):
            ended = end_of(shards.start(target))
            full += ended.code == 1
            counts.wrong += not ended.is_clean
            make_room()
            shards.compare(target, counts)
    counts.remark = f"the disk was full in {full} merges" if full else "not run: only root can mount a small disk"
    return counts


def at_once(shards: Shards, tries: int) -> FaultCounts:
    """Start two merges of different shards into one cache, and a third one of all, at the same time."""
    counts = FaultCounts(tries)
    for _ in range(tries):
        target = shards.place.root / "at-once"
        parts = [shards.folders[:2], shards.folders[1:], shards.folders[::-1]]
        running = [shards.start(target, part) for part in parts]
        counts.wrong += any(end_of(one).code for one in running)
        counts.lost += shards.place.n_images - shards.place.n_rows(target)
        counts.wrong += _snapshot(target) != shards.snapshot  # before the comparison merges again
        shards.compare(target, counts)
        shutil.rmtree(target)
    return counts


def during_extraction(shards: Shards, tries: int, rng: random.Random) -> FaultCounts:
    """Merge while a shard is extracted, in turn into a cache that is merged and into the target."""
    counts, place, early = FaultCounts(tries), shards.place, 0
    for number in range(tries):
        target, part = place.fresh_cache(), place.fresh_cache()
        running = place.start(part if number % 2 else target, None, "--shard", f"{_SHARDS}/{_SHARDS}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0.3, 1.0) * place.seconds)
        early += running.poll() is None
        merging = shards.start(target, [*shards.folders[:-1], *([part] if number % 2 else [])])
        counts.wrong += end_of(merging).code != 0
        counts.wrong += end(running).code != 0
        if number % 2:
            counts.wrong += end_of(shards.start(target, [part])).code != 0
        counts.lost += place.n_images - place.n_rows(target)
        counts.wrong += _snapshot(target) != shards.snapshot
        shards.compare(target, counts)
        shutil.rmtree(target)
        shutil.rmtree(part)
    counts.remark = f"{early} merges began before the extraction ended"
    return counts


def folder_deleted(shards: Shards, tries: int, rng: random.Random) -> FaultCounts:
    """Delete the cache of a shard during merges, then restore it and merge again."""
    counts, errors = FaultCounts(tries), 0
    for _ in range(tries):
        target, folder = shards.place.root / "less", rng.choice(shards.folders)
        kept = shutil.copytree(folder, shards.place.root / "kept")
        running = shards.start(target)
        time.sleep(rng.uniform(0, shards.seconds))
        shutil.rmtree(folder)
        ended = end_of(running)
        errors += ended.code == 1
        counts.wrong += not ended.is_clean
        kept.rename(folder)
        shards.compare(target, counts)
        shutil.rmtree(target, ignore_errors=True)
    counts.remark = f"{errors} merges ended with an error that names the folder"
    return counts


def end_of(running: subprocess.Popen[str]) -> Ended:
    """Wait for a merge to end; a merge that reports problems has not merged everything, and is no clean success."""
    ended = end(running)
    if ended.result.get("problems"):
        return Ended(1, {}, f"error: {ended.result['problems'][0]}")
    return ended


def _snapshot(cache: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((cache / "datasets").glob("*.h5")))


def _content(cache: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(cache.rglob("*")):
        digest.update(f"{path.relative_to(cache)}\n".encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()
