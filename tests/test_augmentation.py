"""Augmented views are reproducible, cached like images, and made for the training part only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Fake, make_classes, quadrant_means, save_image, stored_bytes
from PIL import Image

from featx.augmentation import PRESETS, make_views, read_policy
from featx.caching import clean_cache, list_cache, verify_cache
from featx.errors import DamagedStoreError, DatasetError, OptionError, OutputError, SpecError, StoreError
from featx.extraction import compute_table, extract
from featx.images import prepare
from featx.lookup import latest, recall_table
from featx.options import ExtractOptions, RunOptions
from featx.readers import job
from featx.runtime import Runtime
from featx.store import FeatureStore

EVERYTHING = "brightness=0.1,contrast=0.2,crop=0.1,flip=both,rotation=15,shear=0.2,shift=0.1,zoom=0.2"


@pytest.fixture(scope="module")
def some(keras_start) -> tuple[np.ndarray, np.ndarray]:
    """Return 20 images of 48 x 48 pixels with noise on a brightness gradient, and their hashes."""
    rng = np.random.default_rng(0)
    slope = np.linspace(40, 200, 48)[:, np.newaxis, np.newaxis]
    pixels = np.clip(slope + rng.integers(-40, 41, (20, 48, 48, 3)), 0, 255).astype(np.uint8)
    return pixels, hashes_of(pixels)


def hashes_of(images) -> np.ndarray:
    digests = b"".join(hashlib.sha256(bytes(image)).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def run(fake: Fake, data: Path, **options):
    return extract(data, "quadrants", runtime=options.pop("runtime", fake.runtime), **options)


# The policy


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_equals_its_expanded_form(name):
    spelt = ",".join(reversed(PRESETS[name].split(",")))
    assert read_policy(name) == read_policy(spelt) == read_policy(f" {spelt.replace('=', ' = ')} ") == PRESETS[name]


def test_the_preset_of_the_tutorials():
    assert read_policy("tutorial") == "flip=horizontal,shear=0.2,zoom=0.2"


def test_numbers_are_canonical_and_zeros_are_left_out():
    assert read_policy("zoom=0.20,rotation=15.0,crop=0,shear=2e-1") == "rotation=15,shear=0.2,zoom=0.2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "medum",
            "`augment=medum`: unknown policy (did you mean medium?); expected light, medium, tutorial, or "
            "comma-separated pairs name=value with the names brightness, contrast, crop, flip, rotation, shear, shift, "
            "zoom",
        ),
        ("", "`augment=`: unknown policy; expected light, medium, tutorial"),
        (
            "rotate=15",
            "`augment=rotate=15`: unknown name 'rotate' (did you mean rotation?); expected brightness, contrast, crop, "
            "flip, rotation, shear, shift or zoom",
        ),
        ("rotation=5,", "`augment=rotation=5,` contains a pair without a name; remove a comma, or give name=value"),
        (
            "zoom=1.5",
            "`augment=zoom=1.5`: zoom is 1.5; expected a number from 0 to 0.9 (largest change of the scale, as a",
        ),
        ("zoom=-0.1", "`augment=zoom=-0.1`: zoom is -0.1; expected a number from 0 to 0.9"),
        ("rotation=nan", "`augment=rotation=nan`: rotation is nan; expected a number from 0 to 180 (largest angle, in"),
        ("rotation=much", "`augment=rotation=much`: rotation is much; expected a number from 0 to 180"),
        (
            "flip=horizontaly",
            "`augment=flip=horizontaly`: unknown flip 'horizontaly' (did you mean horizontal?); expected horizontal, "
            "vertical or both",
        ),
        ("zoom=0.1,zoom=0.2", "`augment=zoom=0.1,zoom=0.2` contains zoom twice; give each name once"),
        ("zoom=0", "`augment=zoom=0` changes nothing; leave out `augment`"),
    ],
)
def test_invalid_policies(text, message):
    with pytest.raises(SpecError) as error:
        read_policy(text)
    assert str(error.value).startswith(message)


# The pixels


def test_view_0_is_the_image(some):
    pixels, hashes = some
    made = make_views(pixels, hashes, 0, EVERYTHING, 0)
    np.testing.assert_array_equal(made, pixels)
    assert made is not pixels
    mixed = make_views(pixels, hashes, np.array([0, 1] * 10), EVERYTHING, 0)
    np.testing.assert_array_equal(mixed[::2], pixels[::2])
    assert all((mixed[i] != pixels[i]).any() for i in range(1, 20, 2))


@pytest.mark.parametrize("policy", [EVERYTHING, *PRESETS.values(), "contrast=0.5", "brightness=0.3"])
def test_a_view_does_not_depend_on_the_other_images_of_its_batch(some, policy):
    pixels, hashes = some
    whole = make_views(pixels, hashes, 3, policy, 7)
    alone = [make_views(pixels[i : i + 1], hashes[i : i + 1], 3, policy, 7)[0] for i in range(len(pixels))]
    np.testing.assert_array_equal(alone, whole)
    order = np.random.default_rng(1).permutation(60)
    many = np.tile(np.arange(20), 3)[order]
    views = np.repeat([1, 3, 5], 20)[order]
    mixed = make_views(pixels[many], hashes[many], views, policy, 7)
    for view in (1, 3, 5):
        each = make_views(pixels, hashes, view, policy, 7)
        np.testing.assert_array_equal(mixed[views == view], each[many[views == view]])


def test_a_view_depends_on_policy_seed_content_and_number(some):
    pixels, hashes = some
    first = make_views(pixels, hashes, 1, EVERYTHING, 0)
    others = (
        make_views(pixels, hashes, 2, EVERYTHING, 0),
        make_views(pixels, hashes, 1, EVERYTHING, 1),
        make_views(pixels, hashes, 1, EVERYTHING.replace("crop=0.1", "crop=0.2"), 0),
        make_views(pixels, np.roll(hashes, 1, axis=0), 1, EVERYTHING, 0),
    )
    for other in others:
        assert all((a != b).any() for a, b in zip(first, other, strict=True))


def test_the_same_pixels_in_another_process(some):
    """A new interpreter with another number of threads draws the same views."""
    pixels, hashes = some
    script = (
        "import hashlib, sys, numpy as np; from featx.augmentation import make_views\n"
        "raw = np.frombuffer(sys.stdin.buffer.read(), np.uint8)\n"
        "pixels, hashes = raw[32 * 5:].reshape(5, 48, 48, 3), raw[:32 * 5].reshape(5, 32)\n"
        f"print(hashlib.sha256(make_views(pixels, hashes, 1, {EVERYTHING!r}, 3).tobytes()).hexdigest())"
    )
    given = hashes[:5].tobytes() + pixels[:5].tobytes()
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", script], input=given, capture_output=True, check=True, env=environment
    )
    here = make_views(pixels[:5], hashes[:5], 1, EVERYTHING, 3)
    assert process.stdout.decode().strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_flips_are_exact_mirrors(some):
    pixels, hashes = some
    made = make_views(pixels, hashes, 1, "flip=both", 0)
    combinations = set()
    for image, view in zip(pixels, made, strict=True):
        mirrors = {(x, y): image[:: -1 if y else 1, :: -1 if x else 1] for x in (0, 1) for y in (0, 1)}
        combinations |= {key for key, mirror in mirrors.items() if (mirror == view).all()}
        assert any((mirror == view).all() for mirror in mirrors.values())
    assert combinations == {(0, 0), (0, 1), (1, 0), (1, 1)}
    sideways = make_views(pixels, hashes, 1, "flip=horizontal", 0)
    mirrored = [(v == p[:, ::-1]).all() for v, p in zip(sideways, pixels, strict=True)]
    unchanged = [(v == p).all() for v, p in zip(sideways, pixels, strict=True)]
    assert np.logical_xor(mirrored, unchanged).all()
    assert 4 <= sum(mirrored) <= 16


def dot(x: int, y: int, side: int = 65) -> np.ndarray:
    """Return a grey image with a white square of 5 x 5 around a point."""
    image = np.full((side, side, 3), 100, np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


def places(policy: str, x: int, y: int, n: int = 100) -> np.ndarray:
    """Return the positions of the square in n views, shape (n, 2), relative to the centre of an image of 65 x 65."""
    pixels = np.tile(dot(x, y), (n, 1, 1, 1))
    made = make_views(pixels, hashes_of([b"dot"] * n), np.arange(1, n + 1), policy, 0).astype(float) - 100
    grid = np.arange(65.0) - 32
    weight = made[..., 0].sum(axis=(1, 2))
    across = (made[..., 0].sum(axis=1) * grid).sum(axis=1) / weight
    down = (made[..., 0].sum(axis=2) * grid).sum(axis=1) / weight
    return np.stack([across, down], axis=1)


def test_rotations_stay_on_the_circle_and_within_their_limit(keras_start):
    positions = places("rotation=20", 52, 32)
    np.testing.assert_allclose(np.hypot(*positions.T), 20, atol=0.5)
    angles = np.rad2deg(np.arctan2(positions[:, 1], positions[:, 0]))
    assert np.abs(angles).max() <= 21
    assert angles.min() < -12
    assert angles.max() > 12


def test_shifts_zooms_crops_and_shears_stay_within_their_limits(keras_start):
    shifted = places("shift=0.1", 32, 32)
    assert 5 < np.abs(shifted).max() <= 6.6
    zoomed = places("zoom=0.2", 52, 32)
    assert (np.abs(zoomed[:, 1]) < 0.1).all()
    assert zoomed[:, 0].min() == pytest.approx(20 / 1.2, abs=0.7)
    assert zoomed[:, 0].max() == pytest.approx(20 / 0.8, abs=0.7)
    cropped = places("crop=0.5", 32, 32)
    assert (np.abs(cropped) <= 32.5).all()
    assert np.abs(cropped).max() > 15  # a window of half the side, at the edge of the image
    sheared = places("shear=0.2", 32, 52)
    np.testing.assert_allclose(sheared[:, 1], 20, atol=0.2)
    assert 3 < np.abs(sheared[:, 0]).max() <= 4.2
    np.testing.assert_allclose(places("shear=0.2", 32, 32), 0, atol=0.1)  # around the centre


def test_brightness_and_contrast_within_their_limits(keras_start):
    grey = np.full((100, 16, 16, 3), 100, np.uint8)
    grey[:, :8] = 120
    views, hashes = np.arange(1, 101), hashes_of([b"grey"] * 100)
    lit = make_views(grey, hashes, views, "brightness=0.1", 0).astype(int)
    change = lit[:, 0, 0, 0] - 120
    assert (lit - grey.astype(int) == change[:, np.newaxis, np.newaxis, np.newaxis]).all()
    assert -26 <= change.min() < -15
    assert 15 < change.max() <= 26
    stretched = make_views(grey, hashes, views, "contrast=0.5", 0).astype(int)
    spread = stretched[:, 0, 0, 0] - stretched[:, 15, 0, 0]
    assert 10 <= spread.min() < 13
    assert 27 < spread.max() <= 30
    assert np.abs(stretched.mean(axis=(1, 2, 3)) - 110).max() <= 0.5


def test_no_black_corners(keras_start):
    bright = np.full((20, 64, 64, 3), 200, np.uint8)
    made = make_views(bright, hashes_of([b"bright"] * 20), np.arange(1, 21), "rotation=45,shift=0.3,zoom=0.5", 0)
    assert (made == 200).all()


# Views of a data set


def expected_view(path: Path, view: int, policy: str, seed: int = 0) -> np.ndarray:
    data = path.read_bytes()
    pixels = prepare(data, 32).pixels[np.newaxis]
    content = np.frombuffer(hashlib.sha256(data).digest(), np.uint8)[np.newaxis]
    return quadrant_means(make_views(pixels, content, view, policy, seed))[0]


def test_views_are_those_of_each_image(fake, images):
    table = run(fake, images, augment="medium", views=3, seed=5)
    assert table.views == 3
    assert table.spec.augment is None
    for view in range(4):
        read = table.opened(view)
        for i, features in enumerate(read(np.arange(24))):
            path = images / table.samples[i].sample_id
            np.testing.assert_array_equal(features, expected_view(path, view, PRESETS["medium"], 5))
        np.testing.assert_array_equal(read(np.array([7, 2])), read(np.arange(24))[[7, 2]])
    done = table.extraction.views
    assert (done.n, done.policy, done.seed) == (3, PRESETS["medium"], 5)
    assert (done.n_computed, done.n_cached) == (72, 0)
    assert (table.extraction.n_computed, fake.n_computed) == (24, 24 + 72)
    assert table.extraction.to_dict()["views"]["features_id"] == done.features_id != table.spec.id


def test_plain_features_are_those_of_a_run_without_views(fake, images, tmp_path):
    plain = run(fake, images)
    table = run(fake, images, runtime=Runtime(tmp_path / "other"), augment="light", views=2)
    assert table.spec == plain.spec
    assert stored_bytes(table.extraction.store) == stored_bytes(plain.extraction.store)


def test_only_missing_views_are_computed(fake, images):
    run(fake, images)
    run(fake, images, augment="light", views=2)
    assert fake.n_computed == 24 + 48
    again = run(fake, images, augment="light", views=2)
    assert (again.extraction.views.n_computed, again.extraction.views.n_cached) == (0, 48)
    more = run(fake, images, augment="light", views=5)
    assert (more.extraction.views.n_computed, more.extraction.views.n_cached) == (72, 48)
    assert fake.n_computed == 24 + 24 * 5
    spelt = run(fake, images, augment=PRESETS["light"], views=5)
    assert spelt.extraction.views.n_computed == 0
    save_image(images / "red" / "new.png", (190, 60, 50), seed=500)
    added = run(fake, images, augment="light", views=5)
    assert (added.extraction.n_computed, added.extraction.views.n_computed) == (1, 5)
    fewer = run(fake, images, augment="light", views=1)
    assert (fewer.views, fewer.extraction.views.n_cached) == (1, 25)
    other = run(fake, images, augment="light", views=1, seed=1)
    assert other.extraction.views.n_computed == 25


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 5), (8, 100)])
def test_stores_do_not_depend_on_workers_and_batch_size(fake, images, tmp_path, workers, batch_size):
    reference = run(fake, images, augment=EVERYTHING, views=3)
    other = Runtime(tmp_path / "other", workers=workers, batch_size=batch_size)
    table = run(fake, images, runtime=other, augment=EVERYTHING, views=3)
    assert stored_bytes(table.extraction.views.store) == stored_bytes(reference.extraction.views.store)


def test_views_computed_in_two_steps_equal_those_of_one_step(fake, images, tmp_path):
    reference = run(fake, images, augment="medium", views=4)
    other = Runtime(tmp_path / "other")
    run(fake, images, runtime=other, augment="medium", views=1)
    table = run(fake, images, runtime=other, augment="medium", views=4)
    assert stored_bytes(table.extraction.views.store) == stored_bytes(reference.extraction.views.store)


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 20, 70])
def test_an_interrupted_run_is_continued(fake, images, tmp_path, after):
    """After a stop in the second pass, computed views are kept. The final store equals the store of a complete run."""
    reference = run(fake, images, augment="light", views=3)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "extracting features of views" and done >= after:
            raise _StoppedError

    runtime = Runtime(tmp_path / "other", batch_size=7, progress=stop)
    with pytest.raises(_StoppedError):
        run(fake, images, runtime=runtime, augment="light", views=3)
    before = fake.n_computed
    table = run(fake, images, runtime=Runtime(tmp_path / "other"), augment="light", views=3)
    assert 72 - after - 7 <= fake.n_computed - before <= 72 - min(after, 7)
    assert stored_bytes(table.extraction.views.store) == stored_bytes(reference.extraction.views.store)


def test_a_killed_run_is_continued(images, tmp_path, keras_start):
    """A real process with a real backbone is killed while it appends views."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "featx", "extract", str(images), "--engine", "openvino", "--size", "32"]
    command += ["--precision", "float32", "--augment", "tutorial", "--views", "40", "--batch-size", "8"]
    process = subprocess.Popen([*command, "--cache", str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(path.stat().st_size > 300_000 for path in journals(killed)):
        time.sleep(0.002)
    process.kill()
    assert process.wait() != 0
    options = {"engine": "openvino", "size": 32, "precision": "float32", "augment": "tutorial", "views": 40}
    stores = []
    for cache in (killed, whole):
        done = extract(images, runtime=Runtime(cache), **options).extraction
        stores.append((stored_bytes(done.store), stored_bytes(done.views.store)))
        assert (done.views.n_cached > 0) is (cache == killed)
    assert stores[0] == stores[1]


def journals(cache: Path) -> list[Path]:
    """Return the journal of the views once the store of the images is complete."""
    complete = {path.parent for path in cache.glob("features/*/*.h5")}
    return [path for path in cache.glob("features/*/journal") if complete and path.parent not in complete]


def test_a_run_with_cached_views_does_not_import_tensorflow(fake, images):
    run(fake, images, augment="light", views=2)
    script = (
        "import sys, json; from pathlib import Path\n"
        "from featx.backbones.table import BACKBONES, Backbone, KerasWeights\n"
        "row = Backbone('quadrants', 'none.None', 32, 'none', 12, 0, 'Apache-2.0', KerasWeights('quadrants.h5'))\n"
        "BACKBONES['quadrants'] = row\n"
        "import featx, featx.execution.choice as choice; choice.agreement = lambda *spec: None\n"
        f"runtime = featx.Runtime({str(fake.runtime.cache)!r})\n"
        f"table = featx.extract({str(images)!r}, 'quadrants', augment='light', views=2, runtime=runtime)\n"
        "again = featx.latest(runtime)\n"
        "assert not {'keras', 'tensorflow', 'openvino'} & set(sys.modules)\n"
        "print(json.dumps([table.extraction.views.n_cached, again.views, float(again.opened(2)(range(24)).sum())]))"
    )
    process = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=dict(os.environ))
    n_cached, n_views, total = json.loads(process.stdout)
    assert (n_cached, n_views) == (48, 2)
    assert total == pytest.approx(float(latest(fake.runtime).opened(2)(np.arange(24)).sum()))


def test_each_image_is_decoded_once_for_all_its_views(fake, images, monkeypatch):
    run(fake, images)
    counted = []
    original = job.Job.put_done
    monkeypatch.setattr(job.Job, "put_done", lambda job, done: counted.extend(done) or original(job, done))
    run(fake, images, augment="light", views=6)
    assert len(counted) == 24


def test_only_the_training_part_has_views(fake, tmp_path):
    root = tmp_path / "set"
    for number, (split, n) in enumerate({"train": 3, "val": 2, "test": 2}.items()):
        for label, colour in (("blue", (30, 60, 200)), ("red", (200, 50, 40))):
            for i in range(n):
                save_image(root / split / label / f"{i}.png", colour, seed=10 * number + i)
    table = run(fake, root, augment="light", views=2)
    assert table.extraction.views.n_computed == 6 * 2
    train = np.flatnonzero([sample.is_training for sample in table.samples])
    assert len(train) == 6
    assert table.opened(1)(train).shape == (6, 12)
    with pytest.raises(StoreError, match="8 rows are missing"):
        table.opened(1)(np.flatnonzero([not sample.is_training for sample in table.samples]))


def test_images_without_labels_have_no_views(fake, tmp_path):
    for i in range(3):
        save_image(tmp_path / "flat" / f"{i}.png", (90, 90, 90), seed=i)
    table = run(fake, tmp_path / "flat", augment="light", views=2)
    assert (table.extraction.views.n_computed, table.extraction.views.n_cached, fake.n_computed) == (0, 0, 3)


def test_duplicates_share_their_views(fake, images):
    shutil.copy(images / "red" / "red-03.png", images / "red" / "copy.png")
    table = run(fake, images, augment="light", views=2)
    assert table.extraction.views.n_computed == 48
    ids = table.sample_ids.tolist()
    one, other = table.opened(2)(np.array([ids.index("red/copy.png"), ids.index("red/red-03.png")]))
    np.testing.assert_array_equal(one, other)


def test_an_invalid_image_has_no_views(fake, images):
    (images / "red" / "torn.png").write_bytes(b"")
    table = run(fake, images, augment="light", views=2)
    assert (len(table), table.extraction.views.n_computed) == (24, 48)


def test_an_image_that_changes_between_the_passes(fake, images):
    def change(stage: str, done: int, total: int) -> None:
        if stage == "extracting features of views":
            save_image(images / "red" / "red-03.png", (1, 2, 3), seed=9)

    with pytest.raises(DatasetError, match="images changed during the extraction; run the same command"):
        run(fake, images, augment="light", views=2, runtime=replace(fake.runtime, progress=change))
    table = run(fake, images, augment="light", views=2)
    assert table.extraction.views.n_computed == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 3}, "`views=3` requires `augment`; expected light, medium, tutorial"),
        ({"augment": "light"}, "`augment=light` requires a number of views of each image, such as `views=4`"),
        ({"augment": "light", "views": -1}, "`views=-1`: expected a number from 0 to 65,535"),
        ({"augment": "light", "views": 65_536}, "`views=65536`: expected a number from 0 to 65,535"),
        ({"augment": "hard", "views": 2}, "`augment=hard`: unknown policy; expected light, medium, tutorial"),
    ],
)
def test_invalid_options_are_rejected_before_any_work(fake, images, options, message):
    with pytest.raises((OptionError, SpecError)) as error:
        run(fake, images, **options)
    assert str(error.value).startswith(message)
    assert fake.n_computed == 0


