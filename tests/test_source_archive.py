"""Archives are read as the folders that they contain: the same rows, labels and order, and the rules for files."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import make_classes, save_image

import featx
from featx.dataset import scan
from featx.errors import DatasetError
from featx.source import Archive, Member, place_of, source_at, source_from


def packed(folder: Path, path: Path) -> Path:
    """Pack a folder into an archive, in a random order."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    random.Random(3).shuffle(files)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, "w") as archive:
            for file in files:
                archive.add(file, file.relative_to(folder))
    aged(path)
    return path


def aged(path: Path) -> Path:
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def zip_of(path: Path, members: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return aged(path)


def tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return aged(path)


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def png(folder: Path, seed: int = 0) -> bytes:
    return save_image(folder / f"{seed}.png", (200, 50, 40), seed).read_bytes()


def table_rows(table) -> list:
    return [(sample.sample_id, sample.label, content.tobytes()) for sample, content in zip(
        table.samples, table.content_hashes, strict=True)]  # fmt: skip


BOTH = pytest.mark.parametrize("ending", [".zip", ".tar"])


@BOTH
def test_an_archive_gives_the_rows_of_the_folder_and_computes_nothing_again(fake, tmp_path, ending):
    folder = make_classes(tmp_path / "set", {"a": (30, 60, 200), "a-b": (200, 50, 40), "a b": (0, 200, 0)}, 4)
    (folder / "a" / "notes.txt").write_text("not an image")
    (folder / "a" / "noending").write_bytes(png(tmp_path / "other"))
    (folder / "broken.png").write_bytes(b"\x89PNG no")
    (folder / "a" / ".hidden.png").write_bytes(b"x")
    path = packed(folder, tmp_path / f"images{ending}")
    of_folder = featx.extract(folder, "quadrants", runtime=fake.runtime)
    n = fake.n_computed
    of_archive = featx.extract(path, "quadrants", runtime=fake.runtime)
    assert fake.n_computed == n > 0
    assert table_rows(of_archive) == table_rows(of_folder)
    assert np.array_equal(of_archive.X, of_folder.X)
    assert [(one.path, one.reason) for one in of_archive.extraction.skipped] == [
        (one.path, one.reason) for one in of_folder.extraction.skipped
    ]
    assert list(of_archive.extraction.ignored) == list(of_folder.extraction.ignored) == ["a/notes.txt"]
    assert of_archive.name == "images"
    other = featx.extract(str(path), "quadrants", runtime=featx.Runtime(tmp_path / "fresh"))
    assert np.array_equal(other.X, of_folder.X)


@BOTH
def test_an_unchanged_archive_is_not_read_again_and_a_changed_one_is(fake, tmp_path, ending, monkeypatch):
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 3)
    path = packed(folder, tmp_path / f"images{ending}")
    featx.extract(path, "quadrants", runtime=fake.runtime)
    monkeypatch.setattr("featx.readers.job.Job.message", None)  # no image is passed to a reader
    again = featx.extract(path, "quadrants", runtime=fake.runtime)
    monkeypatch.undo()
    assert again.extraction.n_cached == 6
    save_image(folder / "red" / "red-00.png", (0, 0, 0))
    packed(folder, path)
    changed = featx.extract(path, "quadrants", runtime=fake.runtime)
    assert (changed.extraction.n_computed, len(changed)) == (1, 6)


