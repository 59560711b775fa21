"""Properties of an extraction, tested with a backbone whose features can be computed by hand."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Fake, QuadrantRunner, make_classes, quadrant_means, save_image, stored_bytes
from PIL import Image

from featx.children import start_child
from featx.cli.wording import in_options
from featx.errors import DatasetError, EngineError, ImageError, StoreError
from featx.extraction import extract, featurize
from featx.images import prepare
from featx.lookup import as_hashes, latest
from featx.lookup.retrieval import extract_call
from featx.options import ExtractOptions
from featx.readers import job, team
from featx.runtime import Runtime
from featx.store import FeatureStore, keys_of
from featx.table import Stamp


def run(fake: Fake, data: Path, **options):
    return extract(data, "quadrants", runtime=options.pop("runtime", fake.runtime), **options)


def expected(path: Path, **how) -> np.ndarray:
    return quadrant_means(prepare(path.read_bytes(), 32, **how).pixels[np.newaxis])[0]


def age(folder: Path, seconds: int = 60) -> None:
    """Set older times, because the times of files that were changed within the last 2 s are not trusted."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - seconds,) * 2)


def test_features_are_those_of_each_image(fake, images):
    table = run(fake, images)
    for sample, features in zip(table.samples, table.X, strict=True):
        np.testing.assert_array_equal(features, expected(images / sample.sample_id))
    assert [s.sample_id for s in table.samples] == sorted(s.sample_id for s in table.samples)
    assert table.y.tolist() == ["blue"] * 12 + ["red"] * 12
    assert table.X.dtype == np.float32
    done = table.extraction
    assert (done.n_images, done.n_computed, done.n_cached, done.n_features) == (24, 24, 0, 12)


def test_the_backbone_runs_once_per_image(fake, images):
    run(fake, images)
    again = run(fake, images)
    assert (again.extraction.n_computed, again.extraction.n_cached) == (0, 24)
    assert (fake.n_computed, fake.starts) == (24, 1)  # a warm run does not even start an engine
    assert again.extraction.device == ""


def test_only_added_images_are_computed(fake, images):
    run(fake, images)
    for i in range(10):
        save_image(images / "red" / f"new-{i}.png", (190, 60, 50), seed=500 + i)
    table = run(fake, images)
    assert (table.extraction.n_computed, table.extraction.n_cached, fake.n_computed) == (10, 24, 34)


def test_a_moved_folder_and_renamed_files_compute_nothing(fake, images, tmp_path):
    before = run(fake, images)
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    images.rename(moved)
    (moved / "red" / "red-00.png").rename(moved / "red" / "zz.png")
    after = run(fake, moved)
    assert after.extraction.n_computed == 0
    assert fake.n_computed == 24
    assert sorted(map(tuple, before.X.tolist())) == sorted(map(tuple, after.X.tolist()))


@pytest.mark.parametrize(
    "change", [{"pooling": "max"}, {"resize": "pad"}, {"size": 48}, {"layer": "x"}, {"weights": "random"}]
)
def test_an_option_that_changes_features_recomputes_all(fake, images, change):
    run(fake, images)
    assert run(fake, images, **change).extraction.n_computed == 24


def test_relabelling_does_not_run_the_backbone(fake, images):
    run(fake, images)
    (images / "red").rename(images / "crimson")
    table = run(fake, images)
    assert table.extraction.n_computed == 0
    assert set(table.y) == {"blue", "crimson"}


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 5), (8, 100)])
def test_bytes_do_not_depend_on_workers_and_batch_size(fake, images, tmp_path, workers, batch_size):
    reference = run(fake, images)
    other = Runtime(tmp_path / "other", workers=workers, batch_size=batch_size)
    table = run(fake, images, runtime=other)
    np.testing.assert_array_equal(table.X, reference.X)
    assert stored_bytes(table.extraction.store) == stored_bytes(reference.extraction.store)


def test_bytes_do_not_depend_on_the_order_of_extraction(fake, images, tmp_path):
    reference = run(fake, images)
    runtime = Runtime(tmp_path / "other")
    half = tmp_path / "half"
    shutil.copytree(images / "red", half / "a")
    run(fake, half, runtime=runtime)
    table = run(fake, images, runtime=runtime)
    assert table.extraction.n_computed == 12
    assert stored_bytes(table.extraction.store) == stored_bytes(reference.extraction.store)


