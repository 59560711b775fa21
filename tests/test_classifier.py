"""Model files: all content is restored, no code is run, and damaged or inconsistent files are refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_graph, save_image
from sklearn.base import BaseEstimator, ClassifierMixin

from featx.classifier import FeatureClassifier
from featx.errors import ClassifierError, OptionError
from featx.extraction import extract
from featx.fitting import fit
from featx.heads import HEAD_NAMES
from featx.model import Classifier
from featx.prediction import load


class Homemade(ClassifierMixin, BaseEstimator):
    """A classifier of a type that is not known to be safe."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


@pytest.fixture
def table(fake, images):
    return extract(images, "quadrants", runtime=fake.runtime)


def rewrite(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for entry, old in (members | {name: content}).items():
            archive.writestr(entry, content if entry == name else old)


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_all_content_is_restored(fake, table, tmp_path, head):
    model = fit(table, head, runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    loaded = load(tmp_path / "m.featx")
    assert loaded.spec == model.spec
    assert loaded.classes_ == model.classes_
    assert loaded.evaluation.to_dict() == model.evaluation.to_dict()
    assert loaded.versions == model.versions
    assert loaded.out_of_fold.sample_ids == model.out_of_fold.sample_ids
    np.testing.assert_array_equal(loaded.out_of_fold.scores, model.out_of_fold.scores)
    np.testing.assert_array_equal(loaded.content_hashes, model.content_hashes)
    np.testing.assert_array_equal(loaded.probabilities(table.X), model.probabilities(table.X))
    theirs = replace(loaded, dense_head=None).probabilities(table.X)  # by the skops estimator
    np.testing.assert_allclose(loaded.probabilities(table.X), theirs, atol=1e-4)


def test_a_quantized_graph_is_saved_in_the_model(fake, table, tmp_path, monkeypatch):
    graph = np.frombuffer(make_graph(), np.uint8)
    name = hashlib.sha256(graph.tobytes()).hexdigest()[:16]
    quantized = replace(table, spec=replace(table.spec, precision="int8", graph=name), graph=graph)
    fit(quantized, "centroid", runtime=fake.runtime).save(tmp_path / "m.featx")
    asked = {}

    def featurize(paths, spec, **options):
        asked.update(options, spec=spec)

    monkeypatch.setattr("featx.extraction.featurize", featurize)
    Classifier.load(tmp_path / "m.featx").features_of("new")
    assert asked["graph"].tobytes() == graph.tobytes()
    assert asked["spec"] == quantized.spec
    with pytest.raises(ClassifierError, match="the bundled graph is missing or damaged"):
        fit(replace(quantized, graph=graph[1:]), "centroid", runtime=fake.runtime).save(tmp_path / "bad.featx")
    (tmp_path / "array.npy").write_bytes(b"")
    np.save(tmp_path / "array.npy", graph[1:])
    rewrite(tmp_path / "m.featx", "arrays/graph.npy", (tmp_path / "array.npy").read_bytes())
    with pytest.raises(ClassifierError, match="the bundled graph is missing or damaged"):
        Classifier.load(tmp_path / "m.featx")


def test_pairwise_svm_folds_into_matrices(fake, tmp_path):
    from conftest import make_classes

    colours = {"a": (200, 50, 40), "b": (30, 60, 200), "c": (40, 180, 60), "d": (120, 120, 120)}
    table = extract(make_classes(tmp_path / "four", colours, 8), "quadrants", runtime=fake.runtime)
    model = fit(table, "svm", cv=2, runtime=fake.runtime)
    assert model.dense_head.pairwise
    np.testing.assert_allclose(model.scores(table.X), replace(model, dense_head=None).scores(table.X), atol=1e-4)
    noise = np.random.default_rng(0).random((500, 12), np.float32)
    np.testing.assert_allclose(model.scores(noise), replace(model, dense_head=None).scores(noise), atol=1e-3)


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_the_same_features_give_the_same_model(fake, table, head):
    one, two = (fit(table, head, runtime=replace(fake.runtime, workers=workers)) for workers in (1, 3))
    assert replace(one.evaluation, seconds=0.0, made={}) == replace(two.evaluation, seconds=0.0, made={})
    assert one.temperature == two.temperature
    np.testing.assert_array_equal(one.scores(table.X), two.scores(table.X))
    np.testing.assert_array_equal(one.out_of_fold.scores, two.out_of_fold.scores)


def test_a_model_file_contains_no_pickle(fake, table, tmp_path):
    fit(table, runtime=fake.runtime).save(tmp_path / "m.featx")
    with zipfile.ZipFile(tmp_path / "m.featx") as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert not content.startswith(b"\x80"), name
            if name.endswith(".npy"):
                np.load(archive.open(name), allow_pickle=False)


@pytest.mark.parametrize("head", ["logreg", "svm", "mlp"])
def test_predicting_needs_no_scikit_learn(fake, table, tmp_path, head):
    fit(table, head, runtime=fake.runtime).save(tmp_path / "m.featx")
    np.save(tmp_path / "X.npy", table.X)
    script = (
        "import sys, numpy, featx\n"
        "model = featx.load(sys.argv[1]); print(model.probabilities(numpy.load(sys.argv[2])).shape)\n"
        "heavy = {'sklearn', 'scipy', 'tensorflow', 'keras'} & set(sys.modules); assert not heavy, heavy\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "m.featx"), str(tmp_path / "X.npy")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("(24, 2)", "")


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    (tmp_path / "m.featx").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ClassifierError, match="m.featx is not a featx model, or it is damaged"):
        load(tmp_path / "m.featx")
    assert not (tmp_path / "exploded").exists()


def test_an_array_of_objects_is_refused(fake, table, tmp_path):
    path = tmp_path / "m.featx"
    fit(table, runtime=fake.runtime).save(path)
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    rewrite(path, "arrays/weight0.npy", (tmp_path / "o.npy").read_bytes())
    with pytest.raises(ClassifierError, match="damaged: object arrays cannot be loaded"):
        load(path)


def test_unknown_types_are_refused_by_name(fake, table, tmp_path):
    model = fit(table, Homemade(), runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    with pytest.raises(ClassifierError, match=r"types that featx does not load from a file: test_classifier\.Homemade"):
        load(tmp_path / "m.featx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "photographs"}, "is not a featx model"),
        ({"format_version": 3}, "has format 3; this featx reads format 2: update featx"),
        ({"format_version": 1}, "has format 1, which lacks data that reports and rejection need; fit the model again"),
        ({"classes": None}, "the class names are not a list of strings"),
        ({"classes": ["a", "a"]}, "expected two or more different names"),
        ({"temperature": 0}, "the temperature is 0; expected a number from 1e-9 to 1e9"),
        ({"n_dense": 7}, "is damaged: 'weight1' is missing"),
        ({"spec": "{}"}, "the feature spec lacks backbone"),
        ({"evaluation": {}}, "evaluation lacks classes"),
    ],
)
def test_damaged_headers(fake, table, tmp_path, change, message):
    path = tmp_path / "m.featx"
    fit(table, runtime=fake.runtime).save(path)
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("model.json"))
    rewrite(path, "model.json", json.dumps(header | change).encode())
    with pytest.raises(ClassifierError, match=message):
        load(path)


def test_truncated_and_missing_files(fake, table, tmp_path):
    path = tmp_path / "m.featx"
    with pytest.raises(ClassifierError, match="no such model file"):
        load(path)
    with pytest.raises(ClassifierError, match="no such model file"):
        load(path / "below")
    fit(table, runtime=fake.runtime).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ClassifierError, match="not a featx model, or it is damaged"):
        load(path)
    os.truncate(path, 10**11)
    with pytest.raises(ClassifierError, match="is not a featx model, or it is damaged"):
        load(path)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes, devices and links")