@BOTH
def test_fit_inspect_report_and_predict_read_an_archive(fake, tmp_path, ending):
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 12)
    path = packed(folder, tmp_path / f"images{ending}")
    scheme = ending[1:]
    table = featx.extract(path, "quadrants", runtime=fake.runtime)
    model = featx.fit(table, runtime=fake.runtime)
    assert model.evaluation.made["data"] == str(path)
    model.save(tmp_path / "m.featx")
    assert len(featx.latest(fake.runtime)) == 24
    assert featx.inspect(path, runtime=fake.runtime).n_images == 24
    found = featx.report(tmp_path / "m.featx", html=tmp_path / "r.html", on=path, runtime=fake.runtime)
    assert found.summary["images"]["n_missing"] == 0
    assert found.summary["on"]["n_seen"] == 24
    done = featx.predict(
        model,
        path,
        tmp_path / "s.csv",
        sort_into=tmp_path / "sorted",
        gallery=tmp_path / "g.html",
        runtime=fake.runtime,
    )
    assert (done.n_predicted, done.n_seen, done.n_in_gallery) == (24, 24, 24)
    assert f"{scheme}://blue/blue-00.png::{path}" in (tmp_path / "s.csv").read_text()
    assert (tmp_path / "sorted" / "red" / "red-03.png").read_bytes() == (folder / "red" / "red-03.png").read_bytes()
    assert "blue-00.png" in (tmp_path / "g.html").read_text()
    one = featx.predict(
        model, [f"{scheme}://blue/blue-00.png::{path}", f"{scheme}://red::{path}"], runtime=fake.runtime
    )
    assert [row[1] for row in one.rows] == ["blue"] + 12 * ["red"]


@BOTH
def test_another_process_opens_a_member_by_its_position_or_by_its_name(tmp_path, ending):
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200)}, 3)
    source = source_at(packed(folder, tmp_path / f"images{ending}"))
    again = source_from(json.loads(json.dumps(source.describe())))
    assert isinstance(again, Archive)
    for name, locator in (("blue/blue-01.png", source.locator("blue/blue-01.png")), ("blue/blue-01.png", "")):
        with again.open_at(name, locator) as file:
            assert file.stream.read() == (folder / name).read_bytes()
            assert file.stamp() == source.stat(name)
            file.stream.seek(1)
            assert file.stream.read(3) == b"PNG"
    with pytest.raises(OSError, match="changed while it was read"):
        again.open_at("blue/blue-00.png", source.locator("blue/blue-01.png"))
    assert (source.folders_in(""), source.names_in("blue")) == (["blue"], sorted(os.listdir(folder / "blue")))


def test_bad_members_of_a_zip_archive_are_listed_with_reasons(fake, tmp_path):
    good = png(tmp_path / "one")
    path = tmp_path / "bad.zip"
    link = zipfile.ZipInfo("cat/link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    device = zipfile.ZipInfo("cat/device.png")
    device.create_system, device.external_attr = 3, 0o020666 << 16
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cat/1.png", "../x.png", "/etc/y.png", "cat/../../z.png", "cat/crc.png"):
            archive.writestr(name, good)
        archive.writestr("cat/inner.zip", zip_of(tmp_path / "inner.zip", {"1.png": good}).read_bytes())
        archive.writestr(link, "1.png")
        archive.writestr(device, "")
        archive.writestr("cat/locked.png", good)
        archive.writestr("cat/tab\t.png", good)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"cat/locked.png") - 46
    content[at + 8] |= 1  # encrypted
    at = content.find(good, content.find(b"cat/crc.png"))
    content[at + 60] ^= 0xFF
    path.write_bytes(content)
    aged(path)
    table = featx.extract(path, "quadrants", runtime=fake.runtime)
    assert [sample.sample_id for sample in table.samples] == ["cat/1.png"]
    reasons = {one.path: one.reason for one in table.extraction.skipped}
    assert reasons == {
        "../x.png": "the name leads out of the archive",
        "/etc/y.png": "the name is absolute",
        "cat/../../z.png": "the name leads out of the archive",
        "cat/crc.png": "cannot be read: the file is damaged in the archive: Bad CRC-32 for file 'member'",
        "cat/device.png": "a device or another special file, not a file",
        "cat/link.png": "a link, not a file",
        "cat/locked.png": "it is encrypted; unpack the archive with its password",
        "cat/tab\t.png": "the name contains a control character",
    }
    assert list(table.extraction.ignored) == ["cat/inner.zip"]


