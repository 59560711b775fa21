"""Extraction on a Dask cluster: the same rows as without one, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import featx
from featx.agreement import reproduces
from featx.cluster.connection import Cluster
from featx.dataset import scan
from featx.errors import ClusterError, OptionError
from featx.options import RuntimeOptions
from featx.pipeline.chunks import PackedImages
from featx.runtime import Runtime, n_processors, use_processors
from featx.source import Archive, ImageFiles, image_at
from featx.table import Categorical, FileState, FileStates

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("address", ["dask://10.0.0.1:8786", "dask://local", "dask://host.example:1"])
def test_addresses_of_clusters(address):
    assert RuntimeOptions(cluster=address).cluster == address


@pytest.mark.parametrize("address", ["local", "dask://", "dask://host", "tcp://host:8786", "dask://a b:1", ""])
def test_other_addresses_are_refused(address):
    with pytest.raises(OptionError, match=r"^`cluster=.*`: expected dask://HOST:PORT, such as .*, or dask://local$"):
        Runtime(cluster=address)


def test_a_run_without_a_cluster_imports_no_dask(tmp_path, images):
    script = (
        "import sys, featx; "
        "featx.extract(sys.argv[1], weights='random:0', size=64, runtime=featx.Runtime(sys.argv[2])); "
        "assert not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, images, tmp_path / "cache"], check=True, timeout=300)


def test_the_share_of_a_worker_limits_its_processors(monkeypatch):
    monkeypatch.setattr("featx.runtime._share", [])
    before = n_processors()
    use_processors(1)
    assert n_processors() == 1
    use_processors(before + 1)
    assert n_processors() == before


def test_probes_are_reproduced_if_they_are_equal_or_nearly_so():
    stored = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    assert reproduces(stored, stored.copy()) == (True, 1.0)
    is_same, cosine = reproduces(stored, stored + np.float32(1e-4))
    assert is_same
    assert 0.9999 <= cosine < 1
    assert not reproduces(stored, -stored)[0]
    assert not reproduces(stored, np.full_like(stored, np.nan))[0]


def test_columns_are_put_into_other_columns():
    states = FileStates.blank(5)
    some = [FileState(7, 8, bytes([1]) * 32, width=3), FileState(1, 2, status="skipped", reason="why", camera="X")]
    states.put(2, FileStates.of(some))
    assert list(states.block(2, 4)) == some
    assert states[1] == states[4] == FileState(0, 0)
    column = Categorical.of(["a", "b", "a", "b"])
    column.put(1, Categorical.of(["c", "a"]))
    assert list(column.block(0, 4)) == ["a", "c", "a", "b"]


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_worker_opens_members_without_the_index_of_the_archive(tmp_path, images, form, monkeypatch):
    archive = shutil.make_archive(str(tmp_path / "packed"), form, images)
    found = scan(archive).images
    packed = pickle.loads(pickle.dumps(PackedImages.of(found)))
    monkeypatch.setattr(Archive, "_index", None)
    for image, original in zip(packed.unpack(), found, strict=True):
        with image.open() as file:
            assert file.stream.read() == (images / original.sample.sample_id).read_bytes()
        assert (image.sample.sample_id, image.stamp) == (original.sample.sample_id, original.stamp)
    assert [image.locate() for image in packed.unpack().take(np.array([3, 1]))] == [
        packed.locators[at] for at in (3, 1)
    ]


def test_folders_have_no_locators_and_addresses_send_their_query(images):
    assert PackedImages.of(scan(images).images).locators is None
    image = image_at("https://example.org/a.jpg?Signature=1")
    packed = PackedImages.of(ImageFiles.of([image]))
    assert list(packed.locators.block(0, 1)) == ["Signature=1"]
    assert "Signature" not in str(packed.sources)


@pytest.mark.integration
def test_no_scheduler_is_a_clear_error(tmp_path, images, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("featx.cluster.connection._CONNECT_SECONDS", 1.0)
    with pytest.raises(
        ClusterError, match=r"^no Dask scheduler answers at dask://127\.0\.0\.1:1 \(.*leave out `cluster`"
    ):
        Cluster("dask://127.0.0.1:1", 1)


@pytest.mark.integration
def test_a_local_cluster_gives_the_bytes_of_one_process(tmp_path):
    pytest.importorskip("distributed")
    from benchmarks.cluster_runs import ClusterPlace
    from featx.cluster import close_all

    place = ClusterPlace(tmp_path, 300)
    copied = (place.data / "class0" / "000000.png").read_bytes()
    (place.data / "class1" / "copy.png").write_bytes(copied)
    (place.data / "class1" / "damaged.png").write_bytes(copied[:60])
    stages = set()
    try:
        runtime = Runtime(
            tmp_path / "cache", workers=2, cluster="dask://local", progress=lambda *one: stages.add(one[0])
        )
        table = featx.extract(place.data, str(place.backbone), runtime=runtime)
        assert place.exported(table) == place.store
        assert [Path(one.path).name for one in table.extraction.skipped] == ["damaged.png"]
        assert len(table) == 301
        local = featx.extract(place.data, str(place.backbone), runtime=Runtime(tmp_path / "cache"))
        np.testing.assert_array_equal(local.X, table.X)
        assert local.extraction.n_computed == 0
        assert any(stage.startswith("extracting features on ") for stage in stages)
        place.data.rename(tmp_path / "moved")
        again = featx.extract(tmp_path / "moved", str(place.backbone), runtime=runtime)
        assert again.extraction.n_computed == 0  # read by the workers, which know what is stored
        model = featx.fit(again, cv=2, runtime=runtime)
        there = featx.predict(model, tmp_path / "moved", weights=str(place.backbone), runtime=runtime)
        assert there.n_predicted == 301
    finally:
        close_all()


@pytest.mark.integration
def test_a_local_cluster_reads_an_archive(tmp_path):
    pytest.importorskip("distributed")
    from benchmarks.cluster_runs import ClusterPlace
    from featx.cluster import close_all

    place = ClusterPlace(tmp_path, 200)
    copied = (place.data / "class0" / "000000.png").read_bytes()
    (place.data / "class1" / "damaged.png").write_bytes(copied[:60])
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", place.data)
    os.utime(archive, (1_700_000_000, 1_700_000_000))
    try:
        runtime = Runtime(tmp_path / "cache", workers=2, cluster="dask://local")
        table = featx.extract(archive, str(place.backbone), runtime=runtime)
        assert place.exported(table) == place.store
        assert [one.path for one in table.extraction.skipped] == ["class1/damaged.png"]
        again = featx.extract(archive, str(place.backbone), runtime=Runtime(tmp_path / "cache"))
        assert (again.extraction.n_computed, again.extraction.n_cached) == (0, 200)
        of_folder = featx.extract(place.data, str(place.backbone), runtime=Runtime(tmp_path / "cache"))
        assert of_folder.extraction.n_computed == 0
        np.testing.assert_array_equal(again.X, table.X)
        np.testing.assert_array_equal(of_folder.X, table.X)
        shard = featx.extract(
            archive,
            str(place.backbone),
            shard="1/2",
            runtime=Runtime(tmp_path / "other", workers=2, cluster="dask://local"),
        )
        assert 0 < len(shard) < 200
        assert shard.extraction.n_computed == len(shard)
    finally:
        close_all()


@pytest.mark.integration
def test_a_command_with_local_workers_prints_nothing_after_its_end(tmp_path, images):
    pytest.importorskip("distributed")
    words = ["extract", images, "--weights", "random:0", "--size", "64", "--cluster", "dask://local", "--workers", "1"]
    command = [sys.executable, "-m", "featx", *map(str, words), "--cache", str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "24 computed" in done.stdout
    assert "Warning" not in done.stderr, done.stderr


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_no_row_is_lost_duplicated_or_wrong_after_a_fault():
    pytest.importorskip("distributed")
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.cluster_faults", "--tries", "1", "--images", "1000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["results"]
    assert len(rows) == 16
    for row in rows:
        assert row["tries"] > 0 or "only root" in row["remark"]
        assert (row["lost"], row["doubled"], row["wrong"]) == (0, 0, 0), row


@pytest.mark.integration
def test_workers_that_end_while_others_join_give_the_same_rows(tmp_path):
    pytest.importorskip("distributed")
    from benchmarks.cluster_faults import killed
    from benchmarks.cluster_runs import ClusterPlace

    counts = killed(ClusterPlace(tmp_path, 400), 2, random.Random(1))
    assert (counts.lost, counts.doubled, counts.wrong) == (0, 0, 0), counts
