"""Output files are replaced only on request; HTML pages escape all names and load or run nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from featx.errors import OutputError, StoreError
from featx.output import (
    GENERATOR,
    OutputFile,
    Panel,
    default_model_path,
    draw_panels,
    mark_png,
    render_page,
    shown_text,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat/été 猫 🐈.jpg", "cat/été 猫 🐈.jpg"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # this zero-width character is part of the word
        ("a\x00\x1b[31m\nb\x85", r"a\x00\x1b[31m\nb\x85"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u200f\u2066x\u2069\ufeff\u2028", r"\u200f\u2066x\u2069\ufeff\u2028"),
        ("a\udcffb", r"a\udcffb"),
        ("<script>", "<script>"),
    ],
)
def test_invisible_characters_are_escaped(text, shown):
    assert shown_text(text) == shown


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Create a package ``plain`` with the page ``one``."""
    folder = tmp_path / "plain" / "templates"
    folder.mkdir(parents=True)
    (tmp_path / "plain" / "__init__.py").touch()
    blocks = "{% block title %}{{ name }}{% endblock %}{% block body %}{{ rows[0].x }}{% endblock %}"
    (folder / "one.html.j2").write_text('{% extends "base.html.j2" %}' + blocks)
    (folder / "one.js").write_text("const braces = '{{ name }} {# no template #}';\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "plain"


def test_a_page_escapes_text_and_contains_the_hash_of_its_script(package):
    text = render_page(package, "one", name="<b>\u202e", rows=[{"x": "\x07&"}], data={"z": ["</script>\udcff"]})
    assert r"<title>&lt;b&gt;\u202e</title>" in text
    assert r"\x07&amp;" in text
    assert text.count("</script>") == 2
    script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
    assert script == "const braces = '{{ name }} {# no template #}';\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    text.encode("utf-8")


def test_a_page_without_data_has_one_script(package):
    assert render_page(package, "one", name="x", rows=[{"x": 1}]).count("<script") == 1


def test_a_new_file_needs_a_valid_name_and_a_folder(tmp_path):
    (tmp_path / "file").touch()
    for name, message in {
        "m.png": r"`output=.*m.png`: the name must end in .featx",
        "no/m.featx": "the folder .*no does not exist",
        "file/m.featx": "the folder .*file does not exist",
        f"{'n' * 300}.featx": "File name too long",
        "a\0b.featx": "null",
    }.items():
        with pytest.raises(OutputError, match=message):
            OutputFile(tmp_path / name, (".featx",))
    output = OutputFile(tmp_path / f"{'é' * 124}.featx", (".featx",))
    output.write_content(b"x")
    assert output.path.read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_only_files_written_by_featx_are_replaced(tmp_path):
    ours = f'<head><meta name="generator" content="{GENERATOR}"></head>'
    (tmp_path / "ours.html").write_text(ours)
    (tmp_path / "empty.html").touch()
    (tmp_path / "foreign.html").write_text("<html>")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "link.html").symlink_to("ours.html")
    (tmp_path / "dangling.html").symlink_to("nowhere")
    messages = {
        "foreign": "exists and is never replaced, because featx did not write it; choose another name",
        "folder": "is not a file, which is never replaced",
        "link": "is a link, which is never replaced",
        "dangling": "is a link, which is never replaced",
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.html")
        messages["pipe"] = "is not a file, which is never replaced"
    for name, message in messages.items():
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=message):
                OutputFile(tmp_path / f"{name}.html", (".html",), overwrite)
    for name in ("ours", "empty"):
        with pytest.raises(OutputError, match="exists; add `overwrite=True` to replace it, or choose another name"):
            OutputFile(tmp_path / f"{name}.html", (".html",))
        OutputFile(tmp_path / f"{name}.html", (".html",), overwrite=True).write_content(b"new")
        assert (tmp_path / f"{name}.html").read_bytes() == b"new"


def test_an_input_is_not_replaced(tmp_path):
    scores = tmp_path / "scores.csv"
    scores.write_text("path,label,confidence,status,seen,reason\n")
    os.link(scores, tmp_path / "twin.csv")
    for given in (scores, tmp_path / "twin.csv"):
        with pytest.raises(
            OutputError, match=r"`output=.*scores.csv` would replace .*, which is an input; choose another name"
        ):
            OutputFile(scores, (".csv",), overwrite=True, inputs=["nowhere", given])
    OutputFile(scores, (".csv",), overwrite=True, inputs=[tmp_path])


