"""The faults that ``benchmarks.faults`` does to extractions, each as often as asked."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.extraction_runs import Ended, Place, Tally, end
from featx.errors import DamagedStoreError
from featx.runtime import Runtime
from featx.store import keys_of

_SOON = 2.0
"""Seconds after which a run that was asked to stop must have ended."""


def killed(place: Place, tries: int, rng: random.Random) -> Tally:
    """Kill a run at a random instant, then run again."""
    tally, cut = Tally(tries), []
    for _ in range(tries):
        cache = place.fresh_cache()
        running = place.start(cache)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0, 1.1 * place.seconds))
        running.kill()
        end(running)
        there = place.n_rows(cache)
        cut.append(there)
        _compare_again(place, cache, there, tally)
        shutil.rmtree(cache)
    tally.remark = f"{sum(0 < n < place.n_images for n in cut)} with rows half way"
    return tally


def stopped(place: Place, tries: int, rng: random.Random) -> Tally:
    """Ask a run to stop at a random instant; it must end soon and say how to go on."""
    tally, slowest = Tally(tries), 0.0
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
        tally.wrong += not ended.is_clean or took > _SOON
        _compare_again(place, cache, place.n_rows(cache), tally)
        shutil.rmtree(cache)
    tally.remark = f"ended after {slowest:.1f} s at the latest"
    return tally


def several_at_once(place: Place, tries: int, n: int, overlapping: bool) -> Tally:
    """Start several runs at once on one cache."""
    tally = Tally(tries)
    folders = _overlapping(place, n) if overlapping else [place.data] * n
    for _ in range(tries):
        cache = place.fresh_cache()
        ended = [end(running) for running in [place.start(cache, folder) for folder in folders]]
        tally.wrong += any(one.code != 0 for one in ended)
        computed = sum(one.said.get("n_computed", 0) for one in ended)
        tally.doubled += max(0, computed - place.n_images)
        tally.lost += max(0, place.n_images - place.n_rows(cache))
        tally.wrong += not place.is_same(cache)
        shutil.rmtree(cache)
    return tally


def _overlapping(place: Place, n: int) -> list[Path]:
    """Return folders that hold all images together, each sharing half of its classes with the next."""
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


def disk_full(place: Place, tries: int, rng: random.Random) -> Tally:
    """Let a run meet the end of its disk, then give it room."""
    tally, full = Tally(tries), 0
    needed = 3 * len(place.store)  # journal, base and snapshot, and some that is enough
    for _ in range(tries):
        with _small_disk(place, rng.randrange(needed)) as (cache, make_room):
            ended = place.run(cache)
            full += ended.code == 1
            tally.wrong += not ended.is_clean
            there = place.n_rows(cache)
            make_room()
            _compare_again(place, cache, there, tally)
    tally.remark = f"{full} met it" if full else "not done: making a small disk needs root"
    return tally


@contextlib.contextmanager
def _small_disk(place: Place, room: int) -> Iterator[tuple[Path, object]]:
    """Give a cache on a disk with so much room, and what removes the filler."""
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


def unwritable(place: Place, tries: int, rng: random.Random) -> Tally:
    """Make the cache a file, a folder that may not be written, or delete it during a run."""
    tally = Tally(3 * tries)
    for _ in range(tries):
        cache = place.root / "no-folder"
        cache.write_text("a file")
        tally.wrong += not _is_refused(place.run(cache))
        cache.unlink()
        tally.wrong += not _survives_read_only(place)
        cache = place.fresh_cache()
        running = place.start(cache)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0.3, 0.9) * place.seconds)
        shutil.rmtree(cache, ignore_errors=True)
        tally.wrong += not end(running).is_clean
        place.run(cache)
        tally.wrong += not place.is_same(cache)
        shutil.rmtree(cache)
    return tally


def _is_refused(ended: Ended) -> bool:
    return ended.is_clean and ended.code == 1


def _survives_read_only(place: Place) -> bool:
    """Tell whether a run on a read-only cache is refused and leaves it as it was."""
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


def files_changed(place: Place, tries: int, rng: random.Random) -> Tally:
    """Delete, replace and change images during a run; a second run must then know the folder as it is."""
    from featx.extraction import extract

    tally = Tally(tries)
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
        tally.wrong += not end(running).is_clean
        tally.wrong += place.run(cache, folder).code != 0
        again = extract(folder, runtime=Runtime(cache))
        fresh = extract(folder, runtime=Runtime(place.fresh_cache()))
        tally.wrong += again.sample_ids.tolist() != fresh.sample_ids.tolist() or not np.array_equal(again.X, fresh.X)
        tally.lost += again.extraction.n_computed
    return tally


def bytes_flipped(place: Place, tries: int, rng: random.Random) -> Tally:
    """Flip one byte of a finished store; no row may be read wrong, and another run must mend it."""
    tally, unread = Tally(tries), 0
    cache = place.full_cache()
    path = next((cache / "features").glob("*.h5"))
    for _ in range(tries):
        content = bytearray(place.store)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        unread += _compare_rows(place, cache, tally)
        _mend(place, cache, tally)
        path.with_suffix(".h5.damaged").unlink(missing_ok=True)
    tally.remark = f"{unread} made the file unreadable: it was set aside and made again"
    return tally


def ragged(place: Place, tries: int, rng: random.Random) -> Tally:
    """Cut a finished store short, or add garbage."""
    tally = Tally(2 * tries)
    cache = place.full_cache()
    path = next((cache / "features").glob("*.h5"))
    for number in range(2 * tries):
        cut = rng.randrange(len(place.store))
        path.write_bytes(place.store[:cut] if number % 2 else place.store + rng.randbytes(cut))
        _compare_rows(place, cache, tally)
        _mend(place, cache, tally)
        path.with_suffix(".h5.damaged").unlink(missing_ok=True)
    return tally


def _compare_rows(place: Place, cache: Path, tally: Tally) -> bool:
    """Count rows of a damaged store that differ from the undamaged ones; tell whether it cannot be read at all."""
    try:
        found = place.opened(cache).snapshot()
    except DamagedStoreError:
        return True
    keys = np.frombuffer(found.keys().tobytes(), np.uint8).reshape(-1, 34)
    whole = place.opened(place.whole).snapshot()
    known = whole.contains(keys)
    tally.wrong += int((~known).sum())
    same = found.rows(keys[known]).features == whole.rows(keys[known]).features
    tally.wrong += int((~same.all(axis=1)).sum())
    return False


def _mend(place: Place, cache: Path, tally: Tally) -> None:
    from featx.extraction import extract

    table = extract(place.data, runtime=Runtime(cache))
    whole = place.opened(place.whole).snapshot().rows(keys_of(table.content_hashes))
    tally.lost += place.n_images - len(table)
    tally.wrong += not np.array_equal(table.X, whole.features)


def _compare_again(place: Place, cache: Path, there: int, tally: Tally) -> None:
    """Run again; count what was lost, what was computed twice, and another end than the undisturbed one."""
    again = place.run(cache)
    tally.wrong += again.code != 0
    computed = again.said.get("n_computed", 0)
    tally.doubled += max(0, there + computed - place.n_images)
    tally.lost += place.n_images - place.n_rows(cache)
    tally.wrong += not place.is_same(cache)


def odd_files(place: Place, folder: Path) -> Tally:
    """Extract odd files, each top folder a class: every one must be used, skipped with a reason, or no image."""
    tally = Tally(sum(1 for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")))
    ended = place.run(place.fresh_cache(), folder, "--label-by", "top")
    said = ended.said
    if ended.code != 0 or not said:
        tally.wrong, tally.remark = tally.tries, ended.stderr.strip()[-200:]
        return tally
    tally.wrong = sum(not one["reason"] for one in said["skipped"])
    tally.lost = tally.tries - said["n_images"] - said["n_skipped"] - said["n_ignored"]
    tally.remark = f"{said['n_images']:,} used, {said['n_skipped']:,} skipped, {said['n_ignored']:,} no images"
    return tally
