"""Backbones of the table equal the networks that Keras builds for its ImageNet weights, and every weight is set."""

from __future__ import annotations

import hashlib
import http.server
import importlib
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from featx.backbones import BACKBONES, build_network, find_backbone_source
from featx.backbones.table import KerasWeights
from featx.errors import BackboneError, WeightsError
from featx.images import decode_version, prepare, probe_files
from featx.spec import FeatureSpec

pytestmark = pytest.mark.usefixtures("keras_start")

KERAS_ROWS = [row for row in BACKBONES.values() if isinstance(row.weights, KerasWeights)]
LARGE = 50_000_000
"""Number of parameters from which building a network takes several seconds."""


def spec_of(source, **changes) -> FeatureSpec:
    values = {"decode": decode_version(), "engine": "tensorflow", "precision": "float32"} | changes
    return FeatureSpec(source.backbone, source.weights, source.preprocess, source.size, **values)


def some_pixels(size: int, n: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


def run(network, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(network(pixels, training=False))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=[pytest.mark.integration] if row.n_parameters > LARGE else [], id=row.name)
        for row in KERAS_ROWS
    ],
)
def test_row_against_keras(row):
    from featx.backbones.applications import imagenet_architecture

    model, download = imagenet_architecture(row.constructor, row.size)
    assert model.output_shape[-1] == row.n_features
    assert model.count_params() == row.n_parameters
    assert download.file == row.weights.path(row.size).name
    assert download.url.startswith("https://storage.googleapis.com/")
    for side in row.weights.sides:
        if side != row.size:
            assert imagenet_architecture(row.constructor, side)[1].file == row.weights.path(side).name


@pytest.mark.parametrize("row", KERAS_ROWS, ids=lambda row: row.name)
def test_preprocess_against_keras(row):
    from featx.backbones.preprocess import preprocess_pixels

    module = importlib.import_module(f"keras.applications.{row.constructor.split('.')[0]}")
    pixels = some_pixels(16).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(preprocess_pixels(pixels, row.preprocess)), module.preprocess_input(pixels.copy()), atol=1e-5
    )


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_lite_graphs(name):
    from featx.backbones.lite_keras import lite_graph

    row = BACKBONES[name]
    model = lite_graph(row.constructor, row.size)
    assert model.count_params() == row.n_parameters
    assert model.output_shape[-1] == row.n_features == 1280


def test_golden_features_of_lite0():
    """Features of the probe images with the real weights, as computed when the ImageNet classes were checked."""
    source = find_backbone_source("efficientnet-lite0")
    network = build_network(spec_of(source), source.file)
    pixels = np.stack([prepare(data, 224).pixels for data in probe_files().values()])
    features = run(network, pixels)
    golden = np.load(Path(__file__).parent / "golden-lite0.npy")
    assert features.dtype == np.float32
    for ours, theirs in zip(features, golden, strict=True):
        assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.9999


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_only_lite_accepts_pytorch_weights(tmp_path, engine):
    path = tmp_path / "r50.pth"
    path.write_bytes(b"weights")
    source = find_backbone_source("resnet50", path)
    spec = spec_of(source, engine=engine)
    with pytest.raises(WeightsError, match=r"resnet50 needs weights saved by Keras \(.h5\); only efficientnet-lite"):
        build_network(spec, path)


def test_lite_pixels_are_minus_127_over_128():
    from featx.backbones.preprocess import preprocess_pixels

    scaled = preprocess_pixels(np.array([[[[127.0, 255.0, 0.0]]]], np.float32), "lite")
    assert np.asarray(scaled).tolist() == [[[[0, 1, -127 / 128]]]]


