"""Compare the images of large sets, for :mod:`benchmarks.near_duplicates`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.processes import peak_megabytes
from featx.duplicates import find_near_duplicates
from featx.duplicates.keeping import KeptComparison
from featx.duplicates.measures import feature_measure
from featx.duplicates.similarity import normalized_patterns, orientations

_SIDE = 32
_ADDED = 100
_QUERIES = 1000
_CHANGED = 5
_BLOCK = 4096


def compare_large(folders: list[Path], n: int) -> dict[str, float]:
    """Compare ``n`` images made from folders; return times, memory, recall and precision."""
    signatures, features = _make(folders, n)
    hashes = np.sort(np.random.default_rng(1).integers(0, 256, (n, 32), np.uint8).view("S32").ravel())
    keys = hashes.view(np.uint8).reshape(n, 32)
    before = np.sort(np.random.default_rng(2).choice(n, n - _ADDED, replace=False))
    found = {"images": n}
    with tempfile.TemporaryDirectory() as scratch:
        for at, name in ((before, "seconds"), (np.arange(n), "seconds after adding 100")):
            shown, chosen, used = signatures[at], keys[at], features[at]
            started = time.perf_counter()
            kept = KeptComparison(Path(scratch) / "cache", "0" * 16, "0" * 16)
            agree = feature_measure(len(at), lambda rows, used=used: used[rows].astype(np.float32))
            pairs, comparison = find_near_duplicates(shown, agree, known=kept.recall(chosen, shown))
            kept.keep(chosen, shown, comparison)
            found[name] = round(time.perf_counter() - started, 2)
            if name == "seconds":
                found["peak, MB"] = peak_megabytes()
                found["file, MB"] = sum(file.stat().st_size for file in Path(scratch).glob("cache/pairs/*")) / 1e6
    found["pairs"] = len(pairs)
    queries = np.random.default_rng(3).choice(n, min(n, _QUERIES), replace=False)
    expected = _straightforward(signatures, queries)
    agree = feature_measure(n, lambda rows: features[rows].astype(np.float32))
    right = {pair for pair, agrees in zip(expected, agree(*np.array(expected).T), strict=True) if agrees}
    selected = set(queries.tolist())
    own = {pair for pair in pairs if not selected.isdisjoint(pair)}
    found["recall"] = len(own & right) / len(right)
    found["precision"] = len(own & right) / len(own)
    return found


def _make(folders: list[Path], n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return signatures and features of ``n`` images in random order."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    rng = np.random.default_rng(0)
    paths = [paths[i] for i in rng.permutation(len(paths))[: n - n // _CHANGED]]
    images = np.stack([_read(path) for path in paths])
    signatures, features = np.empty((n, 16, 16), np.uint8), np.empty((n, 192), np.uint8)
    order = rng.permutation(n)
    for start in range(0, n, _BLOCK):
        at = np.arange(start, min(start + _BLOCK, n))
        shown = images[at % len(images)].astype(np.float32)
        spliced = (at >= len(images)) & (at < n - n // _CHANGED)
        shown[spliced, :, _SIDE // 2 :] = images[rng.integers(0, len(images), spliced.sum()), :, _SIDE // 2 :]
        changed = np.flatnonzero(at >= n - n // _CHANGED)
        for i, original in zip(changed, rng.integers(0, len(images), len(changed)), strict=True):
            shown[i] = _changed(images[original], rng)
        shown = shown.clip(0, 255)
        grey = shown @ np.array([0.299, 0.587, 0.114], np.float32)
        signatures[order[at]] = np.rint(grey.reshape(-1, 16, 2, 16, 2).mean((2, 4)))
        features[order[at]] = shown.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)).reshape(-1, 192)
    return signatures, features


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX))


def _changed(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an image that was cut, mirrored or rotated, made brighter or darker, and saved with noise."""
    image = Image.fromarray(pixels)
    left, top, right, bottom = rng.uniform(0, 0.03, 4) * _SIDE
    image = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, (left, top, _SIDE - right, _SIDE - bottom))
    changed = np.rot90(np.asarray(image, np.float32), rng.integers(0, 4) if rng.random() < 0.5 else 0)
    changed = changed[:, ::-1] if rng.random() < 0.5 else changed
    return (changed - 128) * rng.uniform(0.7, 1.2) + 128 + rng.uniform(-20, 20) + rng.normal(0, 4, changed.shape)


def _straightforward(signatures: NDArray[np.uint8], queries: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the pairs of some images by the definition, from the distances of all pairs in float32."""
    patterns = normalized_patterns(signatures)
    limits = dict(zip(queries.tolist(), _limits(patterns, queries), strict=True))
    candidates = set()
    for oriented in orientations(signatures[queries]):
        turned = normalized_patterns(oriented)
        for start in range(0, len(patterns), _BLOCK):
            distances = np.sqrt(np.maximum(2 - 2 * turned @ patterns[start : start + _BLOCK].T, 0))
            near = distances <= np.array(list(limits.values()))[:, None]
            candidates |= {(queries[i], start + j, distances[i, j]) for i, j in np.argwhere(near)}
    candidates = {(i, j, d) for i, j, d in candidates if i != j}
    others = np.array(sorted({j for _, j, _ in candidates} - set(limits)), np.int64)
    limits |= dict(zip(others.tolist(), _limits(patterns, others), strict=True))
    return sorted({(int(min(i, j)), int(max(i, j))) for i, j, d in candidates if d <= limits[j]})


def _limits(patterns: NDArray[np.float32], at: NDArray[np.int64]) -> list[float]:
    limits = []
    for i in at.tolist():
        distances = np.sqrt(np.maximum(2 - 2 * patterns @ patterns[i], 0))
        distances[i] = np.inf
        nearest = np.sort(np.partition(distances, 1012)[:1012])
        fits = [
            min(0.45, 0.45 * nearest[m + 11]) for m in range(1001) if not m or nearest[m - 1] <= 0.45 * nearest[m + 11]
        ]
        limits.append(min(0.45, fits[-1]) if patterns[i].any() else -1.0)
    return limits


if __name__ == "__main__":
    raise SystemExit(__doc__)
