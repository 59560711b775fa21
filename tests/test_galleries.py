"""Galleries of predicted images: a balanced choice, no injected markup, no overwritten files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import axe_violations, save_image
from PIL import Image
from typer.testing import CliRunner

from featx.cli.app import app
from featx.errors import OutputError
from featx.extraction import extract
from featx.fitting import fit
from featx.galleries import draw_preview, gallery
from featx.galleries.selection import BalancedSample, Tile
from featx.galleries.sheets import Cell, draw_contact_sheet
from featx.galleries.text import layout_text, truncate_text, wrap_text
from featx.prediction import predict

HOSTILE = "<script>document.title='taken over'</script><img src=x onerror=\"document.title='taken over'\">"
NAMES = [
    HOSTILE.replace("/", "\u2215"),
    "\u202egpj.exe",
    "\x1b[31mred\x07\n\t",
    "{{7*7}}{% raw %}",
    "'\"><b>&amp;",
    "x" * 240,
    "猫 été",
    "مرحبا",
    os.fsdecode(b"\xff\xfe"),
]


@pytest.fixture
def model(fake, images):
    return fit(extract(images, "quadrants", runtime=fake.runtime), params={"C": 100.0}, runtime=fake.runtime)


@pytest.fixture
def new(tmp_path):
    """Return a folder of six red and four blue images (one of them seen), a truncated image and an unusual image."""
    folder = tmp_path / "new"
    for i in range(6):
        save_image(folder / "r" / f"r-{i:02}.png", (200, 50, 40), seed=500 + i)
    for i in range(3):
        save_image(folder / "b" / f"b-{i:02}.png", (30, 60, 200), seed=600 + i)
    shutil.copy(tmp_path / "set" / "blue" / "blue-00.png", folder / "b" / "known.png")
    (folder / "torn.png").write_bytes((folder / "r" / "r-00.png").read_bytes()[:-60])
    board = np.kron(np.indices((4, 4)).sum(axis=0) % 2, np.ones((20, 20)))
    Image.fromarray((255 * board).astype(np.uint8)).save(folder / "odd.png")
    return folder


def rows_of(kinds: dict[tuple[str, str], int]) -> list[Tile]:
    rows = [
        Tile(f"{status}{label}/{i}.png", label, 0.5, status, False, "")
        for (status, label), n in kinds.items()
        for i in range(n)
    ]
    return [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]


@pytest.mark.parametrize(
    ("kinds", "most", "expected"),
    [
        ({("ok", "a"): 5, ("ok", "b"): 3}, 10, [5, 3]),
        ({("ok", "a"): 500, ("ok", "b"): 500, ("skipped", ""): 500}, 30, [10, 10, 10]),
        ({("ok", "a"): 1000, ("ok", "b"): 3, ("rejected", ""): 40}, 30, [14, 3, 13]),
        ({("ok", "a"): 1000, ("ok", "b"): 3, ("rejected", ""): 5}, 30, [22, 3, 5]),
        ({("ok", str(i)): 7 for i in range(50)}, 20, [1] * 20),
    ],
)
def test_equally_many_of_each_kind_are_chosen_by_their_paths(kinds, most, expected):
    rows = rows_of(kinds)
    choice, pieces, backwards = BalancedSample(most), BalancedSample(most), BalancedSample(most)
    choice.add(rows)
    for row in rows:
        pieces.add([row])
        assert sum(map(len, pieces._held.values())) <= most
    backwards.add(rows[::-1])
    tiles = choice.tiles()
    assert tiles == pieces.tiles()
    counts = Counter(tile.kind for tile in tiles)
    assert sorted(counts.values()) == sorted(expected)
    assert choice.counts == kinds
    assert choice.n == len(rows)
    place = {row.path: i for i, row in enumerate(rows)}
    assert [place[tile.path] for tile in tiles] == sorted(place[tile.path] for tile in tiles)
    if len(kinds) < most:
        by_kind = defaultdict(list)
        for row in rows:
            by_kind[row.kind].append(hashlib.sha256(row.path.encode()).digest()[:8] + row.path.encode())
        for kind, n in counts.items():
            smallest = {name[8:].decode() for name in sorted(by_kind[kind])[:n]}
            assert {tile.path for tile in tiles if tile.kind == kind} == smallest
    few, others = ({tile.path for tile in part.tiles()} for part in (choice, backwards))
    assert len(few & others) >= len(few) - 1  # which kind has one image more depends on the order


def page_of(model, new, tmp_path, fake, **options):
    done = predict(model, new, gallery=tmp_path / "g.html", overwrite=True, runtime=fake.runtime, **options)
    return done, (tmp_path / "g.html").read_text("utf-8")


def test_the_page_contains_every_image_with_its_prediction(fake, model, new, tmp_path):
    done, text = page_of(model, new, tmp_path, fake, reject_rate=0.05)
    assert (done.n_images, done.n_predicted, done.n_rejected, done.n_skipped) == (12, 10, 1, 1)
    assert (done.gallery, done.n_in_gallery) == (tmp_path / "g.html", 12)
    assert done.to_dict()["gallery"] == str(tmp_path / "g.html")
    assert "<li>12 images: 10 predicted, 1 rejected, 1 skipped</li>" in text
    assert "<li>1 of them (marked seen) were used to fit this model" in text
    assert "images are shown" not in text
    assert f"in {new}</li>" in text
    for row in done.to_dict()["rows"]:
        name = Path(row["path"]).relative_to(new).as_posix()
        figure = re.search(rf"<figure(?:(?!</figure>).)*<bdi>{re.escape(name)}</bdi>.*?</figure>", text, re.S)[0]
        assert f'data-status="{row["status"]}"' in figure
        assert ("base64," in figure) == (row["status"] != "skipped")
        assert ('<span class="seen">' in figure) == bool(row["seen"])
        assert row["reason"] in figure
        if row["status"] == "ok":
            assert f"<bdi>{row['label']}</bdi>" in figure
            assert f"{100 * row['confidence']:.0f} %" in figure


def test_a_table_and_a_gallery_in_one_run(fake, model, new, tmp_path):
    done, text = page_of(model, new, tmp_path, fake, output=tmp_path / "s.csv")
    assert done.n_in_gallery == 12
    assert text.count("<figure") == (tmp_path / "s.csv").read_text().count("\n") - 1 == 12
    assert done.rows == ()


def test_the_number_of_images_left_out_is_reported(fake, model, new, tmp_path, monkeypatch):
    monkeypatch.setitem(gallery._KINDS, ".html", gallery._Limits(5, 32))
    done, text = page_of(model, new, tmp_path, fake)
    assert done.n_in_gallery == 5 == text.count("<figure")
    assert "<li>5 of 12 images are shown: the same number of each class, of rejected and of skipped images" in text
    assert '<option value="skipped">skipped (1)</option>' in text
    assert sorted(re.findall(r"<option value=\"\d\">(?:red|blue) \((\d) of \d\)", text)) == ["2", "2"]


@pytest.mark.integration
def test_filters_and_orders_in_a_browser(fake, model, new, tmp_path, pages):
    done, _ = page_of(model, new, tmp_path, fake, reject_rate=0.05)
    page = pages.open((tmp_path / "g.html").as_uri())
    rows = done.to_dict()["rows"]
    figures = "[...document.querySelectorAll('figure')].filter((one) => !one.hidden)"
    names = f"{figures}.map((one) => one.querySelector('.name').textContent)"
    assert page.evaluate(f"{figures}.length") == 12
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")

    def chosen(control: str, value: str) -> list[str]:
        page.evaluate(f"document.getElementById('{control}').value = '{value}'")
        page.evaluate(f"document.getElementById('{control}').dispatchEvent(new Event('change'))")
        return page.evaluate(names)

    def expected(wanted) -> list[str]:
        return sorted(Path(row["path"]).relative_to(new).as_posix() for row in rows if wanted(row))

    assert sorted(chosen("class", "1")) == expected(lambda row: row["label"] == "red")
    assert page.evaluate("document.getElementById('shown').textContent") == "6 of 12 images"
    assert chosen("status", "seen") == []
    chosen("class", "")
    assert chosen("status", "seen") == ["b/known.png"]
    assert sorted(chosen("status", "new")) == expected(lambda row: row["seen"] is False)
    assert chosen("status", "skipped") == ["torn.png"]
    assert chosen("status", "rejected") == ["odd.png"]
    chosen("status", "")
    assert chosen("order", "name") == expected(lambda row: True)
    confidence = {Path(row["path"]).relative_to(new).as_posix(): row["confidence"] for row in rows}
    for order, sign in (("doubtful", 1), ("sure", -1)):
        names_shown = chosen("order", order)
        assert names_shown[-1] == "torn.png"
        values = [sign * confidence[name] for name in names_shown[:-1]]
        assert values == sorted(values)
    assert chosen("order", "class")[-2:] == ["odd.png", "torn.png"]
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "order"
    assert pages.complaints == []
    assert pages.requests == [(tmp_path / "g.html").as_uri()]


@pytest.mark.integration
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_reports_no_violations(fake, model, new, tmp_path, pages, width, dark):
    page_of(model, new, tmp_path, fake, reject_rate=0.05)
    assert axe_violations(pages.open((tmp_path / "g.html").as_uri(), width=width, dark=dark)) == []


def hostile(folder: Path) -> Path:
    for i, name in enumerate(NAMES):
        try:
            save_image(folder / f"{name}.png", (200, 50, 40), seed=50 + i)
        except OSError:
            pytest.skip("this file system does not allow such a name")
    return folder


@pytest.fixture
def hostile_page(fake, model, tmp_path):
    """Return the page of a gallery whose names contain markup and control characters."""
    odd = replace(model, classes_=(f"{HOSTILE} \u202e{'long ' * 60}", "{{7*7}}"))
    done, _ = page_of(odd, hostile(tmp_path / "odd"), tmp_path, fake)
    assert done.n_in_gallery == len(NAMES)
    return tmp_path / "g.html"


def test_hostile_names_are_written_as_text(hostile_page):
    text = hostile_page.read_text("utf-8")
    assert text.count("<script") == 1
    assert not set(text) & set("\x07\x1b\u202e")
    for shown in (r"\u202egpj.exe", r"\x1b[31mred\x07\n\t", "{{7*7}}{% raw %}", "猫 été", r"\udcff\udcfe"):
        assert f"<bdi>{shown}.png</bdi>" in text


@pytest.mark.integration
def test_hostile_names_are_only_text_in_a_browser(hostile_page, pages):
    page = pages.open(hostile_page.as_uri(), width=400)
    assert page.evaluate("document.title").startswith("featx gallery: quadrants")
    assert page.evaluate("document.querySelectorAll(\"img:not([src^='data:image/jpeg;base64,'])\").length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert pages.complaints == []


def test_the_sheet_shows_the_images_by_class(fake, model, new, tmp_path):
    done = predict(model, new, gallery=tmp_path / "g.png", reject_rate=0.05, runtime=fake.runtime)
    assert done.n_in_gallery == 12
    with Image.open(tmp_path / "g.png") as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    top = 2 * 12 + 26 + 3 * 18
    step = 160 + 18 + 3 * 14 + 12
    assert sheet.shape == (top + 3 * step, 12 + 4 * 172, 3)
    centres = [sheet[top + step * (i // 4) + 80, 12 + 172 * (i % 4) + 80] for i in range(12)]
    colours = ["blue" if b > 150 > r else "red" if r > 150 > b else "other" for r, _, b in centres]
    assert colours == ["blue"] * 4 + ["red"] * 6 + ["other"] * 2
    assert centres[11].tolist() == [238, 240, 242]  # the cell of the truncated image is empty
    red = (sheet[:, :, 0] > 180) & (sheet[:, :, 1] < 70)
    letters = [red[top + 2 * step + 160 : top + 2 * step + 178, 12 + 172 * i : 172 * (i + 1)].any() for i in range(4)]
    assert letters == [False, False, True, True]


def test_hostile_names_do_not_damage_the_sheet(fake, model, tmp_path):
    odd = replace(model, classes_=(HOSTILE, "\u202e" + "long " * 60))
    predict(odd, hostile(tmp_path / "odd"), gallery=tmp_path / "g.png", runtime=fake.runtime)
    with Image.open(tmp_path / "g.png") as image:
        image.load()
        assert image.width == 12 + 4 * 172
        margin = np.asarray(image.convert("RGB"))[:, -12:]
    assert (margin == 255).all()


def test_text_fits_its_width_and_has_no_missing_glyphs():
    assert layout_text("a\x00\u202e", 14).text == r"a\x00\u202e"
    assert layout_text("\U000f0000", 14).text == r"\U000f0000"  # a private-use character without a glyph in any font
    assert truncate_text("short.png", 14, 160).text == "short.png"
    cut = truncate_text("a" * 300 + ".png", 14, 160)
    assert re.fullmatch(r"a+…a+\.png", cut.text)
    assert 140 < cut.width <= 160
    assert truncate_text("xyz", 14, 1).text == "…"
    lines = wrap_text("not similar to the training images; the most probable class is " + "y" * 100, 11, 160, 2)
    assert len(lines) == 2
    assert all(line.width <= 160 for line in lines)
    assert lines[0].text.startswith("not similar to the")


def test_a_sheet_of_many_has_ten_columns_and_enlarges_small_images():
    cells = (Cell(np.full((2, 4, 3), (0, 200, 0), np.uint8), str(i)) for i in range(101))
    sheet = Image.open(io.BytesIO(draw_contact_sheet(["title"], cells, 101, 60)))
    assert sheet.width == 12 + 10 * 72
    top, step = 2 * 12 + 26, 60 + 18 + 3 * 14 + 12
    assert sheet.height == top + 11 * step
    assert sheet.getpixel((12 + 30, top + 10 * step + 30)) == (0, 200, 0)
    assert sheet.getpixel((12 + 1, top + 30)) == (0, 200, 0)
    assert sheet.getpixel((12 + 30, top + 5)) == (255, 255, 255)


def test_a_preview_keeps_pixels_and_cuts_captions_to_the_width_of_an_image():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(draw_preview([[(pixels, "x" * 300), (pixels, "\u202eview 1")]]))))
    for left in (6, 6 + 36):
        np.testing.assert_array_equal(sheet[6:46, left : left + 30], pixels)
        assert (sheet[46:, left : left + 30] < 255).any()
        assert (sheet[:, left - 4 : left - 1] == 255).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("g.pdf", r"`gallery=.*g.pdf`: the name must end in .html, .htm or .png"),
        ("none/g.html", "does not exist; create it"),
        ("mine.html", r"mine.html exists and is never replaced, because featx did not write it; choose another"),
        ("new/sheet.png", "the next run would read this file as one of the images of .*new; choose"),
        ("new/r/sheet.png", "would read this file as one of the images"),
    ],
)
def test_impossible_gallery_files_are_rejected_before_any_work(fake, model, new, tmp_path, name, message):
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(OutputError, match=message):
        predict(model, new, tmp_path / "s.csv", gallery=tmp_path / name, runtime=fake.runtime)
    assert fake.n_computed == 24
    assert not (tmp_path / "s.csv").exists()
    assert (tmp_path / "mine.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "place"), [("g.html", "featx.galleries.gallery.render_page"), ("g.png", "PIL.Image.Image.save")]
)
def test_a_failure_leaves_no_partial_file(fake, model, new, tmp_path, monkeypatch, name, place):
    folder = tmp_path / "out"
    folder.mkdir()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("featx.galleries.gallery.encode_thumbnail", lambda pixels: b"")
    monkeypatch.setattr(place, fail)
    with pytest.raises(OSError, match="No space left on device"):
        predict(model, new, gallery=folder / name, runtime=fake.runtime)
    assert os.listdir(folder) == []


def test_a_gallery_without_usable_images(fake, model, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    for name in ("g.html", "g.png"):
        assert predict(model, bad, gallery=tmp_path / name, runtime=fake.runtime).n_in_gallery == 1
    text = (tmp_path / "g.html").read_text("utf-8")
    assert '<div class="lost">empty file (0 bytes)</div>' in text


def test_from_the_command_line(fake, model, new, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    model.save(tmp_path / "m.featx")
    words = ["predict", str(tmp_path / "m.featx"), str(new), "--gallery", str(tmp_path / "g.html")]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert f"gallery    {tmp_path / 'g.html'}, with 12 of the 12 images" in shown.output
    assert "exists; add --overwrite" in CliRunner().invoke(app, words).output
    result = json.loads(CliRunner().invoke(app, [*words, "--overwrite", "--json"]).stdout)
    assert (result["gallery"], result["n_in_gallery"]) == (str(tmp_path / "g.html"), 12)


def test_a_sheet_that_is_one_of_the_images_is_not_replaced(fake, model, new, tmp_path):
    sheet = tmp_path / "sheet.png"
    predict(model, new, gallery=sheet, runtime=fake.runtime)
    before = sheet.read_bytes()
    (tmp_path / "list.csv").write_text("path\nsheet.png\nnew/odd.png\n")
    with pytest.raises(OutputError, match=r"sheet.png would replace .*sheet.png, which is an input"):
        predict(model, tmp_path / "list.csv", gallery=sheet, overwrite=True, runtime=fake.runtime)
    assert sheet.read_bytes() == before
