"""Every public function, called in each way that its signature allows: with paths as str or Path, or with objects."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import featx

PATHS = (str, Path)


@pytest.fixture
def model(fake, images, tmp_path):
    """Return a model in memory, which is also saved as ``m.featx``."""
    made = featx.fit(featx.extract(images, "quadrants", runtime=fake.runtime), "centroid", runtime=fake.runtime)
    made.save(tmp_path / "m.featx")
    return made


@pytest.mark.parametrize("kind", PATHS)
def test_data_is_a_path(fake, images, tmp_path, kind):
    how = {"runtime": fake.runtime}
    table = featx.extract(kind(images), "quadrants", **how)
    assert featx.inspect(kind(images), **how).n_images == len(table) == 24
    assert featx.fit(kind(images), "centroid", backbone="quadrants", **how).classes_ == ("blue", "red")
    found = featx.compare(kind(images), ["quadrants"], ["centroid", "knn"], cv=2, **how)
    assert len(found.rows) == 2
    assert len(featx.latest(fake.runtime)) == 24
    featx.export_features(kind(tmp_path / "t.npz"), kind(images), **how)
    featx.export_features(kind(tmp_path / "last.npz"), **how)
    assert (tmp_path / "t.npz").stat().st_size == (tmp_path / "last.npz").stat().st_size
    assert featx.make_sample(kind(tmp_path / "sample")).is_dir()
    merge = featx.merge_caches([kind(fake.runtime.cache)], runtime=featx.Runtime(cache=tmp_path / "merged"))
    assert merge.stores[0].n_added == 24


@pytest.mark.parametrize("kind", PATHS)
def test_fine_tuning_takes_a_path(fake, images, kind):
    with pytest.raises(featx.FeatxError, match="`epochs=0`: expected 1 or more"):
        featx.finetune(kind(images), epochs=0, runtime=fake.runtime)


@pytest.mark.parametrize("how", [*PATHS, None, "loaded", "bare"])
def test_a_model_is_a_path_or_an_object(fake, model, images, tmp_path, how):
    file = tmp_path / "m.featx"
    given = {None: model, "loaded": featx.load(file), "bare": featx.Classifier.load(file)}.get(how) or how(file)
    for paths in (images, str(images), [images / "red", str(images / "blue")]):
        found = featx.predict(given, paths, runtime=fake.runtime)
        assert (found.n_predicted, found.n_seen) == (24, 24)
    files = {"html": tmp_path / "r.html", "suspects": str(tmp_path / "s.csv")}
    report = featx.report(given, on=images, **files, runtime=fake.runtime)
    assert report.to_dict()["on"]["n_seen"] == 24
    assert report.to_dict()["images"]["n_missing"] == 0
    assert featx.report(given, html=str(tmp_path / "t.html"), data=str(images)).to_dict()["images"]["n"] == 24


@pytest.mark.parametrize("kind", PATHS)
def test_predict_writes_to_a_path(fake, model, images, tmp_path, kind):
    files = {"gallery": kind(tmp_path / "g.html"), "sort_into": kind(tmp_path / "sorted")}
    featx.predict(model, images, kind(tmp_path / "s.csv"), **files, runtime=fake.runtime)
    assert (tmp_path / "s.csv").exists()
    model.save(kind(tmp_path / "again.featx"))
    assert featx.load(kind(tmp_path / "again.featx")).classes_ == model.classes_


def test_a_model_predicts_features_and_paths(fake, model, images):
    table = featx.latest(fake.runtime)
    for given in (table, images, str(images), [images]):
        how = {} if given is table else {"runtime": fake.runtime}
        assert len(model.predict(given, **how)) == 24


def test_the_cache_functions_use_the_cache_of_the_runtime(fake, model):
    for function in (featx.list_cache, featx.verify_cache, featx.clean_cache):
        assert function(runtime=fake.runtime).to_dict()


def test_every_public_function_is_called_here_or_has_its_own_tests():
    functions = {name for name in featx.__all__ if inspect.isfunction(getattr(featx, name))}
    here = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in functions if f"featx.{name}" not in here} == {"capture", "list_backbones"}


def test_representations_are_short(fake, model, images):
    table = featx.latest(fake.runtime)
    assert repr(table) == "FeatureTable(set: 24 images, 2 classes, 12 features of quadrants)"
    assert re.fullmatch(r"Classifier\(quadrants.*, centroid, 2 classes: accuracy 1.000 .*\)", repr(model))
    assert repr(model.predict(table)) == "Predictions(24 images: blue 12, red 12)"
    assert len(repr(featx.predict(model, images, runtime=fake.runtime))) < 600
