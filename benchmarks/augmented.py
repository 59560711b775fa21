"""Measure grouping on sets that were augmented before they came: ``python -m benchmarks.augmented DIR... [--made]``.

Up to 200 images of each folder, with 9 augmented versions of each, become a data set in a temporary folder. Versions
are not recognised by names. One augmenter makes all versions of a set, at its usual or at strong settings:

- ``keras``: ``ImageDataGenerator`` of Keras (rotation, shift, shear, zoom, flip, brightness, shift of the channels),
- ``albumentations``: the package of this name, which must be installed (flips, affine changes, crops, colours, noise,
  blur, elastic deformation, cut-outs),
- ``roboflow``: the changes that Roboflow offers, at values that are usual there (flip, quarter turns, crop, rotation,
  shear, grey, hue, saturation, brightness, exposure, blur, noise, cut-outs); a fifth of the versions has a border, and
  a fifth a stamp.

``--made`` adds two made sets of images that are alike by nature: slices of heads as in MRI, and stained cells. Their
classes differ by small structures.

Any two versions of one original are a true pair; a pair is found if both images are in one group. For each set, print
recall and precision of the pairs, the accuracy that ``fit`` states for the augmented set with the groups that featx
finds and with the true groups, and the accuracy on the originals alone. Print a Markdown table, then JSON.

``--sizes 100000`` instead measures the search for versions alone, in sets of this size without versions: signatures of
the images of the folders, and negatives of them if there are too few; with ``--rotated``, each tenth image is a rotated
version of another one. Print seconds and peak memory.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from scipy import ndimage

from benchmarks.processes import print_head, print_json, print_row
from featx.duplicates import find_transformed, group_samples
from featx.extraction import extract
from featx.fitting import fit
from featx.images import prepare
from featx.runtime import Runtime

Pixels = NDArray[np.uint8]
Augmenter = Callable[[Pixels, np.random.Generator], Pixels]

_SETTINGS = ("usual", "strong")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--made", action="store_true", help="add the made sets of heads and cells")
    parser.add_argument("--originals", type=int, default=200)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--augmenters", default=",".join(AUGMENTERS))
    parser.add_argument("--settings", default=",".join(_SETTINGS))
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the accuracies")
    parser.add_argument("--rotated", action="store_true", help="add versions to the sets of --sizes")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[])
    arguments = parser.parse_args()
    if arguments.sizes:
        measure_search(arguments.folders, arguments.sizes, arguments.rotated)
        return
    sets: list[tuple[str, list[tuple[str, Pixels]]]] = [
        (folder.name, read_originals(folder, arguments.originals)) for folder in arguments.folders
    ]
    if arguments.made:
        sets += [(name, make(arguments.originals)) for name, make in MADE.items()]
    names = ("precision", "recall", "groups found", "true groups", "originals alone")
    print_head("data set", "augmenter", "settings", "images", *names)
    results = []
    for name, originals in sets:
        with tempfile.TemporaryDirectory() as scratch:
            alone = None if arguments.no_accuracy else accuracy_alone(originals, Path(scratch))
        for augmenter in arguments.augmenters.split(","):
            for setting in arguments.settings.split(","):
                with tempfile.TemporaryDirectory() as scratch:
                    folder = Path(scratch) / "set"
                    augment = AUGMENTERS[augmenter](setting == "strong")
                    make_set(originals, folder, augment, arguments.versions)
                    found = measure(folder, Runtime(Path(scratch) / "cache"), alone is not None)
                row = {"set": name, "augmenter": augmenter, "settings": setting, **found, "originals alone": alone}
                results.append(row)
                print_row(name, augmenter, setting, row["images"], *(row[column] for column in names))
    print_json(results)


def read_originals(folder: Path, n: int) -> list[tuple[str, Pixels]]:
    """Return the class and the pixels, over white, of up to ``n`` images of a folder, drawn with a fixed seed."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    random.Random(0).shuffle(paths)
    originals = []
    for path in paths[:n]:
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        image.thumbnail((384, 384))
        originals.append((path.parent.name, np.asarray(image)))
    return originals


def make_set(originals: list[tuple[str, Pixels]], folder: Path, augment: Augmenter, versions: int) -> None:
    """Save versions of each original under names that do not show the original; the group follows after ``--``."""
    rng = np.random.default_rng(0)
    for number, (label, pixels) in enumerate(originals):
        home = folder / label
        home.mkdir(parents=True, exist_ok=True)
        for version in range(versions):
            changed = pixels if version == 0 else augment(pixels, rng)
            mark = rng.bytes(8).hex().translate(str.maketrans("0123456789", "ghijklmnop"))  # letters only
            letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
            Image.fromarray(changed).save(home / f"{mark}--{letters}.jpg", quality=int(rng.integers(75, 96)))