def test_number_of_views_of_a_table(fake, images):
    table = run(fake, images, augment="light", views=2)
    with pytest.raises(DatasetError, match="set has no view 3; expected 0 \\(the images themselves\\) to 2"):
        table.opened(3)
    assert run(fake, images).views == 0


def test_a_table_is_opened_once_for_all_its_chunks(fake, images, monkeypatch):
    table = run(fake, images)
    opened = []
    original = FeatureStore.snapshot
    monkeypatch.setattr(FeatureStore, "snapshot", lambda self: opened.append(1) or original(self))
    monkeypatch.setattr("featx.table.table.CHUNK", 5)
    starts = [start for start, _ in table.chunks()]
    assert (starts, len(opened)) == ([0, 5, 10, 15, 20], 1)


# The latest data set and the cache


def test_the_latest_data_set_has_its_views(fake, images):
    table = run(fake, images, augment="tutorial", views=2, seed=4)
    again = latest(fake.runtime)
    assert (again.views, again.extraction.views.seed) == (2, 4)
    np.testing.assert_array_equal(again.opened(2)(np.arange(24)), table.opened(2)(np.arange(24)))


def test_incomplete_views_are_not_used(fake, images):
    run(fake, images, augment="light", views=2, seed=4)
    save_image(images / "red" / "new.png", (190, 60, 50), seed=500)
    compute_table(images, "quadrants", ExtractOptions(), RunOptions(), runtime=fake.runtime)
    table = latest(fake.runtime)
    assert (table.views, len(table)) == (0, 25)
    assert fake.notices[-1] == (
        "some images do not have all of their 2 augmented views; therefore no views are used. To extract the views: "
        f"`featx.extract('{images}', backbone='quadrants', augment='light', views=2, seed=4)`"
    )


