"""The feature table: the samples of a data set with their labels and features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.spec import EngineName, FeatureSpec, Precision
from featx.table.samples import Sample, column_of
from featx.table.signatures import COARSE_SIDE, coarse

CHUNK = 4096
"""Number of rows that are read at a time when a table is streamed."""


@dataclass(frozen=True)
class Skipped:
    """An image that could not be used, with the reason.

    Parameters
    ----------
    path : str
        Sample id of the image.
    reason : str
        Reason why the image could not be used.
    position : int
        Position among all images of the data set.
    """

    path: str
    reason: str
    position: int


@dataclass(frozen=True)
class OwnFolder:
    """A folder inside a data set that featx does not scan, because it contains output of featx.

    Parameters
    ----------
    path : str
        POSIX path relative to the data set's root.
    n_files : int
        Number of files in the folder and its subfolders, without hidden files.
    reason : str
        Description of the folder, such as ``an output of featx``.
    """

    path: str
    n_files: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of ``own_folders`` in the JSON object that ``featx extract --json`` prints."""
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
        Random seed of the views.
    features_id : str
        Id of the feature store of the views.
    store : path
        File of the feature store of the views.
    n_computed, n_cached : int
        Number of views computed by this extraction, and of views that were already in the store.
    seconds : float
        Wall time of the computation of the views, in seconds.
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
        """Return the value of ``views`` in the JSON object that ``featx extract --json`` prints."""
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
        Engine, device and number format of the computation; ``device`` is empty if this extraction computed no
        features.
    n_features : int
        Number of features per image.
    n_images : int
        Number of images with features, computed or cached.
    n_computed, n_cached : int
        Number of images whose features this extraction computed, and number of all other images with features:
        their features were already in the store, or were computed for a duplicate.
    n_duplicates : int
        Number of images with features that have the same bytes as an earlier image; ``n_cached`` includes them.
    skipped : tuple of Skipped
        Images that could not be used.
    ignored : sequence of str
        Files that are not images.
    cut_away : float or None
        Mean fraction of the image area that the crop removes; None for other values of ``resize``, or if the
        sizes of the images are not known.
    notes : dict of str to int
        Notes on how images were read, with the number of images to which each note applies.
    seconds : float
        Wall time in seconds, including the computation of the views.
    views : Views or None
        Augmented views of the training images; None if there are none.
    own_folders : tuple of OwnFolder
        Folders that were not scanned, because they contain output of featx.
    remarks : tuple of str
        Remarks about possible mistakes in the labels, the folders or the manifest; a remark has no number of images.
    shard : str or None
        Shard of the data set that was extracted, such as ``3/16``; the numbers of images are those of the shard. None
        for the whole data set.
    blank, blank_classes : tuple of str, and equal_features : tuple of tuple of str
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
    n_duplicates: int
    skipped: tuple[Skipped, ...]
    ignored: Sequence[str]
    cut_away: float | None
    notes: dict[str, int]
    seconds: float
    views: Views | None = None
    own_folders: tuple[OwnFolder, ...] = ()

    @property
    def n_ignored(self) -> int:
        """Number of files that are not images, or that are in folders with output of featx."""
        return len(self.ignored) + sum(folder.n_files for folder in self.own_folders)

    remarks: tuple[str, ...] = ()
    shard: str | None = None
    blank: tuple[str, ...] = ()
    blank_classes: tuple[str, ...] = ()
    equal_features: tuple[tuple[str, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx extract --json`` prints."""
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
            "n_duplicates": self.n_duplicates,
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
            "shard": self.shard,
        }


@dataclass(frozen=True)
class FeatureTable:
    """The samples of a data set with their features, in the order of the data set.

    Parameters
    ----------
    name : str
        Name of the data set.
    spec : FeatureSpec
        How the features were computed: backbone, weights, layer, input size and so on.
    samples : sequence of Sample
        The images that have features; in columns (:class:`featx.table.Samples`), so that a million take little memory.
    content_hashes : ndarray of shape (n_samples, 32), uint8
        SHA-256 of each file's bytes; equal for duplicates.
    opened : callable
        ``opened(view)`` opens the store of the features of one view (0: the images themselves) and returns a function
        ``read(positions)``, which returns features of shape (n, n_features), float32. Only training samples
        (:attr:`Sample.is_training`) have views other than 0; each has :attr:`views` of them.
    read_signatures : callable
        ``read_signatures(positions)`` returns the signatures of samples, which are grey thumbnails, shape
        (n, 64, 64), uint8.
    probes : ndarray of shape (n_probes, n_features), float32
        Features of the probe images: images of featx whose features every store contains, to detect changed
        computations.
    extraction : Extraction
        Result of the extraction: which images were computed, cached or skipped, and which files were ignored.
    graph : ndarray of shape (n_bytes,), uint8, or None
        Bytes of the quantized network; None if the precision is not int8, or if the cache lacks the network.
    root : str
        Folder of the images; empty if they do not belong to one data set.
    dataset_id : str
        Name of the snapshot of the data set; empty if there is none.

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
    dataset_id: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        n_classes = len(set(self.y.tolist()) - {None})
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
        """Return the features of samples by position, shape (n, n_features); ``opened(0)`` is faster for many reads."""
        return self.opened(0)(at)

    def read_coarse_signatures(self) -> NDArray[np.uint8]:
        """Return the signatures of all samples, reduced to coarse grey thumbnails, shape (n_samples, 16, 16), uint8."""
        starts = range(0, len(self), CHUNK)
        blocks = [np.arange(start, min(start + CHUNK, len(self))) for start in starts]
        nothing = np.empty((0, COARSE_SIDE, COARSE_SIDE), np.uint8)
        return np.concatenate([nothing, *(coarse(self.read_signatures(at)) for at in blocks)])

    @property
    def y(self) -> NDArray[Any]:
        """Labels, shape (n_samples,), object: str, or None for unlabelled samples."""
        return column_of(self.samples, "label")

    @property
    def groups(self) -> NDArray[Any]:
        """Groups that the data set defines, shape (n_samples,), object: str or None."""
        return column_of(self.samples, "group")

    @property
    def splits(self) -> NDArray[Any]:
        """Splits that the data set defines, shape (n_samples,), object: str or None."""
        return column_of(self.samples, "split")

    @property
    def sample_ids(self) -> NDArray[Any]:
        """Sample ids, shape (n_samples,), object."""
        return column_of(self.samples, "sample_id")

    def chunks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the first position and the features of up to 4,096 consecutive samples at a time."""
        read = self.opened(0)
        for start in range(0, len(self), CHUNK):
            yield start, read(np.arange(start, min(start + CHUNK, len(self))))
