"""Shards: which images belong to which shard, and what an extraction of one shard leaves."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_classes, save_image
from typer.testing import CliRunner

import featx
from featx.cli.app import app
from featx.dataset import dataset_id
from featx.errors import DatasetError, ImageError, OptionError
from featx.lookup.shards import read_shard, shard_numbers
from featx.store import MOST_SHARDS, ShardRecord, list_shards, read_snapshot, remember_shards
from featx.table import Texts


def extract(fake, images, shard=None, **options):
    return featx.extract(images, "quadrants", shard=shard, runtime=fake.runtime, **options)


def ids(table):
    return [sample.sample_id for sample in table.samples]


def test_the_shard_of_an_image_follows_from_its_name_alone():
    names = ["a/1.png", "b c/ü.png", "d\udcff.png"]
    for count in (1, 2, 3, 16, MOST_SHARDS):
        numbers = shard_numbers(Texts.of(names), count)
        for name, number in zip(names, numbers.tolist(), strict=True):
            digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
            assert number == 1 + int.from_bytes(digest[:8], "big") % count
    assert shard_numbers(Texts.of(reversed(names)), 16).tolist() == shard_numbers(Texts.of(names), 16).tolist()[::-1]


def test_shards_have_similar_sizes():
    names = Texts.of(f"class {i % 7}/img_{i:06}.jpg" for i in range(20_000))
    sizes = np.bincount(shard_numbers(names, 16), minlength=17)
    assert sizes[0] == 0
    assert abs(sizes[1:] - 1250).max() < 5 * 1250**0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "`shard=`: expected the number of the shard and the number of all shards, such as 3/16"),
        ("a/b", "`shard=a/b`: expected the number"),
        ("3", "`shard=3`: expected the number"),
        ("3/16/2", "`shard=3/16/2`: expected the number"),
        ("-1/16", "`shard=-1/16`: expected the number"),
        (" 3/16", "expected the number"),
        ("٣/16", "expected the number"),
        ("3/16\n", "expected the number"),
        ("0/16", "`shard=0/16`: expected a number from 1 to 16 before the slash"),
        ("17/16", "`shard=17/16`: expected a number from 1 to 16 before the slash"),
        ("0/0", "`shard=0/0`: expected from 1 to 1,000,000 shards"),
        ("1/1000001", "expected from 1 to 1,000,000 shards"),
    ],
)
def test_other_texts_are_no_shards(text, expected, fake, images):
    with pytest.raises(OptionError) as caught:
        extract(fake, images, text)
    assert expected in str(caught.value)
    assert not fake.runtime.cache.exists()


def test_leading_zeros_are_accepted():
    assert str(read_shard("03/016")) == "3/16"


def test_the_command_line_names_the_option(fake, images):
    result = CliRunner().invoke(app, ["extract", str(images), "--shard", "17/16", "--cache", str(fake.runtime.cache)])
    assert result.exit_code == 2
    assert "--shard 17/16: expected a number from 1 to 16 before the slash" in result.output


def test_shards_together_are_the_data_set(fake, images):
    parts = [extract(fake, images, f"{number}/4") for number in range(1, 5)]
    assert sorted(name for part in parts for name in ids(part)) == ids(extract(fake, images))
    assert fake.n_computed == 24
    for number, part in enumerate(parts, 1):
        assert part.extraction.shard == f"{number}/4"
        assert part.extraction.to_dict()["shard"] == f"{number}/4"
        assert part.extraction.n_images == len(part) == part.extraction.n_computed
        assert f"shard {number}/4: {len(part)} of 24 images" in fake.notices
    assert extract(fake, images).extraction.to_dict()["shard"] is None


def test_added_files_do_not_change_the_shards_of_others(fake, images):
    before = ids(extract(fake, images, "2/3"))
    save_image(images / "blue" / "a-first.png", (30, 60, 200), seed=77)
    save_image(images / "red" / "z-last.png", (200, 50, 40), seed=78)
    assert set(before) == set(ids(extract(fake, images, "2/3"))) - {"blue/a-first.png", "red/z-last.png"}


def test_a_shard_reads_and_records_only_its_own_images(fake, images):
    part = extract(fake, images, "1/3")
    memo = read_snapshot(fake.runtime.cache, dataset_id(images), "")
    assert sorted(memo) == ids(part)
    assert fake.n_computed == len(part)


def test_shards_in_one_cache_complete_its_snapshot(fake, images):
    (images / "notes.md").write_text("no image")
    (images / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    for number in (2, 1, 3):
        extract(fake, images, f"{number}/3")
    path = fake.runtime.cache / "datasets" / f"{dataset_id(images)}.h5"
    content = path.read_bytes()
    table = extract(fake, images)
    assert table.extraction.n_cached == 24
    assert path.read_bytes() == content  # the snapshot of one run
    assert len(table.extraction.skipped) == 1


def test_the_snapshot_of_a_shard_keeps_the_others_up_to_date(fake, images):
    extract(fake, images)
    gone, changed = images / "red" / "red-03.png", images / "red" / "red-04.png"
    gone.unlink()
    save_image(changed, (200, 50, 40), seed=99)
    for number in (1, 2):
        extract(fake, images, f"{number}/2")
    memo = read_snapshot(fake.runtime.cache, dataset_id(images), "")
    assert "red/red-03.png" not in memo
    assert memo["red/red-04.png"].content_hash == hashlib.sha256(changed.read_bytes()).digest()


def test_fit_computes_what_the_shard_left(fake, images):
    n = len(extract(fake, images, "1/2"))
    with pytest.raises(DatasetError, match=f"{24 - n} of 24 images of .* have no features yet; extract the features"):
        featx.latest(fake.runtime)
    model = featx.fit(images, backbone="quadrants", runtime=fake.runtime)
    assert model.evaluation.n_images == 24
    assert fake.n_computed == 24


def test_views_of_a_shard(fake, images):
    part = extract(fake, images, "1/2", augment="light", views=2)
    assert part.extraction.views.n_computed == 2 * len(part)
    records = [record for _, some in list_shards(fake.runtime.cache).values() for record in some]
    assert sorted((record.views, record.n_images) for record in records) == [(0, len(part)), (2, len(part))]


def test_a_shard_without_images_is_an_error_but_recorded(fake, tmp_path):
    images = make_classes(tmp_path / "few", {"red": (200, 50, 40)}, 1)
    numbers = shard_numbers(Texts.of(["red/red-00.png"]), 5).tolist()
    other = next(number for number in range(1, 6) if number not in numbers)
    with pytest.raises(
        DatasetError, match=f"`shard={other}/5`: few has 1 image, and none of them belongs to this shard.*fewer shards"
    ):
        extract(fake, images, f"{other}/5")
    ((_, (record,)),) = list_shards(fake.runtime.cache).values()
    assert (record.number, record.n_images, record.n_listed) == (other, 0, 1)


def test_skipped_images_of_a_shard(fake, images):
    for path in images.rglob("*.png"):
        path.write_bytes(b"\x89PNG\r\n\x1a\n no more")
    with pytest.raises(ImageError, match="can be used"):
        extract(fake, images, "1/2")
    ((_, (record,)),) = list_shards(fake.runtime.cache).values()
    assert record.n_images == 0
    assert record.n_skipped > 3


def test_strict_counts_the_images_of_the_shard(fake, images):
    bad = images / "red" / "broken.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n no more")
    number = int(shard_numbers(Texts.of(["red/broken.png"]), 2)[0])
    with pytest.raises(ImageError, match="1 image cannot be used"):
        extract(fake, images, f"{number}/2", strict=True)
    extract(fake, images, f"{3 - number}/2", strict=True)


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_shards_of_an_archive_are_those_of_its_folder(fake, images, tmp_path, form):
    archive = shutil.make_archive(str(tmp_path / "packed"), form, images)
    whole = extract(fake, images)
    parts, caches = [], []
    for number in (1, 2, 3):
        runtime = replace(fake.runtime, cache=tmp_path / f"part-{number}")
        caches.append(runtime.cache)
        parts.append(featx.extract(archive, "quadrants", shard=f"{number}/3", runtime=runtime))
        assert ids(parts[-1]) == [name for name in ids(whole) if shard_numbers(Texts.of([name]), 3)[0] == number]
    assert sorted(name for part in parts for name in ids(part)) == sorted(ids(whole))
    merged = replace(fake.runtime, cache=tmp_path / "merged")
    done = featx.merge_caches(caches, runtime=merged)
    assert (done.n_missing, done.problems, done.stores[0].n_added) == (0, (), len(whole))
    assert done.shards[0].root == archive
    again = featx.extract(archive, "quadrants", runtime=merged)
    assert again.extraction.n_computed == 0
    assert [(sample.sample_id, sample.label) for sample in again.samples] == [
        (sample.sample_id, sample.label) for sample in whole.samples
    ]
    np.testing.assert_array_equal(again.X, whole.X)
    (listed,) = (one for one in featx.list_cache(runtime=merged).datasets)
    assert str(listed.root) == archive


def test_json_of_the_command(fake, images, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    result = CliRunner().invoke(app, ["extract", str(images), "--backbone", "quadrants", "--shard", "2/3", "--json"])
    found = json.loads(result.stdout)
    assert found["shard"] == "2/3"
    assert found["n_images"] == found["n_computed"] < 24
    result = CliRunner().invoke(app, ["extract", str(images), "--backbone", "quadrants", "--shard", "2/3"])
    assert f"next       featx cache merge {fake.runtime.cache} FOLDER --cache MERGED" in result.output


def test_records_that_featx_did_not_write_are_left_out(fake, images):
    extract(fake, images, "1/2")
    cache = fake.runtime.cache
    (name,) = list_shards(cache)
    path = cache / "datasets" / f"{name}.json"
    assert featx.verify_cache(runtime=fake.runtime).n_damaged == 0
    good = json.loads(path.read_text())
    record = good["shards"][0]
    others = [[{}], [1], [record | {"count": 0}], [record | {"count": 10**18}], [record | {"number": "1"}]]
    for bad in ({}, {"root": 1, "shards": []}, *(good | {"shards": other} for other in others)):
        path.write_text(json.dumps(bad))
        assert list_shards(cache) == {}
        (checked,) = (one for one in featx.verify_cache(runtime=fake.runtime).files if one.path == path)
        assert checked.finding.status == "damaged"
        assert "does not contain records of shards" in checked.finding.problem
    remember_shards(cache, name, "/x", [ShardRecord(2, 1, "ab", 3, 1, 0)])
    assert list_shards(cache) == {name: ("/x", [ShardRecord(2, 1, "ab", 3, 1, 0)])}
