"""Groups by names are versions of one image only if their images are far more alike than others of their class."""

from __future__ import annotations

import string
from collections import Counter

import numpy as np
import pytest

from featx.duplicates.similar_names import (
    Evidence,
    examples_of_names,
    feature_similarity,
    find_similar_names,
    thumbnail_similarity,
)


class Images:
    """Synthetic images: features and thumbnails of originals, with versions that differ a little.

    Parameters
    ----------
    n, versions : int
        Number of originals, and of versions of each.
    noise : (float, float)
        Difference of versions, in features and in thumbnails, relative to that of different images.
    """

    def __init__(self, n: int, versions: int, noise: tuple[float, float] = (0.3, 0.3), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.original = np.repeat(np.arange(n), versions)
        self.version = np.tile(np.arange(versions), n)
        self.X = 1 + rng.normal(size=(n, 40))[self.original] + noise[0] * rng.normal(size=(n * versions, 40))
        shown = rng.normal(size=(n, 16, 16))[self.original] + noise[1] * rng.normal(size=(n * versions, 16, 16))
        self.signatures = np.clip(128 + 40 * shown, 0, 255).astype(np.uint8)
        self.labels: list[str | None] = ["ab"[i % 2] for i in self.original.tolist()]
        self.random = rng.permutation(9000)[: n * versions].tolist()

    def found(self, names: list[str], together: np.ndarray | None = None) -> list[list[int]]:
        measures = [feature_similarity(lambda at: self.X[at].astype(np.float32)), thumbnail_similarity(self.signatures)]
        together = np.arange(len(names)) if together is None else together
        return find_similar_names(names, self.labels, together, measures)

    def named(self, form: str) -> list[str]:
        words = [
            "".join(np.random.default_rng(i).choice(list(string.ascii_lowercase), 7))
            for i in range(self.original.max() + 1)
        ]
        return [
            form.format(label=label, i=i, v=v, random=number, letter="abcdefgh"[v % 8], word=words[i])
            for label, i, v, number in zip(
                self.labels, self.original.tolist(), self.version.tolist(), self.random, strict=True
            )
        ]

    def true(self) -> list[list[int]]:
        return [np.flatnonzero(self.original == i).tolist() for i in range(self.original.max() + 1)]


KERAS = "{label}/_{i}_{random}.jpeg"
FORMS = [
    "{label}/{i}_{v}.jpg",
    "{label}/{v}_{i}.jpg",
    "{label}/{word}_{v}.jpg",
    "{label}/{word} ({v}).jpg",
    "{label}/{i}{letter}.jpg",
    "{label}/sepia{letter}_{word}.jpg",
    "{label}/out_{v}_{i}_{random}.jpg",
    "all/{i}_{v}.jpg",
]


@pytest.mark.parametrize("form", [KERAS, *FORMS])
def test_versions_are_found_by_names_and_likeness(form):
    images = Images(30, 4)
    assert images.found(images.named(form)) == images.true()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("noise", [(9, 9), (0.3, 9)])
def test_names_of_images_that_differ_are_not_used(form, noise):
    """Images of one plate may have similar features, because of its colours, and different thumbnails."""
    images = Images(30, 4, noise)
    assert images.found(images.named(form)) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("form", [KERAS, *FORMS])
def test_likeness_of_the_class_is_not_likeness_of_versions(form, seed):
    """All images of a class are similar, but not more similar within groups than between them."""
    images = Images(30, 4, (9, 9), seed)
    of_b = np.array([label == "b" for label in images.labels])
    images.X[of_b] += 30
    images.signatures[of_b] = images.signatures[of_b] // 4 + np.arange(0, 160, 10, np.uint8)
    assert images.found(images.named(form)) == []


def test_thumbnails_are_enough():
    """Versions with changed colours and noise may have quite different features."""
    images = Images(30, 4, (9, 0.3))
    assert images.found(images.named("{label}/{i}_{v}.jpg")) == images.true()


def test_names_that_only_versions_have_need_less_likeness():
    images = Images(30, 4, (1.5, 9))
    assert images.found(images.named("{label}/{i}_{v}.jpg")) == []
    assert images.found(images.named(KERAS)) == images.true()
    assert images.found(images.named("{label}/{word}_flip_{v}.jpeg")) == images.true()


def test_images_that_are_known_to_be_together_are_no_evidence():
    """Duplicates with similar names do not make a pattern of names convincing."""
    images = Images(30, 2, (0, 0))
    names = images.named("{label}/{i}_{v}.jpg")
    assert images.found(names) == images.true()
    assert images.found(names, images.original) == []
    sources = [name.replace("/", f"/plate{i % 10}_") for name, i in zip(names, images.original.tolist(), strict=True)]
    assert images.found(sources, images.original) == []


def test_likeness_of_changed_images_is_not_likeness_of_versions():
    """Images that were changed in the same way have similar margins; unchanged images do not."""
    images = Images(60, 6, (9, 9))
    changed = np.flatnonzero(images.version)
    shared = np.random.default_rng(7)
    images.X[changed] += 30 * shared.normal(size=40)
    images.signatures[changed] = images.signatures[changed] // 8 + shared.integers(0, 200, (16, 16)).astype(np.uint8)
    names = images.named("{label}/{word}-{letter}{v}.jpg")
    names = [name if v else name.rpartition("-")[0] + ".jpg" for name, v in zip(names, images.version, strict=True)]
    assert images.found(names) == []


def test_large_groups_are_not_versions():
    images = Images(12, 101, (0.1, 0.1))
    assert images.found(images.named("{label}/{word}_{v}.jpg")) == []
    images = Images(12, 100, (0.1, 0.1))
    assert Counter(map(len, images.found(images.named("{label}/{word}_{v}.jpg")))) == {100: 12}


def test_few_groups_are_not_enough():
    images = Images(6, 4)
    assert images.found(images.named("all/{i}_{v}.jpg")) == []


def test_versions_in_one_folder_only():
    """The images of class b have names of the same form, but are no versions."""
    images, others = Images(40, 4), Images(40, 4, (9, 9), seed=1)
    is_other = np.array([label == "b" for label in images.labels])
    images.X[is_other], images.signatures[is_other] = others.X[is_other], others.signatures[is_other]
    names = images.named("{label}/{word}_{v}.jpg")
    assert images.found(names) == [group for group in images.true() if not is_other[group[0]]]


def test_versions_in_folders_of_one_class_are_found():
    images = Images(30, 4)
    split = np.where(images.version % 2, "test", "train").tolist()
    names = [f"{part}/{name}" for part, name in zip(split, images.named("{label}/{word}_{v}.jpg"), strict=True)]
    assert images.found(names) == images.true()
    alone = images.named("part{v}/{label}/{word}.jpg")
    assert images.found(alone) == images.true()


def test_the_same_groups_in_any_order():
    images = Images(40, 4)
    names = images.named("{label}/{word}_{v}.jpg")
    order = np.random.default_rng(5).permutation(len(names))
    expected = {frozenset(names[i] for i in group) for group in images.found(names)}
    images.X, images.signatures = images.X[order], images.signatures[order]
    images.labels = [images.labels[i] for i in order]
    shuffled = [names[i] for i in order]
    assert {frozenset(shuffled[i] for i in group) for group in images.found(shuffled)} == expected
    assert len(expected) == 40


def test_features_are_read_in_limited_numbers():
    images, most = Images(3000, 2), []

    def read(at: np.ndarray) -> np.ndarray:
        assert (np.diff(at) > 0).all()
        most.append(len(at))
        return images.X[at].astype(np.float32)

    measures = [feature_similarity(read), thumbnail_similarity(images.signatures)]
    found = find_similar_names(images.named("{label}/{i}_{v}.jpg"), images.labels, np.arange(6000), measures)
    assert found == images.true()
    assert max(most) <= 8400


def test_no_images():
    assert find_similar_names([], [], np.empty(0, np.int64), []) == []


def test_similarities():
    X = np.array([[1, 0], [3, 0], [1, 1], [0, 0]], np.float32)
    ones, others = np.array([0, 0, 0]), np.array([1, 2, 3])
    np.testing.assert_allclose(feature_similarity(lambda at: X[at])(ones, others), [1, 0.5**0.5, 0], atol=1e-6)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16)).astype(np.uint8)
    shown = np.stack([images[0], images[0] // 2, np.rot90(images[0])[::-1], images[1]])
    values = thumbnail_similarity(shown)(np.array([0, 0, 0]), np.array([1, 2, 3]))
    assert values[2] < 100 * values[0]
    assert values[2] < values[1] == 0


def test_figures_of_evidence():
    groups = np.array([0, 0, 1])
    top, chance = np.array([[1.0, 1.0, 0.0]]), np.full((1, 3), 0.25)
    evidence = Evidence(groups, np.array([[0.1, 0.3, 0.8]]), top, chance)
    assert evidence.n_groups == 2
    assert evidence.mean_ranks().tolist() == [pytest.approx(0.5)]
    assert evidence.top_shares().tolist() == [pytest.approx((2 / 3 - 0.25) / 0.75)]
    assert not evidence.is_convincing(True)
    assert not evidence.is_convincing(False)


def test_examples_have_different_forms():
    names = ["a/x_1.jpg", "a/x_2.jpg", "a/y.jpg", "a/y_flip.jpg", "b/x_3.jpg", "b/x_4.jpg"]
    assert examples_of_names(names, [[2, 3], [0, 1], [4, 5]]) == [
        ("a/x_1.jpg", "a/x_2.jpg"),
        ("a/y.jpg", "a/y_flip.jpg"),
    ]
    assert len(examples_of_names([c * i for c in "pqrst" for i in (1, 2)], [[i, i + 1] for i in range(0, 10, 2)])) == 3
