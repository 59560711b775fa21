"""Measure versions that are recognised by file names: ``python -m benchmarks.names DIR... [--own DIR...] [--made]``.

Up to 60 images of each folder, with 5 augmented versions of each, get the names that exporters and scripts give (rows
``versions``). Other sets contain 240 images of each folder that are no versions of each other, with the names of
plates, days, persons or cameras; in half of them, the images of one plate share a colour cast, brightness, blur and
shading (rows ``sources``). The images of each folder under their own names are the last kind (rows ``own names``).
``--made`` adds the made sets of :mod:`benchmarks.augmented`: slices of heads, and stained cells.

For each form of names, print an example, and over all sets: the number of sets, the share of the true pairs of versions
that names and likeness join (the lowest of all sets, and the mean), and the number of images that are joined with
another image wrongly; by ``fit``, which has features, and by ``inspect``. Near-duplicates are not counted. Print a
Markdown table, then JSON with the figures of each set. ``--cost N`` measures the time and the memory for N images
instead.
"""

from __future__ import annotations

import argparse
import os
import string
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.augmented import AUGMENTERS, MADE, Augmenter, Pixels, clipped, read_originals
from benchmarks.processes import print_head, print_json, print_row
from featx.duplicates import feature_similarity, find_similar_names, group_samples, thumbnail_similarity
from featx.extraction import extract
from featx.inspection import inspect
from featx.runtime import Runtime

_VERSIONS = 6
_SOURCES = 240
_CHANGES = ("flip", "rot90", "bright", "noise", "zoom", "crop")
_WORDS = ("clahe", "sepia", "emboss", "posterize", "solarize", "gamma")


class Name:
    """What the name of an image is made of.

    Parameters
    ----------
    rng : numpy.random.Generator
    label : str
    number : int
        Number of the original in its class, or of the image of a source.
    version : int
        Number of the version of the original, or of the image in its source; 0 is the original.
    """

    def __init__(self, rng: np.random.Generator, label: str, number: int, version: int) -> None:
        self.label, self.number, self.version = label, number, version
        self.random = int(rng.integers(10_000))
        self.hash, self.uuid = rng.bytes(16).hex(), rng.bytes(16).hex()
        name = np.random.default_rng([number, *label.encode()])
        self.photo = f"IMG_{1000 + 7 * number}"
        self.text = "".join(name.choice(list(string.ascii_lowercase), 8))
        self.flickr = f"{int(name.integers(10**8, 10**10))}_{name.bytes(5).hex()}_n"

    def marked(self, original: str, mark: str) -> str:
        """Return the name of the original, or for a version the given name."""
        return original if self.version == 0 else mark


Namer = Callable[[Name], str]

VERSIONS: dict[str, Namer] = {
    "Keras, folder": lambda n: f"_{n.number}_{n.random}",
    "Keras, prefix": lambda n: f"aug_{n.number}_{n.random}",
    "Keras, name as prefix": lambda n: f"{n.photo}_0_{n.random}",
    "Keras, number as prefix": lambda n: f"aug_{n.number}_0_{n.random}",
    "Keras, beside originals": lambda n: n.marked(str(n.number), f"aug_{n.number}_0_{n.random}"),
    "Keras, names of Flickr": lambda n: f"{n.flickr}_0_{n.random}",
    "Roboflow": lambda n: f"{n.photo}_jpg.rf.{n.hash}",
    "Augmentor": lambda n: n.marked(
        n.photo,
        f"{n.label}_original_{n.photo}.jpg_{n.uuid[:8]}-{n.uuid[8:12]}-{n.uuid[12:16]}-{n.uuid[16:20]}-{n.uuid[20:]}",
    ),
    "change": lambda n: f"img_{n.number}_{_CHANGES[n.version]}",
    "change before": lambda n: n.marked(n.text, f"{_CHANGES[n.version]}_{n.text}"),
    "change and number": lambda n: f"{n.photo}_aug_{n.version}",
    "changes twice": lambda n: f"{n.text}_{_CHANGES[n.version]}_{_CHANGES[n.version - 1]}",
    "other words": lambda n: f"{n.text}_{_WORDS[n.version]}",
    "other words before": lambda n: f"{_WORDS[n.version]}-{n.photo}",
    "copies of Windows": lambda n: n.marked(n.text, f"{n.text} - Copy ({n.version})"),
    "copies of macOS": lambda n: n.marked(n.photo, f"{n.photo} (copy {n.version})"),
    "copies of browsers": lambda n: n.marked(n.photo, f"{n.photo} ({n.version})"),
    "leading marks": lambda n: "_" * n.version + n.photo,
    "number after": lambda n: f"{n.text}_{n.version}",
    "number before": lambda n: f"{n.version}_{n.photo}",
    "two numbers": lambda n: f"{n.number}_{n.version}",
    "two numbers, reversed": lambda n: f"{n.version}_{n.number}",
    "number in the middle": lambda n: f"out_{n.version}_{n.number}_{n.random}",
    "hash after": lambda n: f"{n.photo}-{n.hash[:12]}1a",
    "letter after": lambda n: f"{n.photo}{'abcdef'[n.version]}",
    "name inside": lambda n: n.marked(n.text, f"new-{n.text}-{n.random}-{_WORDS[n.version]}"),
    "train and test": lambda n: f"{n.photo}_0_{n.random}",
    "same name in train and test": lambda n: n.photo,
}
"""Names of versions of one image, by a description."""

