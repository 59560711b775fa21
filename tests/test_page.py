"""The report as a page: whole, harmless, and alive in a browser."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import make_classes, save_picture
from typer.testing import CliRunner

from featx.cli.app import app
from featx.errors import ClassifierError, DatasetNotFoundError, OutputError
from featx.extraction import extract
from featx.fitting import fit
from featx.reporting import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>document.title='taken over'</script><img src=x onerror=\"document.title='taken over'\">"


def overlapping(folder: Path, n: int = 60) -> Path:
    """Write a folder of two classes that cannot be told apart in full."""
    rng = np.random.default_rng(0)
    for i in range(n):
        grey = int(np.clip(rng.normal(100 + 35 * (i % 2), 22), 0, 255))
        save_picture(folder / "ab"[i % 2] / f"{i:03}.png", (grey, grey, 255 - grey), seed=i)
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


def browse(page: Path, profile: Path, part: str = "") -> tuple[str, str]:
    """Return the page's elements after its script ran, and what the console said."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    words += [f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *words, page.as_uri() + part], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_the_page_holds_what_the_summary_says(fake, model, data, tmp_path):
    summary = report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime).to_dict()
    page = tmp_path / "r.html"
    text = page.read_text("utf-8")
    cv = summary["cv"]
    assert f'<p class="headline">{cv["accuracy"]["mean"]:.3f}' in text
    assert f"interval {cv['accuracy']['low']:.3f} to {cv['accuracy']['high']:.3f}" in text
    for heading in (
        "What is known",
        "Classes",
        "Confusions",
        "Pictures",
        "Would more pictures help?",
        "Map of the features",
        "How it was made",
    ):
        assert f">{heading}</h2>" in text
    held = content(page)
    assert len(held["pictures"]) == len(held["map"]) == 60
    assert all(one["thumb"] for one in held["pictures"].values())
    views = {view["id"]: view for view in held["views"]}
    cells = {f"cell-{i}-{j}": n for i, row in enumerate(cv["confusion"]) for j, n in enumerate(row) if n}
    assert {name: view["n"] for name, view in views.items() if name.startswith("cell")} == cells
    assert views["mistakes"]["n"] == sum(n for name, n in cells.items() if name in ("cell-0-1", "cell-1-0")) > 0
    assert views["suspects"]["n"] == summary["n_suspects"]
    assert views["rejected"]["n"] == model.rejector.outliers(0.05).sum() >= 3
    assert [held["pictures"][str(i)]["path"] for i in views["suspects"]["pictures"]][:20] == [
        one["path"] for one in summary["suspects"]
    ]


def test_the_page_needs_no_network(fake, model, data, tmp_path):
    report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]', text)
    assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}


def test_views_open_in_a_browser(fake, model, data, tmp_path):
    page = tmp_path / "r.html"
    report(model, html=page, data=data, runtime=fake.runtime)
    views = {view["id"]: view for view in content(page)["views"]}
    for part in ("", "#cell-0-1", "#suspects", "#nonsense"):
        shown, console = browse(page, tmp_path / "profile", part)
        assert console == ""
        view = views.get(part[1:], views["mistakes"])
        assert f'<h3 id="view-title">{view["title"]}</h3>' in shown
        assert shown.count("<figure>") == view["n"] == shown.count('src="data:image/jpeg;base64,')
        assert re.search(rf'data-view="{view["id"]}" aria-pressed="true"', shown)
    assert shown.count("<circle cx=") == 60