def test_paths_that_are_not_regular_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink("circle", tmp_path / "circle")
    for path, reason in (
        (tmp_path / "pipe", "a named pipe, not a file"),
        (tmp_path / "circle", "Too many levels of symbolic links"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "a\0b", "the name contains a character that is not allowed in file names"),
        ("/dev/zero", "a device, not a file"),
        (tmp_path, "a folder, not a file"),
    ):
        with pytest.raises(ClassifierError, match=f"cannot be read: {reason}"):
            load(path)


def test_features_with_another_spec_are_refused(fake, table, images):
    model = fit(table, runtime=fake.runtime)
    other = extract(images, "quadrants", resize="pad", runtime=fake.runtime)
    with pytest.raises(ClassifierError, match='feature spec of the images is .*"resize":"pad".*; the model expects'):
        model.predict(other)


def test_features_that_are_not_reproduced_are_refused(fake, table):
    model = fit(table, runtime=fake.runtime)
    close = replace(model, probes=model.probes * np.float32(1 + 1e-6))
    assert close.predict(table).labels == tuple(table.y)
    far = replace(model, probes=model.probes[:, ::-1])
    with pytest.raises(ClassifierError, match=r"does not reproduce the model's features: .* probe images is -?0\.\d+ "):
        far.predict(table)
    foreign = replace(model, probe_files=dict.fromkeys(model.probe_files, b"other"))
    with pytest.raises(ClassifierError, match="other probe images; fit the model again"):
        foreign.predict(table)


