"""The faults that ``benchmarks.faults`` injects into extractions."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.extraction_runs import Ended, FaultCounts, Place, end
from benchmarks.store_runs import N_ROWS, make_rows, store_in
from featx.errors import DamagedStoreError
from featx.runtime import Runtime
from featx.store import as_bytes, keys_of, list_segments

_SOON = 2.0
"""Seconds within which a run must end after a request to stop."""


def killed(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Kill runs at random times, then run again."""
    counts, cut = FaultCounts(tries), []
    for _ in range(tries):
        cache = place.fresh_cache()
        running = place.start(cache)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0, 1.1 * place.seconds))
        running.kill()
        end(running)
        n_stored = place.n_rows(cache)
        cut.append(n_stored)
        _compare_again(place, cache, n_stored, counts)
        shutil.rmtree(cache)
    counts.remark = f"{sum(0 < n < place.n_images for n in cut)} of the killed runs had stored some of the rows"
    return counts


def killed_merging(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Kill processes that write and merge segments at random times, then continue."""
    counts, merging = FaultCounts(tries), 0
    command = [sys.executable, "-m", "benchmarks.store_runs"]
    place.root.joinpath("merged").mkdir()
    whole = place.root / "merged" / "whole"
    started = time.monotonic()
    subprocess.run([*command, str(whole)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    reference = _export(whole, place.root / "merged" / "whole.h5")
    for _ in range(tries):
        cache = place.root / "merged" / "killed"
        running = subprocess.Popen([*command, str(cache)], stdout=subprocess.PIPE, text=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0.1, 1.0) * seconds)
        running.kill()
        printed = running.communicate()[0].splitlines()
        n_safe = int(printed[-1]) if printed else 0
        store = store_in(cache)
        merging += len(list(store.path.glob(".*.tmp"))) > 0
        stored = store.snapshot()
        safe, right = make_rows(0, n_safe), np.unique(make_rows(0, N_ROWS).keys, axis=0)
        here = stored.contains(safe.keys)
        counts.lost += int((~here).sum())
        if here.any():
            counts.wrong += int((stored.rows(safe.keys[here]).features != safe.features[here]).any(axis=1).sum())
        counts.wrong += len(np.setdiff1d(stored.keys(), right.view(stored.keys().dtype)))
        subprocess.run([*command, str(cache)], check=True, stdout=subprocess.DEVNULL)
        counts.doubled += sum(header.n_rows for header in list_segments(store.path)[0]) - N_ROWS
        counts.wrong += _export(cache, place.root / "merged" / "killed.h5") != reference
        shutil.rmtree(cache)
    counts.remark = f"{merging} were killed while a segment was written"
    return counts


def _export(cache: Path, path: Path) -> bytes:
    store_in(cache).snapshot().export(path, lambda done, total: None)
    return path.read_bytes()


def stopped(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Send signals to runs at random times; each run must end soon and report how to continue."""
    counts, slowest = FaultCounts(tries), 0.0
    for number in range(tries):
        cache = place.fresh_cache()
        running = place.start(cache)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0.3, 1.0) * place.seconds)
        asked = time.monotonic()
        running.send_signal((signal.SIGINT, signal.SIGTERM)[number % 2])
        ended = end(running)
        took = time.monotonic() - asked
        slowest = max(slowest, took)
        counts.wrong += not ended.is_clean or took > _SOON
        _compare_again(place, cache, place.n_rows(cache), counts)
        shutil.rmtree(cache)
    counts.remark = f"ended after {slowest:.1f} s at the latest"
    return counts


def several_at_once(place: Place, tries: int, n: int, overlapping: bool) -> FaultCounts:
    """Start several runs with one cache at the same time."""
    counts = FaultCounts(tries)
    folders = _overlapping(place, n) if overlapping else [place.data] * n
    for _ in range(tries):
        cache = place.fresh_cache()
        ended = [end(running) for running in [place.start(cache, folder) for folder in folders]]
        counts.wrong += any(one.code != 0 for one in ended)
        computed = sum(one.result.get("n_computed", 0) for one in ended)
        counts.doubled += max(0, computed - place.n_images)
        counts.lost += max(0, place.n_images - place.n_rows(cache))
        counts.wrong += not place.is_same(cache)
        shutil.rmtree(cache)
    return counts


