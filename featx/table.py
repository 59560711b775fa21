"""The feature table in memory: which picture has which label, and its features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.spec import FeatureSpec

ORIGINS = ("camera", "day")
"""Columns that EXIF data give besides a manifest's own."""

CHUNK = 4096
"""Rows that are read at a time where a table is streamed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set.

    Parameters
    ----------
    sample_id : str
        POSIX path relative to the data set's root; bytes that are no UTF-8 as surrogate escapes.
    label, group, split : str or None
        What the data set says; None where it says nothing. A split is ``train``, ``val`` or ``test``.
    others : tuple of (str, str)
        Name and value of a manifest's other columns, and of ``camera`` and ``day`` where EXIF data tell them.
    """

    sample_id: str
    label: str | None = None
    group: str | None = None
    split: str | None = None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def is_learnt(self) -> bool:
        """Whether it belongs to the training part: it has a label, and the split ``train`` or none."""
        return self.label is not None and self.split in (None, "train")


@dataclass(frozen=True, slots=True)
class FileState:
    """What is known of a file since it was last read.

    Parameters
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Modification time; -1 if it cannot be trusted to show the next change.
    content_hash : bytes
        SHA-256 of its bytes; empty if it was not read.
    status : {"ok", "skipped", "ignored"}
        Usable; an image that could not be used; no image.
    reason : str
        Why it was skipped.
    width, height : int
        Upright size in pixels; 0 if it was not decoded.
    camera, day : str
        What its EXIF data say; empty if nothing.
    """

    size: int
    mtime_ns: int
    content_hash: bytes = b""
    status: str = "ok"
    reason: str = ""
    width: int = 0
    height: int = 0
    camera: str = ""
    day: str = ""


@dataclass(frozen=True)
class Skipped:
    """An image that could not be used, and why.

    Parameters
    ----------
    path : str
        Its sample id.
    reason : str
        For people.
    position : int
        Its place among all images of the data set.
    """

    path: str
    reason: str
    position: int


@dataclass(frozen=True)
class Views:
    """Augmented views of the pictures of the training part.

    Parameters
    ----------
    n : int
        Views of each picture, besides the picture itself.
    policy : str
        Canonical, see :func:`featx.augmentation.read_policy`.
    seed : int
    features_id : str
        Name of their feature store.
    store : path
        Its file.
    n_computed, n_cached : int
        Views computed now; views that were in the store already.
    seconds : float
        Wall time of computing them.
    """

    n: int
    policy: str
    seed: int
    features_id: str
    store: Path
    n_computed: int
    n_cached: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``views`` in ``featx extract --json``."""
        return {**vars(self), "store": str(self.store), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Extraction:
    """What an extraction did.

    Parameters
    ----------
    features_id : str
        Name of the feature store.
    store : path
        Its file.
    backbone : str
        The network and its weights, for people.
    engine, device, precision : str
        What executed it; device is empty where nothing was computed.
    feature_dim : int
        Numbers per picture.
    n_images : int
        Pictures with features: computed and cached ones.
    n_computed, n_cached : int
        Pictures computed now; pictures whose content was already in the store.
    skipped : tuple of Skipped
        Images that could not be used.
    ignored : tuple of str
        Files that are no images.
    cut_away : float or None
        Mean share of the pictures' area that the crop leaves out; None for other rules or if not known.
    notes : dict of str to int
        How many pictures were read in a way worth knowing, by note.
    seconds : float
        Wall time.
    views : Views or None
        None where there are no augmented views.
    """

    features_id: str
    store: Path
    backbone: str
    engine: str
    device: str
    precision: str
    feature_dim: int
    n_images: int
    n_computed: int
    n_cached: int
    skipped: tuple[Skipped, ...]
    ignored: tuple[str, ...]
    cut_away: float | None
    notes: dict[str, int]
    seconds: float
    views: Views | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx extract --json``."""
        of_pictures = self.seconds - (0.0 if self.views is None else self.views.seconds)
        return {
            "features_id": self.features_id,
            "store": str(self.store),
            "backbone": self.backbone,
            "engine": self.engine,
            "device": self.device,
            "precision": self.precision,
            "feature_dim": self.feature_dim,
            "n_images": self.n_images,
            "n_computed": self.n_computed,
            "n_cached": self.n_cached,
            "n_skipped": len(self.skipped),
            "skipped": [{"path": s.path, "reason": s.reason} for s in self.skipped],
            "n_ignored": len(self.ignored),
            "cut_away": self.cut_away,
            "notes": dict(self.notes),
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.n_images / of_pictures, 1) if of_pictures > 0 else None,
            "views": None if self.views is None else self.views.to_dict(),
        }


