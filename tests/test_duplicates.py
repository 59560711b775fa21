"""Groups that every split keeps together: duplicates, near-duplicates, recordings, named groups."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import save_image
from PIL import Image, ImageEnhance
from test_inspection import scene, versions_of_scenes

from featx.duplicates import (
    comparison,
    find_near_duplicates,
    find_recordings,
    group_pairs,
    group_samples,
    group_table,
    join_groups,
    make_frame_name,
    measures,
    neighbours,
    recording_of,
)
from featx.duplicates.measures import detail_measure, feature_measure
from featx.duplicates.similarity import ROUNDING, Patterns, as_rows, negative_gaps, normalized_patterns, orientations
from featx.duplicates.union_find import UnionFind
from featx.errors import DatasetError
from featx.extraction import extract


def every(ones, others):
    return np.ones(len(ones), bool)


def measure_of(X: np.ndarray):
    """Return the second measure for features in memory."""
    return feature_measure(len(X), lambda at: X[at])


def signatures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16)).astype(np.uint8)


def test_union_of_equal_keys():
    union_find = UnionFind(5)
    union_find.union_equal(["b", None, "b", None, "c"])
    assert union_find.numbers().tolist() == [0, 1, 0, 2, 3]


def test_long_chains():
    union_find = UnionFind(3000)
    union_find.union_equal([f"g{i // 2}" for i in range(3000)])
    union_find.union_equal([f"h{(i + 1) // 2}" for i in range(3000)])
    assert set(union_find.numbers().tolist()) == {0}


def test_groups_joined_by_names():
    assert join_groups(np.array([4, 4, 2, 3]), ["x", None, "x", None]).tolist() == [0, 0, 0, 1]


def test_pairs_make_groups():
    assert group_pairs(6, [(4, 1), (1, 5), (0, 2)]) == [[0, 2], [1, 4, 5]]


def test_patterns_are_independent_of_brightness_and_contrast():
    grey = signatures(1)[0].astype(float)
    one, brighter, flat = normalized_patterns(
        np.array([grey / 2, grey / 4 + 90, np.full((16, 16), 77.0)]).astype(np.uint8)
    )
    assert one @ brighter > 0.99
    assert np.linalg.norm(one) == pytest.approx(1)
    assert not flat.any()


def test_eight_orientations():
    seen = {oriented.tobytes() for oriented in orientations(signatures(3))}
    assert len(seen) == 8


def test_gaps_are_exact_and_have_a_lower_bound():
    noise = signatures(30)
    smooth = np.cumsum(np.cumsum(noise.astype(float) - 127, axis=1), axis=2)
    smooth = (127 + 120 * smooth / np.abs(smooth).max(axis=(1, 2), keepdims=True)).astype(np.uint8)
    flat = np.full((2, 16, 16), 9, np.uint8)
    patterns = Patterns(np.concatenate([noise, smooth, smooth[:9] // 2 + noise[:9] // 9, flat]))
    n = len(patterns)
    every_image = np.arange(n)
    rows = patterns.rows(every_image)
    gaps = np.min([-negative_gaps(rows, patterns.columns(every_image, order)) for order in patterns.orders], axis=0)
    ones, others = (index.ravel() for index in np.indices((n, n)))
    np.testing.assert_array_equal(patterns.gaps(ones, others).reshape(n, n), gaps)
    np.testing.assert_array_equal(gaps, gaps.T)
    np.testing.assert_array_equal(2 * gaps, np.floor(2 * gaps))
    bounds = -negative_gaps(as_rows(patterns.invariants), patterns.invariants)
    assert (bounds <= gaps + ROUNDING).all()
    turned = Patterns(np.ascontiguousarray(np.rot90(smooth, 1, (1, 2))[:, :, ::-1]))
    np.testing.assert_allclose(turned.invariants, patterns.invariants[30:60], atol=0.1)
    distances = np.linalg.norm(normalized_patterns(noise)[:1] - normalized_patterns(noise), axis=1)
    exact = np.sqrt(-2 * negative_gaps(rows[:1], patterns.columns(every_image[:30]))[0]) / 2000
    assert np.abs(exact - distances).max() < 0.008
    assert patterns.is_flat.tolist() == [False] * 69 + [True] * 2
    assert gaps[-1].min() > 3_990_000 / 2


def test_near_duplicates_in_every_orientation():
    every_image = signatures(40)
    for oriented in orientations(every_image):
        noisy = np.clip(oriented[7].astype(int) + signatures(1, 1)[0] // 16, 0, 255).astype(np.uint8)
        assert find_near_duplicates(np.concatenate([every_image, noisy[None]]), every).pairs == [(7, 40)]


def test_blocks_change_nothing_and_progress_is_reported(monkeypatch):
    views = [signatures(70), signatures(70)[20:40], np.rot90(signatures(70)[:9], 1, (1, 2))]
    images = np.concatenate(views)
    whole = find_near_duplicates(images, every).pairs
    assert whole == sorted([(20 + i, 70 + i) for i in range(20)] + [(i, 90 + i) for i in range(9)])
    for module in (comparison, neighbours):
        monkeypatch.setattr(module, "_WIDTH", 16)
        monkeypatch.setattr(module, "_BLOCK_NUMBERS", 16 * 7)
    reported = []
    assert find_near_duplicates(images, every, lambda *at: reported.append(at)).pairs == whole
    assert reported[-1] == (99 * 9, 99 * 9)
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)


@pytest.mark.parametrize("order", ["together", "apart"])
def test_features_are_read_in_parts(monkeypatch, order):
    monkeypatch.setattr(measures, "_READ", 16)
    X = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    X[100:150] = X[:50] + np.float32(0.1)
    read = []
    agree = feature_measure(200, lambda at: read.append(len(at)) or X[at])
    ones, others = np.arange(50), np.concatenate([np.arange(100, 130), np.arange(50, 70)])
    if order == "apart":  # one group of connected images, which is larger than what is read at a time
        ones, others = np.append(ones, np.arange(49)), np.append(others, np.arange(1, 50))
    found = agree(ones, others).tolist()
    assert max(read[1:]) <= 32
    monkeypatch.undo()
    expected = measure_of(X)(ones, others)
    assert found == expected.tolist()
    assert expected[:30].all()
    assert not expected[30:50].all()


def test_flat_images_are_not_near_duplicates():
    assert find_near_duplicates(np.full((30, 16, 16), 200, np.uint8), every).pairs == []


def test_if_all_images_are_similar_near_duplicates_must_be_more_similar():
    common = 8 * signatures(1)[0].astype(int) // 10
    alike = (common + signatures(60, 1) // 20).astype(np.uint8)
    distances = np.linalg.norm(normalized_patterns(alike)[:1] - normalized_patterns(alike)[1:], axis=1)
    assert distances.max() < 0.25  # with a fixed limit of 0.45, all pairs would be near-duplicates
    assert find_near_duplicates(alike, every).pairs == []
    again = np.concatenate([alike, alike[3:4] + (signatures(1, 2) // 128)])
    assert find_near_duplicates(again, every).pairs == [(3, 60)]


@pytest.mark.parametrize("n_duplicates", [5, 11, 12, 15, 20, 40, 60])
def test_near_duplicates_are_found_however_many_there_are(n_duplicates):
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (20, 16, 16))
    views = [originals, *(originals + rng.integers(-20, 21, originals.shape) for _ in range(n_duplicates))]
    pairs = find_near_duplicates(np.concatenate(views).clip(0, 255).astype(np.uint8), every).pairs
    assert {(one % 20, other % 20) for one, other in pairs} == {(i, i) for i in range(20)}
    assert len(pairs) == 20 * (n_duplicates + 1) * n_duplicates // 2


def test_features_must_agree():
    X = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    X[9] = X[4] + 0.1 * X[5]
    agree = measure_of(X)
    assert agree(np.array([4, 4]), np.array([9, 60])).tolist() == [True, X[4] @ X[60] > 2]
    opposite = X.copy()
    opposite[9] = -X[4]
    assert measure_of(opposite)(np.array([4]), np.array([9])).tolist() == [False]


def test_larger_thumbnails_must_agree():
    rng = np.random.default_rng(0)
    details = rng.integers(0, 256, (3, 32, 32)).astype(np.uint8)
    details[1] = np.rot90(details[0])
    assert detail_measure(details)(np.array([0, 0]), np.array([1, 2])).tolist() == [True, False]


def frames(n: int, seed: int) -> np.ndarray:
    """Return a random walk of images with small steps."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 6, (n, 16, 16)), axis=0) + rng.normal(128, 40, (16, 16))
    return walk.clip(0, 255).astype(np.uint8)


