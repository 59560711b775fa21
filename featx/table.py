"""The feature table in memory: which image has which label, and its features."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.spec import EngineName, FeatureSpec, Precision

ORIGINS = ("camera", "day")
"""Columns that EXIF data give besides a manifest's own."""

Split = Literal["train", "val", "test"]
"""A part of a data set, as its owner divided it."""

FileStatus = Literal["ok", "skipped", "ignored", "lacking"]
"""See :class:`FileState`."""

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
    split: Split | None = None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def is_training(self) -> bool:
        """Whether it belongs to the training part: it has a label, and the split ``train`` or none."""
        return self.label is not None and self.split in (None, "train")


class Stamp(NamedTuple):
    """What changes when a file changes, or when another one takes its place.

    Parameters
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Modification time, which any program can set.
    inode : int
        Which file it is; 0 if the system does not say.
    ctime_ns : int
        When content or attributes changed last, which no program can set; on Windows when it was made.
    """

    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file; a time that 64 bits cannot hold is -1, as it is not to be trusted."""
        mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
        mtime, ctime = mtime if abs(mtime) < 1 << 63 else -1, ctime if abs(ctime) < 1 << 63 else -1
        return cls(status.st_size, mtime, status.st_ino % (1 << 63), ctime)

    def fits(self, other: Stamp) -> bool:
        """Tell whether a file is still the same, as far as the system says; it may give an inode only at times."""
        return self == (other if self.inode and other.inode else other._replace(inode=self.inode))


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
    status : {"ok", "skipped", "ignored", "lacking"}
        Usable; an image that could not be used; no image; usable, but the store has no features of it.
    reason : str
        Why it was skipped.
    width, height : int
        Upright size in pixels; 0 if it was not decoded.
    camera, day : str
        What its EXIF data say; empty if nothing.
    inode, ctime_ns : int
        See :class:`Stamp`.
    """

    size: int
    mtime_ns: int
    content_hash: bytes = b""
    status: FileStatus = "ok"
    reason: str = ""
    width: int = 0
    height: int = 0
    camera: str = ""
    day: str = ""
    inode: int = 0
    ctime_ns: int = 0

    @property
    def stamp(self) -> Stamp:
        """What tells whether the file has changed."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)


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
class OwnFolder:
    """A folder of a data set that featx wrote itself, and so does not scan.

    Parameters
    ----------
    path : str
        POSIX path relative to the data set's root.
    n_files : int
        Files below it, without hidden ones.
    reason : str
        What it is.
    """

    path: str
    n_files: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return an entry of ``own_folders`` in ``featx extract --json``."""
        return {"path": self.path, "n_files": self.n_files, "reason": self.reason}


@dataclass(frozen=True)
class Views:
    """Augmented views of the images of the training part.

    Parameters
    ----------
    n : int
        Views of each image, besides the image itself.
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
    n_features : int
        Numbers per image.
    n_images : int
        Images with features: computed and cached ones.
    n_computed, n_cached : int
        Images computed now; images whose content was already in the store.
    skipped : tuple of Skipped
        Images that could not be used.
    ignored : tuple of str
        Files that are no images.
    cut_away : float or None
        Mean share of the images' area that the crop leaves out; None for other rules or if not known.
    notes : dict of str to int
        How many images were read in a way worth knowing, by note.
    seconds : float
        Wall time.
    views : Views or None
        None where there are no augmented views.
    own_folders : tuple of OwnFolder
        Folders that featx wrote itself.
    remarks : tuple of str
        What is odd about the labels, folders or the manifest of the data set.
    blank, blank_classes, equal_features
        Images without contrast, classes of no others, and groups of different images with equal features; see
        :class:`featx.contrast.Indistinct`.
    """

    features_id: str
    store: Path
    backbone: str
    engine: EngineName
    device: str
    precision: Precision
    n_features: int
    n_images: int
    n_computed: int
    n_cached: int
    skipped: tuple[Skipped, ...]
    ignored: tuple[str, ...]
    cut_away: float | None
    notes: dict[str, int]
    seconds: float
    views: Views | None = None
    own_folders: tuple[OwnFolder, ...] = ()

    @property
    def n_ignored(self) -> int:
        """Files that were not read as images: those that are none, and those of folders that were left out."""
        return len(self.ignored) + sum(folder.n_files for folder in self.own_folders)

    remarks: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    blank_classes: tuple[str, ...] = ()
    equal_features: tuple[tuple[str, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx extract --json``."""
        of_images = self.seconds - (0.0 if self.views is None else self.views.seconds)
        return {
            "features_id": self.features_id,
            "store": str(self.store),
            "backbone": self.backbone,
            "engine": self.engine,
            "device": self.device,
            "precision": self.precision,
            "n_features": self.n_features,
            "n_images": self.n_images,
            "n_computed": self.n_computed,
            "n_cached": self.n_cached,
            "n_skipped": len(self.skipped),
            "skipped": [{"path": s.path, "reason": s.reason} for s in self.skipped],
            "n_ignored": self.n_ignored,
            "own_folders": [folder.to_dict() for folder in self.own_folders],
            "cut_away": self.cut_away,
            "notes": dict(self.notes),
            "remarks": list(self.remarks),
            "blank": list(self.blank),
            "blank_classes": list(self.blank_classes),
            "equal_features": [list(group) for group in self.equal_features],
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.n_images / of_images, 1) if of_images > 0 else None,
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
        Called with the number of a view (0: the images themselves), opens the store of its features once, and
        returns what reads them from it: called with positions, it returns shape (n, n_features), float32. Only samples
        that :attr:`Sample.is_training` says so of have other views than 0, as many as :attr:`views`.
    read_signatures : callable
        Returns the signatures of given positions, shape (n, 16, 16), uint8: grey thumbnails.
    probes : ndarray of shape (n_probes, n_features), float32
        Features of the probe images, as the store holds them.
    extraction : Extraction
        What was computed, cached, skipped and ignored.
    graph : ndarray of shape (n_bytes,), uint8, or None
        The quantized graph of an int8 recipe.
    root : str
        Where the images lie; empty if they are of no one data set.
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

    def __repr__(self) -> str:
        n_classes = len({sample.label for sample in self.samples} - {None})
        features = f"{self.extraction.n_features:,} features of {self.spec.backbone}"
        return f"FeatureTable({self.name}: {len(self):,} images, {n_classes:,} classes, {features})"

    @cached_property
    def X(self) -> NDArray[np.float32]:  # noqa: N802
        """Features of all samples, shape (n_samples, n_features), read at first use."""
        return self.read(np.arange(len(self)))

    @property
    def views(self) -> int:
        """Augmented views of each image of the training part; 0 where there are none."""
        return 0 if self.extraction.views is None else self.extraction.views.n

    def read(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of given positions, shape (n, n_features); whoever reads often uses ``opened(0)``."""
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
