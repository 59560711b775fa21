"""Draw docs/report.png, a part of the report page of the sample: ``python -m benchmarks.report_image [FILE]``."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from featx import Runtime, extract, fit, make_sample, report

_SIZE = {"width": 760, "height": 930}
_COLOURS = 64


def main() -> None:
    """Fit the default head on the sample, write its report, and save a screenshot of the confusions and mistakes."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/report.png")
    with tempfile.TemporaryDirectory() as folder:
        data, page = make_sample(Path(folder) / "digits"), Path(folder) / "report.html"
        runtime = Runtime(Path(folder) / "cache")
        report(fit(extract(data, runtime=runtime), runtime=runtime), html=page, data=data, runtime=runtime)
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            shown = browser.new_page(viewport=_SIZE)
            shown.goto(page.as_uri())
            shown.evaluate("document.querySelector('section[aria-labelledby=confusion]').scrollIntoView()")
            image = Image.open(io.BytesIO(shown.screenshot()))
            browser.close()
    image.convert("RGB").quantize(_COLOURS).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