def test_computing_a_table_does_not_update_the_latest(fake, images, tmp_path):
    run(fake, images)
    other = make_classes(tmp_path / "other", {"a": (0, 0, 0), "b": (255, 255, 255)}, 2)
    table = compute_table(
        other, "quadrants", ExtractOptions(augment="light", views=1), RunOptions(), runtime=fake.runtime
    )
    assert (len(table), table.views) == (4, 1)
    assert latest(fake.runtime).name == "set"
    with pytest.raises(TypeError, match="sise"):
        run(fake, other, sise=3)


def test_the_cache_keeps_and_checks_views(fake, images):
    table = run(fake, images, augment="light", views=2)
    store = table.extraction.views.store
    before = stored_bytes(store)
    assert clean_cache(runtime=fake.runtime).removed == ()
    assert stored_bytes(store) == before
    verified = verify_cache(runtime=fake.runtime)
    assert (verified.n_damaged, verified.to_dict()["n_rows"]) == (0, 24 + 48)
    specs = [entry.spec.get("augment") for entry in list_cache(runtime=fake.runtime).stores]
    assert sorted(specs, key=str) == [None, PRESETS["light"]]
    (images / "red" / "red-03.png").unlink()
    run(fake, images)
    removed = {(entry.kind, entry.n_rows) for entry in clean_cache(runtime=fake.runtime).removed}
    assert removed == {("rows", 1), ("rows", 2)}
    (segment,) = store.glob("*.h5")
    with h5py.File(segment) as file:
        numbers = file["key"][:, 33].tolist()
    assert (numbers.count(1), numbers.count(2)) == (23, 23)