def test_hostile_names_are_only_text(fake, tmp_path):
    data = overlapping(tmp_path / "set", 40)
    rows = [f'a/{i:03}.png,"{label}"' for i in range(0, 40, 2) for label in [HOSTILE.replace('"', '""')]]
    rows += [f"b/{i:03}.png,b{{{{7*7}}}}" for i in range(1, 40, 2)]
    (data / "list.csv").write_text("\n".join(["path,label", *rows]))
    model = fit(extract(data / "list.csv", "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    page = tmp_path / "r.html"
    report(model, html=page, data=data / "list.csv", runtime=fake.runtime)
    text = page.read_text("utf-8")
    assert text.count("<script") == 2
    assert "b{{7*7}}" in text
    shown, console = browse(page, tmp_path / "profile", "#cell-0-0")
    assert console == ""
    assert "taken over</title>" not in shown
    assert '<img src="x"' not in shown


def test_pictures_that_changed_or_vanished_are_not_shown(fake, model, data, tmp_path):
    (data / "a" / "000.png").unlink()
    save_picture(data / "b" / "001.png", (9, 9, 9))
    report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    held = content(tmp_path / "r.html")
    assert sorted(one["path"] for one in held["pictures"].values() if not one["thumb"]) == ["a/000.png", "b/001.png"]
    assert len(held["map"]) == 58


def test_without_data_there_are_no_pictures_and_without_cache_no_map(fake, model, data, tmp_path):
    report(model, html=tmp_path / "r.html")
    assert not any(one["thumb"] for one in content(tmp_path / "r.html")["pictures"].values())
    shutil.rmtree(fake.runtime.cache)
    report(model, html=tmp_path / "s.html", data=data, runtime=fake.runtime)
    held = content(tmp_path / "s.html")
    assert held["map"] == []
    assert all(one["thumb"] for one in held["pictures"].values())


def test_at_most_2000_pictures_are_drawn_and_every_view_gets_some(fake, model, data, tmp_path, monkeypatch):
    monkeypatch.setattr("featx.reporting.page._MOST_PICTURES", 10)
    report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    held = content(tmp_path / "r.html")
    assert len(held["pictures"]) == 10
    assert all(view["pictures"] for view in held["views"] if view["n"])


def test_a_model_without_honest_number_has_a_page(fake, tmp_path):
    data = make_classes(tmp_path / "set", {"red": (200, 50, 40)}, 4)
    save_picture(data / "blue" / "only.png", (20, 20, 200))
    model = fit(extract(data, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    report(model, html=tmp_path / "r.html", data=data, runtime=fake.runtime)
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "no honest number <small>class &#39;blue&#39; has one picture" in text
    assert browse(tmp_path / "r.html", tmp_path / "profile")[1] == ""
    with pytest.raises(ClassifierError, match="--suspects: nothing doubts a label, because class 'blue' has one"):
        report(model, suspects=tmp_path / "s.csv")


def test_suspects_find_labels_that_were_swapped(fake, tmp_path):
    data = make_classes(tmp_path / "set", {"red": (200, 50, 40), "blue": (30, 60, 200)}, 30)
    for i in (3, 7):
        (data / "red" / f"red-{i:02}.png").rename(data / "blue" / f"swapped{i}.png")
    model = fit(extract(data, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    report(model, suspects=tmp_path / "s.csv", runtime=fake.runtime)
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert {row["path"] for row in rows} == {"blue/swapped3.png", "blue/swapped7.png"}
    assert {(row["label"], row["suggested"]) for row in rows} == {("blue", "red")}


def test_outputs_are_not_replaced_unasked(fake, model, data, tmp_path):
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(OutputError, match=r"r.html exists; add --overwrite"):
        report(model, html=tmp_path / "r.html")
    with pytest.raises(OutputError, match=r"--html .*r.pdf: the name must end in .html, .htm"):
        report(model, html=tmp_path / "r.pdf")
    with pytest.raises(OutputError, match=r"--suspects .*s.txt: the name must end in .csv"):
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
    assert all(one["thumb"] for one in content(tmp_path / "r.html")["pictures"].values())  # of the set extracted last
    said = json.loads(CliRunner().invoke(app, ["report", "m.featx", "--json"]).stdout)
    assert said["n_suspects"] >= len(said["suspects"])