def test_bad_members_of_a_tar_archive_are_listed_with_reasons(fake, tmp_path):
    good = png(tmp_path / "one")
    members = [
        (named("cat/1.png"), good),
        (named("../x.png"), good),
        (named("/etc/y.png"), good),
        (named("cat/link.png", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (named("cat/hard.png", tarfile.LNKTYPE, "cat/1.png"), b""),
        (named("cat/zero.png", tarfile.CHRTYPE), b""),
        (named("cat/pipe.png", tarfile.FIFOTYPE), b""),
        (named("cat/inner.tar"), tar_of(tmp_path / "inner.tar", [(named("1.png"), good)]).read_bytes()),
    ]
    table = featx.extract(tar_of(tmp_path / "bad.tar", members), "quadrants", runtime=fake.runtime)
    assert [sample.sample_id for sample in table.samples] == ["cat/1.png"]
    assert {one.path: one.reason for one in table.extraction.skipped} == {
        "../x.png": "the name leads out of the archive",
        "/etc/y.png": "the name is absolute",
        "cat/hard.png": "a hard link within the archive, not a file",
        "cat/link.png": "a link, not a file",
        "cat/pipe.png": "a named pipe, not a file",
        "cat/zero.png": "a device, not a file",
    }


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_all_tar_formats(tmp_path, form):
    long = "cat/" + "n" * (90 if form == tarfile.USTAR_FORMAT else 200) + ".png"
    deep = "/".join(["deep" * 10] * 4) + "/1.png"
    content = png(tmp_path / "one")
    names = [long, deep, "./cat/3.png", "cat/é.png"]
    source = source_at(tar_of(tmp_path / "a.tar", [(named(name), content) for name in names], form))
    expected = sorted(name.removeprefix("./") for name in names)
    assert sorted(entry.name for entry in source.entries()) == expected
    for name in expected:
        with source.open(name) as file:
            assert file.stream.read() == content


def test_a_bomb_is_not_unpacked(fake, tmp_path):
    path = tmp_path / "bomb.zip"
    contents = {"cat/1.png": png(tmp_path / "one"), "cat/bomb.png": bytes(80_000_000), "cat/lie.png": bytes(5_000_000)}
    zip_of(path, contents, compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for mark, shift in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.find(b"cat/lie.png", content.find(mark) if mark == b"PK\3\4" else content.find(b"PK\1\2"))
        at = content.rfind(mark, 0, at)
        content[at + shift : at + shift + 4] = struct.pack("<L", 1000)
    path.write_bytes(content)
    aged(path)
    runtime = featx.Runtime(tmp_path / "cache", max_pixels=1_000_000)
    table = featx.extract(path, "quadrants", runtime=runtime)
    reasons = {one.path: one.reason for one in table.extraction.skipped}
    assert "80,000,000 bytes are more than the limit of 72,000,000" in reasons["cat/bomb.png"]
    assert reasons["cat/lie.png"].startswith("cannot be read: the file is damaged in the archive: Bad CRC-32")
    assert len(table) == 1


def test_members_that_share_bytes_are_skipped(fake, tmp_path):
    path = zip_of(tmp_path / "o.zip", {"cat/1.png": png(tmp_path / "one"), "cat/2.png": png(tmp_path / "one", 2)})
    content = bytearray(path.read_bytes())
    first, second = content.find(b"PK\1\2"), content.rfind(b"PK\1\2")
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"no usable image; cat/1.png: its bytes are also those of another file"):
        featx.extract(path, "quadrants", runtime=fake.runtime)


@BOTH
def test_the_last_of_two_members_of_one_name_counts(tmp_path, ending):
    first, second = png(tmp_path / "one"), png(tmp_path / "one", 2)
    path = tmp_path / f"twice{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("1.png", first)
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("1.png", second)
    else:
        tar_of(path, [(named("1.png"), first), (named("1.png"), second)])
    source = source_at(path)
    assert [entry.name for entry in source.entries()] == ["1.png"]
    with source.open("1.png") as file:
        assert file.stream.read() == second


def test_a_broken_zip_archive_is_a_clear_error(fake, tmp_path):
    path = packed(make_classes(tmp_path / "set", {"a": (1, 2, 3)}, 3), tmp_path / "images.zip")
    whole = path.read_bytes()
    for broken, why in (
        (whole[:-30], "its directory at the end is missing, so that it is damaged or truncated"),
        (b"", "its directory at the end is missing"),
        (whole.replace(b"PK\1\2", b"PK\1\3", 2), "its directory is damaged at byte"),
        (whole[:-12] + struct.pack("<2L", 2**31, 0) + whole[-4:], "its directory is damaged"),
    ):
        path.write_bytes(broken)
        with pytest.raises(DatasetError, match=rf"the archive .*images.zip cannot be used: {why}"):
            featx.extract(path, "quadrants", runtime=fake.runtime)


def test_a_broken_tar_archive_is_a_clear_error(fake, tmp_path):
    path = packed(make_classes(tmp_path / "set", {"a": (1, 2, 3)}, 3), tmp_path / "images.tar")
    whole = path.read_bytes()
    for broken, why in (
        (whole[:3000], "it is truncated: it ends at byte 3,000"),
        (whole[:700], "it is truncated: it ends at byte 700"),
        (b"", "it is truncated: it ends at byte 0, after 0 files"),
        (b"not a tar" * 100, "it is not a tar archive"),
    ):
        path.write_bytes(broken)
        with pytest.raises(DatasetError, match=rf"the archive .*images.tar cannot be used: {why}"):
            featx.extract(path, "quadrants", runtime=fake.runtime)


def test_random_damage_ends_in_an_error_of_featx_or_a_result(tmp_path):
    folder = make_classes(tmp_path / "set", {"a": (1, 2, 3)}, 3)
    rng = random.Random(7)
    for ending in (".zip", ".tar"):
        whole = packed(folder, tmp_path / f"images{ending}").read_bytes()
        for number in range(150):
            content = bytearray(whole)
            for _ in range(rng.randint(1, 4)):
                content[rng.randrange(len(content))] = rng.randrange(256)
            path = tmp_path / f"damaged-{number}{ending}"
            path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
            try:
                for image in scan(path).images:
                    if not image.reason:
                        with image.open() as file:
                            file.stream.read(1_000_000)
            except (DatasetError, OSError):
                continue


def test_folders_that_featx_wrote_are_left_out_of_an_archive(fake, tmp_path):
    content = png(tmp_path / "one")
    tag = b"Images sorted by featx; never scanned as data.\n"
    path = zip_of(tmp_path / "a.zip", {"cat/1.png": content, "out/.featx-output": tag, "out/x/2.png": content})
    table = featx.extract(path, "quadrants", runtime=fake.runtime)
    assert [sample.sample_id for sample in table.samples] == ["cat/1.png"]
    assert [one.to_dict() for one in table.extraction.own_folders] == [
        {"path": "out", "n_files": 1, "reason": "an output of featx"}
    ]
    with pytest.raises(DatasetError, match="a tag marks it as an output of featx"):
        scan(place_of(f"zip://out::{path}"))


def test_packed_archives_of_other_kinds_are_refused(tmp_path):
    for name, advice in (
        ("a.tar.gz", "is a compressed tar archive, from which no file can be read without all files before it"),
        ("a.tgz", "is a compressed tar archive"),
        ("a.7z", "is an archive that featx does not read"),
    ):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(DatasetError, match=f"{name} {advice}"):
            scan(tmp_path / name)


def test_places_are_read_from_texts_and_paths():
    member = Member("zip", "cat/1.png", Path("images.zip"))
    assert place_of("zip://cat/1.png::images.zip") == place_of(Path("zip://cat/1.png::images.zip")) == member
    assert (str(member), member.name, member.stem, member.suffix) == (
        "zip://cat/1.png::images.zip",
        "1.png",
        "1",
        ".png",
    )
    assert member.parent / "2.png" == place_of("zip:///cat/2.png::images.zip")
    assert place_of("zip://images.zip") == Member("zip", "", Path("images.zip"))
    url = place_of("https://example.org/a/b.jpg?token=secret")
    assert "secret" not in f"{url} {url!r} {url.parent} {url / 'x'}"
    assert place_of(Path("s3://bucket/a")) == place_of("s3a://bucket/a/") == place_of("s3://bucket/a")
    assert place_of("C:/x") == Path("C:/x")
    with pytest.raises(DatasetError, match="contains a user name or a password") as stopped:
        place_of("https://me:secret@example.org/a")
    assert "secret" not in str(stopped.value)
    for text in ("s3://", "zip://", "zip://a::", "zip://a::zip://b::c.zip"):
        with pytest.raises(DatasetError, match="names no"):
            place_of(text)