def test_a_damaged_view_is_computed_again(fake, images):
    table = run(fake, images, augment="light", views=2)
    store = table.extraction.views.store
    exported = stored_bytes(store)
    (segment,) = store.glob("*.h5")
    before = segment.read_bytes()
    at = before.index(table.opened(2)(np.array([0])).tobytes())
    segment.write_bytes(before[: at + 3] + bytes([before[at + 3] ^ 1]) + before[at + 4 :])
    with pytest.raises(DamagedStoreError, match="the next extract or predict recomputes damaged rows"):
        table.opened(2)(np.array([0]))
    again = run(fake, images, augment="light", views=2)
    assert again.extraction.views.n_computed == 1
    assert stored_bytes(store) == exported


def test_a_changed_computation_of_views_is_detected(fake, images, monkeypatch):
    """A store of views uses views as its probe images."""
    run(fake, images, augment="light", views=1)
    monkeypatch.setattr("featx.execution.probes.make_views", lambda pixels, *how: 255 - pixels)
    with pytest.raises(StoreError, match="cannot be reproduced on this machine"):
        run(fake, images, augment="light", views=2)


def test_a_store_of_views_is_not_a_table(fake, images):
    table = run(fake, images, augment="light", views=1)
    done = table.extraction.views
    with pytest.raises(
        StoreError,
        match=f"{done.features_id}`: this store contains augmented views; .*{table.spec.id}",
    ):
        recall_table(features=done.features_id, runtime=fake.runtime)


