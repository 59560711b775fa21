"""A full disk: the message names the file that cannot be written and states what to do."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from featx.capturing.recordings import new_recording
from featx.errors import OutputError, StoreError
from featx.extraction import extract
from featx.fitting import fit
from featx.output import OutputFile
from featx.prediction import predict
from featx.reports import report
from featx.sample import make_sample
from featx.source import OUTPUT_TAG
from featx.store import write_latest

if sys.platform == "win32":
    pytest.skip("Windows has no limit of the size of files", allow_module_level=True)

import resource


@contextlib.contextmanager
def full_disk(*stages: str) -> Iterator[Callable[[str, int, int], None]]:
    """Limit the size of every file to 100 bytes, from one of the given stages on, or at once without stages.

    Yields
    ------
    callable
        The ``progress`` callback of a runtime, which receives the stage.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(stage: str = "", done: int = 0, total: int = 0) -> None:
        if stage in stages or not stages:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))

    if not stages:
        fill()
    try:
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def model(fake, images):
    return fit(extract(images, "quadrants", runtime=fake.runtime), params={"C": 100.0}, runtime=fake.runtime)


OUTPUTS = {
    "scores.csv": lambda model, images, path, runtime: predict(model, images, path, runtime=runtime),
    "scores.jsonl": lambda model, images, path, runtime: predict(model, images, path, runtime=runtime),
    "scores.parquet": lambda model, images, path, runtime: predict(model, images, path, runtime=runtime),
    "gallery.html": lambda model, images, path, runtime: predict(model, images, gallery=path, runtime=runtime),
    "gallery.png": lambda model, images, path, runtime: predict(model, images, gallery=path, runtime=runtime),
    "model.featx": lambda model, images, path, runtime: model.save(path),
    "page.html": lambda model, images, path, runtime: report(model, html=path, data=images, runtime=runtime),
    "preview.png": lambda model, images, path, runtime: extract(images, "quadrants", preview=path, runtime=runtime),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_message_for_an_output_names_the_output_and_not_the_cache(fake, model, images, tmp_path, name):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    folder = tmp_path / "out"
    folder.mkdir()
    stages = () if name == "model.featx" else ("predicting", "drawing the page", "drawing the preview")
    with full_disk(*stages) as progress, pytest.raises(OutputError) as caught:
        OUTPUTS[name](model, images, folder / name, replace(fake.runtime, progress=progress))
    assert re.match(
        rf"{re.escape(str(folder / name))} cannot be written: .*Make room or choose another folder", str(caught.value)
    )
    assert "`cache`" not in str(caught.value)
    assert os.listdir(folder) == []


def test_the_message_for_a_folder_names_the_file_in_it_and_not_the_cache(fake, model, images, tmp_path):
    with (
        full_disk("sorting the images into folders") as progress,
        pytest.raises(OutputError, match=r"blue-00.png cannot be put into .*blue: File too large") as sorting,
    ):
        predict(model, images, sort_into=tmp_path / "sorted", runtime=replace(fake.runtime, progress=progress))
    with full_disk(), pytest.raises(OutputError, match=r"digit-0000.png cannot be written: .*; make room") as sample:
        make_sample(tmp_path / "digits")
    with (
        new_recording(tmp_path / "data", "cup") as recording,
        full_disk(),
        pytest.raises(OutputError, match=r"take-001-00001.jpg cannot be written: .*; make") as capture,
    ):
        recording.keep(bytes(1000))
    assert not any("`cache`" in str(caught.value) for caught in (sorting, capture, sample))
    written = [path for name in ("sorted", "digits", "data") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert [path.name for path in written] == [OUTPUT_TAG]


def test_the_message_for_the_cache_names_the_file_and_suggests_another_cache(tmp_path):
    with (
        full_disk(),
        pytest.raises(StoreError, match=r"latest.json cannot be written: .*Free disk space or choose another `cache`"),
    ):
        write_latest(tmp_path / "cache", {"text": "x" * 1000})


def test_a_cache_error_while_an_output_is_written_is_reported_as_a_cache_error(tmp_path):
    def write(temporary: Path) -> None:
        with full_disk():
            write_latest(tmp_path / "cache", {"text": "x" * 1000})

    with pytest.raises(StoreError, match=r"latest.json cannot be written"):
        OutputFile(tmp_path / "scores.csv", (".csv",)).write(write)
