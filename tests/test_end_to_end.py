"""End to end: real weights, real images and real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import stored_bytes

ROOT = Path(__file__).parent.parent


def featx(*words: object, cwd: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a new process."""
    command = [sys.executable, "-m", "featx", *map(str, words)]
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo once, outside the repository and without network access."""
    folder = tmp_path_factory.mktemp("demo")
    done = featx("demo", "--json", cwd=folder, https_proxy="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9")
    return folder, done


def test_the_demo_runs_offline_and_lists_its_outputs(demo):
    folder, done = demo
    result = json.loads(done.stdout)
    for name in ("data", "new", "cache", "model", "scores"):
        assert (folder / result[name]).exists(), name
    assert result["extract"]["n_images"] == 300
    assert result["fit"]["cv"]["accuracy"]["mean"] > 0.85
    assert result["predict"]["n_predicted"] == 50
    assert (folder / result["scores"]).read_text().count("\n") == 51


def test_the_readme_shows_the_accuracy_of_the_demo(demo):
    accuracy = json.loads(demo[1].stdout)["fit"]["cv"]["accuracy"]["mean"]
    shown = re.search(r"accuracy +(\d\.\d+)  ?\(", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert abs(float(shown[1]) - accuracy) < 0.015  # rounding, and thus tuning, may differ between CPUs


def test_libraries_print_nothing_on_the_terminal(demo):
    stderr = demo[1].stderr
    assert not re.search(r"oneDNN|cuda|absl|WARNING|I0000|tensorflow/", stderr), stderr


@pytest.mark.parametrize(("cache", "n_computed"), [("featx-demo/cache", 0), ("fresh", 300)])
def test_the_default_backbone_imports_neither_tensorflow_nor_scikit_learn(demo, cache, n_computed):
    """This holds for the first run and for a second run, which computes nothing."""
    folder, _ = demo
    script = (
        f"import sys; sys.argv = ['featx', 'extract', 'featx-demo/data', '--cache', {cache!r}, '--json']\n"
        "from featx.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        "assert not {'tensorflow', 'keras', 'sklearn'} & set(sys.modules)\n"
        f"assert ('openvino' in sys.modules) == bool({n_computed})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["n_computed"], result["n_cached"]) == (n_computed, 300 - n_computed)


@pytest.mark.parametrize(
    ("words", "absent", "present"),
    [
        (["fit", "--head", "centroid", "-o", "lean.featx"], {"tensorflow", "keras", "openvino"}, set()),
        (["predict", "MODEL", "featx-demo/new"], {"tensorflow", "keras", "openvino"}, set()),
        (["predict", "MODEL", "featx-demo/new", "--cache", "none"], {"tensorflow", "keras"}, {"openvino"}),
    ],
)
def test_fit_and_predict_import_no_network_library_without_need(demo, words, absent, present):
    """Predicting new images does not import TensorFlow; predicting from cached features also needs no OpenVINO."""
    folder, done = demo
    words = [json.loads(done.stdout)["model"] if word == "MODEL" else word for word in words]
    script = (
        f"import sys; sys.argv = ['featx', *{words!r}, '--json']\n"
        "from featx.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        f"assert not {absent!r} & set(sys.modules), {absent!r} & set(sys.modules)\n"
        f"assert {present!r} <= set(sys.modules)\n"
    )
    cache = os.environ | {"FEATX_CACHE": json.loads(done.stdout)["cache"]}
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=cache, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)


def test_real_features_do_not_depend_on_order_batches_or_workers(demo, tmp_path):
    """Other names and thus another order, batch size and number of workers give the same store."""
    folder, done = demo
    first = json.loads(done.stdout)["extract"]["store"]
    images = sorted((folder / "featx-demo" / "data").rglob("*.png"))
    names = [f"{i:03}.png" for i in range(len(images))]
    (tmp_path / "data").mkdir()
    for path, name in zip(images, reversed(names), strict=True):
        shutil.copy(path, tmp_path / "data" / name)
    result = json.loads(featx("extract", "data", "--batch-size", 7, "--workers", 5, "--json", cwd=tmp_path).stdout)
    assert result["n_computed"] == 300
    # The demo's store also has the 50 new images; extracting them too must give the same rows.
    featx("extract", folder / "featx-demo" / "new", cwd=tmp_path)
    assert stored_bytes(tmp_path / result["store"]) == stored_bytes(folder / first)


def test_resnet50_without_network_is_a_clear_error(demo, tmp_path):
    folder, _ = demo
    done = featx(
        "extract", folder / "featx-demo" / "data", "--backbone", "resnet50", cwd=tmp_path, code=1,
        KERAS_HOME=str(tmp_path / "keras"), https_proxy="http://127.0.0.1:9",
    )  # fmt: skip
    assert "error: the ImageNet weights resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5 are not on" in done.stderr
    assert "--weights FILE" in done.stderr
    assert "use the backbone efficientnet-lite0" in done.stderr
    assert not list(tmp_path.glob("cache/features/*/*.h5"))


def test_resnet50_with_a_weights_file_from_extract_to_predict(demo, tmp_path, keras_start):
    from featx.backbones.applications import imagenet_architecture

    folder, _ = demo
    imagenet_architecture("resnet.ResNet50", 64)[0].save_weights(tmp_path / "mine.weights.h5")
    for name in "012":
        shutil.copytree(folder / "featx-demo" / "data" / name, tmp_path / "data" / name)
    options = ("--backbone", "resnet50", "--weights", "mine.weights.h5", "--size", 64)
    result = json.loads(featx("extract", "data", *options, "--json", cwd=tmp_path).stdout)
    assert (result["n_computed"], result["n_features"]) == (90, 2048)
    assert result["backbone"] == "resnet50 (weights mine.weights.h5)"
    model = json.loads(featx("fit", "--head", "centroid", "--json", cwd=tmp_path).stdout)["model"]
    assert model == "data-resnet50-centroid.featx"
    new = folder / "featx-demo" / "new"
    refused = featx(
        "predict", model, new, "--cache", "other", cwd=tmp_path, code=1,
        KERAS_HOME=str(tmp_path), https_proxy="http://127.0.0.1:9",
    )  # fmt: skip
    assert "error: " in refused.stderr
    predicted = json.loads(featx("predict", model, new, "--weights", "mine.weights.h5", "--json", cwd=tmp_path).stdout)
    assert predicted["n_predicted"] == 50


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stopped_extraction_continues(demo, tmp_path, name):
    folder, _ = demo
    many = tmp_path / "data"
    many.mkdir()
    for path in (folder / "featx-demo" / "data").rglob("*.png"):
        for number in range(4):  # different bytes, the same image
            (many / f"{number}-{path.name}").write_bytes(path.read_bytes() + bytes([number]))
    command = [sys.executable, "-m", "featx", "extract", "data", "--batch-size", "8"]
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process that is started in the background ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        journals = list(tmp_path.glob("cache/features/*/journal"))
        if journals and journals[0].stat().st_size > 300_000:
            break
        time.sleep(0.05)
    running.send_signal(getattr(signal, name))
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "stopped; results so far are kept: run the same command to continue" in stderr
    assert "Traceback" not in stderr
    result = json.loads(featx("extract", "data", "--json", cwd=tmp_path).stdout)
    assert result["n_images"] == 1200
    assert 0 < result["n_computed"] < 1200


def test_photographs(tmp_path):
    """Cats and dogs, if the images are available: the required accuracy is reached."""
    data = os.environ.get("FEATX_TEST_DATA")
    if not data or not (Path(data) / "cats-dogs").is_dir():
        pytest.skip("FEATX_TEST_DATA does not name a folder that contains cats-dogs")
    featx("extract", Path(data) / "cats-dogs", cwd=tmp_path)
    for head in ("logreg", "svm", "mlp"):
        result = json.loads(featx("fit", "--head", head, "--json", cwd=tmp_path).stdout)
        assert result["cv"]["accuracy"]["mean"] >= 0.985, head