def test_similar_numbered_frames_are_a_recording():
    ids = [f"a/take_{i}.png" for i in range(60)]
    walk = frames(60, 0)
    assert find_recordings(ids, walk) == [list(range(60))]
    backwards = [f"a/take_{59 - i}.png" for i in range(60)]
    assert find_recordings(backwards, walk) == [list(range(59, -1, -1))]
    assert find_recordings([f"a/{chr(97 + i // 26)}{chr(97 + i % 26)}.png" for i in range(60)], walk) == []


def test_frames_of_a_still_scene_are_a_recording():
    still = signatures(2)
    grain = np.random.default_rng(0).integers(0, 9, (30, 16, 16)).astype(np.uint8)
    two = np.concatenate([still[:1] // 2 + grain, still[1:] // 2 + grain])
    ids = [f"{label}/{i}.png" for label in "ab" for i in range(30)]
    assert find_recordings(ids, two) == [list(range(30)), list(range(30, 60))]
    assert find_recordings(ids[:30], two[:30]) == []  # if all images are similar, numbers are not evidence


def test_images_that_are_merely_numbered_are_not_a_recording():
    assert find_recordings([f"a/{i}.png" for i in range(60)], signatures(60)) == []


def test_a_cut_ends_a_recording():
    walks = np.concatenate([frames(40, 0), frames(30, 5)])
    assert [len(recording) for recording in find_recordings([f"{i:03}.png" for i in range(70)], walks)] == [40, 30]


def still_scenes(n_scenes: int, n_frames: int) -> tuple[list[str], np.ndarray]:
    """Return names without a folder, and thumbnails; the frames of a scene differ only by noise."""
    rng = np.random.default_rng(3)
    scenes = np.repeat(rng.integers(0, 200, (n_scenes, 16, 16)), n_frames, axis=0)
    thumbnails = (scenes + rng.integers(0, 12, scenes.shape)).astype(np.uint8)
    return [
        f"scene{chr(97 + i // 26)}{chr(97 + i % 26)}_{f:03}.png" for i in range(n_scenes) for f in range(n_frames)
    ], thumbnails


def distributed(names: list[str], folders: str, seed: int = 0) -> list[str]:
    """Distribute names to folders at random."""
    choices = np.random.default_rng(seed).choice(folders.split(), len(names))
    return [f"{folder}/{name}" for folder, name in zip(choices, names, strict=True)]


@pytest.mark.parametrize("n_scenes", [4, 40])
@pytest.mark.parametrize("folders", ["train/a test/a", "train/a test/b", "train/a train/b test/a test/b"])
def test_a_still_recording_in_several_folders_is_one_recording(n_scenes, folders):
    names, thumbnails = still_scenes(n_scenes, 40)
    recordings = find_recordings(distributed(names, folders), thumbnails)
    assert sorted(recordings) == [list(range(start, start + 40)) for start in range(0, 40 * n_scenes, 40)]


def test_a_moving_recording_in_train_and_test_is_one_recording():
    walk = frames(60, 0)
    names = [f"take_{i}.png" for i in range(60)]
    cut = [f"{'train' if i < 48 else 'test'}/a/{names[i]}" for i in range(60)]
    for ids in (distributed(names, "train/a test/a"), cut):
        assert find_recordings(ids, walk) == [list(range(60))]


def test_recordings_with_the_same_numbers_are_separate():
    two = np.concatenate([frames(40, 0), frames(40, 0)])  # identical, but no two frames of a recording share a number
    ids = [f"{split}/a/take_{i}.png" for split in ("train", "test") for i in range(40)]
    assert find_recordings(ids, two) == [list(range(40)), list(range(40, 80))]
    apart = np.concatenate([frames(40, 0), frames(40, 5)])
    odd_and_even = [f"{folder}/take_{2 * i + (folder == 'b')}.png" for folder in "ab" for i in range(40)]
    assert find_recordings(odd_and_even, apart) == [list(range(40)), list(range(40, 80))]


def test_names_declare_recordings_whatever_their_folder_and_content():
    ids = [
        "a/take-002-00010.jpg", "a/take-002-00009.png", "b/take-002-00003.jpg", "test/a/take-010-00001.jpg",
        "train/a/take-010-00002.jpg", "a/take-003-00001.jpg", "a/take-2-1.jpg", "a/my-take-002-00004.jpg", "a/x.jpg",
    ]  # fmt: skip
    assert find_recordings(ids, signatures(len(ids))) == [[2, 1, 0], [3, 4]]
    assert [recording_of(name) for name in ids] == [2, 2, 2, 10, 10, 3, None, None, None]
    assert recording_of(f"a/{make_frame_name(1234, 7)}.jpg") == 1234
    assert make_frame_name(3, 12) == "take-003-00012"


def test_declared_frames_are_not_compared_with_neighbours():
    ids = [f"a/{make_frame_name(1 + i // 30, i)}.jpg" for i in range(60)]
    assert find_recordings(ids, frames(60, 0)) == [list(range(30)), list(range(30, 60))]


@pytest.fixture
def scenes(tmp_path):
    """Return a folder of two classes, 20 different scenes each."""
    for number in range(40):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number // 2)}.png", number)
    return tmp_path / "set"


def grouped(fake, folder, named=None):
    table = extract(folder, "quadrants", runtime=fake.runtime)
    found = group_samples(table, named)
    members: dict[int, list[str]] = {}
    for sample, number in zip(table.samples, found.numbers.tolist(), strict=True):
        members.setdefault(number, []).append(sample.sample_id)
    return found, [names for names in members.values() if len(names) > 1]


def test_a_table_is_grouped_by_group_by(fake, scenes):
    table = extract(scenes, "quadrants", runtime=fake.runtime)
    alone = group_table(table, None, fake.runtime)
    assert (alone.notes(), alone.group_by, set(alone.names)) == ([], None, {None})
    np.testing.assert_array_equal(alone.numbers, group_samples(table).numbers)
    found = group_table(table, "a/([ab])", fake.runtime)
    named = {sample.sample_id: name for sample, name in zip(table.samples, found.names, strict=True)}
    assert {name for path, name in named.items() if path.startswith("b/")} == {None}
    assert found.n_named == len(set(named.values()) - {None})
    assert found.notes() == [
        f"`group_by=a/([ab])` names no group for {sum(name is None for name in named.values())} of 40 images, "
        f"for example {next(path for path, name in named.items() if name is None)!r}; "
        "these images are grouped only with their duplicates, near-duplicates and recordings"
    ]
    with pytest.raises(DatasetError, match="`group_by=nothing`: no image has such a group"):
        group_table(table, "nothing", fake.runtime)


def test_every_image_is_its_own_group(fake, scenes):
    found, groups = grouped(fake, scenes)
    assert groups == []
    assert found.numbers.tolist() == list(range(40))
    assert found.to_dict() == {
        "n_groups": 40, "n_duplicates": 0, "n_near_duplicates": 0, "n_recordings": 0, "n_frames": 0, "n_versions": 0,
        "n_originals": 0, "group_versions": True, "version_examples": [], "n_named": 0, "too_alike": [],
    }  # fmt: skip


def test_duplicates_and_near_duplicates_are_one_group(fake, scenes):
    shutil.copy(scenes / "a" / "a.png", scenes / "b" / "same.png")
    with Image.open(scenes / "a" / "a.png") as image:
        ImageEnhance.Brightness(image.resize((70, 70))).enhance(0.9).save(scenes / "a" / "smaller.jpg", quality=60)
    found, groups = grouped(fake, scenes)
    assert groups == [["a/a.png", "a/smaller.jpg", "b/same.png"]]
    assert (found.n_duplicates, found.to_dict()["n_near_duplicates"]) == (2, 2)


def test_versions_by_name_are_one_group_whatever_their_content(fake, scenes):
    names = [f"a/rose_jpg.rf.{number:032x}.png" for number in range(3)]
    for number, name in enumerate(names):
        scene(scenes / name, 100 + number)
    found, groups = grouped(fake, scenes)
    assert groups == [names]
    assert (found.to_dict()["n_versions"], found.to_dict()["n_originals"]) == (3, 1)


def test_versions_with_similar_names_are_one_group_if_they_are_alike(fake, tmp_path):
    for form in (lambda i, v: f"{chr(97 + i)}-v{v}.png", lambda i, v: f"_{i}_{(i * 7919 + v * 3571) % 9973}.jpeg"):
        folder = tmp_path / form(0, 0)
        versions_of_scenes(folder, form)
        found, groups = grouped(fake, folder)
        assert {frozenset(names) for names in groups} == {
            frozenset(f"a/{form(i, v)}" for v in range(3)) for i in range(20)
        }
        summary = found.to_dict()
        assert (summary["n_versions"], summary["n_originals"], summary["group_versions"]) == (60, 20, True)
        assert any(set(summary["version_examples"][0]) <= set(names) for names in groups)


def test_names_are_not_used_if_they_are_not_wanted(fake, scenes):
    for number in range(3):
        scene(scenes / "a" / f"rose_jpg.rf.{number:032x}.png", 100 + number)
    table = extract(scenes, "quadrants", runtime=fake.runtime)
    assert len(group_table(table, None, fake.runtime).versions) == 1
    found = group_table(table, None, fake.runtime, group_versions=False)
    assert (found.versions, found.to_dict()["group_versions"]) == ((), False)
    assert found.numbers.tolist() == list(range(43))


def test_named_groups_and_duplicates_are_joined(fake, scenes):
    shutil.copy(scenes / "a" / "a.png", scenes / "b" / "same.png")
    n = 41
    named = [None] * n
    named[0], named[3], named[40], named[30] = "one", "one", "two", "two"
    found, groups = grouped(fake, scenes, named)
    assert groups[0][:2] == ["a/a.png", "a/d.png"]
    assert "b/same.png" in groups[0]
    assert found.n_named == 2


def test_a_class_too_alike_is_reported_and_not_merged(fake, scenes, monkeypatch):
    monkeypatch.setattr(
        "featx.duplicates.grouping._Contents.near_duplicates", lambda *given: [(i, i + 1) for i in range(6)]
    )
    found, groups = grouped(fake, scenes)
    assert groups == []
    assert (found.too_alike, found.near) == (("a",), ())


def test_an_empty_table(fake, images):
    table = extract(images, "quadrants", runtime=fake.runtime)
    empty = replace(table, samples=[], content_hashes=table.content_hashes[:0])
    assert group_samples(empty).numbers.shape == (0,)


def test_plain_images_with_noise_are_not_near_duplicates(fake, tmp_path):
    for i in range(30):
        save_image(tmp_path / "set" / "ab"[i % 2] / f"{i}.png", (120, 90, 60), seed=i)
    assert grouped(fake, tmp_path / "set")[1] == []


@pytest.mark.parametrize("most", [1_000_000, 5_000, 300])
def test_redundant_pairs_are_left_out_and_the_groups_stay(most, monkeypatch):
    monkeypatch.setattr("featx.duplicates.pairs._MOST_WAITING", most)
    monkeypatch.setattr("featx.duplicates.pairs._PER_IMAGE", 0)
    rng = np.random.default_rng(0)
    shown = np.concatenate([np.repeat(signatures(3, seed=1), 200, axis=0), signatures(40, seed=2)])
    shown = np.clip(shown + rng.normal(0, 2, shown.shape), 0, 255).astype(np.uint8)[rng.permutation(len(shown))]
    recordings, labels = rng.integers(0, 3, len(shown)), rng.integers(0, 2, len(shown))

    def agrees(ones, others):
        return (ones * 31 + others * 17) % 3 > 0

    found = find_near_duplicates(shown, agrees, marks=[recordings, labels]).pairs
    whole = [pair for pair in all_near_duplicates(shown) if agrees(*np.array(pair))]
    assert set(found) <= set(whole)
    assert (found == whole) == (most == 1_000_000)
    for kind in ([], [recordings], [labels], [recordings, labels]):
        for shared in itertools.product((False, True), repeat=len(kind)):
            some, all_ = (
                [(i, j) for i, j in pairs if [bool(m[i] == m[j]) for m in kind] == list(shared)]
                for pairs in (found, whole)
            )
            assert group_pairs(len(shown), some) == group_pairs(len(shown), all_)


def all_near_duplicates(shown: np.ndarray) -> list[tuple[int, int]]:
    flat = normalized_patterns(shown)
    similarity = flat @ flat.T
    return [(i, j) for i in range(len(shown)) for j in range(i + 1, len(shown)) if similarity[i, j] > 0.95]


def test_not_all_pairs_of_equal_images_are_evaluated(monkeypatch):
    monkeypatch.setattr("featx.duplicates.pairs._MOST_WAITING", 10_000)
    monkeypatch.setattr("featx.duplicates.pairs._PER_IMAGE", 0)
    n = 900
    drawn = np.random.default_rng(0).integers(0, 256, (61, 16, 16)).astype(np.uint8)
    shown = np.concatenate([np.repeat(drawn[:1], n, axis=0), drawn[1:]])
    detail = shown.repeat(2, 1).repeat(2, 2)
    n_evaluated = []

    def agree(ones, others):
        n_evaluated.append(len(ones))
        return detail_measure(detail)(ones, others)

    pairs = find_near_duplicates(shown, agree, marks=[np.arange(len(shown)) % 2]).pairs
    assert group_pairs(len(shown), pairs) == [list(range(n))]
    assert sum(n_evaluated) < 100_000  # of 404,550
