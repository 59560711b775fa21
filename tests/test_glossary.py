"""Words that the glossary replaces occur in no message, help text, JSON key, public name or page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import featx
from featx.cli.app import app

ROOT = Path(featx.__file__).parent
PROJECT = ROOT.parent

REPLACED = {
    "image": r"pictures?",
    "feature spec": r"recipes?",
    "grouped or ungrouped accuracy": r"honest\w*|naive(?! Bayes)\w*|flattering|flattered|at[ _]random(?! times)",
    "near-duplicate": r"near[- _]?cop(y|ies)",
    "n_features": r"feature[ _]dim\w*",
    "group hint": r"by_source|n_sources",
    "reported": r"settling|is told|are told",
}
"""Each word of the glossary, and what it replaces."""

WORDS = re.compile("|".join(rf"(?<![a-z])({one})(?![a-z])" for one in REPLACED.values()), re.I)
TAKES = re.compile(r"(n_)?takes|take_numbers?", re.I)
"""Names that the glossary replaces by recordings. In sentences, the verb "takes" is allowed."""

USER_NAMES = {"dataset/splits.py"}
"""Modules that contain names that users give to folders, such as "pictures"."""

PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
SOURCES = [file for file in sorted(ROOT.rglob("*.py")) if file.relative_to(ROOT).as_posix() not in USER_NAMES]
TEMPLATES = [*ROOT.rglob("*.j2"), *ROOT.rglob("*.js")]


def strings(file: Path) -> Iterator[str]:
    """Yield the strings of a module: messages, keys, help texts and docstrings."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def names(file: Path) -> Iterator[str]:
    """Yield the names that a module defines: of itself, of functions, classes, parameters and fields."""
    yield file.stem
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_strings_and_names_of_a_module(file):
    for text in strings(file):
        assert not WORDS.search(text), text
    for name in names(file):
        assert not WORDS.search(name.replace("_", " ")), name
        assert not TAKES.fullmatch(name), name


@pytest.mark.parametrize("file", [*PAGES, *TEMPLATES], ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_sentences_of_a_page(file):
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        assert not WORDS.search(line), f"line {number}: {line}"


def test_help_texts():
    commands = [typer.main.get_command(app)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        for text in [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]:
            assert not WORDS.search(text), text


def test_json_keys(tmp_path, fake, images):
    table = featx.extract(images, "quadrants", runtime=fake.runtime)
    model = featx.fit(table, "centroid", runtime=fake.runtime)
    results = [
        table.extraction.to_dict(),
        model.evaluation.to_dict(),
        model.predict(table).to_dict(),
        featx.report(model, runtime=fake.runtime).to_dict(),
        featx.inspect(images, runtime=fake.runtime).to_dict(),
        featx.compare(images, ["quadrants"], ["centroid", "knn"], cv=2, runtime=fake.runtime).to_dict(),
        featx.predict(model, images, runtime=fake.runtime).to_dict(),
        featx.list_cache(runtime=fake.runtime).to_dict(),
    ]
    for key in keys(results):
        assert not WORDS.search(key.replace("_", " ")), key
        assert not TAKES.fullmatch(key), key
    assert {"n_features", "n_images", "ungrouped_cv", "near_duplicates", "invalid", "recordings"} <= set(keys(results))


def keys(value: object) -> Iterator[str]:
    """Yield all keys of nested dictionaries."""
    if isinstance(value, dict):
        yield from value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from keys(one)


def test_replaced_words_are_found():
    """The pattern finds each form, also within names."""
    for text in ("a picture", "near-copies", "near_copies", "naive_cv", "at random", "the recipe", "An honest number"):
        assert WORDS.search(text.replace("_", " ")), text
    assert not WORDS.search("near-duplicates of an image, in random order")
