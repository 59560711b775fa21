"""Pages: names are text, and nothing else runs or loads."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from featx.output import render_page, shown_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat/été 猫 🐈.jpg", "cat/été 猫 🐈.jpg"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # this space of no width belongs to the word
        ("a\x00\x1b[31m\nb\x85", r"a\x00\x1b[31m\nb\x85"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u200f\u2066x\u2069\ufeff\u2028", r"\u200f\u2066x\u2069\ufeff\u2028"),
        ("a\udcffb", r"a\udcffb"),
        ("<script>", "<script>"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert shown_text(text) == shown


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package ``plain`` with the page ``one``."""
    folder = tmp_path / "plain" / "templates"
    folder.mkdir(parents=True)
    (tmp_path / "plain" / "__init__.py").touch()
    blocks = "{% block title %}{{ name }}{% endblock %}{% block body %}{{ rows[0].x }}{% endblock %}"
    (folder / "one.html.j2").write_text('{% extends "base.html.j2" %}' + blocks)
    (folder / "one.js").write_text("const braces = '{{ name }} {# no template #}';\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "plain"


def test_a_page_shows_text_and_names_its_script(package):
    text = render_page(package, "one", name="<b>\u202e", rows=[{"x": "\x07&"}], data={"z": ["</script>\udcff"]})
    assert r"<title>&lt;b&gt;\u202e</title>" in text
    assert r"\x07&amp;" in text
    assert text.count("</script>") == 2
    script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
    assert script == "const braces = '{{ name }} {# no template #}';\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    text.encode("utf-8")


def test_a_page_without_data_has_its_script_alone(package):
    assert render_page(package, "one", name="x", rows=[{"x": 1}]).count("<script") == 1
