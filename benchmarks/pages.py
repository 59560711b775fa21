"""Measure pages in a browser: ``python -m benchmarks.pages MODEL DATA``.

Measure the size in megabytes and the seconds to write: the report of a model (HTML), and a gallery of its images (HTML
and PNG). For HTML, also measure the seconds until a headless Chromium has loaded and drawn the page. The features are
read from the cache. Print a Markdown table, then JSON. The extra ``integration`` and Debian's ``chromium`` are needed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.processes import median, print_head, print_json, print_row
from featx.prediction import load, predict
from featx.reports import report
from featx.runtime import Runtime

_DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    runtime = Runtime(Path(os.environ.get("FEATX_CACHE", "cache")))
    model = load(arguments.model)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        page, gallery, sheet = (Path(folder) / name for name in ("report.html", "gallery.html", "gallery.png"))
        makers: dict[Path, Callable[[], object]] = {
            page: lambda: report(model, html=page, data=arguments.data, runtime=runtime),
            gallery: lambda: predict(model, arguments.data, gallery=gallery, runtime=runtime),
            sheet: lambda: predict(model, arguments.data, gallery=sheet, runtime=runtime),
        }
        print_head("file", "images", "MB", "seconds to write", "seconds to open")
        for file, make in makers.items():
            started = time.monotonic()
            make()
            written = time.monotonic() - started
            opened = _seconds_to_open(file, arguments.rounds) if file.suffix == ".html" else None
            row = (file.name, model.evaluation.n_images, file.stat().st_size / 1e6, written, opened)
            rows.append(row)
            print_row(*("" if value is None else value for value in row))
    print_json({"rows": rows})


def _seconds_to_open(file: Path, rounds: int) -> float:
    """Return the median time from the navigation to the frame after the load event, each time in a new browser."""
    seconds = []
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        for _ in range(rounds):
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            started = time.monotonic()
            page.goto(file.as_uri())
            page.evaluate(_DRAWN)
            seconds.append(time.monotonic() - started)
            browser.close()
    return median(seconds)


if __name__ == "__main__":
    main()
