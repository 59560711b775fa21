"""Read a data set: a folder, a manifest, or whatever paths are to be predicted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from featx.dataset.layout import describe, understand
from featx.dataset.manifest import SUFFIXES as MANIFEST_SUFFIXES
from featx.dataset.manifest import read_manifest
from featx.dataset.walk import Entry, walk
from featx.errors import DatasetError, DatasetNotFoundError
from featx.images import looks_like_image
from featx.table import FileState, Sample, Stamp

EXPORT_FIRST = {
    **dict.fromkeys((".czi", ".nd2", ".lif", ".oib", ".oif", ".vsi", ".ims"), "microscope files"),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn"), "whole-slide files"),
    **dict.fromkeys((".dcm", ".dicom", ".nii"), "medical volumes"),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2"), "camera raw files"),
    **dict.fromkeys((".psd", ".xcf", ".svg", ".eps", ".pdf"), "documents"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "videos"),
}
"""File names that hold pictures only after an export, and what they are."""

_HEAD_BYTES = 16


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that a scan found.

    Parameters
    ----------
    sample : Sample
    root : path
        What its sample_id is relative to.
    size, mtime_ns : int
        As the system says; -1 if it could not be asked.
    inode, ctime_ns : int
        See :class:`featx.table.Stamp`.
    """

    sample: Sample
    root: Path
    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0

    @property
    def stamp(self) -> Stamp:
        """What tells whether the file has changed."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)

    @property
    def path(self) -> Path:
        """Where its bytes are."""
        return self.root / self.sample.sample_id


@dataclass(frozen=True)
class Dataset:
    """What a scan found.

    Parameters
    ----------
    name : str
        For file names and people.
    root : path
        Sample ids are relative to it.
    id : str
        Names its snapshot.
    description : str
        What was understood, one line.
    pictures : tuple of Found
        In sample_id order.
    ignored : tuple of Entry
        Files that are no images.
    """

    name: str
    root: Path
    id: str
    description: str
    pictures: tuple[Found, ...]
    ignored: tuple[Entry, ...]


def dataset_id(data: Path, purpose: str = "labelled") -> str:
    """Return the id of the data set at a path: 16 hexadecimal digits."""
    return hashlib.sha256(f"{purpose}\n{data.resolve()}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def scan(
    data: Path,
    *,
    label_by: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    memo: Mapping[str, FileState] | None = None,
) -> Dataset:
    """Read a labelled or flat data set.

    Parameters
    ----------
    data : path
        A folder, or a CSV or Parquet manifest.
    label_by : {"parent", "top"}, optional
        Which folder is the class where several could be.
    path_column, label_column : str
        Columns of a manifest.
    memo : mapping, optional
        What is known of its files, by sample_id; spares opening the ones without an image's name.

    Raises
    ------
    DatasetNotFoundError
        No such path.
    AmbiguousLayoutError
        Several readings of the folders.
    DatasetError
        No pictures in it, or a manifest that cannot be used.
    """
    if data.is_dir():
        pictures, ignored = _pictures(data, memo or {})
        layout = understand([found.name for found in pictures], label_by)
        columns = zip(pictures, layout.labels, layout.splits, strict=True)
        samples = [(entry, Sample(entry.name, label, None, split)) for entry, label, split in columns]
        return _dataset(data, data, dataset_id(data), layout.description, samples, ignored)
    if not data.exists():
        raise DatasetNotFoundError(f"no such file or folder: {data}")
    if data.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise DatasetError(f"{data} is a spreadsheet; save it as CSV and give that file")
    if data.suffix.lower() not in MANIFEST_SUFFIXES:
        raise DatasetError(f"{data} is neither a folder nor a manifest; allowed are a folder, .csv and .parquet")
    if label_by is not None:
        raise DatasetError(f"{data} names its labels in a column; --label-by is for folders")
    return _scan_manifest(data, read_manifest(data, path_column, label_column))


def scan_unlabelled(folder: Path, memo: Mapping[str, FileState] | None = None) -> Dataset:
    """Read a folder whose labels, if any, do not matter.

    Raises
    ------
    DatasetError
        No pictures in it.
    """
    pictures, ignored = _pictures(folder, memo or {})
    samples = [(entry, Sample(entry.name)) for entry in pictures]
    description = f"{len(samples):,} pictures in {folder}"
    return _dataset(folder, folder, dataset_id(folder, "unlabelled"), description, samples, ignored)


def gather(files: Sequence[Path]) -> Dataset:
    """Make a data set of single files, in the order given; each counts as a picture, whatever its name."""
    entries = [Entry(path.as_posix(), *Stamp.of(path.stat())) for path in files]
    samples = [(entry, Sample(entry.name)) for entry in entries]
    return _dataset(Path("files"), Path(), "", f"{len(samples):,} files", samples, [])


def _dataset(
    data: Path,
    root: Path,
    identity: str,
    description: str,
    samples: Iterable[tuple[Entry, Sample]],
    ignored: Sequence[Entry],
) -> Dataset:
    pictures = tuple(Found(sample, root, *entry.stamp) for entry, sample in samples)
    name = data.resolve().name if data.is_dir() else data.stem
    return Dataset(name or "data", root, identity, description, pictures, tuple(ignored))


def _pictures(folder: Path, memo: Mapping[str, FileState]) -> tuple[list[Entry], list[Entry]]:
    pictures: list[Entry] = []
    ignored: list[Entry] = []
    for entry in walk(folder):
        (pictures if _is_picture(folder, entry, memo.get(entry.name)) else ignored).append(entry)
    if not pictures:
        raise DatasetError(_no_pictures(folder, ignored))
    return pictures, ignored


def _is_picture(folder: Path, entry: Entry, known: FileState | None) -> bool:
    if PurePosixPath(entry.name).suffix.lower() in EXPORT_FIRST:
        return False  # several are TIFF inside, and would give a thumbnail
    if looks_like_image(entry.name, b""):
        return True
    if known is not None and known.stamp.fits(entry.stamp):
        return known.status != "ignored"
    try:
        with (folder / entry.name).open("rb") as stream:
            return looks_like_image(entry.name, stream.read(_HEAD_BYTES))
    except OSError:  # a broken link or a file that may not be read, without an image's name
        return False


def _no_pictures(folder: Path, ignored: Sequence[Entry]) -> str:
    if not ignored:
        return f"{folder} is empty; put pictures into it, one subfolder for each class"
    kinds = Counter(PurePosixPath(entry.name).suffix.lower() for entry in ignored)
    exports = sorted(kind for kind in kinds if kind in EXPORT_FIRST)
    if exports:
        what = ", ".join(f"{kinds[kind]:,} {kind} ({EXPORT_FIRST[kind]})" for kind in exports)
        return f"{folder} holds no pictures that featx reads, but {what}; export them as TIFF, PNG or JPEG first"
    names = ", ".join(entry.name for entry in ignored[:3]) + (", ..." if len(ignored) > 3 else "")
    return f"{folder} holds no picture (JPEG, PNG, BMP, GIF, TIFF or WebP), only {names}"


def _scan_manifest(data: Path, listed: Sequence[Sample]) -> Dataset:
    root = data.parent
    samples = [(_entry(root, sample), sample) for sample in listed]
    if all(entry.size < 0 for entry, _ in samples):
        raise DatasetError(
            f"none of the {len(samples):,} files of {data} exists, the first is {root / listed[0].sample_id}; "
            "paths are relative to the manifest's folder"
        )
    labels, splits = [s.label for s in listed], [s.split for s in listed]
    description = describe(labels, splits, f"by {data.name}")
    return _dataset(data, root, dataset_id(data), description, samples, [])


def _entry(root: Path, sample: Sample) -> Entry:
    try:
        status = (root / sample.sample_id).stat()
    except OSError:  # listed, but not there: it will be skipped with that reason
        return Entry(sample.sample_id, -1, -1)
    return Entry(sample.sample_id, *Stamp.of(status))