@dataclass(frozen=True)
class FeatureTable:
    """A data set joined with its features, in data-set order.

    Parameters
    ----------
    name : str
        Name of the data set.
    spec : FeatureSpec
        The recipe of the features.
    samples : sequence of Sample
        The images that have features.
    content_hashes : ndarray of shape (n_samples, 32), uint8
        SHA-256 of each file's bytes; equal for exact copies.
    opened : callable
        Called with the number of a view (0: the pictures themselves), opens the store of its features once, and
        returns what reads them from it: called with positions, it returns shape (n, feature_dim), float32. Only samples
        that :attr:`Sample.is_learnt` says so of have other views than 0, as many as :attr:`views`.
    read_signatures : callable
        Returns the signatures of given positions, shape (n, 16, 16), uint8: grey thumbnails.
    probes : ndarray of shape (n_probes, feature_dim), float32
        Features of the probe pictures, as the store holds them.
    extraction : Extraction
        What was computed, cached, skipped and ignored.
    graph : ndarray of shape (n_bytes,), uint8, or None
        The quantized graph of an int8 recipe.
    root : str
        Where the pictures lie; empty if they are of no one data set.
    """

    name: str
    spec: FeatureSpec
    samples: Sequence[Sample]
    content_hashes: NDArray[np.uint8]
    opened: Callable[[int], Callable[[NDArray[np.int64]], NDArray[np.float32]]] = field(repr=False)
    read_signatures: Callable[[NDArray[np.int64]], NDArray[np.uint8]] = field(repr=False)
    probes: NDArray[np.float32] = field(repr=False)
    extraction: Extraction
    graph: NDArray[np.uint8] | None = field(default=None, repr=False)
    root: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def X(self) -> NDArray[np.float32]:  # noqa: N802
        """Features of all samples, shape (n_samples, feature_dim), read at first use."""
        return self.read(np.arange(len(self)))

    @property
    def views(self) -> int:
        """Augmented views of each picture of the training part; 0 where there are none."""
        return 0 if self.extraction.views is None else self.extraction.views.n

    def read(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of given positions, shape (n, feature_dim); whoever reads often uses ``opened(0)``."""
        return self.opened(0)(at)

    @property
    def y(self) -> NDArray[Any]:
        """Labels, shape (n_samples,), object: str, or None where there is none."""
        return np.array([s.label for s in self.samples], object)

    @property
    def groups(self) -> NDArray[Any]:
        """Groups that the data set names, shape (n_samples,), object: str or None."""
        return np.array([s.group for s in self.samples], object)

    @property
    def splits(self) -> NDArray[Any]:
        """Splits that the data set names, shape (n_samples,), object: str or None."""
        return np.array([s.split for s in self.samples], object)

    @property
    def sample_ids(self) -> NDArray[Any]:
        """Sample ids, shape (n_samples,), object."""
        return np.array([s.sample_id for s in self.samples], object)

    def chunks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (first position, features) of 4,096 samples at a time, in order."""
        read = self.opened(0)
        for start in range(0, len(self), CHUNK):
            yield start, read(np.arange(start, min(start + CHUNK, len(self))))
