"""The feature table: the samples of a data set with their labels and features."""

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
"""Columns from EXIF data that are added to those of a manifest."""

Split = Literal["train", "val", "test"]
"""A part of a data set, as defined by its folders or its manifest."""

FileStatus = Literal["ok", "skipped", "ignored", "lacking"]
"""See :class:`FileState`."""

CHUNK = 4096
"""Number of rows that are read at a time when a table is streamed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set.

    Parameters
    ----------
    sample_id : str
        POSIX path relative to the data set's root; bytes that are not UTF-8 are surrogate escapes.
    label, group, split : str or None
        Values that the data set defines; None if it does not. A split is ``train``, ``val`` or ``test``.
    others : tuple of (str, str)
        Name and value of a manifest's other columns, and of ``camera`` and ``day`` if EXIF data contain them.
    """

    sample_id: str
    label: str | None = None
    group: str | None = None
    split: Split | None = None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def is_training(self) -> bool:
        """Whether the sample belongs to the training part: it has a label, and the split ``train`` or none."""
        return self.label is not None and self.split in (None, "train")


class Stamp(NamedTuple):
    """Metadata that show whether a file has been changed or replaced.

    Parameters
    ----------
    size : int
        Size in bytes.
    mtime_ns : int
        Modification time in ns, which any program can set.
    inode : int
        Number of the file in its file system; 0 if the system does not give one.
    ctime_ns : int
        Time in ns of the last change of content or attributes, which no program can set; on Windows the creation time.
    """

    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file; a time that does not fit into 64 bits is -1, because it cannot be trusted."""
        mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
        mtime, ctime = mtime if abs(mtime) < 1 << 63 else -1, ctime if abs(ctime) < 1 << 63 else -1
        return cls(status.st_size, mtime, status.st_ino % (1 << 63), ctime)

    def fits(self, other: Stamp) -> bool:
        """Return whether two stamps belong to the same unchanged file; inodes are compared only if both are known."""
        return self == (other if self.inode and other.inode else other._replace(inode=self.inode))


@dataclass(frozen=True, slots=True)
class FileState:
    """State of a file when it was last read.

    Parameters
    ----------
    size : int
        Size in bytes.
    mtime_ns : int
        Modification time in ns; -1 if it may not show the next change.
    content_hash : bytes
        SHA-256 of the file's bytes; empty if the file was not read.
    status : {"ok", "skipped", "ignored", "lacking"}
        ``ok`` is a usable image; ``skipped`` an image that could not be used; ``ignored`` a file that is not an image;
        ``lacking`` an image without features in the store.
    reason : str
        Why the image was skipped.
    width, height : int
        Upright size in pixels; 0 if the image was not decoded.
    camera, day : str
        Values from EXIF data; empty if there are none.
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
        """Stamp of the file, which shows whether it has changed."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)


@dataclass(frozen=True)
class Skipped:
    """An image that could not be used, and why.

    Parameters
    ----------
    path : str
        Sample id of the image.
    reason : str
        Why it could not be used.
    position : int
        Position among all images of the data set.
    """

    path: str
    reason: str
    position: int


@dataclass(frozen=True)
class OwnFolder:
    """A folder of a data set that featx wrote itself and therefore does not scan.

    Parameters
    ----------
    path : str
        POSIX path relative to the data set's root.
    n_files : int
        Number of files below it, without hidden ones.
    reason : str
        What the folder is, such as a cache.
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
        Number of views of each image, without the image itself.
    policy : str
        Canonical augmentation policy, see :func:`featx.augmentation.read_policy`.
    seed : int
    features_id : str
        Id of the feature store of the views.
    store : path
        File of that store.
    n_computed, n_cached : int
        Number of views computed now, and of views that were already in the store.
    seconds : float
        Wall time of computing the views.
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
    """Result of an extraction.

    Parameters
    ----------
    features_id : str
        Id of the feature store.
    store : path
        File of the feature store.
    backbone : str
        The backbone and its weights, as shown to users.
    engine, device, precision : str
        How the features were computed; device is empty if none were computed now.
    n_features : int
        Number of features per image.
    n_images : int
        Number of images with features, computed or cached.
    n_computed, n_cached : int
        Number of images computed now, and of images whose content was already in the store.
    skipped : tuple of Skipped
        Images that could not be used.
    ignored : tuple of str
        Files that are not images.
    cut_away : float or None
        Mean fraction of the image area that the crop removes; None for other ``resize`` options or if unknown.
    notes : dict of str to int
        Notes on how images were read, with the number of images for each.
    seconds : float
        Wall time.
    views : Views or None
        None if there are no augmented views.
    own_folders : tuple of OwnFolder
        Folders that featx wrote itself.
    remarks : tuple of str
        Remarks about the labels, the folders or the manifest of the data set.
    blank, blank_classes, equal_features
        Images without contrast, classes that contain only such images, and groups of different images with equal
        features; see :class:`featx.contrast.Indistinct`.

    Examples
    --------
    >>> import featx
    >>> extraction = featx.extract("data").extraction
    >>> extraction.n_images, extraction.n_computed, extraction.skipped
    (300, 0, ())
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
        """Number of files that are not images or are in folders that were left out."""
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
        Feature spec of the features.
    samples : sequence of Sample
        The images that have features.
    content_hashes : ndarray of shape (n_samples, 32), uint8
        SHA-256 of each file's bytes; equal for duplicates.
    opened : callable
        Takes the number of a view (0: the images themselves), opens the store of its features once, and returns a
        function. That function takes positions and returns their features, shape (n, n_features), float32. Only
        training samples (:attr:`Sample.is_training`) have views other than 0; their number is :attr:`views`.
    read_signatures : callable
        Takes positions and returns their signatures, which are grey thumbnails, shape (n, 16, 16), uint8.
    probes : ndarray of shape (n_probes, n_features), float32
        Features of the probe images in the store.
    extraction : Extraction
        What was computed, cached, skipped and ignored.
    graph : ndarray of shape (n_bytes,), uint8, or None
        Quantized graph of an int8 feature spec.
    root : str
        Folder of the images; empty if they do not belong to one data set.

    Examples
    --------
    >>> import featx
    >>> features = featx.extract("data")
    >>> features.X.shape, len(features.y)
    ((300, 1280), 300)
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
        """Number of augmented views of each image of the training part; 0 if there are none."""
        return 0 if self.extraction.views is None else self.extraction.views.n

    def read(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features at given positions, shape (n, n_features); ``opened(0)`` is faster for many reads."""
        return self.opened(0)(at)

    @property
    def y(self) -> NDArray[Any]:
        """Labels, shape (n_samples,), object: str, or None for unlabelled samples."""
        return np.array([s.label for s in self.samples], object)

    @property
    def groups(self) -> NDArray[Any]:
        """Groups that the data set defines, shape (n_samples,), object: str or None."""
        return np.array([s.group for s in self.samples], object)

    @property
    def splits(self) -> NDArray[Any]:
        """Splits that the data set defines, shape (n_samples,), object: str or None."""
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
