"""Inject faults into extractions on a Dask cluster: ``python -m benchmarks.cluster_faults [--tries 20]``.

Every fault is injected into a real cluster: a scheduler and workers in processes of their own, on this machine. The
images and the backbone are small. Each run is compared, byte by byte, with a run in one process without a cluster.
Workers without the folder or the weights, and with a full disk, need root, because each has a mount namespace. Print a
Markdown table, then JSON.

Columns of the table: ``lost``: number of images or committed rows that are missing. ``doubled``: number of rows that
are stored twice, or that were committed but computed again by the next run. ``wrong``: number of runs whose result
differs from that without a fault, or which do not end as they should: with the result, or with an error that names the
worker and the reason.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import featx
from benchmarks.cluster_runs import (
    ENDED_BY_IMAGE,
    WITHOUT_BFLOAT16,
    ClusterPlace,
    DaskCluster,
    Outcome,
    dask_cluster,
    save_backbone,
)
from benchmarks.extraction_runs import FaultCounts
from benchmarks.processes import print_head, print_json, print_row
from benchmarks.remote import BUCKET, start_bucket
from featx.errors import ClusterError

_HIDE = "mount -t tmpfs tmpfs {}"
_NOT_ROOT = "not run: only root can give a worker its own mounts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20, help="number of tries of each fault")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--only", default="", help="inject only faults whose name contains this text")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the times of the faults")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    print_head("fault", "tries", "lost", "doubled", "wrong", "remarks")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        place = ClusterPlace(Path(folder), arguments.images)
        for fault, inject in FAULTS.items():
            if arguments.only in fault:
                started = time.monotonic()
                counts = inject(place, arguments.tries, rng)
                seconds = (time.monotonic() - started) / max(1, counts.tries)
                counts.remark = f"{counts.remark}{'; ' if counts.remark else ''}{seconds:.1f} s for each try"
                print_row(fault, counts.tries, counts.lost, counts.doubled, counts.wrong, counts.remark)
                results.append({"fault": fault, **vars(counts)})
    print_json(results)


def compare(place: ClusterPlace, outcome: Outcome, counts: FaultCounts) -> None:
    """Count what is lost, doubled or wrong in the result of a run."""
    if outcome.table is None:
        counts.wrong += 1
        counts.remark = f"error: {outcome.error}"
        return
    counts.lost += place.n_images - len(outcome.table)
    counts.doubled += place.n_stored_twice(outcome.table)
    counts.wrong += place.exported(outcome.table) != place.store


def _compare_again(place: ClusterPlace, cache: Path, again: Outcome, n_stored: int, counts: FaultCounts) -> None:
    """Compare the run that continues an interrupted run."""
    compare(place, again, counts)
    if again.table is not None:
        counts.doubled += max(0, n_stored + again.table.extraction.n_computed - place.n_images)
    shutil.rmtree(cache)


def _mid_run(
    place: ClusterPlace,
    tries: int,
    rng: random.Random,
    inject: Callable[[DaskCluster, int], None],
    repair: Callable[[DaskCluster, int], None],
) -> FaultCounts:
    """Inject a fault while the images are computed by the workers a, b and c; compare the result."""
    counts = FaultCounts(tries)
    with dask_cluster(place.new("cluster"), "a", "b", "c") as cluster:
        for number in range(tries):
            cache = place.new("cache")
            outcome = place.run(cluster, cache, lambda n=number: inject(cluster, n), rng.uniform(0.02, 0.7))
            compare(place, outcome, counts)
            repair(cluster, number)
            shutil.rmtree(cache)
    return counts


def killed(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Kill a worker."""
    return _mid_run(
        place, tries, rng, lambda cluster, number: cluster.end("b"), lambda cluster, number: _add(cluster, "b")
    )


def _add(cluster: DaskCluster, name: str) -> None:
    cluster.add(name)


