"""The examples of docstrings run, and every public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import featx

ROOT = Path(featx.__file__).parent
SKIPPED = {"Capture", "FinetuneEvaluation", "Finetuning", "capture", "finetune"}
"""Names whose examples need a camera, or take minutes."""


def modules() -> list[str]:
    """Return the modules whose docstrings have examples."""
    files = [file for file in sorted(ROOT.rglob("*.py")) if ">>> " in file.read_text(encoding="utf-8")]
    names = [file.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".") for file in files]
    return [name.removesuffix(".__init__") for name in names]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """Return a folder with the sample in ``data``, its features in ``cache``, and a model ``digits.featx``."""
    folder = tmp_path_factory.mktemp("docstrings")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("FEATX_CACHE", raising=False)
        featx.make_sample("data")
        featx.fit(featx.extract("data")).save("digits.featx")
    return folder


@pytest.mark.parametrize("name", modules())
def test_examples_run(name, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert not failed
    assert tried or name == "featx"


@pytest.mark.parametrize("name", featx.__all__)
def test_every_public_name_has_an_example(name):
    parts = doctest.DocTestParser().get_examples(inspect.getdoc(getattr(featx, name)) or "")
    assert parts, name
    is_run = any(not one.options.get(doctest.SKIP) and not one.source.startswith("import ") for one in parts)
    assert is_run == (name not in SKIPPED)
