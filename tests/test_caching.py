"""List, check, clean and export the cache; damage is detected anywhere in a file."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import sys
import time
from dataclasses import replace
from datetime import datetime

import h5py
import numpy as np
import pytest
from conftest import make_graph, stored_bytes, without_progress
from PIL import Image
from typer.testing import CliRunner

import featx
from featx.backbones import FILE_BACKBONE
from featx.caching import listing
from featx.caching.specs import backbones_of_graphs
from featx.cli.app import app
from featx.errors import ArgumentError, DatasetError, OutputError, StoreError
from featx.execution import graph_key
from featx.extraction import extract
from featx.rendering import listing_lines
from featx.runtime import Runtime
from featx.store import FeatureStore, lock_run, open_run, read_graph, write_graph


@pytest.fixture
def table(fake, images):
    return extract(images, "quadrants", runtime=fake.runtime)


def store_of(fake):
    return next((fake.runtime.cache / "features").iterdir())


def segment_of(fake):
    (path,) = store_of(fake).glob("*.h5")
    return path


def make_old(path):
    os.utime(path, (time.time() - 7200,) * 2)


def statuses(fake):
    found = featx.verify_cache(runtime=fake.runtime)
    return {file.path.name: file.finding.status for file in found.files if file.finding.status != "ok"}


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


def test_ls(fake, images, table):
    write_graph(fake.runtime.cache, "0" * 16, make_graph())
    (fake.runtime.cache / "features" / table.spec.id / f".{'a' * 16}.h5.0123456789abcdef.tmp").write_bytes(b"left")
    used = (store_of(fake) / "used").stat().st_mtime
    listing = featx.list_cache(runtime=fake.runtime)
    (store,) = listing.stores
    assert (store.id, store.status, store.n_rows, store.n_features) == (table.spec.id, "ok", 24, 12)
    assert store.spec == json.loads(table.spec.to_json())
    assert datetime.fromisoformat(store.last_used).timestamp() == pytest.approx(used, abs=1)
    (dataset,) = listing.datasets
    assert (dataset.root, dataset.kind, dataset.root_exists) == (str(images.resolve()), "extract", True)
    assert (dataset.n_images, dataset.n_skipped) == (24, 0)
    assert [(graph.name, graph.backbone, graph.needed) for graph in listing.graphs] == [("0" * 16, "", False)]
    assert (listing.n_leftovers, listing.leftover_bytes) == (1, 4)
    files = [path for path in fake.runtime.cache.rglob("*") if path.is_file()]
    assert listing.n_bytes == sum(path.stat().st_size for path in files)


def test_the_backbone_of_a_graph_is_listed(table):
    spec = replace(table.spec, engine="openvino", precision="int8", graph="0" * 16)
    assert backbones_of_graphs([spec]) == {"0" * 16: "quadrants, 32 pixels, int8"}
    of_file = replace(spec, backbone=FILE_BACKBONE, weights="ab" * 32, graph=None, precision="float32", layer="conv")
    assert backbones_of_graphs([of_file]) == {graph_key(of_file): "backbone file abababababab, 32 pixels, layer conv"}
    entry = {"name": "0" * 16, "backbone": "quadrants", "n_bytes": 5, "needed": True}
    values = {
        "cache": "c",
        "n_bytes": 5,
        "graphs": [entry],
        "n_pairs": 0,
        "n_leftovers": 0,
        "stores": (),
        "datasets": (),
        "runs": (),
    }
    assert listing_lines(values)[1] == "graph      0000000000000000  quadrants, converted   5 bytes"


def test_a_lookup_counts_as_use(fake, images, table):
    used = store_of(fake) / "used"
    make_old(used)
    before = used.stat().st_mtime
    featx.latest(fake.runtime)
    assert used.stat().st_mtime > before + 7000


def test_a_cache_that_does_not_exist_is_empty(tmp_path):
    runtime = featx.Runtime(tmp_path / "none")
    assert featx.list_cache(runtime=runtime).stores == ()
    assert featx.verify_cache(runtime=runtime).files == ()
    assert featx.clean_cache(runtime=runtime).removed == ()
    assert not (tmp_path / "none").exists()


def test_a_flipped_bit_anywhere_in_any_file_is_detected(fake, table):
    write_graph(fake.runtime.cache, "0" * 16, make_graph())
    assert statuses(fake) == {}
    rng = random.Random(0)
    for path in (
        segment_of(fake),
        *fake.runtime.cache.glob("datasets/*.h5"),
        *fake.runtime.cache.glob("graphs/*.graph"),
    ):
        valid = path.read_bytes()
        for _ in range(60):
            flip(path, rng.randrange(len(valid)))
            assert statuses(fake) == {path.name: "damaged"}
            path.write_bytes(valid)
        for damaged in (valid[:-1], valid + b"\0", valid[: len(valid) // 2], b"", b"garbage" * 1000):
            path.write_bytes(damaged)
            assert statuses(fake) == {path.name: "damaged"}
        path.write_bytes(valid)
    names = sorted(path.name for path in store_of(fake).iterdir())
    assert names == [segment_of(fake).name, "lock", "used"]


def test_damaged_rows_are_counted_and_recomputed(fake, images, table):
    path = segment_of(fake)
    with h5py.File(path) as file:
        at = file["features"].id.get_offset()
    flip(path, at + 5 * 12 * 4)
    found = next(file for file in featx.verify_cache(runtime=fake.runtime).files if file.path == path)
    assert (found.finding.n_rows, found.finding.n_damaged) == (24, 1)
    assert "1 of 24 rows is damaged" in found.finding.problem
    before = fake.n_computed
    extract(images, "quadrants", runtime=fake.runtime)
    assert fake.n_computed == before + 1
    assert statuses(fake) == {}


def test_foreign_files_invalid_notes_and_incomplete_journals_are_reported(fake, table):
    cache = fake.runtime.cache
    (cache / "notes.txt").write_text("mine")
    (cache / "latest.json").write_text("[1]")
    with FeatureStore(cache, table.spec).writer(print) as writer:
        writer.begin(table.probes, {"engine": "test"})
    journal = store_of(fake) / "journal"
    with journal.open("ab") as stream:
        stream.write(b"torn")
    found = {"notes.txt": "foreign", "latest.json": "damaged", journal.name: "unfinished"}
    assert statuses(fake) == found


def test_gc_removes_the_rows_of_deleted_images_and_nothing_else(fake, images, table):
    path = store_of(fake)
    copy = shutil.copytree(images, images.parent / "one")
    for gone in sorted(images.glob("blue/*"))[:5]:
        gone.unlink()
    extract(images, "quadrants", runtime=fake.runtime)
    planned = featx.clean_cache(dry_run=True, runtime=fake.runtime)
    assert (planned.dry_run, planned.to_dict()["n_rows"]) == (True, 5)
    done = featx.clean_cache(runtime=fake.runtime)
    assert [(one.path, one.kind, one.n_rows) for one in done.removed] == [(path, "rows", 5)]
    assert statuses(fake) == {}
    swept = stored_bytes(path)
    shutil.rmtree(fake.runtime.cache)
    before = fake.n_computed
    extract(images, "quadrants", runtime=fake.runtime)
    assert fake.n_computed == before + 19
    assert stored_bytes(path) == swept  # as if the rows had never existed
    assert len(list(copy.rglob("*.png"))) == 24


def test_gc_keeps_rows_of_a_second_set_and_removes_missing_sets_only_on_request(fake, images, table):
    other = shutil.copytree(images, images.parent / "other")
    extract(other, "quadrants", runtime=fake.runtime)
    shutil.rmtree(images)
    done = featx.clean_cache(runtime=fake.runtime)
    assert done.removed == ()
    assert done.kept == (f"{images.resolve()} does not exist; `gone=True` removes the record of its 24 images",)
    done = featx.clean_cache(gone=True, runtime=fake.runtime)
    assert [(one.kind, one.n_rows) for one in done.removed] == [("data set", 24)]
    shutil.rmtree(other)
    done = featx.clean_cache(gone=True, runtime=fake.runtime)
    assert [(one.kind, one.n_rows) for one in done.removed] == [("data set", 24), ("store", 24)]
    assert [path.name for path in store_of(fake).iterdir()] == ["lock"]
    assert featx.list_cache(runtime=fake.runtime).stores == ()


def test_gc_keeps_unfinished_rows_and_unreadable_files(fake, images, table):
    cache = fake.runtime.cache
    with FeatureStore(cache, table.spec).writer(print) as writer:
        writer.begin(table.probes, {"engine": "test"})
        writer.append(FeatureStore(cache, table.spec).snapshot().rows(keys(table)[:2]))
    for path in cache.glob("datasets/*"):
        path.unlink()
    done = featx.clean_cache(runtime=fake.runtime)
    assert "2 rows of an unfinished run are kept" in done.kept[0]
    assert (store_of(fake) / "journal").exists()
    extract(images, "quadrants", runtime=fake.runtime)
    flip(next(cache.glob("datasets/*.h5")), 30)
    with pytest.raises(StoreError, match="The rows of its data set are unknown; therefore no row is removed"):
        featx.clean_cache(runtime=fake.runtime)
    next(cache.glob("datasets/*.h5")).unlink()
    segments = list(store_of(fake).glob("*.h5"))
    assert len(segments) == 2
    for path in segments:
        flip(path, 30)
    done = featx.clean_cache(runtime=fake.runtime)
    assert "is kept" in done.kept[0]
    assert "all graphs are kept" in done.kept[1]
    assert all(path.exists() for path in segments)


def keys(table):
    from featx.store import keys_of

    return keys_of(table.content_hashes)


def test_gc_removes_old_leftovers_and_unused_graphs(fake, table):
    cache = fake.runtime.cache
    write_graph(cache, "0" * 16, make_graph(name="old"))
    write_graph(cache, "1" * 16, make_graph(name="young"))
    store = store_of(fake)
    old, young = (store / f".{letter * 16}.h5.{'0' * 16}.tmp" for letter in "ab")
    damaged, graph = store / f"{'c' * 16}.h5.damaged", cache / "graphs" / f"{'0' * 16}.graph"
    for path in (old, young, damaged):
        path.write_bytes(b"any")
    make_old(graph)
    make_old(old)
    removed = {one.path: one.kind for one in featx.clean_cache(runtime=fake.runtime).removed}
    assert removed == {graph: "graph", old: "leftover", damaged: "leftover"}
    assert read_graph(cache, "1" * 16) == make_graph(name="young")
    assert young.exists()


def test_stores_of_format_1_are_listed_reported_and_deleted_but_not_read(fake, images, tmp_path):
    table = extract(images, "quadrants", runtime=fake.runtime)
    cache = fake.runtime.cache
    shutil.rmtree(cache / "features")
    (cache / "features").mkdir()
    names = [f"{table.spec.id}.{end}" for end in ("h5", "h5.damaged", "journal", "lock", "used")]
    for name in names:
        (cache / "features" / name).write_bytes(b"old")
    (entry,) = featx.list_cache(runtime=fake.runtime).stores
    assert (entry.id, entry.status, entry.n_rows, entry.n_bytes) == (table.spec.id, "old", 0, 15)
    assert "format 1, which this version of featx does not read; featx cache gc deletes it" in entry.problem
    assert f"{table.spec.id}  old" in "\n".join(listing_lines(featx.list_cache(runtime=fake.runtime).to_dict()))
    assert statuses(fake) == dict.fromkeys(names, "old")
    assert featx.verify_cache(runtime=fake.runtime).n_damaged == 0
    for _ in range(2):  # only the first run reports the old store
        extract(images, "quadrants", runtime=fake.runtime)
        assert sum("has format 1, which this version of featx" in text for text in fake.notices) == 1
    removed = featx.clean_cache(runtime=fake.runtime).removed
    assert sorted(one.path.name for one in removed if one.kind == "old") == sorted(names)
    assert [path.name for path in (cache / "features").iterdir()] == [table.spec.id]


def test_export_preserves_every_number_in_every_format(fake, table, tmp_path):
    for kind in ("h5", "npz", "npy", "csv", "parquet"):
        done = featx.export_features(tmp_path / f"t.{kind}", runtime=fake.runtime)
        assert (done.n_images, done.n_features, done.features_id) == (24, 12, table.spec.id)
    ids, labels = list(table.sample_ids), list(table.y)
    with h5py.File(tmp_path / "t.h5") as file:
        np.testing.assert_array_equal(file["features"], table.X)
        assert list(file["sample_id"].asstr()) == ids
        assert list(file["label"].asstr()) == labels
        np.testing.assert_array_equal(file["content_hash"], table.content_hashes)
        assert file.attrs["spec"] == table.spec.to_json()
    with np.load(tmp_path / "t.npz") as arrays:  # no pickle
        np.testing.assert_array_equal(arrays["features"], table.X)
        assert arrays["sample_id"].tolist() == ids
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), table.X)
    with (tmp_path / "t.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["path", "label", "group", "split", *(f"f{i}" for i in range(12))]
    assert [row[:2] for row in rows[1:]] == [list(pair) for pair in zip(ids, labels, strict=True)]
    np.testing.assert_array_equal(np.array([row[4:] for row in rows[1:]], np.float32), table.X)
    parquet = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "t.parquet")
    assert parquet["path"].to_pylist() == ids
    np.testing.assert_array_equal(np.stack([parquet[f"f{i}"].to_numpy() for i in range(12)], 1), table.X)


def test_the_export_of_a_whole_store_depends_only_on_its_rows(fake, images, table, tmp_path):
    done = featx.export_features(tmp_path / "s.h5", whole_store=True, runtime=fake.runtime)
    assert (done.n_images, done.n_features, done.features_id, done.n_skipped) == (24, 12, table.spec.id, 0)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file.attrs["format"] == "featx store"
        by_key = dict(zip(map(bytes, file["key"][()]), file["features"][()], strict=True))
    for key, features in zip(keys(table), table.X, strict=True):
        np.testing.assert_array_equal(by_key[key.tobytes()], features)
    other = replace(fake.runtime, cache=tmp_path / "other", workers=3, batch_size=5)
    extract(images / "red", "quadrants", runtime=other)  # two runs, thus two segments
    extract(images, "quadrants", runtime=other)
    featx.export_features(tmp_path / "o.h5", whole_store=True, features=table.spec.id, runtime=other)
    assert (tmp_path / "o.h5").read_bytes() == (tmp_path / "s.h5").read_bytes()
    with pytest.raises(OutputError, match="exists; add `overwrite=True` to replace it"):
        featx.export_features(tmp_path / "s.h5", whole_store=True, runtime=fake.runtime)
    featx.export_features(tmp_path / "s.h5", whole_store=True, overwrite=True, runtime=fake.runtime)
    with pytest.raises(OutputError, match=r"the name must end in \.h5"):
        featx.export_features(tmp_path / "s.npz", whole_store=True, runtime=fake.runtime)
    with pytest.raises(StoreError, match="has no feature store 'abc'"):
        featx.export_features(tmp_path / "n.h5", whole_store=True, features="abc", runtime=fake.runtime)
    for given in ({"data": images}, {"label_by": "top"}, {"path_column": "p"}, {"label_column": "l"}):
        with pytest.raises(ArgumentError, match="`whole_store=True` exports the rows of all data sets"):
            featx.export_features(tmp_path / "n.h5", whole_store=True, runtime=fake.runtime, **given)


def test_gc_keeps_the_segments_of_an_unfinished_run(fake, images, table, monkeypatch):
    monkeypatch.setattr("featx.store.journal.MOST_ROWS", 2)
    store = FeatureStore(fake.runtime.cache, table.spec)
    rows = store.snapshot().rows(keys(table)[:3])
    rows.keys[:, 0] ^= 255  # contents that no data set lists
    with store.writer(print) as writer:
        writer.begin(table.probes, {"engine": "test"})
        writer.append(rows)
    done = featx.clean_cache(runtime=fake.runtime)
    assert done.removed == ()
    assert "3 rows of an unfinished run are kept" in done.kept[0]
    assert store.snapshot().contains(rows.keys).all()
    extract(images, "quadrants", runtime=fake.runtime)  # a finished run, which does not list these rows
    assert featx.clean_cache(runtime=fake.runtime).to_dict()["n_rows"] == 3


def test_errors_of_export(fake, images, table, tmp_path):
    def refused(error, match, output="t.csv", *args, **kwargs):
        with pytest.raises(error, match=match):
            featx.export_features(tmp_path / output, *args, runtime=fake.runtime, **kwargs)

    (tmp_path / "there.csv").write_text("mine")
    refused(OutputError, "the name must end in .h5, .npz, .npy, .csv or .parquet", "t.xls")
    refused(OutputError, "exists and is never replaced, because featx did not write it", "there.csv")
    refused(OutputError, "does not exist; create it", "no/t.csv")
    refused(StoreError, "has no feature store 'abc'", "t.csv", features="abc")
    refused(StoreError, "has no feature store '../x'", "t.csv", features="../x")
    refused(DatasetError, "the data set extracted last is .* Choose features with `features=ID`", "t.csv", tmp_path)
    Image.new("RGB", (9, 9)).save(images / "red" / "new.png")
    refused(DatasetError, r"1 of 25 images .* have no features yet; extract the features first: `featx.extract")
    assert (tmp_path / "there.csv").read_text() == "mine"


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".npy", ".csv", ".parquet"])
def test_an_export_replaces_only_exports(fake, images, table, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"t{suffix}"
    featx.export_features(output, runtime=fake.runtime)
    before = output.read_bytes()
    if suffix == ".npy":
        with pytest.raises(
            OutputError, match=r"exists and is never replaced, because \.npy files do not show whether featx wrote them"
        ):
            featx.export_features(output, overwrite=True, runtime=fake.runtime)
        return
    with pytest.raises(OutputError, match="exists; add `overwrite=True` to replace it"):
        featx.export_features(output, runtime=fake.runtime)
    featx.export_features(output, overwrite=True, runtime=fake.runtime)
    assert output.read_bytes() == before
    (tmp_path / "store").write_bytes(segment_of(fake).read_bytes())
    foreign = {".h5": tmp_path / "store", ".npz": tmp_path / "s.npz", ".csv": tmp_path / "m.csv"}.get(
        suffix, segment_of(fake)
    )
    np.savez(tmp_path / "s.npz", features=np.zeros(3))
    (tmp_path / "m.csv").write_text("path,label,group,split\na.png,a,,\n")
    output.write_bytes(foreign.read_bytes())
    with pytest.raises(OutputError, match="because featx did not write it"):
        featx.export_features(output, overwrite=True, runtime=fake.runtime)
    assert output.read_bytes() == foreign.read_bytes()


def test_export_of_a_named_store_and_set(fake, images, table, tmp_path):
    other = extract(images, "quadrants", resize="squash", runtime=fake.runtime)
    assert other.spec.id != table.spec.id
    done = featx.export_features(tmp_path / "t.npy", images, features=table.spec.id, runtime=fake.runtime)
    assert done.features_id == table.spec.id
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), table.X)


def test_the_commands(fake, images, table, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(app, ["cache", *map(str, words)])

    output = run("ls").output
    assert f"features   {table.spec.id}  quadrants, 32 pixels, openvino" in output
    assert "24 rows, 12 features each" in output
    assert f"{images.resolve()}   24 images" in output
    assert run("verify").exit_code == 0
    flip(segment_of(fake), 30)
    broken = run("verify")
    assert broken.exit_code == 1
    assert "damaged    cache/features/" in broken.output
    assert json.loads(run("verify", "--json").stdout)["n_damaged"] == 1
    flip(segment_of(fake), 30)
    assert run("gc", "--dry-run").output.startswith("to remove  nothing\n")
    assert "next       featx cache ls" in run("gc").output
    assert "table      t.csv" in run("export", "-o", "t.csv").output
    assert run("export", "-o", "t.csv").exit_code == 1
    assert run("export", "-o", "t.csv", "--overwrite").exit_code == 0


def test_training_runs_are_listed_and_finished_ones_go_after_an_hour(tmp_path):
    runtime = Runtime(tmp_path / "cache")
    for name, files in {
        "a" * 16: ("best.npz", "done"),
        "b" * 16: ("best.npz", "last.npz"),
        "c" * 16: ("done",),
    }.items():
        folder = open_run(runtime.cache, name)
        for file in files:
            (folder / file).write_bytes(b"x" * 1000)
    for file in (runtime.cache / "training").glob("[ab]*/*"):
        os.utime(file, (1_600_000_000, 1_600_000_000))
    listed = featx.list_cache(runtime=runtime)
    assert [(run.id[0], run.is_finished, run.n_bytes) for run in listed.runs] == [
        ("a", True, 2000), ("b", False, 2000), ("c", True, 1000),
    ]  # fmt: skip
    assert "finished" in "\n".join(listing_lines(listed.to_dict()))
    dry = featx.clean_cache(dry_run=True, runtime=runtime)
    assert [(one.path.name[0], one.kind, one.n_bytes) for one in dry.removed] == [("a", "training run", 2000)]
    assert (runtime.cache / "training" / ("a" * 16)).exists()
    cleaned = featx.clean_cache(runtime=runtime)
    assert cleaned.kept == (f"training run {'b' * 16} is not finished; repeat its command to finish it",)
    assert sorted(path.name[0] for path in (runtime.cache / "training").iterdir()) == ["b", "c"]


def aged(folder):
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (time.time() - 7200,) * 2, follow_symlinks=False)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", ["gc", "ls", "verify"])
def test_a_folder_without_the_tag_is_left_alone_and_named(tmp_path, command):
    project = tmp_path / "project"
    for name in ("training/run1/done", ".draft.tmp", "features/x.damaged", f"features/{'a' * 16}.journal"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine")
    aged(project)
    before = contents(project)
    for tag in (None, "Signature: 8a477f597d28d172789f06886806bc55\n"):
        if tag is not None:
            (project / "CACHEDIR.TAG").write_text(tag)
        done = CliRunner().invoke(app, ["cache", command, "--cache", str(project)])
        assert done.exit_code == 1
        assert "CACHEDIR.TAG" in done.stderr
        assert len(without_progress(done.stderr).splitlines()) == 1
        (project / "CACHEDIR.TAG").unlink(missing_ok=True)
    assert contents(project) == before


NOT_ENTERED = {"class", "training", "thesis", "b" * 15, "a" * 16}


def test_gc_deletes_no_name_that_featx_does_not_write(fake, table):
    cache = fake.runtime.cache
    run = open_run(cache, "a" * 16)
    foreign = [
        *(cache / "features" / name for name in ("x.damaged", "x.journal", ".x.h5.1.tmp", f"{'A' * 16}.journal")),
        *(store_of(fake) / name for name in ("x.h5", "journal.txt", f"{'a' * 16}.h5.1", f"{'A' * 16}.h5")),
        *(
            cache / "features" / name
            for name in (f".{'a' * 16}.h5.1.tmp", f"{'a' * 16}.journal.txt", "notes.h5.damaged")
        ),
        *(cache / name for name in (".draft.tmp", "image.png", f".thesis.json.{'0' * 16}.tmp", "class/image.png")),
        *(cache / "graphs" / name for name in ("mine.graph", "mine.json", f"{'a' * 17}.graph")),
        *(cache / "datasets" / name for name in ("mine.h5", f".mine.h5.{'0' * 16}.tmp")),
        *(cache / "training" / name for name in ("thesis/done", "done", f"{'b' * 15}/done")),
        run / "model.pt",
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (run / "done").touch()
    aged(cache)
    done = featx.clean_cache(runtime=fake.runtime)
    assert done.removed == ()
    assert all(path.read_text() == "mine" for path in foreign)
    assert f"training run {'a' * 16} is kept: featx did not write model.pt in this folder" in done.kept
    assert any("and 22 more are kept: not written by featx" in text for text in done.kept)
    assert set(statuses(fake)) == {path.name for path in foreign if path.parent.name not in NOT_ENTERED} | {"class"}


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_gc_follows_no_link(fake, images, table, tmp_path):
    cache, home = fake.runtime.cache, tmp_path / "home"
    run = f"{'a' * 16}"
    for name in ("done", "last.npz", f"{run}/done", f"{'c' * 16}.h5.damaged", f"{'d' * 16}.graph", f"{'e' * 16}.h5"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("years")
    open_run(cache, "b" * 16)
    (cache / "training" / run).symlink_to(home / run)
    (cache / "training" / ("b" * 16) / "done").symlink_to(home / "done")
    (store_of(fake) / f"{'c' * 16}.h5.damaged").symlink_to(home / f"{'c' * 16}.h5.damaged")
    (cache / "features" / f"{'d' * 16}").symlink_to(home)
    (cache / "graphs").symlink_to(home)
    before = contents(home)
    for linked in (["graphs"], ["graphs", "training"]):
        aged(home)
        aged(cache)
        done = featx.clean_cache(gone=True, runtime=fake.runtime)
        assert done.removed == ()
        assert any(", a link, and" in text and "not written by featx" in text for text in done.kept)
        assert contents(home) == before
        assert [graph.name for graph in featx.list_cache(runtime=fake.runtime).graphs] == []
        foreign = [name for name, status in statuses(fake).items() if status == "foreign"]
        assert sorted(foreign) == [f"{'c' * 16}.h5.damaged", f"{'d' * 16}", *linked]
        if linked == ["graphs"]:
            shutil.rmtree(cache / "training")
            (cache / "training").symlink_to(home)
    with pytest.raises(StoreError, match="is a link, which featx does not follow inside its cache"):
        extract(images, "quadrants", runtime=fake.runtime)


def test_a_locked_run_is_not_deleted(fake, table):
    run = open_run(fake.runtime.cache, "a" * 16)
    (run / "done").touch()
    with lock_run(run, None):
        aged(fake.runtime.cache)
        done = featx.clean_cache(runtime=fake.runtime)
    assert done.removed == ()
    assert "is kept: another run has locked" in done.kept[0]
    aged(fake.runtime.cache)
    featx.clean_cache(runtime=fake.runtime)
    assert not run.exists()


def test_times_outside_the_calendar_are_listed(fake, table):
    for path in fake.runtime.cache.rglob("*"):
        os.utime(path, ns=(2**63 - 1, 2**63 - 1))
    assert "used" in "\n".join(listing_lines(featx.list_cache(runtime=fake.runtime).to_dict()))
    assert listing._time(1e30) == ""
    assert listing._time(float(-(2**62))) == ""


@pytest.mark.parametrize("command", ["extract", "fit", "predict", "finetune", "compare"])
def test_images_never_become_a_cache(fake, images, command, tmp_path):
    before = contents(images)
    words = [command, str(images)]
    if command == "predict":
        model = featx.fit(extract(images, "quadrants", runtime=fake.runtime), head="logreg")
        model.save(tmp_path / "m.featx")
        words = [command, str(tmp_path / "m.featx"), str(images)]
    done = CliRunner().invoke(app, [*words, "--cache", str(images)])
    assert done.exit_code == 1
    *_, last = done.stderr.splitlines()  # on a slow machine, lines of progress come first
    assert "is not empty and has no CACHEDIR.TAG of featx, so it is not a featx cache" in last
    assert "Traceback" not in done.stderr
    assert contents(images) == before


@pytest.mark.parametrize(
    "change",
    [
        {"data": "/data\0"},
        {"data": "\ud800"},
        {"data": 7},
        {"spec": "[" * 10_000},
        {"options": []},
        {"options": {"path_column": None}},
        {"options": {"views": "many"}},
        {"options": {"augment": 3, "views": 1}},
        {"options": {"no such": 1}},
        {"title": None, "options": None},
    ],
)
def test_an_invalid_latest_json_is_damaged(fake, images, table, change):
    path = fake.runtime.cache / "latest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StoreError, match=r"latest.json is damaged; give the data set"):
        featx.latest(fake.runtime)
    with pytest.raises(StoreError, match=r"latest.json is damaged; give the data set"):
        featx.export_features(images.parent / "t.npz", runtime=fake.runtime)