@pytest.mark.parametrize("name", ["mobilenetv2", "efficientnet-b0", "mobilenetv3-small"])
def test_weights_file_gives_the_graph_of_imagenet_weights(name, tmp_path, monkeypatch):
    """A file given as ``weights`` and the same file in the Keras folder give the same features, also with Rescaling."""
    from featx.backbones.applications import Download, imagenet_architecture

    row = BACKBONES[name]
    model, _ = imagenet_architecture(row.constructor, row.size)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) > 1:
            weight.assign(rng.normal(0, 0.1, weight.shape))
    path = tmp_path / f"{name}.weights.h5"
    model.save_weights(path)
    source = find_backbone_source(name, path)
    ours = run(build_network(spec_of(source), path), some_pixels(row.size))
    module = importlib.import_module(f"keras.applications.{row.constructor.split('.')[0]}")
    expected = np.asarray(model(module.preprocess_input(some_pixels(row.size).astype(np.float32)), training=False))
    np.testing.assert_allclose(ours, expected.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    if name == "efficientnet-b0":
        assert sum(type(layer).__name__ == "Rescaling" for layer in model.layers) == 2
    monkeypatch.setattr(KerasWeights, "path", lambda self, size: path)
    monkeypatch.setattr(
        "featx.backbones.network.imagenet_architecture", lambda *a: (imagenet_architecture(*a)[0], Download("", "", ""))
    )
    usual = find_backbone_source(name)
    assert usual.weights == source.weights
    np.testing.assert_array_equal(run(build_network(spec_of(usual), path), some_pixels(row.size)), ours)


def test_every_weight_must_be_set(tmp_path):
    import keras

    from featx.backbones.applications import imagenet_architecture, load_every_weight

    model, _ = imagenet_architecture("mobilenet_v2.MobileNetV2", 96)
    for weight in model.weights[:3]:
        weight.assign(keras.ops.full(weight.shape, float("nan")))
    model.save_weights(tmp_path / "lacking.weights.h5")
    with pytest.raises(WeightsError, match=r"sets only 257 of 260 weights of .*; .*Conv1.* is missing or NaN"):
        load_every_weight(model, tmp_path / "lacking.weights.h5")


def test_weights_of_another_network_are_refused(tmp_path):
    from featx.backbones.applications import imagenet_architecture

    model, _ = imagenet_architecture("mobilenet.MobileNet", 96)
    path = tmp_path / "mobilenet.weights.h5"
    model.save_weights(path)
    source = find_backbone_source("mobilenetv2", path, size=96)
    with pytest.raises(WeightsError, match=r"does not fit .* Expected weights saved"):
        build_network(spec_of(source), path)
    (tmp_path / "text.h5").write_text("no weights")
    source = find_backbone_source("mobilenetv2", tmp_path / "text.h5", size=96)
    with pytest.raises(WeightsError, match="does not fit"):
        build_network(spec_of(source), tmp_path / "text.h5")


def test_a_file_that_changed_after_its_digest_was_computed_is_refused(tmp_path):
    path = tmp_path / "w.h5"
    path.write_bytes(b"one")
    source = find_backbone_source("mobilenetv2", path, size=96)
    path.write_bytes(b"two")
    with pytest.raises(WeightsError, match="has changed: its SHA-256 differs from the one"):
        build_network(spec_of(source), path)


def test_a_damaged_file_in_the_keras_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = BACKBONES["vgg16"].weights.path(224)
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    source = find_backbone_source("vgg16")
    with pytest.raises(
        WeightsError, match="is damaged: its md5 differs from the one that Keras publishes; delete it and run again"
    ):
        build_network(spec_of(source), path)


def test_random_weights_are_the_same_every_time_and_differ_by_seed():
    features = []
    for spelled in ("random", "random", "random:1"):
        source = find_backbone_source("mobilenetv2", spelled, size=96)
        features.append(run(build_network(spec_of(source), None), some_pixels(96)))
    np.testing.assert_array_equal(features[0], features[1])
    assert np.abs(features[0] - features[2]).max() > 0.01
    assert np.isfinite(features[0]).all()
    assert features[0].std(axis=0).mean() > 1e-4  # activations do not vanish in deep layers


def test_layers_and_pooling():
    source = find_backbone_source("vgg16", "random", size=64)
    pixels = some_pixels(64)
    maps = run(build_network(spec_of(source, pooling="flatten", layer="block3_pool"), None), pixels)
    assert maps.shape == (2, 8 * 8 * 256)
    grid = maps.reshape(2, 8, 8, 256)
    average = run(build_network(spec_of(source, layer="block3_pool"), None), pixels)
    np.testing.assert_allclose(average, grid.mean(axis=(1, 2)), rtol=1e-5)
    largest = run(build_network(spec_of(source, layer="block3_pool", pooling="max"), None), pixels)
    np.testing.assert_array_equal(largest, grid.max(axis=(1, 2)))
    with pytest.raises(BackboneError, match="vgg16 has no layer 'block3_pol'; its 19 layers include block3_pool"):
        build_network(spec_of(source, layer="block3_pol"), None)


def test_a_size_that_the_network_does_not_accept():
    source = find_backbone_source("inceptionv3", "random", size=32)
    with pytest.raises(
        BackboneError, match="InceptionV3 does not accept images of 32 x 32: Input size must be at least 75x75"
    ):
        build_network(spec_of(source), None)


@pytest.fixture
def server():
    """Serve ``server.content`` on loopback at ``server.url``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.server.content)))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(self.server.content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.url = f"http://127.0.0.1:{served.server_address[1]}/w.h5"
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def test_a_download_is_complete_or_absent(tmp_path, capfd, server):
    from featx.backbones.applications import Download, fetch

    path = tmp_path / "models" / "w.h5"
    download = Download("w.h5", server.url, hashlib.md5(b"the weights").hexdigest())
    server.content = b"the weights"
    reported = []
    fetch(download, path, lambda *progress: reported.append(progress))
    assert path.read_bytes() == b"the weights"
    assert (reported[0], reported[-1]) == (("downloading w.h5 (MB)", 0, 1), ("downloading w.h5 (MB)", 1, 1))
    assert [entry.name for entry in path.parent.iterdir()] == ["w.h5"]
    path.unlink()
    server.content = b"something else"
    with pytest.raises(WeightsError, match="could not be downloaded .*Incomplete or corrupted file"):
        fetch(download, path)
    assert list(path.parent.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_server_that_never_answers_does_not_block(tmp_path, monkeypatch):
    from featx.backbones import applications

    monkeypatch.setattr(applications, "_CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(WeightsError) as caught:
        port = silent.getsockname()[1]  # accepts connections and never answers
        applications.fetch(applications.Download("w.h5", f"http://127.0.0.1:{port}/w.h5", ""), tmp_path / "w.h5")
    message = str(caught.value)
    assert "are not on this machine and could not be downloaded (timed out)" in message
    assert "`weights=FILE`" in message
    assert "use the backbone efficientnet-lite0" in message


def test_a_failed_download_is_an_error(monkeypatch, tmp_path):
    from featx.backbones import applications

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    graph = applications.imagenet_architecture

    def unreachable(*arguments):
        model, download = graph(*arguments)
        return model, applications.Download(download.file, "https://127.0.0.1:9/x.h5", download.digest)

    monkeypatch.setattr(applications, "imagenet_architecture", unreachable)
    notices = []
    with pytest.raises(WeightsError, match="could not be downloaded .*or use the backbone efficientnet-lite0"):
        find_backbone_source("mobilenetv2", notice=notices.append)
    assert notices == [
        f"downloading the ImageNet weights of mobilenetv2 to {BACKBONES['mobilenetv2'].weights.path(224)}"
    ]