def accuracy_alone(originals: list[tuple[str, Pixels]], scratch: Path) -> float:
    """Return the cross-validated accuracy on the originals."""
    make_set(originals, scratch / "set", lambda pixels, rng: pixels, 1)
    return fit_accuracy(extract(scratch / "set", runtime=Runtime(scratch / "cache")), None, scratch / "cache")


def fit_accuracy(table: Any, group_by: str | None, cache: Path) -> float:
    """Return the cross-validated accuracy that ``fit`` states."""
    evaluation = fit(table, "logreg", group_by=group_by, group_versions=False, runtime=Runtime(cache)).evaluation
    assert evaluation.cv is not None
    return float(evaluation.cv.accuracy.mean)


def measure(folder: Path, runtime: Runtime, with_accuracy: bool) -> dict[str, Any]:
    """Group a set of known versions; return precision and recall of the pairs, and accuracies."""
    table = extract(folder, runtime=runtime)
    names = [Path(sample.sample_id).stem.partition("--")[2] for sample in table.samples]
    groups = group_samples(table, group_versions=False).numbers.tolist()
    true, made = _pairs(Counter(names)), _pairs(Counter(groups))
    right = _pairs(Counter(zip(groups, names, strict=True)))
    found: dict[str, Any] = {
        "images": len(names),
        "precision": round(right / made, 4) if made else 1.0,
        "recall": round(right / true, 4),
        "largest": Counter(groups).most_common(1)[0][1],
        "groups found": None,
        "true groups": None,
    }
    if with_accuracy:
        found["groups found"] = fit_accuracy(table, None, runtime.cache)
        found["true groups"] = fit_accuracy(table, r"--([a-j]+)", runtime.cache)
    return found


def measure_search(folders: list[Path], sizes: list[int], with_versions: bool) -> None:
    """Search sets of signatures, and print seconds and peak memory."""
    print_head("images", "seconds", "peak memory without signatures, MB", "pairs found")
    results = []
    for size in sizes:
        signatures, hashes = read_signatures(folders, size, with_versions)
        before = peak_mb()
        start = time.perf_counter()
        found = find_transformed(hashes, lambda at: signatures[at], np.arange(size))  # noqa: B023
        seconds = time.perf_counter() - start
        results.append({"images": size, "seconds": seconds, "mb": peak_mb() - before, "pairs": len(found)})
        print_row(size, round(seconds, 1), round(peak_mb() - before), len(found))
    print_json(results)