SPLIT = {"train and test", "same name in train and test"}
"""Forms whose versions are distributed over the folders train and test."""

SOURCES: dict[str, Namer] = {
    "numbers": lambda n: f"IMG_{100 * n.number + n.version}",
    "plate and well": lambda n: f"plate_{n.number}_well_{n.version}",
    "plate and hash": lambda n: f"P{n.number:02}_{n.hash[:10]}1a",
    "day and time": lambda n: f"2023-05-{1 + n.number:02}_{10 + n.random % 8}{n.random % 60:02}{n.random % 59:02}",
    "person": lambda n: f"{n.text}{n.version:02}",
    "person and take": lambda n: f"{n.text}__take.{n.text}.{n.random}",
    "person, many words": lambda n: f"{n.text}-{('left', 'right', 'front', 'back')[n.version % 4]}-{n.version}",
    "patient and slice": lambda n: f"{n.version}_{n.number:03}",
    "copies of Windows": lambda n: f"photo ({100 * n.number + n.version})",
    "hashes": lambda n: n.hash,
}
"""Names of images that are no versions of each other; ``number`` is a plate, a day or a person."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--own", nargs="*", type=Path, default=[], help="folders to measure under their own names only")
    parser.add_argument("--made", action="store_true", help="add the made sets of heads and cells")
    parser.add_argument("--augmenters", default=",".join(AUGMENTERS))
    parser.add_argument("--settings", default="usual")
    parser.add_argument("--originals", type=int, default=60)
    parser.add_argument("--cost", type=int, help="number of images whose names are examined; measure nothing else")
    arguments = parser.parse_args()
    if arguments.cost:
        _measure_cost(arguments.cost)
        return
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = _Place(Path(scratch))
        augmenters = {
            f"{name}, {setting}": AUGMENTERS[name](setting == "strong")
            for name in arguments.augmenters.split(",")
            for setting in arguments.settings.split(",")
        }
        sets: list[tuple[str, Callable[[int], list[tuple[str, Pixels]]]]] = [
            (folder.name, partial(read_originals, folder)) for folder in arguments.folders
        ]
        for name, read in [*sets, *(MADE.items() if arguments.made else ())]:
            for augmenter, augment in augmenters.items():
                versions = place.save(f"{name}, {augmenter}", _versions(read(arguments.originals), augment))
                results += [
                    {"kind": "versions", "form": form, "set": f"{name}, {augmenter}"}
                    | place.measure(versions, namer, True, form in SPLIT)
                    for form, namer in VERSIONS.items()
                ]
            for has_cast in (False, True):
                sources = place.save(f"{name}, {has_cast}", _sources(read(_SOURCES), has_cast))
                results += [
                    {"kind": "sources", "form": form, "set": f"{name}{', colour cast' if has_cast else ''}"}
                    | place.measure(sources, namer, False)
                    for form, namer in SOURCES.items()
                ]
        for folder in (*arguments.folders, *arguments.own):
            results.append({"kind": "own names", "form": folder.name, "set": folder.name} | place.measure_own(folder))
    print_head(
        "names",
        "example",
        "sets",
        *(f"{of}: {what}" for of in ("fit", "inspect") for what in ("lowest", "mean", "wrong")),
    )
    for kind, form in dict.fromkeys((row["kind"], row["form"]) for row in results):
        rows = [row for row in results if (row["kind"], row["form"]) == (kind, form)]
        shares = [[row[of]["share"] for row in rows if row[of]["share"] is not None] for of in ("fit", "inspect")]
        wrong = [sum(row[of]["wrong"] for row in rows) for of in ("fit", "inspect")]
        cells = [(f"{min(s):.2f}", f"{np.mean(s):.2f}") if s else ("", "") for s in shares]
        print_row(f"{kind}: {form}", rows[0]["example"], len(rows), *cells[0], wrong[0], *cells[1], wrong[1])
    print_json(results)


def _measure_cost(n: int) -> None:
    """Print the time and the memory for ``n`` images, six versions of each original, in 10 and in 1,000 classes."""
    rng = np.random.default_rng(0)
    original = np.arange(n) // _VERSIONS
    base, noise = (rng.normal(size=(size, 1280)).astype(np.float32) for size in (n // _VERSIONS + 1, 997))
    shown = rng.integers(0, 256, (n // _VERSIONS + 1, 16, 16)).astype(np.uint8)
    signatures = shown[original] ^ rng.integers(0, 32, (n, 16, 16)).astype(np.uint8)
    similarities = [
        feature_similarity(lambda at: base[original[at]] + noise[at % 997]),
        thumbnail_similarity(signatures),
    ]
    print_head("names", "classes", "images", "seconds", "CPU seconds", "memory, MB", "groups")
    results = []
    for form in ("Keras, folder", "two numbers, reversed"):
        for classes in (10, 1000):
            labels = [f"class{i % classes}" for i in original.tolist()]
            stems = [
                VERSIONS[form](Name(rng, *of, i % _VERSIONS))
                for i, of in enumerate(zip(labels, original.tolist(), strict=True))
            ]
            sample_ids = [f"{label}/{stem}.jpg" for label, stem in zip(labels, stems, strict=True)]
            started, processor = time.perf_counter(), time.process_time()
            groups = find_similar_names(sample_ids, labels, np.arange(n), similarities)
            row = {"seconds": time.perf_counter() - started, "processor": time.process_time() - processor}
            tracemalloc.start()
            find_similar_names(sample_ids, labels, np.arange(n), similarities)
            row["memory"] = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
            print_row(form, classes, n, *(round(value, 1) for value in row.values()), len(groups))
            results.append({"form": form, "classes": classes, "images": n, **row, "groups": len(groups)})
    print_json(results)


Member = tuple[str, int, int, Path]
"""Class of an image, number of its original or source, number of its version, and file."""


class _Place:
    """Images in a folder, whose features are computed once, whatever their names."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self._runtime = scratch, Runtime(scratch / "cache")

    def save(self, name: str, images: Iterator[tuple[str, int, int, Pixels]]) -> list[Member]:
        """Save images under neutral names."""
        folder = self._scratch / "images" / name
        folder.mkdir(parents=True)
        rng, members = np.random.default_rng(0), []
        for at, (label, number, version, pixels) in enumerate(images):
            path = folder / f"{at}.jpg"
            Image.fromarray(pixels).save(path, quality=int(rng.integers(75, 96)))
            members.append((label, number, version, path))
        return members

    def measure(
        self, members: list[Member], namer: Namer, are_versions: bool, is_split: bool = False
    ) -> dict[str, Any]:
        """Give images names; return the share of true pairs that are joined, and the number of wrong images."""
        rng = np.random.default_rng(0)
        with tempfile.TemporaryDirectory(dir=self._scratch) as scratch:
            folder, true = Path(scratch) / "set", {}
            for label, number, version, path in members:
                split = ("train", "test")[version % 2] if is_split else ""
                if is_split and version > 1 and namer is VERSIONS["same name in train and test"]:
                    continue
                stem = namer(Name(rng, label, number, version))
                named = folder / split / label / f"{stem}.jpg"
                named.parent.mkdir(parents=True, exist_ok=True)
                while named.exists():  # the random number of another version
                    named = named.with_stem(namer(Name(rng, label, number, version)))
                os.link(path, named)
                true[named.relative_to(folder).as_posix()] = (label, number) if are_versions else path
            return {"example": stem, **self._found(folder, true)}

    def measure_own(self, folder: Path) -> dict[str, Any]:
        """Return the same for a folder whose images are no versions of each other."""
        return {"example": "", **self._found(folder, None)}

    def _found(self, folder: Path, true: dict[str, Any] | None) -> dict[str, Any]:
        table = extract(folder, runtime=self._runtime)
        sample_ids = table.sample_ids.tolist()
        true = true or {sample_id: sample_id for sample_id in sample_ids}
        groups = group_samples(table).versions
        return {
            "fit": _share([[sample_ids[i] for i in group] for group in groups], true),
            "inspect": _share(inspect(folder).versions, true),
        }


