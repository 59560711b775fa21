"""Comparisons that are kept in the cache: only what is new is compared, and the pairs are those of a new comparison."""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from test_inspection import scene

import featx
from featx.caching import clean_cache
from featx.duplicates import comparison, find_near_duplicates, group_samples, group_table, keeping, neighbours
from featx.duplicates.keeping import KeptComparison
from featx.errors import DamagedStoreError, NewerFormatError
from featx.extraction import extract
from featx.rendering import cleaning_lines, listing_lines
from featx.store import check_file, list_files, prepare_cache
from featx.store.pairs import check_pairs, read_pairs, write_pairs


def agree(ones, others):
    return (ones + others) % 7 > 0


@pytest.fixture
def small(monkeypatch):
    """Keep comparisons of small sets too, and work in small blocks."""
    monkeypatch.setattr(keeping, "_FEWEST", 2)
    for module in (comparison, neighbours):
        monkeypatch.setattr(module, "_WIDTH", 16)
        monkeypatch.setattr(module, "_BLOCK_NUMBERS", 16 * 7)
    monkeypatch.setattr(neighbours, "_ROWS", 13)


@pytest.fixture
def counted(monkeypatch):
    """Return the sizes of all blocks of gaps that are computed."""
    sizes = []
    gaps = comparison.negative_gaps

    def negative_gaps(rows, columns):
        sizes.append(len(rows) * len(columns))
        return gaps(rows, columns)

    for module in (comparison, neighbours):
        monkeypatch.setattr(module, "negative_gaps", negative_gaps)
    return sizes


