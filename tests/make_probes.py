"""Make the probe images of featx/images/probes; run once, by hand: new files are a new decode version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent.parent / "featx" / "images" / "probes"


def scene(width: int, height: int, seed: int) -> Image.Image:
    """Draw soft colours, hard edges and fine grain, so that chroma, filters and rounding all show."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in rng.uniform(-3, 3, (3, 3))]
    pixels = 128 + 80 * np.stack(waves, axis=-1) + rng.normal(0, 8, (height, width, 3))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x0, y0 = rng.integers(0, width), rng.integers(0, height)
        side = int(rng.integers(height // 8, height // 3))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x0, y0, x0 + side, y0 + side), fill=colour)
    return image


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    upright = Image.Exif()
    upright[0x0112] = 6
    scene(240, 180, 1).save(FOLDER / "colour.jpg", quality=85)
    scene(120, 160, 2).save(FOLDER / "turned.jpg", quality=75, progressive=True, exif=upright)
    scene(96, 80, 3).convert("CMYK").save(FOLDER / "cmyk.jpg", quality=85)
    scene(96, 96, 4).convert("L").save(FOLDER / "grey.jpg", quality=80)
    veil = scene(64, 48, 5)
    veil.putalpha(scene(64, 48, 6).convert("L"))
    veil.save(FOLDER / "alpha.png")
    deep = np.asarray(scene(40, 48, 7).convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(FOLDER / "grey16.png")
    scene(64, 64, 8).quantize(32).save(FOLDER / "palette.gif")
    scene(160, 96, 9).save(FOLDER / "colour.webp", quality=80)
    scene(64, 48, 10).convert("1").save(FOLDER / "bilevel.tif")
    scene(32, 24, 11).save(FOLDER / "colour.bmp")


if __name__ == "__main__":
    main()