def read_signatures(folders: list[Path], size: int, with_versions: bool) -> tuple[Pixels, Pixels]:
    """Return signatures of images of folders, of their negatives and of versions, in the order of their hashes."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    random.Random(0).shuffle(paths)
    signatures = np.array([prepare(path.read_bytes(), 32, "squash").signature for path in paths[:size]])
    signatures = np.concatenate([signatures, 255 - signatures[: size - len(signatures)]])
    assert len(signatures) == size, "the folders contain too few images"
    for number in range(size // 10 if with_versions else 0):
        turned = ndimage.rotate(signatures[number], 10 + number % 15, reshape=False, order=1, mode="nearest")
        signatures[-1 - number] = turned
    digests = np.array([np.frombuffer(hashlib.sha256(signature).digest(), np.uint8) for signature in signatures])
    order = np.argsort(digests.view("S32").ravel(), kind="stable")
    return signatures[order], digests[order]


def peak_mb() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _pairs(counts: Counter[Any]) -> int:
    return sum(n * (n - 1) // 2 for n in counts.values())


def _keras(strong: bool) -> Augmenter:
    from featx.libraries import start_keras

    start_keras()
    from keras._tf_keras.keras.preprocessing.image import ImageDataGenerator

    factor = 2.0 if strong else 1.0
    generator = ImageDataGenerator(
        rotation_range=20 * factor,
        width_shift_range=0.1 * factor,
        height_shift_range=0.1 * factor,
        shear_range=10 * factor,
        zoom_range=0.1 * factor,
        brightness_range=(1 - 0.2 * factor, 1 + 0.2 * factor),
        channel_shift_range=10.0 * factor,
        horizontal_flip=True,
        vertical_flip=strong,
        fill_mode="nearest",
    )

    def augment(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        return clipped(generator.random_transform(pixels.astype(np.float32), seed=int(rng.integers(1 << 31))))

    return augment


def _albumentations(strong: bool) -> Augmenter:
    import albumentations as alb

    def augment(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        side = min(pixels.shape[:2])
        crop = (0.4, 1.0) if strong else (0.7, 1.0)
        changes = alb.Compose(
            [
                alb.HorizontalFlip(p=0.5),
                alb.RandomRotate90(p=0.5 if strong else 0.1),
                alb.Affine(
                    scale=(0.9, 1.1), translate_percent=(-0.06, 0.06), rotate=(-45, 45) if strong else (-15, 15), p=0.5
                ),
                alb.RandomResizedCrop((side, side), scale=crop, ratio=(0.75, 1.33), p=0.5),
                alb.RandomBrightnessContrast(0.4 if strong else 0.2, 0.4 if strong else 0.2, p=0.5),
                alb.HueSaturationValue(p=0.3),
                alb.OneOf([alb.GaussNoise(), alb.GaussianBlur(), alb.MotionBlur()], p=0.6 if strong else 0.3),
                alb.ElasticTransform(alpha=60 if strong else 20, sigma=8, p=0.3 if strong else 0.1),
                alb.CoarseDropout(num_holes_range=(1, 8 if strong else 3), p=0.5 if strong else 0.2),
            ],
            seed=int(rng.integers(1 << 31)),
        )
        return np.asarray(changes(image=np.ascontiguousarray(pixels))["image"], np.uint8)

    return augment


def _roboflow(strong: bool) -> Augmenter:
    factor = 2.0 if strong else 1.0

    def augment(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        def within(most: float) -> float:
            return float(rng.uniform(-most, most)) * factor

        image = Image.fromarray(pixels)
        if rng.random() < 0.5:
            image = ImageOps.mirror(image)
        if strong and rng.random() < 0.5:
            image = image.rotate(90 * int(rng.integers(1, 4)), expand=True)
        keep = 1 - float(rng.uniform(0, 0.2)) * factor
        width, height = round(keep * image.width), round(keep * image.height)
        left, top = int(rng.integers(0, image.width - width + 1)), int(rng.integers(0, image.height - height + 1))
        image = image.crop((left, top, left + width, top + height))
        shear = (np.tan(np.radians(within(10))), np.tan(np.radians(within(10))))
        centre = (image.width / 2, image.height / 2)
        matrix = (1, shear[0], -shear[0] * centre[1], shear[1], 1, -shear[1] * centre[0])
        image = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        image = image.rotate(within(15), Image.Resampling.BILINEAR)
        if rng.random() < 0.15:
            image = ImageOps.grayscale(image).convert("RGB")
        hue, saturation, value = np.moveaxis(np.asarray(image.convert("HSV")).astype(np.float32), 2, 0)
        hue = (hue + within(15) * 255 / 360) % 256
        hsv = np.stack([hue, saturation * (1 + within(0.25)), value], axis=2)
        image = Image.fromarray(clipped(hsv), "HSV").convert("RGB")
        image = ImageEnhance.Brightness(image).enhance(1 + within(0.2))
        exposed = 255 * (np.asarray(image) / 255.0) ** (1 - within(0.1))
        image = Image.fromarray(clipped(exposed)).filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2)) * factor))
        noisy = np.asarray(image).copy()
        speckled = rng.random(noisy.shape[:2]) < 0.02 * factor * rng.random()
        noisy[speckled] = rng.integers(0, 256, (int(speckled.sum()), 1))
        side = max(2, round(0.1 * min(noisy.shape[:2])))
        for _ in range(int(rng.integers(0, 4 if strong else 2))):
            y, x = (int(rng.integers(0, max(1, length - side))) for length in noisy.shape[:2])
            noisy[y : y + side, x : x + side] = 0
        image = Image.fromarray(noisy)
        kind = rng.random()
        if kind < 0.2:
            image = ImageOps.expand(image, round(0.05 * factor * image.width), fill=(int(rng.choice([0, 255])),) * 3)
        elif kind < 0.4:
            box = [
                round(share * length) for share, length in zip((0.65, 0.88, 0.97, 0.97), image.size * 2, strict=True)
            ]
            ImageDraw.Draw(image).rectangle(box, fill=(250, 250, 250))
        return np.asarray(image)

    return augment


AUGMENTERS: dict[str, Callable[[bool], Augmenter]] = {
    "keras": _keras,
    "albumentations": _albumentations,
    "roboflow": _roboflow,
}


def make_heads(n: int) -> list[tuple[str, Pixels]]:
    """Return slices of heads, grey and alike: an ellipse of bone, folded tissue, ventricles, and for half a tumour."""
    rng = np.random.default_rng(1)
    return [_head(rng, number % 2 == 1) for number in range(n)]


def _head(rng: np.random.Generator, has_tumour: bool) -> tuple[str, Pixels]:
    side = 208
    y, x = (np.mgrid[:side, :side] - side / 2) / (side / 2)
    a, b = rng.uniform(0.62, 0.72), rng.uniform(0.78, 0.88)
    turn = np.radians(rng.normal(0, 3))
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    radius = np.hypot(u / a, v / b)
    fine, coarse = (ndimage.gaussian_filter(rng.normal(size=(side, side)), s) * s for s in (3.5, 9))
    mirrored = (fine + 0.5 * fine[:, ::-1]) / 1.3  # both halves of a brain are similar
    tissue = 95 + 45 * mirrored + 30 * coarse
    image = np.where(radius < 0.9, tissue, 0)
    image = np.where((radius >= 0.94) & (radius < 1), 190 + 20 * coarse, image)
    gap, size = rng.uniform(0.07, 0.11), rng.uniform(0.05, 0.09)
    for sign in (-1, 1):
        ventricle = np.hypot((u - sign * gap) / size, v / (3.2 * size)) < 1
        image = np.where(ventricle, 35, image)
    if has_tumour:
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.6)
        cu, cv = far * a * np.cos(angle), far * b * np.sin(angle)
        spot = np.hypot(u - cu, v - cv) / rng.uniform(0.06, 0.13) + 0.25 * coarse
        image = np.where(spot < 1, 185 + 15 * fine, image)
    image = ndimage.gaussian_filter(image, 0.8) + rng.normal(0, 4, image.shape)
    return "tumour" if has_tumour else "none", np.repeat(clipped(image)[:, :, None], 3, axis=2)


def make_cells(n: int) -> list[tuple[str, Pixels]]:
    """Return stained white cells of four kinds among red cells; backgrounds and colours are alike."""
    rng = np.random.default_rng(2)
    return [_cell(rng, number % 4) for number in range(n)]


def _cell(rng: np.random.Generator, kind: int) -> tuple[str, Pixels]:
    height, width = 180, 240
    y, x = np.mgrid[:height, :width].astype(np.float64)
    image = np.empty((height, width, 3))
    image[:] = np.array([222, 205, 200]) + rng.normal(0, 4, 3)
    for _ in range(int(rng.integers(9, 15))):  # red cells
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(17, 22)
        far = np.hypot(y - cy, (x - cx) * rng.uniform(0.9, 1.1)) / r
        weight = 1 / (1 + np.exp((far - 1) * 14)) * (0.75 + 0.25 * np.clip(far, 0, 1))
        image += weight[:, :, None] * (np.array([205, 140, 150]) - image) * 0.9
    cy, cx = height / 2 + rng.normal(0, 14), width / 2 + rng.normal(0, 18)
    wobble = ndimage.gaussian_filter(rng.normal(size=(height, width)), 6) * 6
    body = np.hypot(y - cy, x - cx) / rng.uniform(30, 36) + 0.12 * wobble
    weight = 1 / (1 + np.exp((body - 1) * 12))
    tint = np.array([[205, 170, 190], [200, 185, 215], [190, 200, 225], [215, 150, 160]][kind])
    image += weight[:, :, None] * (tint - image) * 0.7
    nucleus = np.zeros((height, width))
    lobes = (1, 1, 2, 3)[kind] + int(rng.random() < 0.35)
    for lobe in range(lobes):
        angle = 2 * np.pi * lobe / lobes + rng.uniform(0, 6.28)
        far = 0 if lobes == 1 else rng.uniform(9, 14)
        r = rng.uniform(19, 25) if lobes == 1 else rng.uniform(9, 13)
        shape = np.hypot(y - cy - far * np.sin(angle), x - cx - far * np.cos(angle)) / r + 0.15 * wobble
        nucleus = np.maximum(nucleus, 1 / (1 + np.exp((shape - 1) * 10)))
    image += nucleus[:, :, None] * (np.array([110, 70, 150]) + 15 * wobble[:, :, None] - image) * 0.9
    image = ndimage.gaussian_filter(image, (0.9, 0.9, 0)) + rng.normal(0, 3, image.shape)
    return ("lymphocyte", "monocyte", "eosinophil", "neutrophil")[kind], clipped(image)


MADE: dict[str, Callable[[int], list[tuple[str, Pixels]]]] = {"heads": make_heads, "cells": make_cells}


def clipped(values: NDArray[Any]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
