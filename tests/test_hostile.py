"""Malicious files: no code is run, no zip bomb is decompressed, and nothing is written outside the given places."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import make_classes
from typer.testing import CliRunner

from featx import load, predict
from featx.cli.app import app
from featx.cli.console import printable
from featx.dataset import scan
from featx.errors import ClassifierError, DatasetError, SpecError, WeightsError
from featx.extraction import extract, featurize
from featx.fitting import fit
from featx.spec import FeatureSpec
from featx.store import write_graph

ROOT = Path(__file__).parent.parent


@pytest.fixture
def model(fake, images, tmp_path):
    """Return a model file with a head that is not stored as matrices, so that predicting needs scikit-learn."""
    table = extract(images, "quadrants", runtime=fake.runtime)
    fit(table, "knn", params={"n_neighbors": 3}, cv=2, runtime=fake.runtime).save(tmp_path / "m.featx")
    return tmp_path / "m.featx"


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def change(path, name, content):
    path.write_bytes(zipped(members(path) | {name: content}))


def probe_scores(path):
    """Return the scores of a model for its probes; this loads the estimator, as predict does."""
    model = load(path)
    return model.scores(model.probes)


def test_mutated_files_are_read_or_rejected():
    """Each reader is tested with a few hundred files; ``python -m benchmarks.fuzz`` tests any number."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.fuzz", "--inputs", "300", "--seed", "1"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout.splitlines()[-1])["results"]
    names = ["store", "journal", "snapshot", "model", "manifest", "weights", "image"]
    assert [result["reader"] for result in results] == names
    for result in results:
        assert (result["inputs"], result["wrong"]) == (300, 0), result
        assert result["accepted"] + result["refused"] == 300
        assert result["accepted"] > 0, result


def test_a_zip_bomb_is_not_decompressed(model):
    bomb = members(model) | {"arrays/zeros.npy": bytes(50_000_000)}
    model.write_bytes(zipped(bomb, zipfile.ZIP_DEFLATED))
    with pytest.raises(ClassifierError, match=r"m\.featx holds '.*' compressed; expected uncompressed members"):
        load(model)


def test_a_zip_bomb_within_the_head_is_not_decompressed(model):
    with zipfile.ZipFile(io.BytesIO(members(model)["estimator.skops"])) as archive:
        inner = {name: archive.read(name) for name in archive.namelist()} | {"zeros.npy": bytes(50_000_000)}
    change(model, "estimator.skops", zipped(inner, zipfile.ZIP_DEFLATED))
    with pytest.raises(ClassifierError, match="compressed; expected uncompressed members"):
        probe_scores(model)


def test_members_that_share_their_bytes(model):
    with zipfile.ZipFile(model, "a") as archive:
        big = archive.getinfo("arrays/probes.npy")
        for number in range(5000):
            again = zipfile.ZipInfo(f"arrays/{number}.npy")
            again.file_size, again.compress_size, again.CRC = big.file_size, big.compress_size, big.CRC
            again.header_offset = big.header_offset
            archive.filelist.append(again)
        archive._didModify = True
    with pytest.raises(ClassifierError, match=r"the members of m\.featx are larger than the file"):
        load(model)


def test_members_with_names_outside_the_folder_are_not_written(model, tmp_path):
    content = members(model) | {"probes/../../escaped.png": b"x", "/absolute.npy": b"x", "arrays/../up.npy": b"x"}
    model.write_bytes(zipped(content))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ClassifierError):
        load(model)
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "escaped.png").exists()


@pytest.mark.parametrize(
    "shape", ["(1099511627776, 1099511627776)", "(-1,)", "(4294967296,)", "(1, 1" + ", 1" * 200 + ")"]
)
def test_absurd_shapes_are_rejected(model, shape):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(1013) + b"\n"
    head = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head
    change(model, "arrays/probes.npy", head + bytes(64))
    with pytest.raises(ClassifierError, match="the array .* is damaged"):
        load(model)


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")])
def test_a_head_of_another_type_is_rejected_by_name(model, module, name):
    with zipfile.ZipFile(io.BytesIO(members(model)["estimator.skops"])) as archive:
        inner = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(inner["schema.json"])
    schema |= {"__module__": module, "__class__": name}
    change(model, "estimator.skops", zipped(inner | {"schema.json": json.dumps(schema).encode()}))
    with pytest.raises(ClassifierError, match=rf"does not load from a file: {module}\.{name}"):
        probe_scores(model)