def _share(groups: Any, true: dict[str, Any]) -> dict[str, Any]:
    pairs = [(true[one], true[other]) for group in groups for one, other in combinations(group, 2)]
    n_true = sum(n * (n - 1) // 2 for n in Counter(true.values()).values())
    wrong = [i for group in groups for i in group if any(true[i] != true[other] for other in group)]
    share = sum(one == other for one, other in pairs) / n_true if n_true else None
    return {"share": share, "wrong": len(wrong)}


def _versions(originals: list[tuple[str, Pixels]], augment: Augmenter) -> Iterator[tuple[str, int, int, Pixels]]:
    rng, numbers = np.random.default_rng(0), Counter[str]()
    for label, pixels in originals:
        for version in range(_VERSIONS):
            yield label, numbers[label], version, pixels if version == 0 else augment(pixels, rng)
        numbers[label] += 1


def _sources(originals: list[tuple[str, Pixels]], has_cast: bool) -> Iterator[tuple[str, int, int, Pixels]]:
    """Assign images to 20 sources; the images of a source may share colours, brightness, blur and shading."""
    rng, counts = np.random.default_rng(1), Counter[int]()
    casts = [
        (rng.uniform(0.8, 1.2, 3), rng.uniform(-15, 15), rng.uniform(0, 0.8), rng.uniform(-0.2, 0.2, 2))
        for _ in range(20)
    ]
    for label, pixels in originals:
        source = int(rng.integers(20))
        gains, offset, blur, shading = casts[source]
        if has_cast:
            y, x = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
            cast = pixels * gains * (1 + shading[0] * y + shading[1] * x)[:, :, None] + offset
            pixels = np.asarray(Image.fromarray(clipped(cast)).filter(ImageFilter.GaussianBlur(blur)))
        yield label, source, counts[source], pixels
        counts[source] += 1


if __name__ == "__main__":
    main()
