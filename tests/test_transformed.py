"""Augmented versions of one original are found by aligned local features; different images are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from featx.duplicates import find_transformed, transformed
from featx.duplicates.alignment import HIGHEST_SCORE, Alignment
from featx.duplicates.local_features import MIRROR, MOST_POINTS, Describer
from featx.duplicates.transformed import CERTAIN_SCORE, LEAST_SCORE, score_by_chance
from featx.duplicates.votes import most_voted

SIDE = 128


def scene(seed: int) -> np.ndarray:
    """Return a grey scene of random ellipses and lines, larger than a signature."""
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE), rng.integers(60, 190), np.uint8)
    for _ in range(40):
        centre, axes = rng.integers(0, SIDE, 2).tolist(), rng.integers(3, 18, 2).tolist()
        cv2.ellipse(image, centre, axes, int(rng.integers(0, 180)), 0, 360, int(rng.integers(15, 240)), -1, cv2.LINE_AA)
    return image


def signature(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)


def turned(image: np.ndarray, angle: float, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Return the image rotated by an angle in degrees, resized and shifted, with black corners."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), angle, scale)
    matrix[0, 2] += shift * SIDE
    return cv2.warpAffine(image, matrix, (SIDE, SIDE))


def bordered(image: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(image, 12, 12, 12, 12, cv2.BORDER_CONSTANT, value=255)


def stamped(image: np.ndarray) -> np.ndarray:
    changed = image.copy()
    changed[90:110, 10:60] = 0
    changed[20:50, 80:110] = 255
    return changed


CHANGES = {
    "rotated": lambda image: turned(image, 25),
    "rotated by a quarter and cropped": lambda image: np.rot90(image)[10:115, 14:119],
    "shifted": lambda image: turned(image, 0, shift=0.15),
    "enlarged": lambda image: turned(image, 0, scale=1.25),
    "mirrored and rotated": lambda image: turned(np.ascontiguousarray(image[:, ::-1]), -20),
    "sheared": lambda image: cv2.warpAffine(image, np.array([[1, 0.2, -12], [0, 1, 0]]), (SIDE, SIDE)),
    "darker with less contrast, rotated": lambda image: turned((image * 0.5 + 20).astype(np.uint8), 12),
    "with a border, rotated": lambda image: bordered(turned(image, 10)),
    "with cut-outs, mirrored and shifted": lambda image: stamped(turned(np.ascontiguousarray(image[:, ::-1]), 8)),
}


def hashes_of(n: int) -> np.ndarray:
    drawn = np.random.default_rng(0).integers(0, 256, (n, 32)).astype(np.uint8)
    return np.sort(drawn.view("S32").ravel()).view(np.uint8).reshape(n, 32)


def found_groups(signatures: np.ndarray, groups: np.ndarray | None = None) -> set[frozenset[int]]:
    n = len(signatures)
    pairs = find_transformed(hashes_of(n), lambda at: signatures[at], np.arange(n) if groups is None else groups)
    assert all(one < other for one, other in pairs)
    return {frozenset(pair) for pair in pairs}


@pytest.fixture(scope="module")
def originals() -> np.ndarray:
    return np.array([scene(seed) for seed in range(40)])


@pytest.fixture(scope="module")
def versions(originals) -> np.ndarray:
    """Signatures of 40 originals, then of one version of each of the first 36, four of each change."""
    changes = list(CHANGES.values())
    changed = [changes[i % len(changes)](originals[i]) for i in range(36)]
    return np.array([signature(image) for image in (*originals, *changed)])


def test_each_change_is_found_and_nothing_else(versions):
    pairs = found_groups(versions)
    expected = {frozenset((i, 40 + i)): list(CHANGES)[i % len(CHANGES)] for i in range(36)}
    assert pairs <= set(expected)
    missed = [name for pair, name in expected.items() if pair not in pairs]
    assert all(missed.count(name) <= 1 for name in CHANGES), missed
    assert len(missed) <= 3, missed


def test_different_images_are_no_versions(originals):
    assert found_groups(np.array([signature(image) for image in originals])) == set()


def test_pairs_within_known_groups_are_left_out(versions):
    groups = np.concatenate([np.arange(40), np.arange(36)])
    assert found_groups(versions, groups) == set()


def test_the_order_of_the_images_does_not_matter(versions):
    order = np.random.default_rng(3).permutation(len(versions))
    in_order = {frozenset(order[list(pair)].tolist()) for pair in found_groups(versions[order])}
    assert in_order == found_groups(versions)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_images_and_images_without_points(n):
    assert found_groups(np.full((n, 64, 64), 120, np.uint8)) == set()


def test_large_groups_need_two_pairs(versions, monkeypatch):
    """One strong pair between two groups of three does not join them, two do."""
    scores = {}
    monkeypatch.setattr(transformed._Search, "_score", lambda self, one, other: scores.get((one, other), 0.0))
    monkeypatch.setattr(
        transformed, "most_voted", lambda codes, n, progress: tuple(map(np.array, zip(*votes, strict=True)))
    )
    inner = [(0, 1, 0), (0, 2, 0), (3, 4, 0), (3, 5, 0)]
    votes = [*inner, (1, 4, 1)]
    scores = {(one, other): 5.0 for one, other, _ in [*inner, (1, 4, 1), (2, 5, 1)]}
    assert found_groups(versions[:6]) == {frozenset(pair[:2]) for pair in inner}
    votes = [*inner, (1, 4, 1), (2, 5, 1)]
    assert found_groups(versions[:6]) == {frozenset(pair[:2]) for pair in votes}


@pytest.mark.parametrize(("n_certain", "is_found"), [(16, True), (14, False)])
def test_a_lower_score_is_sufficient_if_one_image_in_five_has_a_version(versions, monkeypatch, n_certain, is_found):
    assert len(versions) == 76
    certain, doubtful = [(2 * i, 2 * i + 1) for i in range(n_certain)], (60, 61)
    scores = {**dict.fromkeys(certain, 5.0), doubtful: 3.8, (62, 63): 3.4}
    monkeypatch.setattr(transformed._Search, "_score", lambda self, one, other: scores.get((one, other), 0.5))
    monkeypatch.setattr(
        transformed, "most_voted", lambda codes, n, progress: (*np.array(list(scores)).T, np.zeros(len(scores), int))
    )
    found = {frozenset(pair) for pair in [*certain, *([doubtful] if is_found else [])]}
    assert found_groups(versions) == found


def test_a_large_set_is_searched_only_if_its_sample_contains_versions(originals, versions, monkeypatch):
    monkeypatch.setattr(transformed, "WHOLE", 30)
    monkeypatch.setattr(transformed, "_FEWEST_IN_SAMPLE", 20)
    searched = []
    pairs = transformed._Search.pairs

    def counted(self):
        searched.append(len(self._at))
        return pairs(self)

    monkeypatch.setattr(transformed._Search, "pairs", counted)
    assert found_groups(np.array([signature(image) for image in originals])) == set()
    assert len(searched) == 1
    assert 5 < searched[0] < 40
    searched.clear()
    monkeypatch.setattr(transformed, "_FEWEST_IN_SAMPLE", 70)
    assert len(found_groups(versions)) >= 30
    assert searched[1] == len(versions)
    assert searched[0] < len(versions)


def test_sets_whose_images_are_alike_need_higher_scores():
    rng = np.random.default_rng(0)
    different, alike = rng.normal(0.5, 0.3, 1000).clip(0), rng.normal(3.5, 0.3, 1000)
    assert score_by_chance(different, 500) == LEAST_SCORE
    assert LEAST_SCORE < score_by_chance(alike, 500) < score_by_chance(alike, 50_000) <= CERTAIN_SCORE
    assert score_by_chance(alike[:10], 500) == LEAST_SCORE
    assert score_by_chance(different, 500, is_augmented=True) == 3.5
    assert 3.5 < score_by_chance(alike, 500, is_augmented=True) < score_by_chance(alike, 500)


def test_equal_images_have_the_highest_score(originals):
    describer = Describer()
    shown = signature(originals[0])
    one = describer.points(shown), describer.texture(shown)
    assert Alignment().score(one, one) == pytest.approx(HIGHEST_SCORE, rel=0.02)


def test_codes_of_a_mirrored_image_are_mirrored_codes(originals):
    describer = Describer()
    one = describer.points(signature(originals[1])).mirrored()
    other = describer.points(np.ascontiguousarray(signature(originals[1])[:, ::-1]))
    assert len(one.codes) == len(other.codes) <= MOST_POINTS
    distances = np.hypot(*(one.places[:, None, :2] - other.places[None, :, :2]).transpose(2, 0, 1))
    nearest = distances.argmin(axis=1)
    close = distances.min(axis=1) < 0.02
    assert close.mean() > 0.7
    similarity = (one.codes * other.codes[nearest]).sum(1) / (
        np.linalg.norm(one.codes, axis=1) * np.linalg.norm(other.codes[nearest], axis=1)
    )
    assert np.median(similarity[close]) > 0.9
    assert set(np.unique(MIRROR)) == {-1.0, 1.0}


def test_fills_are_neither_texture_nor_points(originals):
    plain, border = signature(originals[2]), signature(bordered(originals[2]))
    texture = Describer().texture(border)
    assert texture.shown[:5].max() == 0
    assert not texture.values[:5].any()
    assert Describer().texture(plain).shown.mean() > 0.9


def test_votes_find_the_version_of_an_image_first(versions):
    describer = Describer()
    codes = [describer.points(shown).codes for shown in versions]
    ones, others, ranks = most_voted(codes, 3, lambda done, total: None)
    assert (ones < others).all()
    assert (np.diff(ranks) >= 0).all()
    first = set(zip(ones[ranks == 0].tolist(), others[ranks == 0].tolist(), strict=True))
    assert sum((i, 40 + i) in first for i in range(36)) >= 33


def test_votes_in_cells_agree_with_the_votes_of_all_points(versions, monkeypatch):
    from featx.duplicates import votes

    describer = Describer()
    codes = [describer.points(shown).codes for shown in versions]

    def first(cell: int) -> set[tuple[int, int]]:
        monkeypatch.setattr(votes, "_CELL", cell)
        ones, others, _ = most_voted(codes, 1, lambda done, total: None)
        return set(zip(ones.tolist(), others.tolist(), strict=True))

    whole, cells = first(10**6), first(100)
    true = {(i, 40 + i) for i in range(36)}
    assert len(true & whole) >= 33
    assert len(true & cells) >= 31


def test_images_without_points_get_no_votes():
    nothing = np.empty((0, 29), np.float32)
    some = np.random.default_rng(0).normal(size=(5, 29)).astype(np.float32)
    assert [len(part) for part in most_voted([nothing, some, nothing], 3, lambda done, total: None)] == [0, 0, 0]
    ones, others, _ = most_voted([nothing, some, nothing, some], 3, lambda done, total: None)
    assert list(zip(ones.tolist(), others.tolist(), strict=True)) == [(1, 3)]