def versions_of(originals: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return originals with noise of various strengths, in various orientations."""
    rng = np.random.default_rng(seed)
    shown = []
    for original in originals[rng.integers(0, len(originals), n)]:
        changed = original + rng.normal(0, rng.choice([2, 8, 20, 40]), original.shape)
        changed = np.rot90(changed, rng.integers(0, 4))
        shown.append(changed[:, ::-1] if rng.random() < 0.5 else changed)
    return np.array(shown).clip(0, 255).astype(np.uint8)


def made(n: int, n_originals: int, seed: int = 0) -> np.ndarray:
    """Return images, most of which have near-duplicates."""
    originals = np.random.default_rng(99).integers(0, 256, (n_originals, 16, 16))
    return np.concatenate([versions_of(originals, n - 3, seed), np.full((3, 16, 16), 7 + seed % 9, np.uint8)])


def hashes_of(shown: np.ndarray) -> np.ndarray:
    digests = b"".join(hashlib.sha256(image.tobytes()).digest() for image in shown)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def sorted_by_hash(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hashes = hashes_of(shown)
    first = np.unique(np.ascontiguousarray(hashes).view("S32").ravel(), return_index=True)[1]
    return hashes[first], shown[first]


def compared(cache, shown: np.ndarray, dataset_id: str = "d" * 16) -> list[tuple[int, int]]:
    """Compare images with what is kept, keep the comparison, and check that the pairs are those of a new comparison."""
    hashes, shown = sorted_by_hash(shown)
    kept = KeptComparison(cache, "f" * 16, dataset_id)
    found = find_near_duplicates(shown, agree, known=kept.recall(hashes, shown))
    kept.keep(hashes, shown, found.comparison)
    assert found.pairs == find_near_duplicates(shown, agree).pairs
    return found.pairs


@pytest.mark.parametrize("n_originals", [4, 60, 900])
@pytest.mark.parametrize("most", [(1000, 100, 1000), (20, 25, 30)])
def test_the_pairs_do_not_depend_on_what_was_compared_before(tmp_path, small, monkeypatch, n_originals, most):
    for name, value in zip(("MOST_NEAR_DUPLICATES", "_MOST_LISTED", "MOST_LOST"), most, strict=True):
        monkeypatch.setattr(neighbours, name, value)
    monkeypatch.setattr(comparison, "MOST_LOST", most[2])
    monkeypatch.setattr(neighbours, "_RANK", most[0] + neighbours.NEIGHBOUR + most[2])
    monkeypatch.setattr(neighbours, "_MOST_WAITING", 50)
    if most[0] == 20:
        monkeypatch.setattr(neighbours, "_SAMPLE", 50)
    rng = np.random.default_rng(n_originals)
    shown = made(120, n_originals)
    n_found = [len(compared(tmp_path / "cache", shown))]
    for step in range(12):
        kept = rng.random(len(shown)) > rng.choice([0, 0.01, 0.2])
        added = made(int(rng.choice([4, 5, 40])), n_originals, step + 1)
        shown = rng.permutation(np.concatenate([shown[kept], added]))
        n_found.append(len(compared(tmp_path / "cache", shown)))
    assert compared(tmp_path / "cache", shown[:15]) == compared(tmp_path / "cache", shown[:15])
    assert max(n_found) > min(n_found)
    assert len(list((tmp_path / "cache" / "pairs").iterdir())) == 1


def test_only_new_images_are_compared(tmp_path, small, counted):
    shown = made(400, 300)
    hashes, images = sorted_by_hash(shown)
    kept = KeptComparison(tmp_path / "cache", "f" * 16, "d" * 16)

    def work() -> int:
        counted.clear()
        kept.keep(hashes, images, find_near_duplicates(images, agree, known=kept.recall(hashes, images)).comparison)
        return sum(counted)

    first = work()
    assert first > 4 * len(images) ** 2
    assert work() == 0
    hashes, images = sorted_by_hash(shown[:-20])
    assert work() < first / 10
    hashes, images = sorted_by_hash(shown)
    assert work() < first / 5


def test_a_removed_group_of_near_duplicates_changes_the_limits_of_others(tmp_path, small):
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (40, 16, 16))
    alike = (originals[0] + rng.normal(0, 25, (30, 16, 16))).clip(0, 255)
    pair = np.concatenate([originals[:1], originals[:1] + rng.normal(0, 10, (1, 16, 16))]).clip(0, 255)
    others = np.concatenate([originals[1:], pair]).astype(np.uint8)
    both = np.concatenate([others, alike.astype(np.uint8)])
    with_all, without = compared(tmp_path / "cache", both), compared(tmp_path / "cache", others)
    assert len(without) in (0, 1)
    assert compared(tmp_path / "cache", both) == with_all != without


def test_a_changed_signature_counts_as_a_new_image(tmp_path, small):
    hashes, shown = sorted_by_hash(made(60, 20))
    kept = KeptComparison(tmp_path / "cache", "f" * 16, "d" * 16)
    kept.keep(hashes, shown, find_near_duplicates(shown, agree).comparison)
    again = shown.copy()
    again[3], again[9] = again[9], again[3].T
    known = kept.recall(hashes, again)
    assert np.flatnonzero(known.neighbours.spans < 0).tolist() == [3, 9]
    found = find_near_duplicates(again, agree, known=known)
    assert found.pairs == find_near_duplicates(again, agree).pairs


def test_a_renamed_folder_uses_the_pairs_of_the_most_similar_data_set(tmp_path, small, counted):
    cache, shown = tmp_path / "cache", made(200, 100)
    compared(cache, shown[:50], "a" * 16)
    compared(cache, shown[:190], "b" * 16)
    counted.clear()
    hashes, images = sorted_by_hash(shown)
    known = KeptComparison(cache, "f" * 16, "c" * 16).recall(hashes, images)
    assert 0 < (known.neighbours.spans < 0).sum() <= 10
    compared(cache, shown, "c" * 16)
    assert KeptComparison(cache, "e" * 16, "c" * 16).recall(hashes, images) is None  # other features
    assert sorted(path.name for path in (cache / "pairs").iterdir()) == [f"{'f' * 16}-{16 * x}.h5" for x in "abc"]


def test_pairs_of_another_method_are_not_used(tmp_path, small, monkeypatch):
    hashes, shown = sorted_by_hash(made(60, 20))
    kept = KeptComparison(tmp_path / "cache", "f" * 16, "d" * 16)
    kept.keep(hashes, shown, find_near_duplicates(shown, agree).comparison)
    assert kept.recall(hashes, shown) is not None
    monkeypatch.setattr(keeping, "_METHOD", "another")
    assert kept.recall(hashes, shown) is None


def test_small_sets_and_images_without_a_data_set_are_not_kept(tmp_path):
    hashes, shown = sorted_by_hash(made(60, 20))
    for dataset_id in ("d" * 16, ""):
        kept = KeptComparison(tmp_path / "cache", "f" * 16, dataset_id)
        kept.keep(hashes, shown, find_near_duplicates(shown, agree).comparison)
    assert not (tmp_path / "cache").exists()


def test_too_many_pairs_are_not_kept(tmp_path, small, monkeypatch):
    monkeypatch.setattr("featx.duplicates.pairs._MOST_WAITING", 100)
    monkeypatch.setattr("featx.duplicates.pairs._PER_IMAGE", 0)
    hashes, shown = sorted_by_hash(made(120, 4))
    found = find_near_duplicates(shown, agree)
    assert found.comparison is None
    KeptComparison(tmp_path / "cache", "f" * 16, "d" * 16).keep(hashes, shown, found.comparison)
    assert not (tmp_path / "cache").exists()


def stored(cache):
    """Keep the comparison of 60 images; return the path of the file and its content."""
    compared(cache, made(60, 20))
    return cache / "pairs" / f"{'f' * 16}-{'d' * 16}.h5"


def test_every_changed_byte_is_found(tmp_path, small):
    cache = tmp_path / "cache"
    path = stored(cache)
    content = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(content), 60).tolist():
        path.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        with pytest.raises(DamagedStoreError):
            check_pairs(path)
        assert list(read_pairs(cache, "f" * 16, "d" * 16)) == []
    path.write_bytes(content[: len(content) // 2])
    compared(cache, made(60, 20))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 1000), ("count", -1), ("neighbour", -1), ("neighbour", 60), ("neighbour", 0), ("one", -5),
        ("other", 60), ("other", 0), ("pair_gap", np.nan), ("pair_gap", 0.3), ("span", np.inf), ("reach", -2),
        ("neighbour_gap", 1e9), ("content_hash", 255),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_together_are_damage(tmp_path, small, name, value):
    cache = tmp_path / "cache"
    path = stored(cache)
    pairs = check_pairs(path)
    columns = {**pairs.columns, name: pairs.columns[name].copy()}
    columns[name][0] = value
    write_pairs(cache, "f" * 16, "d" * 16, replace(pairs, columns=columns))
    with pytest.raises(DamagedStoreError, match="do not fit together"):
        check_pairs(path)
    compared(cache, made(60, 20))
    check_pairs(path)


def test_a_file_of_other_content_or_of_a_later_version_is_replaced(tmp_path, small, monkeypatch):
    cache = tmp_path / "cache"
    path = stored(cache)
    other = path.with_name(f"{'e' * 16}-{'d' * 16}.h5")
    shutil.copy(path, other)
    with pytest.raises(DamagedStoreError, match="does not contain the pairs of a data set"):
        check_pairs(other)
    monkeypatch.setattr("featx.store.pairs._FORMAT_VERSION", 3)
    write_pairs(cache, "f" * 16, "d" * 16, next(iter([check_pairs(stored(tmp_path / "other"))])))
    monkeypatch.undo()
    with pytest.raises(NewerFormatError, match=r"has format 3; this version of featx reads format 2\. Update featx"):
        check_pairs(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permissions of folders")
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, small):
    cache = tmp_path / "cache"
    prepare_cache(cache, ".")
    (cache / "pairs").write_text("a file at the place of the folder")
    assert compared(cache, made(60, 20)) == compared(tmp_path / "other", made(60, 20))
    assert (cache / "pairs").is_file()


@pytest.fixture
def scenes(tmp_path):
    """Return a folder of two classes, 30 scenes, some of which are similar."""
    for number in range(30):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number // 2)}.png", number)
    for number in (0, 7):
        image = scene(tmp_path / "set" / "a" / "x.png", number)
        image.resize((60, 60)).save(tmp_path / "set" / "b" / f"small{'ab'[number == 7]}.png")
    return tmp_path / "set"


def grouping_of(fake, data, **how):
    """Group a data set with what is kept; check that the groups are those of a new comparison."""
    table = extract(data, "quadrants", runtime=fake.runtime, **how)
    grouping = group_table(table, None, fake.runtime)
    alone = group_samples(table)
    assert (grouping.near, grouping.numbers.tolist()) == (alone.near, alone.numbers.tolist())
    return grouping


def test_groups_after_every_change_of_a_folder(fake, scenes, small, tmp_path):
    assert len(grouping_of(fake, scenes).near) == 2
    scene(scenes / "a" / "added.png", 55).resize((70, 70)).save(scenes / "b" / "added.png")
    assert len(grouping_of(fake, scenes).near) == 3
    (scenes / "b" / "smalla.png").rename(scenes / "a" / "moved.png")  # another label, another place in the order
    assert len(grouping_of(fake, scenes).near) == 3
    scene(scenes / "a" / "added.png", 56)
    (scenes / "a" / "b.png").unlink()
    assert len(grouping_of(fake, scenes).near) == 2
    other = tmp_path / "other"
    shutil.copytree(scenes, other)
    (other / "a" / "moved.png").unlink()
    n_other = len(grouping_of(fake, other).near)
    assert n_other == 1
    assert (len(grouping_of(fake, scenes).near), len(grouping_of(fake, other).near)) == (2, n_other)
    assert len(list((fake.runtime.cache / "pairs").iterdir())) == 2


def test_the_cache_lists_verifies_and_cleans_pairs(fake, scenes, small):
    grouping_of(fake, scenes)
    cache = fake.runtime.cache
    (file,) = [file for file in list_files(cache) if file.kind == "pairs"]
    assert check_file(file).status == "ok"
    listed = featx.list_cache(runtime=fake.runtime)
    assert (listed.n_pairs, listed.pairs_bytes) == (1, file.n_bytes)
    assert "pairs      of similar images: 1 file, " in "\n".join(listing_lines(listed.to_dict()))
    file.path.write_bytes(file.path.read_bytes()[:-1])
    finding = check_file(file)
    assert (finding.status, finding.remedy) == (
        "damaged", "the next fit of the data set compares all its images again and rewrites this file",
    )  # fmt: skip
    assert clean_cache(runtime=fake.runtime).removed == ()
    shutil.rmtree(scenes)
    dry = clean_cache(gone=True, dry_run=True, runtime=fake.runtime)
    removed = clean_cache(gone=True, runtime=fake.runtime).removed
    assert dry.removed == removed
    assert ("pairs", "no snapshot of its data set") in [(one.kind, one.reason) for one in removed]
    assert f"removed    pairs {file.path}: " in "\n".join(cleaning_lines(dry.to_dict() | {"dry_run": False}))
    assert list((cache / "pairs").iterdir()) == []