def test_an_input_that_is_known_later_is_not_replaced(tmp_path):
    ours, other = tmp_path / "sheet.png", tmp_path / "other.png"
    other.write_bytes(b"other")
    OutputFile(ours, (".png",)).refuse_inputs([other])
    Image.new("L", (2, 2)).save(ours)
    ours.write_bytes(mark_png(ours.read_bytes()))
    os.link(ours, tmp_path / "twin.png")
    output = OutputFile(ours, (".png",), overwrite=True)
    output.refuse_inputs([other, tmp_path / "nowhere.png"])
    for read in (ours, tmp_path / "twin.png"):
        with pytest.raises(OutputError, match=r"sheet.png would replace .*, which is an input; choose another name"):
            output.refuse_inputs([other, read])


def test_the_second_of_two_writers_of_one_file_fails(tmp_path):
    def two(overwrite: bool) -> tuple[OutputFile, OutputFile]:
        return tuple(OutputFile(tmp_path / "m.json", (".json",), overwrite) for _ in range(2))

    for overwrite, old in ((False, None), (True, b'{"made_by": "featx"}')):
        if old is not None:
            (tmp_path / "m.json").write_bytes(old)
        first, second = two(overwrite)
        first.write_content(b"first")
        with pytest.raises(
            OutputError, match=r"was written by another run in the meantime and is not replaced. Computed res"
        ):
            second.write_content(b"second")
        assert (tmp_path / "m.json").read_bytes() == b"first"
        second.undo()
        assert (tmp_path / "m.json").exists()
        first.undo()
        assert (tmp_path / "m.json").exists() == overwrite  # the file that was replaced cannot be restored
    assert os.listdir(tmp_path) == ["m.json"]


@pytest.mark.skipif(os.name == "nt", reason="needs Unix permissions")
def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "m.json"
    path.write_text('{"made_by": "featx"}')
    path.chmod(0o600)
    OutputFile(path, (".json",), overwrite=True).write_content(b"{}")
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_error_of_a_failed_write_states_what_is_kept(tmp_path):
    def fail(path: Path) -> None:
        raise OSError(28, "No space left on device")

    def fail_otherwise(path: Path) -> None:
        raise StoreError("a store")

    output = OutputFile(tmp_path / "s.csv", (".csv",))
    with pytest.raises(
        OutputError, match=r"No space left on device. Computed results are kept in the cache. Make room or"
    ):
        output.write(fail)
    with pytest.raises(StoreError, match="a store"):
        output.write(fail_otherwise)
    with pytest.raises(OutputError, match=r"No space left on device. Make room or choose another folder"):
        OutputFile(tmp_path / "s.csv", (".csv",), keeps=False).write(fail)
    assert os.listdir(tmp_path) == []


def test_long_names_of_models_are_cut(tmp_path):
    for name in ("n" * 240, "名" * 80):
        (tmp_path / name).mkdir()
        path = default_model_path(tmp_path / name, "efficientnet-lite0", "logreg")
        assert path.name.startswith(name[:20])
        assert path.name.endswith("-efficientnet-lite0-logreg.featx")
        assert len(os.fsencode(path.name)) <= 200
    assert default_model_path(tmp_path / "a b.csv", "x" * 250, "svm").name.startswith("a_b-xxx")
    assert len(default_model_path(tmp_path / ("n" * 240), "x" * 250, "svm").name) <= 200
    assert default_model_path("/", "vgg16", "svm").name == "data-vgg16-svm.featx"


def test_figures_are_drawn_with_the_default_settings_of_matplotlib(tmp_path, monkeypatch):
    panel = Panel(
        "a", "b", [{"x": [1, 2], "y": [1.0, None], "style": "-o", "colour": 0, "label": "$\\frac{"}], [], [], True
    )
    usual = draw_panels([panel, panel])
    assert usual == draw_panels([panel, panel])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "mine"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    for name in ("matplotlibrc", "mine"):
        (tmp_path / name).write_text("text.usetex: True\nfont.size: 40\n")
    (tmp_path / "matplotlib.py").write_text("raise SystemExit('not mine')")
    assert draw_panels([panel, panel]) == usual
    with pytest.raises(OutputError, match="curves cannot be drawn: Number of columns must be"):
        draw_panels([])
    OutputFile(tmp_path / "c.png", (".png",)).write_content(usual)
    OutputFile(tmp_path / "c.png", (".png",), overwrite=True).write_content(usual)
    with Image.open(tmp_path / "c.png") as image:
        image.load()
        assert image.info["Software"] == "featx"
