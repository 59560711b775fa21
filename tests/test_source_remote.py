"""Buckets and web servers on loopback are read as local folders: the same rows, labels, order and snapshots."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import make_classes, save_image
from test_source_archive import packed, table_rows

import featx
from featx.errors import DatasetError
from featx.extraction import featurizing
from featx.source import RemoteFolder, place_of, remote, source_from

pytestmark = pytest.mark.integration
SECRET = "wJalrXUtnFEMI/K7MDENG"


@pytest.fixture(scope="module")
def endpoint():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """Return a new bucket of a real S3 server; credentials and endpoint are in the environment."""
    import boto3

    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint),
    ):
        monkeypatch.setenv(name, value)
    remote.client_of.cache_clear()
    client = boto3.client("s3")
    name = f"bucket-{os.urandom(4).hex()}"
    client.create_bucket(Bucket=name)
    yield client, name
    remote.client_of.cache_clear()


def upload(client, bucket: str, folder: Path, prefix: str = "set") -> str:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            client.put_object(
                Bucket=bucket, Key=f"{prefix}/{file.relative_to(folder).as_posix()}", Body=file.read_bytes()
            )
    return f"s3://{bucket}/{prefix}"


def everything_written(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_bucket_gives_the_rows_of_the_folder_and_nothing_is_read_twice(fake, bucket, tmp_path, monkeypatch):
    client, name = bucket
    folder = make_classes(tmp_path / "set", {"a": (30, 60, 200), "a-b": (200, 50, 40), "a b": (0, 200, 0)}, 12)
    (folder / "a" / "notes.txt").write_text("not an image")
    (folder / "broken.png").write_bytes(b"\x89PNG no")
    (folder / ".hidden").mkdir()
    save_image(folder / ".hidden" / "1.png", (1, 2, 3))
    url = upload(client, name, folder)
    of_folder = featx.extract(folder, "quadrants", runtime=fake.runtime)
    n = fake.n_computed
    of_bucket = featx.extract(url, "quadrants", runtime=fake.runtime)
    assert fake.n_computed == n > 0
    assert table_rows(of_bucket) == table_rows(of_folder)
    assert np.array_equal(of_bucket.X, of_folder.X)
    assert of_bucket.extraction.skipped == of_folder.extraction.skipped
    assert list(of_bucket.extraction.ignored) == ["a/notes.txt"]
    fresh = featx.extract(url, "quadrants", runtime=featx.Runtime(tmp_path / "fresh", workers=2))
    assert np.array_equal(fresh.X, of_folder.X)

    with monkeypatch.context() as patch:
        patch.setattr("featx.readers.job.Job.message", None)  # no object is passed to a reader
        assert featx.extract(url, "quadrants", runtime=fake.runtime).extraction.n_cached == 36
        assert len(featx.latest(fake.runtime)) == 36
    save_image(folder / "a" / "a-00.png", (0, 0, 0))
    upload(client, name, folder)
    assert featx.extract(url, "quadrants", runtime=fake.runtime).extraction.n_computed == 1
    assert SECRET.encode() not in everything_written(tmp_path)


def test_an_object_that_changes_after_it_was_listed_has_the_row_of_its_new_content(fake, bucket, tmp_path, monkeypatch):
    client, name = bucket
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 4)
    url = upload(client, name, folder)
    pages = remote.S3Client.pages

    def change_after(self, at):
        yield from list(pages(self, at))
        upload(client, name, folder)

    save_image(folder / "red" / "red-02.png", (0, 255, 0), size=(60, 60))
    monkeypatch.setattr(remote.S3Client, "pages", change_after)
    of_bucket = featx.extract(url, "quadrants", runtime=fake.runtime)
    monkeypatch.setattr(remote.S3Client, "pages", pages)
    of_folder = featx.extract(folder, "quadrants", runtime=fake.runtime)
    assert of_folder.extraction.n_computed == 0
    assert table_rows(of_bucket) == table_rows(of_folder)
    assert table_rows(featx.extract(url, "quadrants", runtime=fake.runtime)) == table_rows(of_folder)


def test_objects_beyond_the_limit_are_listed_and_not_downloaded(fake, bucket, tmp_path, caplog):
    client, name = bucket
    url = upload(client, name, make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 4))
    content = (tmp_path / "set" / "red" / "red-00.png").read_bytes()
    client.put_object(Bucket=name, Key="set/red/huge.png", Body=content + bytes(70_000_000))
    runtime = featx.Runtime(fake.runtime.cache, workers=1, max_pixels=10_000)
    caplog.set_level("INFO", "werkzeug")
    table = featx.extract(url, "quadrants", runtime=runtime)
    assert len(table) == 8
    (skipped,) = table.extraction.skipped
    assert skipped.path == "red/huge.png"
    assert skipped.reason == (
        f"cannot be read: {len(content) + 70_000_000:,} bytes are more than the limit of 64,080,000; increase "
        "`max_pixels` to read the file"
    )
    assert f"GET /{name}/set/red/red-00.png" in caplog.text  # the log of the server
    assert f"GET /{name}/set/red/huge.png" not in caplog.text


def test_fit_report_and_predict_read_a_bucket(fake, bucket, tmp_path):
    client, name = bucket
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 12)
    url = upload(client, name, folder)
    model = featx.fit(featx.extract(url, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    assert model.evaluation.made["data"] == url
    model.save(tmp_path / "m.featx")
    found = featx.report(tmp_path / "m.featx", html=tmp_path / "r.html", data=url, on=url, runtime=fake.runtime)
    assert (found.summary["images"]["n_missing"], found.summary["on"]["n_seen"]) == (0, 24)
    done = featx.predict(
        model,
        [url, f"{url}/red/red-00.png"],
        tmp_path / "s.csv",
        sort_into=tmp_path / "sorted",
        gallery=tmp_path / "g.html",
        runtime=fake.runtime,
    )
    assert (done.n_predicted, done.n_skipped, done.n_in_gallery) == (25, 0, 25)
    assert f"\n{url}/blue/blue-00.png,blue" in (tmp_path / "s.csv").read_text()
    assert (tmp_path / "sorted" / "red" / "red-03.png").read_bytes() == (folder / "red" / "red-03.png").read_bytes()
    with pytest.raises(featx.FeatxError, match="`link`: s3://.* is no local folder or image; leave out `link`"):
        featx.predict(model, url, sort_into=tmp_path / "linked", link=True, runtime=fake.runtime)
    assert featx.inspect(url, runtime=fake.runtime).n_images == 24


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_an_archive_in_a_bucket(fake, bucket, tmp_path, ending):
    client, name = bucket
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 6)
    client.put_object(Bucket=name, Key=f"x{ending}", Body=packed(folder, tmp_path / f"x{ending}").read_bytes())
    of_folder = featx.extract(folder, "quadrants", runtime=fake.runtime)
    table = featx.extract(f"s3://{name}/x{ending}", "quadrants", runtime=fake.runtime)
    assert table_rows(table) == table_rows(of_folder)
    assert table.extraction.n_computed == 0


def test_manifests_name_objects_of_all_kinds_and_may_lie_in_a_bucket(fake, bucket, tmp_path):
    client, name = bucket
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 12)
    url = upload(client, name, folder)
    packed(folder, tmp_path / "x.zip")
    rows = [f"set/blue/blue-{n:02}.png,blue" for n in range(12)]
    rows += [f"{url}/red/red-{n:02}.png,red" for n in range(8)]
    rows += [f"zip://red/red-{n:02}.png::x.zip,red" for n in range(8, 12)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    table = featx.extract(tmp_path / "list.csv", "quadrants", runtime=fake.runtime)
    assert Counter(sample.label for sample in table.samples) == {"blue": 12, "red": 12}
    assert f"s3:/{name}/set/red/red-00.png" in [sample.sample_id for sample in table.samples]
    model = featx.fit(table, runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    found = featx.report(
        tmp_path / "m.featx", html=tmp_path / "r.html", data=tmp_path / "list.csv", runtime=fake.runtime
    )
    assert found.summary["images"]["n_missing"] == 0
    client.put_object(Bucket=name, Key="set/list.csv", Body=b"path,label\nblue/blue-00.png,b\nred/red-00.png,r\n")
    again = featx.extract(f"{url}/list.csv", "quadrants", runtime=fake.runtime)
    assert [(one.sample_id, one.label) for one in again.samples] == [("blue/blue-00.png", "b"), ("red/red-00.png", "r")]
    assert again.extraction.n_computed == 0
    done = featx.predict(model, f"{url}/list.csv", runtime=fake.runtime)
    assert [row[0] for row in done.rows] == [f"{url}/blue/blue-00.png", f"{url}/red/red-00.png"]


def test_errors_of_a_bucket_are_clear(fake, bucket, tmp_path, monkeypatch):
    _, name = bucket
    with pytest.raises(DatasetError, match=rf"s3://{name}/nothing contains no files; check its name"):
        featx.extract(f"s3://{name}/nothing", "quadrants", runtime=fake.runtime)
    with pytest.raises(DatasetError, match="s3://no-such-bucket/x cannot be listed: no such object"):
        featx.extract("s3://no-such-bucket/x", "quadrants", runtime=fake.runtime)
    monkeypatch.setattr(remote, "_FIRST_WAIT", 0.001)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    remote.client_of.cache_clear()
    with pytest.raises(DatasetError, match=r"cannot be listed: the server cannot be reached \(5 attempts\)"):
        featx.extract(f"s3://{name}/x", "quadrants", runtime=fake.runtime)


def test_missing_credentials_are_named(fake, bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    remote.client_of.cache_clear()
    with pytest.raises(DatasetError, match="no credentials in the environment; set AWS_ACCESS_KEY_ID and"):
        featx.extract("s3://bucket/x", "quadrants", runtime=fake.runtime)
    with pytest.raises(DatasetError, match="az:// addresses cannot be read: there are no credentials .* set AZURE_"):
        featx.extract("az://bucket/x", "quadrants", runtime=fake.runtime)


class Web(http.server.BaseHTTPRequestHandler):
    """Web server of files in memory: it demands a signature, and can fail, change its objects and count requests."""

    files: dict[str, bytes]
    failures: Counter[str]
    requests: Counter[str]

    def do_GET(self):
        path, _, query = self.path.partition("?")
        cls = type(self)
        cls.requests[path] += 1
        if query != "Signature=secret-of-mine":
            return self.reply(403, b"")
        if cls.failures[path]:
            cls.failures[path] -= 1
            return self.reply(503, b"")
        content = cls.files.get(path)
        if content is None:
            return self.reply(404, b"")
        start, stop = 0, len(content)
        if "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            start, stop = int(first), min(stop, int(last or stop) + 1)
            return self.reply(206, content[start:stop], f"bytes {start}-{stop - 1}/{len(content)}", content)
        return self.reply(200, content, "", content)

    def reply(self, status, body, part="", whole=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if whole:
            self.send_header("ETag", f'"{hash(whole)}"')
        if part:
            self.send_header("Content-Range", part)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setattr(Web, "files", {}, raising=False)
    monkeypatch.setattr(Web, "failures", Counter(), raising=False)
    monkeypatch.setattr(Web, "requests", Counter(), raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_credentials_that_are_set_later_in_a_process_are_used(fake, bucket, tmp_path, monkeypatch):
    client, name = bucket
    url = upload(client, name, make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 3))
    with monkeypatch.context() as without:
        without.delenv("AWS_ENDPOINT_URL")
        without.setenv("AWS_SECRET_ACCESS_KEY", "")
        featx.extract(tmp_path / "set", "quadrants", runtime=fake.runtime)  # starts readers
    assert len(featx.extract(url, "quadrants", runtime=featx.Runtime(tmp_path / "other", workers=2))) == 6


def test_signed_addresses_are_read_and_their_signature_is_never_shown_or_stored(fake, web, tmp_path):
    for n in range(6):
        Web.files[f"/x/{n}.png"] = save_image(tmp_path / "one" / f"{n}.png", (30 * n, 60, 200), n).read_bytes()
    rows = [f"{web}/x/{n}.png?Signature=secret-of-mine,{'ab'[n % 2]}" for n in range(7)]
    manifest = tmp_path / "given" / "list.csv"
    manifest.parent.mkdir()
    manifest.write_text("\n".join(["path,label", *rows]))
    Web.failures["/x/3.png"] = 2
    table = featx.extract(manifest, "quadrants", runtime=fake.runtime)
    host = web.removeprefix("http://")
    assert [one.sample_id for one in table.samples] == [f"http:/{host}/x/{n}.png" for n in range(6)]
    assert [(one.path, one.reason) for one in table.extraction.skipped] == [(f"http:/{host}/x/6.png", "no such file")]
    assert Web.requests["/x/0.png"] == 3  # its stamp, its brightness and its content
    again = featx.extract(manifest, "quadrants", runtime=fake.runtime)
    assert again.extraction.n_computed == 0
    assert Web.requests["/x/0.png"] == 4  # only its stamp
    written = everything_written(tmp_path / "cache")
    shown = json.dumps([fake.notices, again.extraction.to_dict()], default=str)
    assert b"secret-of-mine" not in written
    assert "secret-of-mine" not in shown


def test_an_object_that_fails_is_skipped_and_tried_again_by_the_next_run(fake, web, tmp_path):
    for n in range(2):
        Web.files[f"/x/{n}.jpg"] = save_image(tmp_path / "one" / f"{n}.png", (90 * n, 60, 200), n).read_bytes()
    manifest = tmp_path / "list.csv"
    manifest.write_text("\n".join(f"{web}/x/{n}.jpg?Signature=secret-of-mine,a" for n in range(2)))
    Web.failures["/x/1.jpg"] = 10
    table = featx.extract(manifest, "quadrants", runtime=fake.runtime)
    assert [one.reason for one in table.extraction.skipped] == [
        "cannot be read: the server replied with status 503 (5 attempts)"
    ]
    Web.failures.clear()
    assert len(featx.extract(manifest, "quadrants", runtime=fake.runtime)) == 2


def test_web_servers_are_not_listed_and_sources_are_described_without_credentials(web):
    source = RemoteFolder(place_of(f"{web}/x?Signature=secret-of-mine"))
    assert source_from(json.loads(json.dumps(source.describe()))) == source
    assert "secret" not in json.dumps(source.describe())
    with pytest.raises(DatasetError, match="web servers have no listing; give a manifest of addresses"):
        list(source.entries())


def test_shards_parts_and_tables_of_a_bucket(fake, bucket, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    client, name = bucket
    folder = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 12)
    (folder / "notes.txt").write_text("no image")
    url = upload(client, name, folder)
    shards = [featx.extract(url, "quadrants", shard=f"{number}/2", runtime=fake.runtime) for number in (1, 2)]
    assert sorted(sample.sample_id for shard in shards for sample in shard.samples) == sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*.png")
    )
    whole = featx.extract(url, "quadrants", runtime=fake.runtime)
    assert (whole.extraction.n_computed, whole.extraction.n_cached) == (0, 24)
    model = featx.fit(whole, runtime=fake.runtime)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(featurizing, "IMAGES_A_BLOCK", 10)
    done = featx.predict(model, url, "parts", runtime=fake.runtime)
    assert (done.n_predicted, done.n_parts, done.n_ignored) == (24, 2, 1)
    with pytest.raises(featx.FeatxError, match="parts exists and is complete"):
        featx.predict(model, url, "parts", runtime=fake.runtime)
    save_image(folder / "red" / "red-00.png", (30, 60, 200))
    save_image(folder / "red" / "red-99.png", (200, 50, 40), seed=99)
    upload(client, name, folder)
    done = featx.predict(model, url, "parts", only_new=True, runtime=fake.runtime)
    assert (done.n_images, done.n_new, done.n_kept) == (25, 2, 23)

    client.put_object(Bucket=name, Key="set/list", Body=f"red/red-99.png\n{url}/blue/blue-00.png\ngone.png\n".encode())
    rows = featx.predict(model, files_from=f"{url}/list", runtime=fake.runtime).rows
    assert [(row[0], row[1], row[3]) for row in rows] == [
        (f"{url}/red/red-99.png", "red", "ok"),
        (f"{url}/blue/blue-00.png", "blue", "ok"),
        (f"{url}/gone.png", "", "skipped"),
    ]
    with pytest.raises(DatasetError, match=f"^`files_from={url}/gone`: no such file; give an existing"):
        featx.predict(model, files_from=f"{url}/gone", runtime=fake.runtime)
    assert SECRET.encode() not in everything_written(tmp_path)


def test_the_workers_of_a_cluster_read_a_bucket_and_signed_addresses(bucket, web, tmp_path):
    pytest.importorskip("distributed")
    from benchmarks.cluster_runs import ClusterPlace
    from featx.cluster import close_all

    client, name = bucket
    place = ClusterPlace(tmp_path, 60)
    url = upload(client, name, place.data)
    files = sorted(place.data.rglob("*.png"))[:20]
    Web.files |= {f"/{file.name}": file.read_bytes() for file in files}
    manifest = tmp_path / "list.csv"
    manifest.write_text("\n".join(f"{web}/{file.name}?Signature=secret-of-mine,a" for file in files))
    try:
        runtime = featx.Runtime(tmp_path / "cache", workers=2, cluster="dask://local")
        table = featx.extract(url, str(place.backbone), runtime=runtime)
        assert place.exported(table) == place.store
        signed = featx.Runtime(tmp_path / "signed", workers=2, cluster="dask://local")
        signed_table = featx.extract(manifest, str(place.backbone), runtime=signed)
        assert (signed_table.extraction.n_computed, signed_table.extraction.skipped) == (20, ())
        again = featx.extract(manifest, str(place.backbone), runtime=signed)
        assert again.extraction.n_computed == 0
    finally:
        close_all()
    written = everything_written(tmp_path / "cache") + everything_written(tmp_path / "signed")
    assert b"secret-of-mine" not in written
    assert SECRET.encode() not in written
