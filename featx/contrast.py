"""Find images that a head cannot distinguish: images without contrast, and different images with equal features."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.blocks import Features, in_memory
from featx.table import CHUNK, FeatureTable

MOST_LOOKED_AT = 200_000
"""Maximum number of images whose features are compared if the features must be read from the store."""

_FEW = 4
_NOISE = 1
"""Largest range of grey levels that rounding, noise and JPEG compression cause in the thumbnail of an image of one
colour. Photographs of calm water have a range of 4."""


@dataclass(frozen=True)
class Indistinct:
    """Images that cannot be distinguished by their content.

    Parameters
    ----------
    n_images : int
        Number of images in the data set.
    blank : tuple of str
        Sample ids of images without contrast in their 16 x 16 thumbnail: of one colour, or fully transparent.
    blank_classes : tuple of str
        Classes in which all images are blank.
    equal : tuple of tuple of str
        Groups of images with different bytes and equal features; groups of only blank images are left out.
    """

    n_images: int
    blank: tuple[str, ...]
    blank_classes: tuple[str, ...]
    equal: tuple[tuple[str, ...], ...] = ()

    def notes(self) -> list[str]:
        """Return notes on these images, with advice; images without contrast come first."""
        return indistinct_notes(
            {"n_images": self.n_images}
            | {"blank": self.blank, "blank_classes": self.blank_classes, "equal_features": self.equal}
        )


def indistinct_notes(summary: Mapping[str, Any]) -> list[str]:
    """Return notes on images that cannot be distinguished by their content.

    Parameters
    ----------
    summary : mapping
        Output of ``featx inspect --json`` or ``featx extract --json``.
    """
    blank, n = summary["blank"], summary["n_images"]
    notes = []
    if blank:
        which = f"all {n:,} images show" if len(blank) == n > 1 else f"{_images(len(blank))} of {n:,}"
        verb = "" if len(blank) == n > 1 else " shows" if len(blank) == 1 else " show"
        classes = ", ".join(summary["blank_classes"])
        whole = f" (all of {classes})" if classes and len(blank) < n else ""
        notes.append(
            f"{which}{verb} no contrast{whole}: fully transparent, of one colour, or an empty first page (`page`): "
            f"{_some(blank)}"
        )
    for group in summary.get("equal_features", ())[:_FEW]:
        notes.append(
            f"{len(group):,} different files have equal features: {_some(group)}; "
            "if they are placeholders for missing images, remove them"
        )
    more = len(summary.get("equal_features", ())) - _FEW
    return [*notes, f"{more:,} more groups of different files with equal features"] if more > 0 else notes


def find_blank(sample_ids: Sequence[str], labels: Sequence[str | None], signatures: NDArray[np.uint8]) -> Indistinct:
    """Find images without contrast.

    Parameters
    ----------
    sample_ids, labels : sequence, of length n
    signatures : ndarray of shape (n, 16, 16), uint8
        Coarse grey thumbnails (:func:`featx.table.coarse`).
    """
    is_blank = _is_blank(signatures)
    contrasted = Counter(label for label, blank in zip(labels, is_blank, strict=True) if not blank)
    return Indistinct(
        len(sample_ids),
        tuple(name for name, blank in zip(sample_ids, is_blank, strict=True) if blank),
        tuple(sorted({label for label in labels if label is not None and not contrasted[label]})),
    )


def find_indistinct(table: FeatureTable) -> Indistinct:
    """Find images without contrast, and different images with equal features; features are read in chunks."""
    n = len(table)
    signatures = table.read_coarse_signatures()
    found = find_blank(table.sample_ids.tolist(), table.y.tolist(), signatures)
    members: dict[bytes, list[int]] = {}
    for start, features in table.chunks():
        for i, row in enumerate(np.ascontiguousarray(features), start):
            members.setdefault(hashlib.blake2b(row, digest_size=16).digest(), []).append(i)
    is_blank = _is_blank(signatures)
    contents = table.content_hashes
    equal = tuple(
        tuple(table.samples[i].sample_id for i in group)
        for group in members.values()
        if len(group) > 1 and len({contents[i].tobytes() for i in group}) > 1 and not is_blank[group].all()
    )
    return Indistinct(n, found.blank, found.blank_classes, equal)


def are_equal(X: Features) -> bool:
    """Return whether all rows of features of shape (n, n_features) are equal; False for fewer than two rows."""
    first = in_memory(X, np.arange(min(1, len(X))))
    starts = range(0, len(X), CHUNK)
    return len(X) > 1 and all(bool((in_memory(X, slice(at, at + CHUNK)) == first).all()) for at in starts)


def _is_blank(signatures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    flat = signatures.reshape(len(signatures), 16 * 16)
    blank: NDArray[np.bool_] = np.ptp(flat, axis=1) <= _NOISE
    return blank


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{n:,} images"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_FEW])
    return shown if len(names) <= _FEW else f"{shown} and {len(names) - _FEW:,} more"
