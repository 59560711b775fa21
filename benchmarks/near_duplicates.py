"""Measure how many known near-duplicates are found: ``python -m benchmarks.near_duplicates DIR...``.

Ten near-duplicates of each of the first 200 images of a folder are made in a temporary folder, each of them changed in
one way: saved again at low quality, halved, a rim cut off, the sides cut off, made brighter, reduced in contrast,
converted to grey, mirrored, rotated, stamped. Any two images out of an original and its near-duplicates are a true
pair; a pair is found if both images are in one group. A pair of two different images in one group reduces the precision
(also if the folder itself contains an image twice, with different bytes). The recall of a kind counts the pairs of an
original and its near-duplicate of this kind. With `--many`, print another table: 20 images among up to 200 others have
5, 12, 20, 40 and 60 augmented versions each (a rim of up to 2 % cut off, brightness and contrast changed, half of the
versions mirrored, saved at a random quality). With `--sizes 50000,500000`, print a third table: sets of so many images
are compared, without the last 100 and then with these, in a process of its own. A fifth of the images are changed
versions of images of the folder, the others are images of the folder and halves of two images side by side; features
are means of the colours in 8 x 8 fields. Recall and precision count the pairs of 1,000 images, which are compared with
all images in a straightforward way. Print Markdown tables, then JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from benchmarks.large_sets import compare_large
from benchmarks.processes import print_head, print_json, print_row, run_worker
from featx.duplicates import group_samples
from featx.extraction import extract
from featx.runtime import Runtime

_COPIED = 200
_MANY = (5, 12, 20, 40, 60)
_MANY_ORIGINALS = 20


def _at_quality(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream)


def _cut(image: Image.Image, x: float, y: float) -> Image.Image:
    width, height = image.size
    return image.crop((round(x * width), round(y * height), round((1 - x) * width), round((1 - y) * height)))


def _stamp(image: Image.Image) -> Image.Image:
    width, height = image.size
    ImageDraw.Draw(image).rectangle((0.7 * width, 0.88 * height, 0.97 * width, 0.97 * height), fill=(250, 250, 250))
    return image


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "quality": _at_quality,
    "half": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "rim": lambda image: _cut(image, 0.02, 0.02),
    "sides": lambda image: _cut(image, 0.06, 0.0),
    "bright": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "mirror": ImageOps.mirror,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "stamp": _stamp,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--originals", type=int, default=800)
    parser.add_argument("--many", action="store_true")
    parser.add_argument("--sizes", help="numbers of images, separated by commas")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(compare_large(arguments.folders, arguments.worker)))
        return
    if arguments.sizes:
        names = (
            "images",
            "seconds",
            "peak, MB",
            "file, MB",
            "seconds after adding 100",
            "pairs",
            "recall",
            "precision",
        )
        print_head(*names)
        large = []
        for size in arguments.sizes.split(","):
            large.append(run_worker("benchmarks.near_duplicates", *arguments.folders, "--worker", size))
            print_row(*(large[-1][name] for name in names))
        print_json(large)
        return
    if arguments.many:
        sweep(arguments.folders)
        return
    print_head("data set", "images", "true pairs", "found", "precision", "recall", *KINDS)
    results = []
    for folder in arguments.folders:
        with tempfile.TemporaryDirectory() as scratch:
            make_near_duplicates(folder, Path(scratch) / "set", arguments.originals)
            result = {"set": folder.name, **measure(Path(scratch) / "set", Runtime(Path(scratch) / "cache"))}
        results.append(result)
        print_row(*(result[name] for name in ("set", "images", "true pairs", "found", "precision", "recall", *KINDS)))
    print_json(results)


def sweep(folders: list[Path]) -> None:
    """Print precision and recall by the number of near-duplicates of an image."""
    print_head("data set", "near-duplicates per image", "images", "true pairs", "found", "precision", "recall")
    results = []
    for folder in folders:
        for n_duplicates in _MANY:
            with tempfile.TemporaryDirectory() as scratch:
                make_many(folder, Path(scratch) / "set", n_duplicates)
                found = measure(Path(scratch) / "set", Runtime(Path(scratch) / "cache"))
            result = {"set": folder.name, "copies": n_duplicates, **found}
            results.append(result)
            names = ("set", "copies", "images", "true pairs", "found", "precision", "recall")
            print_row(*(result[name] for name in names))
    print_json(results)


def make_many(folder: Path, target: Path, n_duplicates: int) -> None:
    """Save up to 220 images of a folder, and augmented versions of the first 20."""
    rng = random.Random(0)
    for number, (name, image) in enumerate(_originals(folder, target, _MANY_ORIGINALS + 200)):
        image.save(name.with_name(f"{name.name}-original.png"))
        for copy in range(n_duplicates if number < _MANY_ORIGINALS else 0):
            changed = _cut(image, rng.uniform(0, 0.02), rng.uniform(0, 0.02))
            changed = ImageEnhance.Brightness(changed).enhance(rng.uniform(0.8, 1.2))
            changed = ImageEnhance.Contrast(changed).enhance(rng.uniform(0.8, 1.2))
            changed = ImageOps.mirror(changed) if rng.random() < 0.5 else changed
            letters = "".join(chr(ord("a") + int(digit)) for digit in str(copy))
            changed.save(name.with_name(f"{name.name}-copy{letters}.jpg"), quality=rng.randint(60, 95))


def make_near_duplicates(folder: Path, target: Path, n_originals: int) -> None:
    """Save up to ``n_originals`` images of a folder, and ten near-duplicates of the first 200 as ``NAME-KIND.jpg``."""
    for number, (name, image) in enumerate(_originals(folder, target, n_originals)):
        image.save(name.with_name(f"{name.name}-original.png"))
        if number < _COPIED:
            for kind, change in KINDS.items():
                change(image.copy()).save(name.with_name(f"{name.name}-{kind}.jpg"), quality=92)


def _originals(folder: Path, target: Path, n: int) -> Iterator[tuple[Path, Image.Image]]:
    """Yield the path to save to, without suffix, and the image over white, for up to ``n`` images of a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    random.Random(0).shuffle(paths)
    for number, path in enumerate(paths[:n]):
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        home = target / path.parent.name
        home.mkdir(parents=True, exist_ok=True)
        name = "".join(
            chr(ord("a") + int(digit)) for digit in str(number)
        )  # letters, because images with numbered names look like a recording
        yield home / name, image


def measure(folder: Path, runtime: Runtime) -> dict[str, object]:
    """Group a folder of known near-duplicates; return precision and recall of the pairs."""
    table = extract(folder, runtime=runtime)
    names = [Path(sample.sample_id).stem.split("-") for sample in table.samples]
    groups = group_samples(table).numbers.tolist()
    images = Counter(number for number, _ in names)
    together = Counter(groups)
    right = Counter(zip(groups, (number for number, _ in names), strict=True))
    true, made, found = _pairs(images), _pairs(together), _pairs(right)
    originals = {number: group for (number, kind), group in zip(names, groups, strict=True) if kind == "original"}
    hits = Counter(kind for (number, kind), group in zip(names, groups, strict=True) if originals[number] == group)
    n_copied = min(_COPIED, len(originals))
    return {
        "images": len(names),
        "true pairs": true,
        "found": found,
        "precision": round(found / made, 4) if made else 1.0,
        "recall": found / true,
        **{kind: hits[kind] / n_copied for kind in KINDS},
    }


def _pairs(counts: Counter) -> int:
    return sum(n * (n - 1) // 2 for n in counts.values())


if __name__ == "__main__":
    main()