def test_float32_may_replace_bfloat16_if_the_probe_images_agree(fake, table):
    table = replace(table, probes=table.X[: len(table.probes)])  # far from the decision boundary
    rough = replace(table, spec=replace(table.spec, precision="bfloat16"))
    model = fit(rough, "centroid", runtime=fake.runtime)
    grain = np.random.default_rng(0).normal(0, table.probes.std() / 20, table.probes.shape).astype(np.float32)
    model.check(replace(table, probes=table.probes + grain))
    with pytest.raises(ClassifierError, match=r"or for float32 instead of bfloat16, 0\.995 on average and the same"):
        model.check(replace(table, probes=table.probes + 20 * grain))
    with pytest.raises(ClassifierError, match=r"expected 0\.9999"):
        model.check(replace(rough, probes=table.probes + grain))
    with pytest.raises(ClassifierError, match="the feature spec of the images is"):
        fit(table, "centroid", runtime=fake.runtime).check(rough)


def test_float32_may_not_change_a_label(fake, table):
    rough = replace(table, spec=replace(table.spec, precision="bfloat16"))
    blue, red = (table.X[np.array(table.y) == name].mean(axis=0) for name in ("blue", "red"))
    towards = np.linspace(0.501, 0.6, len(table.probes), dtype=np.float32)[:, None]
    near = replace(rough, probes=towards * blue + (1 - towards) * red)
    model = fit(near, "centroid", runtime=fake.runtime)
    nudged = near.probes - np.float32(0.002) * (blue - red)
    with pytest.raises(ClassifierError, match=r"\(1\.0000 on average\); .* and the same labels"):
        model.check(replace(table, probes=nudged))


def test_predict_on_paths_and_what_it_was_fitted_on(fake, table, images, tmp_path):
    model = fit(table, runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    loaded = load(tmp_path / "m.featx")
    (images / "red" / "bad.png").write_bytes(b"")
    found = loaded.predict([images / "red"], runtime=fake.runtime)
    assert set(found.labels) == {"red"}
    assert found.seen.all()
    assert len(found) == 12
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(found.confidence, found.probabilities.max(axis=1))
    plain = found.to_dict()
    assert plain["skipped"] == [{"path": f"{images}/red/bad.png", "reason": "empty file (0 bytes)"}]
    assert set(plain["predictions"][0]["probabilities"]) == {"blue", "red"}
    on_features = FeatureClassifier.load(tmp_path / "m.featx").predict_features(table)  # needs no images
    assert on_features.labels == loaded.predict(table).labels
    assert not hasattr(FeatureClassifier, "predict")


def test_rejected_images_have_no_label(fake, images):
    table = extract(images, "quadrants", runtime=fake.runtime)
    model = fit(table, "knn", runtime=fake.runtime)
    for i in range(3):
        save_image(images.parent / "new" / f"{i}.png", (30, 220, 30), seed=i)
    save_image(images.parent / "new" / "red.png", (200, 50, 40), seed=9)
    found = model.predict(images.parent / "new", reject_rate=0.1, runtime=fake.runtime)
    assert found.rejected.tolist() == [True, True, True, False]
    assert found.labels == ("", "", "", "red")
    assert [one["status"] for one in found.to_dict()["predictions"]] == ["rejected"] * 3 + ["ok"]
    assert not model.predict(table).rejected.any()
    with pytest.raises(OptionError, match="`reject_rate=2`: expected a number above 0 and below 1"):
        model.predict(table, reject_rate=2)


def test_large_weights_are_in_a_file_once(fake, table, tmp_path, monkeypatch):
    """Large weights, such as dense layers on flattened maps, are stored only once, without the state of training."""
    from featx.classifier import classifier

    model = fit(table, "mlp", hidden=[20_000], cv=2, runtime=fake.runtime)
    monkeypatch.setattr(classifier, "_MOST_DENSE_BYTES", 10_000)
    model.save(tmp_path / "m.featx")
    mlp = model.estimator()[-1]
    n_bytes = sum(array.nbytes for array in (*mlp.coefs_, *mlp.intercepts_))
    with zipfile.ZipFile(tmp_path / "m.featx") as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    assert n_bytes < sizes["estimator.skops"] < 1.3 * n_bytes
    assert not [name for name in sizes if name.startswith("arrays/weight")]
    loaded = load(tmp_path / "m.featx")
    assert loaded.dense_head is None
    np.testing.assert_allclose(loaded.probabilities(table.X), model.probabilities(table.X), atol=1e-3)