def added(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Add a worker during the run."""

    def inject(cluster: DaskCluster, number: int) -> None:
        cluster.add(f"new{number}")

    return _mid_run(place, tries, rng, inject, lambda cluster, number: cluster.end(f"new{number}"))


def slow(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let a worker compute only a tenth of the time."""
    over = threading.Event()

    def delay(cluster: DaskCluster) -> None:
        while not over.is_set():
            cluster.signal("b", signal.SIGSTOP)
            time.sleep(0.45)
            cluster.signal("b", signal.SIGCONT)
            time.sleep(0.05)

    def inject(cluster: DaskCluster, number: int) -> None:
        over.clear()
        threading.Thread(target=delay, args=(cluster,), daemon=True).start()

    def repair(cluster: DaskCluster, number: int) -> None:
        over.set()
        time.sleep(0.6)

    return _mid_run(place, tries, rng, inject, repair)


def hung(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Suspend a worker, and resume it after the run."""
    return _mid_run(
        place,
        tries,
        rng,
        lambda cluster, number: cluster.signal("b", signal.SIGSTOP),
        lambda cluster, number: cluster.signal("b", signal.SIGCONT),
    )


def scheduler_lost(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Kill the scheduler; the run must end with an error, and the next run continues on a new cluster."""
    counts = FaultCounts(tries)
    for _ in range(tries):
        cache = place.new("cache")
        with dask_cluster(place.new("cluster"), "a", "b") as cluster:
            outcome = place.run(cluster, cache, cluster.scheduler.kill, rng.uniform(0.02, 0.7))
            counts.wrong += not isinstance(outcome.error, ClusterError) or "is lost" not in str(outcome.error)
        n_stored = place.n_rows(cache)
        with dask_cluster(place.new("cluster"), "a", "b") as cluster:
            _compare_again(place, cache, place.run(cluster, cache), n_stored, counts)
    return counts


def client_killed(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Kill the client when some rows are stored; the next run continues."""
    counts, stored = FaultCounts(tries), 0
    with dask_cluster(place.new("cluster"), "a", "b") as cluster:
        for _ in range(tries):
            cache = place.new("cache")
            running = place.start_client(cluster, cache)
            while running.poll() is None and not place.n_rows(cache):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.5))
            running.kill()
            running.wait()
            n_stored = place.n_rows(cache)
            stored += 0 < n_stored < place.n_images
            _compare_again(place, cache, place.run(cluster, cache), n_stored, counts)
    counts.remark = f"{stored} of the killed runs had stored some of the rows"
    return counts


def _refused(
    place: ClusterPlace,
    tries: int,
    why: str,
    add: Callable[[DaskCluster, int], None],
    is_known: bool = True,
    **options: object,
) -> FaultCounts:
    """Run with two good workers and one bad worker, then with the bad worker alone.

    If the fault is not known before a worker computes, a worker that gets no affected image is not refused.
    """
    counts, n_named = FaultCounts(tries), 0
    for number in range(tries):
        with dask_cluster(place.new("cluster"), "a", "b") as cluster:
            cache = place.new("cache")
            add(cluster, number)
            outcome = place.run(cluster, cache, **options)
            compare(place, outcome, counts)
            named = [one for one in outcome.notices if "the worker bad" in one and why in one]
            n_computed = 0 if outcome.table is None else outcome.table.extraction.n_computed
            n_named += bool(named)
            counts.wrong += (is_known and not named) or n_computed != place.n_images
            if not number:
                cluster.end("a")
                cluster.end("b")
                alone = place.run(cluster, place.new("cache"), **options)
                text = str(alone.error)
                counts.wrong += not isinstance(alone.error, ClusterError) or "bad (" not in text or why not in text
            shutil.rmtree(cache)
    counts.remark = "refused by name" if is_known else f"refused by name in {n_named} tries; else it got no such image"
    return counts


def without_weights(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let a worker lack a weights file that is too large to be sent."""
    if os.name == "nt" or os.geteuid():
        return FaultCounts(0, remark=_NOT_ROOT)
    large = save_backbone(place.new("large") / "large.onnx", 101_000_000)
    whole = featx.extract(place.data, str(large), runtime=featx.Runtime(place.new("whole")))
    store, place.store = place.store, place.exported(whole)
    try:
        return _refused(
            place,
            tries,
            "no file with the weights",
            lambda cluster, number: _add_hiding(cluster, large.parent),
            backbone=str(large),
        )
    finally:
        place.store = store


def small_weights_sent(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let a worker lack a small weights file, which is sent to it; it computes all images."""
    if os.name == "nt" or os.geteuid():
        return FaultCounts(0, remark=_NOT_ROOT)
    counts = FaultCounts(tries)
    for _ in range(tries):
        with dask_cluster(place.new("cluster")) as cluster:
            _add_hiding(cluster, place.backbone.parent)
            cache = place.new("cache")
            compare(place, place.run(cluster, cache), counts)
            shutil.rmtree(cache)
    return counts


def without_folder(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let a worker lack the folder of the images."""
    if os.name == "nt" or os.geteuid():
        return FaultCounts(0, remark=_NOT_ROOT)
    return _refused(place, tries, "it cannot open", lambda cluster, number: _add_hiding(cluster, place.data))


def without_half_of_folder(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let a worker lack one class of the images, so that it is refused during the run."""
    if os.name == "nt" or os.geteuid():
        return FaultCounts(0, remark=_NOT_ROOT)
    folder = place.data / "class1"
    return _refused(
        place, tries, "it cannot open", lambda cluster, number: _add_hiding(cluster, folder), is_known=False
    )


def without_bucket(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let a worker lack the credentials of the bucket with the images."""
    if os.name == "nt" or os.geteuid():
        return FaultCounts(0, remark=_NOT_ROOT)
    server, environment = start_bucket(place.data, ".png")
    before = f"unset {' '.join(environment)}"
    try:
        return _refused(
            place,
            tries,
            "it cannot open",
            lambda cluster, number: cluster.add("bad", before=before),
            data=f"s3://{BUCKET}/set",
        )
    finally:
        for name in environment:
            del os.environ[name]
        server.kill()
        server.wait()


def _add_hiding(cluster: DaskCluster, folder: Path) -> None:
    cluster.add("bad", before=_HIDE.format(folder))


def other_version(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let a worker have another version of featx."""
    copied = place.new("version") / "featx"
    shutil.copytree(Path(featx.__file__).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    init = copied / "__init__.py"
    init.write_text(init.read_text().replace(f'"{featx.__version__}"', '"99.0"'))
    return _refused(
        place, tries, "featx 99.0", lambda cluster, number: _add_with(cluster, PYTHONPATH=str(copied.parent))
    )


def _add_with(cluster: DaskCluster, **how: str) -> None:
    cluster.add("bad", **how)


def without_bfloat16(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let one worker not support bfloat16: all use float32 if it is there at the start."""
    counts = FaultCounts(tries)
    in_float32 = featx.extract(
        place.data, str(place.backbone), precision="float32", runtime=featx.Runtime(place.new("whole"))
    )
    store, place.store = place.store, place.exported(in_float32)
    for _ in range(tries):
        with dask_cluster(place.new("cluster"), "a") as cluster:
            cluster.add("bad", preload=WITHOUT_BFLOAT16)
            cache = place.new("cache")
            outcome = place.run(cluster, cache)
            compare(place, outcome, counts)
            counts.wrong += not any("bad (" in one and "using float32" in one for one in outcome.notices)
            shutil.rmtree(cache)
    place.store = store
    counts.remark = "all workers use float32"
    return counts


def bfloat16_required(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Request bfloat16 explicitly, with one worker that does not support it."""
    return _refused(
        place,
        tries,
        "does not support bfloat16",
        lambda cluster, number: _add_with(cluster, preload=WITHOUT_BFLOAT16),
        precision="bfloat16",
    )


def disk_full(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let the disk for the temporary files of a worker be full."""
    if os.name == "nt" or os.geteuid():
        return FaultCounts(0, remark=_NOT_ROOT)

    def add(cluster: DaskCluster, number: int) -> None:
        folder = cluster.root / "small"
        folder.mkdir()
        fill = f"mount -t tmpfs -o size=64k tmpfs {folder} && (head -c 45k /dev/zero > {folder}/filler)"
        hide = _HIDE.format(place.backbone.parent)  # so that the weights must be stored there
        padded = f"{fill} && {hide}"
        cluster.add("bad", before=padded, folder=folder)

    big = save_backbone(place.new("big") / "big.onnx", 1_000_000)
    whole = featx.extract(place.data, str(big), runtime=featx.Runtime(place.new("whole")))
    store, backbone = place.store, place.backbone
    place.store, place.backbone = place.exported(whole), big
    try:
        return _refused(place, tries, "No space left", add)
    finally:
        place.store, place.backbone = store, backbone


def ended_by_image(place: ClusterPlace, tries: int, rng: random.Random) -> FaultCounts:
    """Let one image end each worker that computes it; only this image may be skipped."""
    counts = FaultCounts(tries)
    image = place.data / "class0" / "ends.png"
    Image.fromarray(np.full((12, 12, 3), 201, np.uint8)).save(image)
    try:
        for _ in range(tries):
            with dask_cluster(place.new("cluster"), "a", "b", preload=ENDED_BY_IMAGE, nanny=True) as cluster:
                cache = place.new("cache")
                outcome = place.run(cluster, cache)
                compare(place, outcome, counts)
                skipped = [] if outcome.table is None else outcome.table.extraction.skipped
                counts.wrong += [Path(one.path).name for one in skipped] != ["ends.png"]
                counts.remark = counts.remark or (skipped[0].reason if skipped else "")
                shutil.rmtree(cache)
    finally:
        image.unlink()
    return counts


FAULTS: dict[str, Callable[[ClusterPlace, int, random.Random], FaultCounts]] = {
    "a worker is killed": killed,
    "a worker is added": added,
    "a worker is slow": slow,
    "a worker is suspended": hung,
    "the scheduler is killed": scheduler_lost,
    "the client is killed": client_killed,
    "an image ends each worker that computes it": ended_by_image,
    "a worker without the weights, 101 MB": without_weights,
    "a worker without the weights, which are sent": small_weights_sent,
    "a worker without the folder": without_folder,
    "a worker without half of the folder": without_half_of_folder,
    "a worker without the bucket": without_bucket,
    "a worker with another version of featx": other_version,
    "a worker without bfloat16 at the start": without_bfloat16,
    "a worker without bfloat16, which is required": bfloat16_required,
    "a worker whose disk is full": disk_full,
}
"""The faults by name."""


if __name__ == "__main__":
    main()