def _overlapping(place: Place, n: int) -> list[Path]:
    """Return folders that together contain all images; each folder shares some classes with the next one."""
    classes = sorted(path.name for path in place.data.iterdir() if path.is_dir())
    share = -(-len(classes) // n)
    folders = []
    for number in range(n):
        folder = place.root / f"part-{n}-{number}"
        for name in (classes * 2)[number * share : number * share + share + share // 2]:
            if not (folder / name).exists():
                shutil.copytree(place.data / name, folder / name)
        folders.append(folder)
    return folders


def disk_full(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Let the disk become full during runs, then free space and run again."""
    counts, full = FaultCounts(tries), 0
    needed = 3 * len(place.store)  # journal, store and snapshot; with the largest values there is enough space
    for _ in range(tries):
        with small_disk(place, rng.randrange(needed)) as (cache, make_room):
            ended = place.run(cache)
            full += ended.code == 1
            counts.wrong += not ended.is_clean
            n_stored = place.n_rows(cache)
            make_room()
            _compare_again(place, cache, n_stored, counts)
    counts.remark = f"the disk was full in {full} runs" if full else "not run: only root can mount a small disk"
    return counts


@contextlib.contextmanager
def small_disk(place: Place, room: int) -> Iterator[tuple[Path, object]]:
    """Yield a cache on a disk with ``room`` bytes of free space, and a function that frees more space."""
    disk = place.root / "disk"
    disk.mkdir()
    megabytes = 64 + 8 * len(place.store) // 2**20
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", disk], check=False)
    try:
        cache = place.fresh_cache(disk / "cache")
        filler = disk / "filler"
        if mounted.returncode == 0:
            free = shutil.disk_usage(disk).free
            filler.write_bytes(bytes(max(0, free - room)))
        yield cache, lambda: filler.unlink(missing_ok=True)
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", disk], check=True)
        shutil.rmtree(disk, ignore_errors=True)


def unwritable(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Replace the cache by a file, make it read-only, or delete it during a run."""
    counts = FaultCounts(3 * tries)
    for _ in range(tries):
        cache = place.root / "no-folder"
        cache.write_text("a file")
        counts.wrong += not _is_refused(place.run(cache))
        cache.unlink()
        counts.wrong += not _survives_read_only(place)
        cache = place.fresh_cache()
        running = place.start(cache)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0.3, 0.9) * place.seconds)
        shutil.rmtree(cache, ignore_errors=True)
        counts.wrong += not end(running).is_clean
        place.run(cache)
        counts.wrong += not place.is_same(cache)
        shutil.rmtree(cache)
    return counts


def _is_refused(ended: Ended) -> bool:
    return ended.is_clean and ended.code == 1


def _survives_read_only(place: Place) -> bool:
    """Return whether a run on a read-only cache is refused and leaves it unchanged."""
    cache = place.full_cache()
    (place.data / "0" / "new.png").write_bytes(next((place.data / "1").iterdir()).read_bytes() + b"new")
    if os.geteuid():
        for path in [cache, *cache.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
    else:
        subprocess.run(["mount", "--bind", cache, cache], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", cache], check=True)
    try:
        return _is_refused(place.run(cache)) and place.is_same(cache)
    finally:
        (place.data / "0" / "new.png").unlink()
        if os.geteuid():
            for path in [cache, *cache.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)
        else:
            subprocess.run(["umount", "--lazy", cache], check=True)
        shutil.rmtree(cache)


def files_changed(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Delete, replace and change images during a run; a second run must then use the current images."""
    from featx.extraction import extract

    counts = FaultCounts(tries)
    for number in range(tries):
        folder, cache = place.root / f"changing{number}", place.fresh_cache()
        shutil.copytree(place.data, folder)
        running = place.start(cache, folder)
        originals = sorted(place.data.rglob("*.png"))
        victims = rng.sample(sorted(folder.rglob("*.png")), 60)
        for at, path in enumerate(victims):
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(place.seconds / len(victims))
            path.unlink()
            if at % 3 == 1:
                path.mkdir()
            elif at % 3 == 2:
                path.write_bytes(rng.choice(originals).read_bytes() + b"changed")
        counts.wrong += not end(running).is_clean
        counts.wrong += place.run(cache, folder).code != 0
        again = extract(folder, runtime=Runtime(cache))
        fresh = extract(folder, runtime=Runtime(place.fresh_cache()))
        counts.wrong += again.sample_ids.tolist() != fresh.sample_ids.tolist() or not np.array_equal(again.X, fresh.X)
        counts.lost += again.extraction.n_computed
    return counts


def bytes_flipped(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Flip one bit of a finished store; no wrong row may be read, and another run must repair the store."""
    counts, unread = FaultCounts(tries), 0
    cache = place.full_cache()
    whole = next((place.whole / "features").glob("*/*.h5"))
    for _ in range(tries):
        path = _restored(whole, cache)
        content = bytearray(whole.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        unread += _compare_rows(place, cache, counts)
        _mend(place, cache, counts)
    counts.remark = f"{unread} segments became unreadable as a whole, were renamed and made again"
    return counts


def ragged(place: Place, tries: int, rng: random.Random) -> FaultCounts:
    """Truncate a finished store, or append random bytes."""
    counts = FaultCounts(2 * tries)
    cache = place.full_cache()
    whole = next((place.whole / "features").glob("*/*.h5"))
    content = whole.read_bytes()
    for number in range(2 * tries):
        path, cut = _restored(whole, cache), rng.randrange(len(content))
        path.write_bytes(content[:cut] if number % 2 else content + rng.randbytes(cut))
        _compare_rows(place, cache, counts)
        _mend(place, cache, counts)
    return counts


def _compare_rows(place: Place, cache: Path, counts: FaultCounts) -> bool:
    """Count rows of a damaged store that differ from the correct rows; return whether the store is unreadable."""
    found = place.opened(cache).snapshot()
    keys = as_bytes(found.keys())
    whole = place.opened(place.whole).snapshot()
    counts.wrong += int((~whole.contains(keys)).sum())
    for key in keys:
        with contextlib.suppress(DamagedStoreError):
            row, right = (stored.rows(key[np.newaxis]).features for stored in (found, whole))
            counts.wrong += not np.array_equal(row, right)
    return bool(found.damaged)


def _restored(whole: Path, cache: Path) -> Path:
    """Replace the store of a cache by its only segment before it was damaged; return the path of the segment."""
    folder = cache / "features" / whole.parent.name
    shutil.rmtree(folder)
    folder.mkdir()
    return Path(shutil.copy(whole, folder))


def _mend(place: Place, cache: Path, counts: FaultCounts) -> None:
    from featx.extraction import extract

    table = extract(place.data, runtime=Runtime(cache))
    whole = place.opened(place.whole).snapshot().rows(keys_of(table.content_hashes))
    counts.lost += place.n_images - len(table)
    counts.wrong += not np.array_equal(table.X, whole.features)


def _compare_again(place: Place, cache: Path, n_stored: int, counts: FaultCounts) -> None:
    """Run again; count lost rows, rows that are computed twice, and results that differ from a run without faults."""
    again = place.run(cache)
    counts.wrong += again.code != 0
    computed = again.result.get("n_computed", 0)
    counts.doubled += max(0, n_stored + computed - place.n_images)
    counts.lost += place.n_images - place.n_rows(cache)
    counts.wrong += not place.is_same(cache)


def odd_files(place: Place, folder: Path) -> FaultCounts:
    """Extract features of unusual files; each file must be used, ignored, or skipped with a reason."""
    counts = FaultCounts(sum(1 for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")))
    ended = place.run(place.fresh_cache(), folder, "--label-by", "top")
    result = ended.result
    if ended.code != 0 or not result:
        counts.wrong, counts.remark = counts.tries, ended.stderr.strip()[-200:]
        return counts
    counts.wrong = sum(not one["reason"] for one in result["skipped"])
    counts.lost = counts.tries - result["n_images"] - result["n_skipped"] - result["n_ignored"]
    counts.remark = f"{result['n_images']:,} used, {result['n_skipped']:,} skipped, {result['n_ignored']:,} ignored"
    return counts