def test_duplicates_are_two_samples_and_one_row(fake, images):
    shutil.copy(images / "red" / "red-03.png", images / "blue" / "copy.png")
    table = run(fake, images)
    done = table.extraction
    assert (done.n_images, done.n_computed, done.n_cached, done.n_duplicates) == (25, 24, 1, 1)
    ids = table.sample_ids.tolist()
    one, other = ids.index("blue/copy.png"), ids.index("red/red-03.png")
    np.testing.assert_array_equal(table.X[one], table.X[other])
    np.testing.assert_array_equal(table.content_hashes[one], table.content_hashes[other])
    assert table.y[[one, other]].tolist() == ["blue", "red"]
    (segment,) = table.extraction.store.glob("*.h5")
    with h5py.File(segment) as file:
        assert len(file["key"]) == 24


def test_skipped_images_are_listed_with_reasons(fake, images):
    (images / "red" / "empty.jpg").write_bytes(b"")
    (images / "red" / "page.png").write_text("<html>404</html>")
    whole = (images / "red" / "red-00.png").read_bytes()
    (images / "red" / "torn.png").write_bytes(whole[: len(whole) // 2])
    (images / "red" / "torn-copy.png").write_bytes(whole[: len(whole) // 2])
    (images / "red" / "gone.png").symlink_to(images / "nowhere.png")
    (images / "notes.txt").write_text("no image")
    reasons = {
        "red/empty.jpg": "empty file (0 bytes)",
        "red/gone.png": "broken link",
        "red/page.png": "not an image but a web page, perhaps from a failed download; download the image again",
        "red/torn-copy.png": "truncated PNG: the file ends before the image does",
        "red/torn.png": "truncated PNG: the file ends before the image does",
    }
    for _ in range(2):  # read, and from the snapshot
        done = run(fake, images).extraction
        assert {s.path: s.reason for s in done.skipped} == reasons
        assert done.ignored == ("notes.txt",)
        assert done.n_images + len(done.skipped) + len(done.ignored) == 24 + 5 + 1
        age(images)


def test_a_set_without_usable_images_is_an_error_that_states_the_reason(fake, tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:{:064}\nsize 326812\n"
    for number in range(6):
        path = tmp_path / "set" / ("cat" if number % 2 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pointer.format(number) if number else "")
    message = (
        "none of the 6 images of set can be used; 5 of them, such as cat/1.jpg: .* Git LFS pointer; run git lfs pull"
    )
    for _ in range(2):  # read, and from the snapshot
        with pytest.raises(ImageError, match=message):
            run(fake, tmp_path / "set")
    save_image(tmp_path / "set" / "cat" / "7.png", (1, 2, 3))
    assert len(run(fake, tmp_path / "set").extraction.skipped) == 6


def test_remarks_about_the_data_set_are_reported(fake, images):
    (images / "green").mkdir()
    done = run(fake, images).extraction
    assert done.remarks == ("no image in green, next to the class folders",)
    assert done.to_dict()["remarks"] == list(done.remarks)
    assert f"{images}: no image in green, next to the class folders" in fake.notices


def start_without_heif(module, function, *words, inherited):
    """Start a reader that cannot import pillow_heif."""
    code = f"import sys; sys.modules['pillow_heif'] = None; from {module} import {function}; {function}(*{words})"
    return start_child("builtins", "exec", code, inherited=inherited)


def test_images_skipped_for_lack_of_an_extra_are_read_again(fake, images, monkeypatch):
    """The advice to install an extra would be useless if the next run skipped the image without reading it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    phone = images / "red" / "phone.heic"
    pillow_heif.from_pillow(Image.new("RGB", (40, 40), (200, 50, 40))).save(phone)
    shutil.copy(phone, phone.with_name("phone-copy.heic"))
    age(images)
    with monkeypatch.context() as patch:
        team.close_spare()
        patch.setattr("featx.readers.process.start_child", start_without_heif)
        for _ in range(2):
            skipped = run(fake, images).extraction.skipped
            assert [s.path for s in skipped] == ["red/phone-copy.heic", "red/phone.heic"]
            assert {s.reason[:48] for s in skipped} == {"a HEIC image; to read it, install the extra heif"}
            assert latest(fake.runtime).extraction.skipped == skipped  # the set can be used without them
    team.close_spare()
    done = run(fake, images).extraction
    assert (done.skipped, done.n_images, done.n_computed) == ((), 26, 1)


def test_strict_raises_an_error_after_all_other_images_are_done(fake, images):
    (images / "red" / "empty.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"`strict=True`: 1 image cannot be used: red/empty.jpg: empty"):
        run(fake, images, strict=True)
    assert run(fake, images).extraction.n_computed == 0


def test_images_of_unusual_formats_are_extracted(fake, tmp_path):
    odd = tmp_path / "odd" / "a"
    odd.mkdir(parents=True)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.convert("CMYK").save(odd / "cmyk.jpg")
    image.save(odd / "rotated.jpg", exif=exif)
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27).save(odd / "deep.png")
    image.quantize(16).save(odd / "palette.png")
    image.save(odd / "moving.gif", save_all=True, append_images=[image.rotate(90)])
    (odd / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    done = run(fake, odd.parent).extraction
    assert done.n_computed == 5
    assert [s.path for s in done.skipped] == ["a/corrupt.png"]
    assert done.notes == {"first of 2 frames": 1}


def test_unchanged_files_are_not_read_again(fake, images, monkeypatch):
    age(images)
    run(fake, images)
    monkeypatch.setattr(job.Job, "message", lambda job, numbers: pytest.fail(f"read {numbers}"))
    run(fake, images)


def test_only_changed_files_are_read_again(fake, images, monkeypatch):
    age(images)
    run(fake, images)
    save_image(images / "red" / "red-05.png", (220, 40, 40), seed=77)
    read: list[str] = []
    original = job.Job.message

    def note(job, numbers):
        read.extend(job.images[number].sample.sample_id for number in numbers)
        return original(job, numbers)

    monkeypatch.setattr(job.Job, "message", note)
    table = run(fake, images)
    assert read == ["red/red-05.png"]
    assert table.extraction.n_computed == 1
    at = table.sample_ids.tolist().index("red/red-05.png")
    np.testing.assert_array_equal(table.X[at], expected(images / "red" / "red-05.png"))


def test_swapped_files_of_equal_size_and_time_are_read_again(fake, images):
    for number, name in enumerate(("red/red-00", "red/red-01", "blue/blue-00", "blue/blue-01")):
        Image.new("RGB", (40, 40), (40 * number, 9, 9)).save(images / f"{name}.bmp")
    age(images)
    run(fake, images)
    red, blue = images / "red" / "red-00.bmp", images / "blue" / "blue-00.bmp"
    red.rename(images / "aside")
    blue.rename(red)
    (images / "aside").rename(blue)
    # Overwritten in place: the inode, size and modification time are the same, but the bytes differ.
    shutil.copy2(images / "red" / "red-01.bmp", images / "blue" / "blue-01.bmp")
    before = fake.n_computed
    table = run(fake, images)
    assert fake.n_computed == before
    for position, sample_id in enumerate(table.sample_ids.tolist()):
        if sample_id.endswith(".bmp"):
            np.testing.assert_array_equal(table.X[position], expected(images / sample_id))


@pytest.mark.parametrize("inode", [0, None])
def test_exchanged_files_are_read_again_also_without_inodes(fake, images, monkeypatch, inode):
    """On a file system without inode numbers, the ctime shows that files were exchanged."""
    stamp_of = Stamp.of
    if inode is not None:
        monkeypatch.setattr(Stamp, "of", lambda status: stamp_of(status)._replace(inode=inode))
    files = [images / "red" / "one.bmp", images / "blue" / "two.bmp"]
    for number, path in enumerate(files):
        Image.new("RGB", (40, 40), (40 * number, 9, 9)).save(path)
    age(images)
    before = run(fake, images)
    aside = images / "aside"
    for source, target in ((files[0], aside), (files[1], files[0]), (aside, files[1])):
        source.rename(target)
    assert files[0].stat().st_size == files[1].stat().st_size
    after = run(fake, images)
    at = [before.sample_ids.tolist().index(path.relative_to(images).as_posix()) for path in files]
    np.testing.assert_array_equal(after.X[at], before.X[at[::-1]])
    np.testing.assert_array_equal(after.X[at[0]], expected(files[0]))


def test_a_file_system_that_changes_inode_numbers_is_reported_and_its_files_are_read_again(fake, images, monkeypatch):
    age(images)
    run(fake, images)
    stamp_of = Stamp.of
    monkeypatch.setattr(Stamp, "of", lambda status: stamp_of(status)._replace(inode=stamp_of(status).inode + 10**9))
    fake.notices.clear()
    table = run(fake, images)
    notice = (
        "24 files have new inode numbers, but the same sizes and times; they are read again. If this is reported at "
        "each run, mount their file system with stable inode numbers"
    )
    assert notice in fake.notices
    assert (table.extraction.n_computed, table.extraction.n_cached) == (0, 24)


def test_a_run_with_nothing_new_reads_no_image_and_writes_no_snapshot(fake, images):
    (images / "notes.txt").write_text("ignored")
    save_image(images / "red" / "broken.png", (1, 2, 3)).write_bytes(b"\x89PNG\r\n\x1a\n")
    age(images)
    first = run(fake, images)
    (snapshot,) = (fake.runtime.cache / "datasets").iterdir()
    before, content = snapshot.stat(), snapshot.read_bytes()
    again = run(fake, images)
    assert (snapshot.stat().st_ino, snapshot.read_bytes()) == (before.st_ino, content)
    assert snapshot.stat().st_mtime_ns > before.st_mtime_ns
    assert again.samples == first.samples
    assert (again.extraction.skipped, again.extraction.ignored) == (first.extraction.skipped, ["notes.txt"])
    save_image(images / "blue" / "a new one.png", (9, 9, 9))
    assert run(fake, images).extraction.n_computed == 1
    assert snapshot.stat().st_ino != before.st_ino


def test_a_change_within_the_resolution_of_the_clock_is_detected(fake, images):
    run(fake, images)  # the files are younger than 2 s: their times are not trusted
    victim = images / "red" / "red-05.png"
    status, size = victim.stat(), victim.stat().st_size
    for seed in range(200):
        save_image(victim, (200, 50, 40), seed=9000 + seed)
        if victim.stat().st_size == size:
            break
    os.utime(victim, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert victim.stat().st_size == size
    assert run(fake, images).extraction.n_computed == 1


def test_an_interrupted_run_continues_and_gives_the_same_bytes(fake, images, tmp_path, monkeypatch):
    reference = stored_bytes(run(fake, images, runtime=Runtime(tmp_path / "reference")).extraction.store)
    before = fake.n_computed

    def stop(stage: str, done: int, total: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(fake, images, runtime=replace(fake.runtime, batch_size=5, progress=stop))
    kept = fake.n_computed - before
    table = run(fake, images)
    assert table.extraction.n_computed == 24 - kept
    assert stored_bytes(table.extraction.store) == reference


def test_only_damaged_rows_are_recomputed(fake, images):
    table = run(fake, images)
    X, store = table.X, table.extraction.store
    exported = stored_bytes(store)
    (segment,) = store.glob("*.h5")
    content = segment.read_bytes()
    with h5py.File(segment) as file:
        offset = file["features"].id.get_offset()
    segment.write_bytes(content[: offset + 5] + bytes([content[offset + 5] ^ 1]) + content[offset + 6 :])
    again = run(fake, images)
    assert again.extraction.n_computed == 1
    np.testing.assert_array_equal(again.X, X)
    assert stored_bytes(store) == exported
    assert any("1 rows of" in text and "damaged; they are recomputed" in text for text in fake.notices)


def test_an_unreadable_store_is_set_aside(fake, images):
    (segment,) = run(fake, images).extraction.store.glob("*.h5")
    segment.write_bytes(b"garbage")
    assert run(fake, images).extraction.n_computed == 24
    assert segment.with_suffix(".h5.damaged").read_bytes() == b"garbage"
    assert any("was damaged and has been renamed to" in text for text in fake.notices)


def test_a_file_that_is_deleted_after_the_scan(fake, images, monkeypatch):
    from featx.lookup import listing

    original = listing.scan

    def scan_then_lose(*args, **options):
        found = original(*args, **options)
        (images / "red" / "red-01.png").unlink()
        return found

    monkeypatch.setattr(listing, "scan", scan_then_lose)
    assert [s.reason for s in run(fake, images).extraction.skipped] == ["no such file"]


def test_the_first_notices_describe_data_set_backbone_and_engine(fake, images):
    run(fake, images)
    assert fake.notices[0] == f"{images}: 2 classes (by folder): blue (12 images), red (12)"
    assert "backbone   quadrants (ImageNet weights), input 32 x 32 pixels, resized by crop" in fake.notices[1]
    assert "12 features per image" in fake.notices[2]


def test_flatten_of_many_numbers_warns(fake, images, monkeypatch):
    monkeypatch.setattr("featx.pipeline.remarks._WIDE", 11)
    run(fake, images, pooling="flatten")
    assert any(text.startswith("warning: pooling flatten gives 12 features") for text in fake.notices)


def test_fraction_of_the_area_that_the_crop_removes(fake, tmp_path):
    save_image(tmp_path / "set" / "a" / "1.png", (9, 9, 9), size=(80, 40))
    save_image(tmp_path / "set" / "b" / "2.png", (9, 9, 9), size=(40, 40))
    share = 1 - 0.875**2 * (0.5 + 1) / 2
    assert run(fake, tmp_path / "set").extraction.cut_away == pytest.approx(share)
    age(tmp_path / "set")
    assert run(fake, tmp_path / "set").extraction.cut_away == pytest.approx(share)
    assert run(fake, tmp_path / "set", resize="pad").extraction.cut_away is None


def test_latest_is_the_set_extracted_last_with_its_current_labels(fake, images, tmp_path):
    message = "no data set has been extracted into .*cache yet; give the data set: featx fit DATA"
    with pytest.raises(StoreError, match=message):
        latest(fake.runtime)
    run(fake, make_classes(tmp_path / "first", {"x": (0, 0, 0), "y": (9, 9, 9)}, 2))
    X = run(fake, images).X
    (images / "red").rename(images / "crimson")
    table = latest(fake.runtime)
    assert set(table.y) == {"blue", "crimson"}
    np.testing.assert_array_equal(table.X, X)
    assert fake.n_computed == 24 + 4


def test_latest_names_the_command_for_images_without_features(fake, images):
    run(fake, images, resize="pad")
    save_image(images / "red" / "new.png", (200, 50, 40), seed=5)
    with pytest.raises(DatasetError) as caught:
        latest(fake.runtime)
    assert f"1 of 25 images of {images} have no features yet" in str(caught.value)
    assert str(caught.value).endswith(f"`featx.extract('{images}', backbone='quadrants', resize='pad')`")


def test_call_leaves_defaults_out():
    options = ExtractOptions(pooling="max", label_by="top")
    call = extract_call(Path("my data"), "efficientnet-lite0", options)
    assert call == "`featx.extract('my data', pooling='max', label_by='top')`"
    assert in_options(call) == "featx extract 'my data' --pooling max --label-by top"


def test_featurize_computes_files_and_folders_with_a_given_feature_spec(fake, images, tmp_path):
    trained = run(fake, images)
    folder = make_classes(tmp_path / "new", {"unknown": (100, 100, 100)}, 3)
    single = save_image(tmp_path / "one.png", (1, 2, 3))
    (tmp_path / "no.png").write_bytes(b"")
    table = featurize([single, tmp_path / "no.png", folder, images / "red"], trained.spec, runtime=fake.runtime)
    assert table.extraction.n_computed == 4
    assert table.sample_ids.tolist()[:2] == [single.as_posix(), (folder / "unknown" / "unknown-00.png").as_posix()]
    np.testing.assert_array_equal(table.X[0], expected(single))
    assert [(s.path, s.position) for s in table.extraction.skipped] == [((tmp_path / "no.png").as_posix(), 1)]
    assert [label for label in table.y if label is not None] == []


def test_featurize_refuses_another_decoder(fake, images):
    spec = replace(run(fake, images).spec, decode="1-ffffffffffff")
    with pytest.raises(ValueError, match="computed with decoder 1-ffffffffffff; this machine has"):
        featurize([images], spec, runtime=fake.runtime)


def test_featurize_refuses_other_weights(fake, images, tmp_path):
    spec = run(fake, images).spec
    other = tmp_path / "other.h5"
    other.write_bytes(b"other weights")
    with pytest.raises(OSError, match="the weights of the model differ from those of quadrants"):
        featurize([make_classes(tmp_path / "n", {"a": (1, 1, 1)}, 1)], spec, weights=other, runtime=fake.runtime)


def test_a_cache_inside_the_data_is_not_scanned(fake, images):
    inside = replace(fake.runtime, cache=images / "cache")
    run(fake, images, runtime=inside)
    done = run(fake, images, runtime=inside).extraction
    assert (done.n_images, done.ignored) == (24, ())


@pytest.mark.parametrize(
    ("device", "message"), [("gpu:0", "the openvino engine runs on the CPU"), ("tpu", "`device=tpu`: expected")]
)
def test_a_feature_spec_runs_only_on_the_requested_device(fake, images, device, message):
    spec = run(fake, images).spec
    with pytest.raises(EngineError, match=message):
        featurize([images], spec, runtime=replace(fake.runtime, device=device))


class Failing(QuadrantRunner):
    """A runner whose features are not finite for some images."""

    def __init__(self, images: list[int], fails) -> None:
        super().__init__(images)
        self._fails = fails

    def run(self, batches):
        for features in super().run(batches):
            features[self._fails(features)] = np.nan
            yield features


def test_an_image_without_finite_features_is_skipped_and_not_stored(fake, images):
    save_image(images / "red" / "signal.png", (250, 5, 5), seed=9)
    shutil.copy(images / "red" / "signal.png", images / "red" / "same.png")
    age(images)
    fake.runner = partial(Failing, fails=lambda features: features[:, 0] > 0.9)
    table = run(fake, images)
    reason = f"the backbone gives features of it that are not finite (features {table.spec.id})"
    assert {s.path: s.reason for s in table.extraction.skipped} == {
        "red/same.png": reason,
        "red/signal.png": reason,
    }
    assert (table.extraction.n_images, table.extraction.n_computed) == (24, 24)
    assert np.isfinite(table.X).all()
    starts = fake.starts
    assert run(fake, images).extraction.skipped == table.extraction.skipped
    assert fake.starts == starts  # the snapshot stores the reason for this feature spec
    assert latest(fake.runtime).extraction.skipped == table.extraction.skipped
    message = "`strict=True`: 2 images cannot be used; the first is red/same.png: the back"
    with pytest.raises(ImageError, match=message):
        run(fake, images, strict=True)
    fake.runner = QuadrantRunner
    other = run(fake, images, resize="squash")  # the reason does not apply to another feature spec
    assert (other.extraction.skipped, other.extraction.n_images) == ((), 26)


def test_a_backbone_without_finite_features_is_an_error_before_anything_is_stored(fake, images):
    fake.runner = partial(Failing, fails=lambda features: np.ones(len(features), bool))
    with pytest.raises(EngineError, match="quadrants gives no finite features for any of the probe images of featx"):
        run(fake, images)
    fake.runner = partial(
        Failing, fails=lambda features: np.arange(len(features)) < (len(features) if len(features) != 10 else 1)
    )
    with pytest.raises(EngineError, match="for every image, quadrants gives features that are not finite"):
        run(fake, images)
    assert not list(fake.runtime.cache.glob("features/*/*.h5"))


def test_rows_that_are_not_finite_are_recomputed(fake, images):
    age(images)
    store = FeatureStore(fake.runtime.cache, run(fake, images).spec)
    content = hashlib.sha256((images / "red" / "red-00.png").read_bytes()).digest()
    rows = store.snapshot().rows(keys_of(as_hashes([content])))
    rows.features[:] = np.nan
    header = store.header()
    shutil.rmtree(store.path)
    with store.writer(print) as writer:
        writer.begin(header.probes, header.producers[0])
        writer.append(rows)
    table = run(fake, images)
    assert len(table) == 24
    assert np.isfinite(table.X).all()
    assert f"1 rows of {store.path.name} were damaged; they are recomputed" in fake.notices