# The contact sheet


def tiles(path: Path, columns: int, side: int) -> np.ndarray:
    """Return the images of a contact sheet, shape (rows, columns, side, side, 3)."""
    sheet = np.asarray(Image.open(path).convert("RGB"))
    rows = (sheet.shape[0] - 6) // (side + 22)
    assert sheet.shape == (rows * (side + 22) + 6, columns * (side + 6) + 6, 3)
    return np.stack(
        [
            [sheet[6 + r * (side + 22) :, 6 + c * (side + 6) :][:side, :side] for c in range(columns)]
            for r in range(rows)
        ]
    )


def test_the_preview_shows_the_pixels_for_the_backbone(fake, images, tmp_path):
    (images / "blue" / "blue-00.png").write_bytes(b"torn")
    sheet = tmp_path / "sheet.png"
    run(fake, images, augment=EVERYTHING, views=3, seed=2, preview=sheet)
    shown = tiles(sheet, 4, 32)
    assert len(shown) == 8
    names = [f"{label}/{label}-{i:02}.png" for i in range(5) for label in ("blue", "red")]
    names.remove("blue/blue-00.png")
    names.insert(0, names.pop(0))
    for row, name in zip(shown, names[:8], strict=True):
        data = (images / name).read_bytes()
        content = np.frombuffer(hashlib.sha256(data).digest(), np.uint8)[np.newaxis]
        for view, tile in enumerate(row):
            pixels = make_views(prepare(data, 32).pixels[np.newaxis], content, view, EVERYTHING, 2)[0]
            np.testing.assert_array_equal(tile, pixels)


