"""The HTML page of a report: complete, safe with hostile names, and working in a browser."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import axe_violations, make_classes, save_image
from typer.testing import CliRunner

from featx.cli.app import app
from featx.errors import ClassifierError, DatasetError, DatasetNotFoundError, OutputError
from featx.evaluation import ByClass, FinetuneComparison, FinetuneEvaluation, Interval, ModelEvaluation
from featx.extraction import extract
from featx.fitting import fit
from featx.prediction import load
from featx.reports import report
from featx.reports.images import TrainingImages
from featx.reports.page_images import pca_map

HOSTILE = "</script><script>document.title='taken over'</script><img src=x onerror=\"document.title='taken over'\">"


def overlapping(folder: Path, n: int = 60) -> Path:
    """Write a folder of two classes that overlap."""
    rng = np.random.default_rng(0)
    for i in range(n):
        grey = int(np.clip(rng.normal(100 + 35 * (i % 2), 22), 0, 255))
        save_image(folder / "ab"[i % 2] / f"{i:03}.png", (grey, grey, 255 - grey), seed=i)
    return folder


@pytest.fixture
def data(tmp_path):
    return overlapping(tmp_path / "set")


@pytest.fixture
def model(fake, data):
    return fit(extract(data, "quadrants", runtime=fake.runtime), runtime=fake.runtime)


def content(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.S)
    return json.loads(found[1])


@pytest.fixture
def page(fake, model, data, tmp_path):
    """Return the page of the two classes."""
    report(model, html=tmp_path / "page.html", data=data, runtime=fake.runtime)
    return tmp_path / "page.html"


def test_page_and_summary_agree(fake, model, data, tmp_path):
    summary = report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime).to_dict()
    page = tmp_path / "r.html"
    text = page.read_text("utf-8")
    cv = summary["cv"]
    assert f'<p class="headline">{cv["accuracy"]["mean"]:.3f}' in text
    assert f"interval {cv['accuracy']['low']:.3f} to {cv['accuracy']['high']:.3f}" in text
    for heading in (
        "Results",
        "Classes",
        "Confusions",
        "Images",
        "Would more images help?",
        "Map of the features",
        "How the model was fitted",
    ):
        assert f">{heading}</h2>" in text
    held = content(page)
    assert len(held["images"]) == len(held["map"]) == 60
    probabilities = model.out_of_fold_probabilities()
    for number, one in held["images"].items():
        assert one["predicted"] == probabilities[int(number)].argmax()
        assert one["confidence"] == round(probabilities[int(number)].max(), 3)
    assert all(one["thumb"] for one in held["images"].values())
    views = {view["id"]: view for view in held["views"]}
    cells = {f"cell-{i}-{j}": n for i, row in enumerate(cv["confusion"]) for j, n in enumerate(row) if n}
    assert {name: view["n"] for name, view in views.items() if name.startswith("cell")} == cells
    assert views["mistakes"]["n"] == sum(n for name, n in cells.items() if name in ("cell-0-1", "cell-1-0")) > 0
    mistakes = [held["images"][str(i)] for i in views["mistakes"]["images"]]
    assert all(one["predicted"] != one["label"] for one in mistakes)
    assert [one["confidence"] for one in mistakes] == sorted((one["confidence"] for one in mistakes), reverse=True)
    assert views["suspects"]["n"] == summary["n_suspects"] == len(mistakes)
    assert views["rejected"]["n"] == model.rejector.outliers(0.05).sum() >= 3
    assert [held["images"][str(i)]["path"] for i in views["suspects"]["images"]][:20] == [
        one["path"] for one in summary["suspects"]
    ]


def test_the_page_needs_no_network(fake, model, data, tmp_path):
    report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]', text)
    assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}


COUNT = "document.querySelectorAll({!r}).length"
FOCUS = "document.activeElement.{}"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("<script>console.log('a message')</script>", "a message"),
        ("<script>throw new Error('an error')</script>", "an error"),
        ("<img src=nothing.png>", "Failed to load resource"),
        ("<link rel=stylesheet href=http://host.invalid/a.css>", "Failed to load resource"),
        (
            "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"><script>1</script>",
            "script-src 'none'",
        ),
    ],
)
def test_faults_of_a_page_are_detected(tmp_path, pages, fault, complaint):
    """The tests below rely on an empty list of complaints for a page without faults."""
    (tmp_path / "p.html").write_text(f"<!doctype html><html><head><title>p</title>{fault}</head></html>")
    page = pages.open((tmp_path / "p.html").as_uri())
    assert [one for one in pages.complaints if complaint in one]
    assert (len(pages.requests) > 1) is complaint.startswith("Failed to load")
    assert "html-has-lang" in axe_violations(page)[0]


@pytest.mark.integration
def test_views_open_in_a_browser(page, pages):
    views = {view["id"]: view for view in content(page)["views"]}
    for part in ("", "#cell-0-1", "#suspects", "#nonsense", "#%"):
        opened = pages.open(page.as_uri() + part)
        view = views.get(part[1:], views["mistakes"])
        assert opened.evaluate("document.getElementById('view-title').textContent") == view["title"]
        assert opened.evaluate(COUNT.format("#gallery figure")) == view["n"]
        assert opened.evaluate("[...document.querySelectorAll('#gallery img')].every((one) => one.naturalWidth > 0)")
        assert opened.evaluate(COUNT.format("#gallery img")) == view["n"]
        assert (
            opened.evaluate("document.querySelector('button[data-view][aria-pressed=true]').dataset.view") == view["id"]
        )
        assert opened.evaluate(COUNT.format("#map circle")) == 60
        assert pages.complaints == []
        assert {address.partition("#")[0] for address in pages.requests} == {page.as_uri()}


@pytest.mark.integration
def test_the_images_of_a_cell_open_and_close_with_the_keyboard_alone(page, pages):
    opened = pages.open(page.as_uri())
    while opened.evaluate(FOCUS.format("getAttribute('aria-label')")) != "Confusion matrix":
        opened.keyboard.press("Tab")
    opened.keyboard.press("Tab")
    assert opened.evaluate(FOCUS.format("dataset.view")) == "cell-0-0"
    assert opened.evaluate(COUNT.format(".matrix button[tabindex='0']")) == 1
    assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key in ("ArrowLeft", "ArrowRight", "ArrowDown", "ArrowLeft"):
        opened.keyboard.press(key)
    assert opened.evaluate(FOCUS.format("dataset.view")) == "cell-1-0"
    opened.keyboard.press("Enter")
    view = next(view for view in content(page)["views"] if view["id"] == "cell-1-0")
    assert opened.evaluate(COUNT.format("#gallery figure")) == view["n"]
    assert opened.evaluate(FOCUS.format("textContent")).startswith("b predicted as a")
    assert 0 <= opened.evaluate(FOCUS.format("getBoundingClientRect().top")) < 900
    opened.keyboard.press("Tab")
    assert opened.evaluate(FOCUS.format("id")) == "back"
    opened.keyboard.press("Enter")
    assert opened.evaluate(FOCUS.format("dataset.view")) == "cell-1-0"
    opened.keyboard.press("Tab")  # leaves the matrix
    assert opened.evaluate(FOCUS.format("dataset.view")) == "mistakes"


@pytest.mark.integration
def test_the_map_works_with_arrow_keys_and_with_a_pointer(page, pages):
    opened = pages.open(page.as_uri())
    opened.evaluate("document.getElementById('map').focus()")
    seen = set()
    for _ in range(3):
        opened.keyboard.press("ArrowRight")
        seen.add(opened.evaluate("document.querySelector('#map-image small').textContent"))
    assert len(seen) == 3
    assert seen <= {one["path"] for one in content(page)["images"].values()}
    opened.evaluate("document.querySelectorAll('#legend button')[1].click()")
    assert opened.evaluate(COUNT.format("#map circle.faded")) == 30
    opened.evaluate("document.getElementById('by-error').click()")
    red = "[...document.querySelectorAll('#map circle')].filter((one) => one.style.fill === 'var(--bad)').length"
    assert opened.evaluate(red) == next(view["n"] for view in content(page)["views"] if view["id"] == "mistakes")
    opened.evaluate("document.getElementById('map').scrollIntoView()")
    box = opened.evaluate(
        "(({x, y}) => [x, y])(document.querySelector('#map circle:not(.faded)').getBoundingClientRect())"
    )
    opened.mouse.move(box[0] + 3, box[1] + 3)
    assert opened.evaluate("document.querySelector('#map-image b').textContent") == "b"


@pytest.mark.integration
def test_the_page_adapts_to_narrow_screens_dark_mode_and_print(page, pages, tmp_path):
    opened = pages.open(page.as_uri(), width=400, dark=True)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert pages.open(page.as_uri()).evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    opened = pages.open(page.as_uri(), dark=True)
    opened.emulate_media(media="print")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    opened.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.integration
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_reports_no_violations(page, pages, width, dark):
    assert axe_violations(pages.open(page.as_uri(), width=width, dark=dark)) == []


@pytest.mark.integration
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_axe_reports_no_violations_with_new_images(fake, model, tmp_path, pages, width, dark):
    for i in range(40):
        save_image(tmp_path / "new" / "ab"[i % 2] / f"{i:03}.png", (135 - 35 * (i % 2),) * 3, seed=1000 + i)
    model.save(tmp_path / "m.featx")
    shown = report(load(tmp_path / "m.featx"), on=tmp_path / "new", html=tmp_path / "r.html", runtime=fake.runtime)
    assert shown.to_dict()["contradictions"]
    opened = pages.open((tmp_path / "r.html").as_uri(), width=width, dark=dark)
    assert axe_violations(opened) == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.evaluate("document.querySelector('.headline').textContent").split()[0] == "0.000"


@pytest.mark.integration
def test_long_views_are_shown_in_parts(fake, tmp_path, pages):
    data = overlapping(tmp_path / "set", 160)
    model = fit(extract(data, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    n = next(view["n"] for view in content(tmp_path / "r.html")["views"] if view["id"] == "cell-0-0")
    assert 60 < n < 120
    opened = pages.open((tmp_path / "r.html").as_uri() + "#cell-0-0")
    assert opened.evaluate(COUNT.format("#gallery figure")) == 60
    assert opened.evaluate("document.getElementById('more').textContent") == f"show {n - 60} more"
    opened.evaluate("document.getElementById('more').focus()")
    opened.keyboard.press("Enter")
    assert opened.evaluate(COUNT.format("#gallery figure")) == n
    assert opened.evaluate("[...document.getElementById('gallery').children].indexOf(document.activeElement)") == 60
    assert opened.evaluate("document.getElementById('more').hidden")


@pytest.fixture
def many_classes(fake, tmp_path):
    """Return the page of 42 classes, which look the same in pairs, and its summary."""
    colours = {f"class {i:02}": (6 * (i // 2), 255 - 6 * (i // 2), 90) for i in range(42)}
    data = make_classes(tmp_path / "set", colours, 6)
    model = fit(extract(data, "quadrants", runtime=fake.runtime), head="centroid", runtime=fake.runtime)
    page = tmp_path / "many.html"
    return page, report(model, html=page, data=data, runtime=fake.runtime).to_dict()


def confusions(page: Path) -> list[dict]:
    return [view for view in content(page)["views"] if view["id"].startswith("cell")]


def test_many_classes_have_a_list_of_confusions(many_classes):
    page, summary = many_classes
    confusion = np.array(summary["cv"]["confusion"])
    wrong = confusion * (1 - np.eye(42, dtype=int))
    assert [view["n"] for view in confusions(page)] == sorted(wrong[wrong > 0].tolist(), reverse=True)[:100]


@pytest.mark.integration
def test_the_list_of_confusions_opens_their_images(many_classes, pages):
    page, _ = many_classes
    views = confusions(page)
    opened = pages.open(page.as_uri())
    assert opened.evaluate(COUNT.format(".confusions button")) == len(views)
    assert opened.evaluate(COUNT.format(".matrix")) == 0
    opened.evaluate("document.querySelector('.confusions button').click()")
    assert opened.evaluate("document.getElementById('view-title').textContent") == views[0]["title"]
    assert opened.evaluate(COUNT.format("#gallery figure")) == views[0]["n"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= 1280
    assert pages.complaints == []


@pytest.fixture
def hostile_page(fake, tmp_path):
    """Return the page of two classes whose names contain HTML, template syntax and control characters."""
    data = overlapping(tmp_path / "set", 40)
    rows = [f'a/{i:03}.png,"{label}"' for i in range(0, 40, 2) for label in [HOSTILE.replace('"', '""')]]
    rows += [f"b/{i:03}.png,b{{{{7*7}}}}\u202e{'long ' * 60}" for i in range(1, 40, 2)]
    (data / "list.csv").write_text("\n".join(["path,label", *rows]))
    model = fit(extract(data / "list.csv", "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    report(model, html=tmp_path / "hostile.html", data=data / "list.csv", runtime=fake.runtime)
    return tmp_path / "hostile.html"


def test_hostile_names_are_written_as_text(hostile_page):
    text = hostile_page.read_text("utf-8")
    assert text.count("<script") == 2
    assert r"b{{7*7}}\u202elong long" in text
    assert "\u202e" not in text


@pytest.mark.integration
def test_hostile_names_are_only_text_in_a_browser(hostile_page, pages):
    opened = pages.open(hostile_page.as_uri() + "#cell-0-0", width=400)
    assert pages.complaints == []
    assert opened.evaluate("document.title").startswith("featx report")
    assert opened.evaluate(COUNT.format("img:not([src^='data:image/jpeg;base64,'])")) == 0
    assert opened.evaluate("document.querySelector('#gallery b').textContent") == HOSTILE
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400


def test_images_that_changed_or_vanished_are_not_shown(fake, model, data, tmp_path):
    (data / "a" / "000.png").unlink()
    save_image(data / "b" / "001.png", (9, 9, 9))
    found = report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    held = content(tmp_path / "r.html")
    assert sorted(one["path"] for one in held["images"].values() if not one["thumb"]) == ["a/000.png", "b/001.png"]
    assert len(held["map"]) == 58
    assert found.to_dict()["images"] == {"data": str(data), "n": 60, "n_missing": 2}
    warning = f"2 of the 60 images of the page are missing or have changed (in {data}); state their location with"
    assert f"warning    {warning} --data FOLDER" in str(found)
    assert "2 of the 60 images of this page were not found in " in (tmp_path / "r.html").read_text("utf-8")


def test_the_model_knows_its_data(fake, model, data, tmp_path):
    """The folder is independent of the last extraction and of how the model is loaded; a missing folder is reported."""
    model.save(tmp_path / "m.featx")
    extract(
        make_classes(tmp_path / "else", {"red": (200, 50, 40), "blue": (30, 60, 200)}, 4),
        "quadrants",
        runtime=fake.runtime,
    )
    for known in (model, tmp_path / "m.featx", str(tmp_path / "m.featx"), load(tmp_path / "m.featx")):
        found = report(known, html=tmp_path / "r.html", overwrite=True, runtime=fake.runtime)
        assert found.to_dict()["images"] == {"data": str(data.resolve()), "n": 60, "n_missing": 0}
        assert "warning" not in str(found)
    data.rename(tmp_path / "moved")
    without = report(tmp_path / "m.featx", html=tmp_path / "r.html", overwrite=True, runtime=fake.runtime)
    assert without.to_dict()["images"] == {"data": None, "n": 60, "n_missing": 60}
    reason = f"(the folder {data} no longer exists)"
    assert f"60 of the 60 images of the page are missing or have changed {reason}" in str(without)
    there = report(tmp_path / "m.featx", html=tmp_path / "s.html", data=tmp_path / "moved", runtime=fake.runtime)
    assert there.to_dict()["images"]["n_missing"] == 0
    assert report(model).to_dict()["images"] is None


@pytest.mark.parametrize("root", ["", "set", "//server/share", "\\\\server\\share", "/nowhere/\0", 7])
def test_no_network_path_or_relative_path_is_accessed(fake, model, tmp_path, root, monkeypatch):
    looked: list[str] = []
    real = os.path.isdir
    monkeypatch.setattr("os.path.isdir", lambda path: looked.append(str(path)) or real(path))
    made = replace(model, evaluation=replace(model.evaluation, made=dict(model.evaluation.made) | {"data": root}))
    assert report(made, html=tmp_path / "r.html", runtime=fake.runtime).to_dict()["images"]["n_missing"] == 60
    assert not any("server" in path for path in looked)


def finetuned(evaluation, comparison: FinetuneComparison, by_class: ByClass) -> FinetuneEvaluation:
    """Return an evaluation of a fine-tuned model on the same images."""
    shared = {one.name: getattr(evaluation, one.name) for one in fields(ModelEvaluation)}
    return FinetuneEvaluation(**shared, comparison=comparison, by_class=by_class)


def test_a_held_out_part_has_classes_confusions_and_images(fake, model, data, tmp_path):
    """A fine-tuned model has predictions of held-out images instead of a cross-validation."""
    known, cv = model.out_of_fold, model.evaluation.cv
    comparison = FinetuneComparison("finetuned", None, cv.accuracy, None, 60, False, "all", {"best": 0, "epochs": []})
    by_class = ByClass(cv.per_class, cv.confusion)
    hashes = {row.tobytes(): i for i, row in enumerate(model.content_hashes)}
    held_out = np.stack(
        [model.content_hashes[hashes[hashlib.sha256((data / one).read_bytes()).digest()]] for one in known.sample_ids]
    )
    tuned = replace(
        model,
        evaluation=finetuned(model.evaluation, comparison, by_class),
        out_of_fold=replace(known, fold=np.zeros_like(known.fold), content_hashes=held_out),
        content_hashes=np.zeros((1, 32), np.uint8),
        rejector=replace(model.rejector, novelties=np.ones(70), confidences=np.ones(70)),
    )
    tuned.save(tmp_path / "m.featx")
    found = report(tmp_path / "m.featx", html=tmp_path / "r.html", runtime=fake.runtime)
    assert "on 60 held-out images:" in str(found)
    assert "class  precision  recall" in str(found)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "On 60 held-out images." in text
    views = {view["id"]: view for view in content(tmp_path / "r.html")["views"]}
    assert views["mistakes"]["n"] == cv.confusion[0][1] + cv.confusion[1][0] > 0
    assert views["rejected"]["n"] == 0
    assert all(one["thumb"] for one in content(tmp_path / "r.html")["images"].values())
    without = replace(tuned, out_of_fold=None)
    report(without, html=tmp_path / "s.html", runtime=fake.runtime)
    text = (tmp_path / "s.html").read_text("utf-8")
    assert f"<td>{cv.confusion[0][0]}</td>" in text
    assert 'data-view="' not in text.split("</style>")[1].split("<script")[0]


@pytest.mark.skipif(os.name == "nt", reason="devices as POSIX has them")
def test_sample_ids_outside_the_data_set_open_no_file(fake, model, data, tmp_path):
    outside = tmp_path / "outside.png"
    inside = model.out_of_fold.sample_ids[0]
    shutil.copy(data / inside, outside)  # the same content as an image of the data set
    ids = [inside, str(outside), "../outside.png", "a/../../outside.png", "/dev/zero", "a\0b", "\ud800", "", "."]
    thumbnails, features = TrainingImages(model, data, fake.runtime).draw(ids)
    assert [thumbnail is not None for thumbnail in thumbnails] == [True] + [False] * 8
    assert np.isfinite(features).all(axis=1).tolist() == [True] + [False] * 8
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetError, match="pipe is neither a folder nor a manifest"):
        TrainingImages(model, tmp_path / "pipe", fake.runtime)


def test_without_data_there_are_no_images_and_without_cache_no_map(fake, model, data, tmp_path):
    elsewhere = replace(model, evaluation=replace(model.evaluation, made={}))
    report(elsewhere, html=tmp_path / "r.html")
    assert not any(one["thumb"] for one in content(tmp_path / "r.html")["images"].values())
    shutil.rmtree(fake.runtime.cache)
    report(model, html=tmp_path / "s.html", data=data, runtime=fake.runtime)
    held = content(tmp_path / "s.html")
    assert held["map"] == []
    assert all(one["thumb"] for one in held["images"].values())


def test_at_most_2000_images_are_drawn_and_every_view_has_some(fake, model, data, tmp_path, monkeypatch):
    monkeypatch.setattr("featx.reports.page_images._MOST_IMAGES", 10)
    report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    held = content(tmp_path / "r.html")
    assert len(held["images"]) == 10
    assert all(view["images"] for view in held["views"] if view["n"])


def test_the_page_states_the_provenance_of_the_model(fake, model, data, tmp_path):
    model.save(tmp_path / "m.featx")
    summary = report(tmp_path / "m.featx", html=tmp_path / "r.html", data=data, runtime=fake.runtime).to_dict()
    text = (tmp_path / "r.html").read_text("utf-8")
    file = (tmp_path / "m.featx").read_bytes()
    hashes = sorted(hashlib.sha256(path.read_bytes()).digest() for path in data.rglob("*.png"))
    assert summary["file"]["sha256"] == hashlib.sha256(file).hexdigest()
    assert summary["file"]["n_bytes"] == len(file)
    assert summary["contents"] == {"n": 60, "sha256": hashlib.sha256(b"".join(hashes)).hexdigest()}
    assert summary["feature_spec"]["id"] == model.spec.id
    assert {"weights", "decode", "preprocess", "engine", "precision"} <= set(summary["feature_spec"])
    expected = [summary["file"]["sha256"], summary["contents"]["sha256"], model.spec.id, model.spec.weights, str(data)]
    expected += [f"{name} {version}" for name, version in model.versions.items()]
    expected += [summary["made"]["date"], "seed 0", "probabilities calibrated on: out of fold", "the final head 1"]
    assert [part for part in expected if part not in text] == []
    (tmp_path / "m.featx").unlink()
    assert report(replace(model, file=str(tmp_path / "m.featx"))).to_dict()["file"] is None
    assert report(model).to_dict()["file"] is None


def test_the_accuracy_on_other_images_is_on_the_page(fake, model, data, tmp_path):
    model.save(tmp_path / "m.featx")
    other = overlapping(tmp_path / "other", 20)
    found = report(load(tmp_path / "m.featx"), on=other, html=tmp_path / "r.html", runtime=fake.runtime)
    n = found.to_dict()["on"]["n_as_given"]
    assert n == 20
    line = next(line for line in str(found).splitlines() if line.startswith("on "))
    text = (tmp_path / "r.html").read_text("utf-8")
    assert f"<dt>on</dt><dd>{other}: " in text
    assert re.split(" {3,}", line)[-1] in text


@pytest.fixture
def finetuned_page(fake, model, data, tmp_path):
    """Return the page of a fine-tuned model with two epochs."""
    epochs = [
        {
            "number": 0,
            "learning_rate": 0.0,
            "loss": None,
            "accuracy": None,
            "val_loss": 0.7,
            "val_accuracy": 0.6,
            "seconds": 1.0,
        },
        {
            "number": 1,
            "learning_rate": 1e-3,
            "loss": 0.6,
            "accuracy": 0.7,
            "val_loss": 0.5,
            "val_accuracy": 0.8,
            "seconds": 2.0,
        },
        {
            "number": 2,
            "learning_rate": 1e-5,
            "loss": 0.2,
            "accuracy": 0.9,
            "val_loss": 0.6,
            "val_accuracy": 0.7,
            "seconds": 2.0,
        },
    ]
    comparison = FinetuneComparison(
        kept="finetuned",
        frozen=Interval(0.7, 0.6, 0.8),
        finetuned=Interval(0.85, 0.75, 0.92),
        difference=Interval(0.15, 0.05, 0.25),
        n=41,
        is_own_test=False,
        unfrozen="the last 2 blocks",
        history={"best": 1, "epochs": epochs},
    )
    evaluation = replace(
        finetuned(model.evaluation, comparison, ByClass()),
        groups={"duplicate_conflicts": [], "near_duplicate_conflicts": []},
    )
    tuned = replace(model, evaluation=evaluation, out_of_fold=None, rejector=None)
    report(tuned, html=tmp_path / "tuned.html", data=data, runtime=fake.runtime)
    return tmp_path / "tuned.html"


def test_the_training_curves_are_drawn(finetuned_page):
    text = finetuned_page.read_text("utf-8")
    assert '<p class="headline">0.850\n<small>accuracy on 41 held-out images, 95 % confidence interval 0.750' in text
    assert (
        "<dt>difference</dt><dd>+0.150 (95 % CI +0.050 to +0.250); better; the fine-tuned network is kept</dd>" in text
    )
    curves = re.findall(r'<polyline fill="none" class="([^"]+)" points="([^"]*)"/>', text)
    assert curves == [
        ("curve dashed", "120.0,100.0 240.0,0.0"),
        ("curve", "0.0,150.0 120.0,50.0 240.0,100.0"),
        ("curve dashed", "120.0,30.0 240.0,150.0"),
        ("curve", "0.0,0.0 120.0,60.0 240.0,30.0"),
        ("curve dashed", "120.0,0.0 240.0,150.0"),
    ]
    assert text.count('<line x1="120.0" x2="120.0"') == 3


@pytest.fixture
def unmeasured(fake, tmp_path):
    """Return a model without an accuracy estimate."""
    data = make_classes(tmp_path / "set", {"red": (200, 50, 40)}, 4)
    save_image(data / "blue" / "only.png", (20, 20, 200))
    return fit(extract(data, "quadrants", runtime=fake.runtime), runtime=fake.runtime)


def test_a_model_without_an_accuracy_estimate_has_a_page(fake, unmeasured, tmp_path):
    report(unmeasured, html=tmp_path / "r.html", data=tmp_path / "set", runtime=fake.runtime)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "no accuracy estimate <small>class &#34;blue&#34; has one image" in text
    with pytest.raises(
        ClassifierError,
        match="`suspects`: labels cannot be checked, because .* no out-of-fold predictions: class .blue. has one",
    ):
        report(unmeasured, suspects=tmp_path / "s.csv")


@pytest.mark.integration
def test_the_page_of_a_fine_tuned_model_works_in_a_browser(finetuned_page, pages):
    pages.open(finetuned_page.as_uri())
    assert pages.complaints == []


@pytest.mark.integration
def test_a_page_without_an_accuracy_estimate_works_in_a_browser(fake, unmeasured, tmp_path, pages):
    report(unmeasured, html=tmp_path / "r.html", data=tmp_path / "set", runtime=fake.runtime)
    pages.open((tmp_path / "r.html").as_uri())
    assert pages.complaints == []


def test_suspects_find_labels_that_were_swapped(fake, tmp_path):
    data = make_classes(tmp_path / "set", {"red": (200, 50, 40), "blue": (30, 60, 200)}, 30)
    for i in (3, 7):
        (data / "red" / f"red-{i:02}.png").rename(data / "blue" / f"swapped{i}.png")
    model = fit(extract(data, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    report(model, suspects=tmp_path / "s.csv", runtime=fake.runtime)
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert {row["path"] for row in rows} == {"blue/swapped3.png", "blue/swapped7.png"}
    assert {(row["label"], row["suggested"]) for row in rows} == {("blue", "red")}


def test_outputs_are_not_replaced_by_default(fake, model, data, tmp_path):
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(OutputError, match=r"r.html exists and is never replaced, because featx did not write it"):
        report(model, html=tmp_path / "r.html")
    with pytest.raises(OutputError, match=r"`html=.*r.pdf`: the name must end in .html or .htm"):
        report(model, html=tmp_path / "r.pdf")
    with pytest.raises(OutputError, match=r"`suspects=.*s.txt`: the name must end in .csv"):
        report(model, suspects=tmp_path / "s.txt")
    with pytest.raises(DatasetNotFoundError, match="no such file or folder"):
        report(model, html=tmp_path / "n.html", data=tmp_path / "nowhere")
    assert (tmp_path / "r.html").read_text() == "mine"


def test_command(fake, model, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    model.save("m.featx")
    shown = CliRunner().invoke(app, ["report", "--html", "r.html", "--suspects", "s.csv"])
    assert shown.exit_code == 0, shown.output
    assert "page       r.html" in shown.output
    assert all(
        one["thumb"] for one in content(tmp_path / "r.html")["images"].values()
    )  # from the folder stored in the model
    result = json.loads(CliRunner().invoke(app, ["report", "m.featx", "--json"]).stdout)
    assert result["n_suspects"] >= len(result["suspects"])


def test_the_map_is_the_same_from_either_matrix():
    X = np.random.default_rng(0).normal(size=(30, 4)) * [4, 3, 2, 1]
    few = pca_map(range(30), X.astype(np.float32))
    many = pca_map(range(30), np.pad(X, ((0, 0), (0, 60))).astype(np.float32))
    np.testing.assert_allclose(few, many, atol=2e-4)
    line = pca_map(range(9), np.outer(np.arange(9), np.ones(60)).astype(np.float32))
    assert len({y for _, y, _ in line}) == 1
    equal = pca_map(range(5), np.ones((5, 60), np.float32))
    assert [point[2] for point in equal] == [0, 1, 2, 3, 4]
    assert np.isfinite(equal).all()
    assert len(pca_map(range(40), np.random.default_rng(0).normal(size=(40, 50_000)).astype(np.float32))) == 40