def test_a_quantized_graph_that_differs_from_the_feature_spec_is_not_cached(fake, images):
    extract(images, "quadrants", runtime=fake.runtime)
    fields = json.loads(next(FeatureSpec.from_json(text) for text in [_spec(fake)]).to_json())
    spec = FeatureSpec.from_json(json.dumps(fields | {"precision": "int8", "graph": "0" * 16}))
    evil = np.frombuffer(b"another network", np.uint8)
    with pytest.raises(SpecError, match="the quantized graph of this model does not match its feature spec"):
        featurize([images], spec, graph=evil, runtime=fake.runtime)
    assert not list(fake.runtime.cache.glob("graphs/0*.graph"))
    write_graph(fake.runtime.cache, "0" * 16, b"put there by hand")
    from featx.store import read_quantized_graph

    assert read_quantized_graph(fake.runtime.cache, "0" * 16) is None


def _spec(fake):
    return json.loads((fake.runtime.cache / "latest.json").read_text())["spec"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../out.png,a", r"\.\./out\.png is outside the folder of the manifest"),
        ("/etc/passwd,a", "/etc/passwd is outside the folder of the manifest"),
        (r"C:\Windows\win.ini,a", "is outside the folder of the manifest"),
        ("x/../../out.png,a", "is outside the folder of the manifest"),
        ("a\0.png,a", "contains a NUL character"),
    ],
)
def test_a_manifest_cannot_name_files_outside_its_folder(images, line, message):
    (images / "list.csv").write_text(f"path,label\n{line}\nred/red-00.png,b\n")
    with pytest.raises(DatasetError, match=message):
        scan(images / "list.csv")


def test_tables_hold_no_formulas(fake, tmp_path, monkeypatch):
    """Names of images and classes are not trusted, since they can look like spreadsheet formulas."""
    folder = make_classes(tmp_path / "set", {"=1+1": (30, 60, 200), "@SUM(A1)": (200, 50, 40)}, 8)
    (folder / "=1+1" / "=1+1-00.png").rename(folder / "=1+1" / "-2+3.png")
    model = fit(extract(folder, "quadrants", runtime=fake.runtime), cv=2, runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    (folder / "=1+1" / "-2+3.png").rename(tmp_path / "=cmd.png")
    monkeypatch.chdir(tmp_path)
    predict("m.featx", ["=cmd.png", "set"], output="t.csv", runtime=fake.runtime)
    with (tmp_path / "t.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["path"] == "./=cmd.png"
    assert {row["label"] for row in rows} == {"'=1+1", "'@SUM(A1)"}
    for row in rows:
        assert not any(value.startswith(("=", "@", "+")) for value in row.values())


def test_control_characters_are_escaped():
    names = {
        "\x1b[2J": r"\x1b[2J",  # clears the screen
        "\x1b]8;;http://x\x07link": r"\x1b]8;;http://x\x07link",  # a hyperlink
        "photo\u202egnp.exe": r"photo\u202egnp.exe",  # right-to-left text
        "a\u2028b\u0085c": r"a\u2028b\x85c",
        "\u200bzero": r"\u200bzero",
        "tab\tline\nend": r"tab\tline\nend",
        "\udcff": r"\udcff",
    }
    for name, shown in names.items():
        assert printable(name) == shown
    assert printable("שלום 你好 é") == "שלום 你好 é"


def test_a_data_set_with_hostile_names(fake, tmp_path, monkeypatch):
    classes = {"<b>\x1b[31m": (30, 60, 200), "\u202etxt": (200, 50, 40)}
    folder = make_classes(tmp_path / "set", {"a": (30, 60, 200), "b": (200, 50, 40)}, 8)
    for plain, name in zip("ab", classes, strict=True):
        (folder / plain).rename(folder / name)
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    monkeypatch.chdir(tmp_path)
    for words in (["extract", "set", "--backbone", "quadrants"], ["fit", "-o", "m.featx"], ["report", "m.featx"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert not {"\x1b", "\u202e"} & set(result.output)
    assert r"<b>\x1b[31m" in result.output


def test_weights_are_downloaded_only_over_https(monkeypatch, keras_start):
    keras_start()
    import keras
    from keras.src.utils import file_utils

    from featx.backbones import applications

    def build(**options):
        file_utils.get_file("w.h5", "http://example.org/w.h5", file_hash="0" * 32)
        return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])

    monkeypatch.setattr(keras.applications, "VGG16", build)
    with pytest.raises(WeightsError, match="http://example.org/w.h5 is refused: .* only over HTTPS"):
        applications.imagenet_architecture("vgg16.VGG16", 8)