def test_previews_without_views_and_with_many_views(fake, images, tmp_path):
    run(fake, images, preview=tmp_path / "plain.png")
    assert tiles(tmp_path / "plain.png", 1, 32).shape[:2] == (8, 1)
    run(fake, images, augment="light", views=20, preview=tmp_path / "many.png")
    assert tiles(tmp_path / "many.png", 9, 32).shape[:2] == (8, 9)


def test_a_preview_that_is_one_of_the_images_is_not_replaced(fake, images, tmp_path):
    sheet = tmp_path / "sheet.png"
    run(fake, images, preview=sheet)
    before = sheet.read_bytes()
    manifest = tmp_path / "m.csv"
    names = [f"set/{label}/{label}-{i:02}.png,{label}" for i in range(3) for label in ("blue", "red")]
    manifest.write_text("\n".join(["path,label", *names, "sheet.png,red"]))
    with pytest.raises(OutputError, match=r"sheet.png would replace .*sheet.png, which is an input"):
        run(fake, manifest, preview=sheet, overwrite=True)
    assert sheet.read_bytes() == before


def test_a_preview_that_cannot_be_written(fake, images, tmp_path):
    with pytest.raises(OutputError, match=r"`preview=.*sheet.jpg`: the name must end in .png"):
        run(fake, images, preview=tmp_path / "sheet.jpg")
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists and is never replaced, because featx did not write it"):
        run(fake, images, preview=sheet)
    assert (sheet.read_bytes(), fake.n_computed) == (b"mine", 0)
    sheet.unlink()
    for _ in range(2):
        run(fake, images, preview=sheet, overwrite=True)
    assert tiles(sheet, 1, 32).shape[:2] == (8, 1)
