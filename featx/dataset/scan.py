"""Scan a data set: a folder, a manifest, or a list of paths for prediction."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from featx.dataset.layout import describe, first_few, label_remarks, read_layout, shortened
from featx.dataset.manifest import SUFFIXES as MANIFEST_SUFFIXES
from featx.dataset.manifest import drop_repeats, read_manifest, read_paths
from featx.dataset.spelling import Spellings
from featx.errors import DatasetError
from featx.images import looks_like_image
from featx.source import Entry, ImageFile, Source, image_at, source_at, source_beside
from featx.table import FileState, OwnFolder, Sample, Stamp

EXPORT_FIRST = {
    **dict.fromkeys((".czi", ".nd2", ".lif", ".oib", ".oif", ".vsi", ".ims"), "microscope files"),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn"), "whole-slide files"),
    **dict.fromkeys((".dcm", ".dicom", ".nii"), "medical volumes"),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2"), "camera raw files"),
    **dict.fromkeys((".psd", ".xcf", ".svg", ".eps", ".pdf"), "documents"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "videos"),
}
"""Endings of files that must be exported as images first, and descriptions of these files."""

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")
_MANIFESTS = ", ".join(MANIFEST_SUFFIXES)
_HEAD_BYTES = 16
_MOST_SEARCHED = 100


@dataclass(frozen=True)
class Dataset:
    """The images of a data set, without their features.

    Parameters
    ----------
    name : str
        Name for messages and output files.
    root : path
        Folder to which the sample ids are relative.
    id : str
        Name of the snapshot of the data set; empty if there is none.
    description : str
        One-line description of the data set.
    images : tuple of ImageFile
        In sample_id order; in the given order for single files and lists.
    ignored : tuple of Entry
        Files that are not images.
    own_folders : tuple of OwnFolder
        Folders that were not scanned, because they contain output of featx.
    remarks : tuple of str
        Remarks about possible mistakes in the labels, the folders or the manifest.
    """

    name: str
    root: Path
    id: str
    description: str
    images: tuple[ImageFile, ...]
    ignored: tuple[Entry, ...]
    own_folders: tuple[OwnFolder, ...] = ()
    remarks: tuple[str, ...] = ()


def dataset_id(data: Path, purpose: str = "labelled") -> str:
    """Return the id of the data set at a path: 16 hexadecimal digits."""
    try:
        path = os.path.realpath(data)
    except ValueError:  # not a valid path; the scan reports it
        path = ascii(data)
    return hashlib.sha256(f"{purpose}\n{path}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def scan(
    data: Path,
    *,
    label_by: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    memo: Mapping[str, FileState] | None = None,
) -> Dataset:
    """Scan a folder or a manifest, with its labels if there are any.

    Parameters
    ----------
    data : path
        A folder, or a CSV or Parquet manifest.
    label_by : {"parent", "top"}, optional
        Folder level whose names are the classes; needed only if several levels are possible.
    path_column, label_column : str
        Names of the columns of a manifest.
    memo : mapping of str to FileState, optional
        Stored states of the files, by sample_id, so that unchanged files without an image ending are not opened again.

    Raises
    ------
    DatasetNotFoundError
        If the path does not exist.
    AmbiguousLayoutError
        If the folders can be interpreted in several ways.
    DatasetError
        If the folder contains no images, the manifest cannot be used, or ``label_by`` is given with a manifest.
    """
    source = source_at(data)
    if source is not None:
        content = _Content.of(source, memo or {})
        layout = read_layout([entry.name for entry in content.images if not entry.reason], label_by)
        targets = zip(layout.labels, layout.splits, strict=True)
        samples = []
        for entry in content.images:
            label, split = (None, None) if entry.reason else next(targets)
            samples.append((entry, Sample(entry.name, label, None, split)))
        remarks = (*layout.remarks, *_without_images(source, layout.parents, content.images))
        dataset = _dataset(data, source, dataset_id(data), layout.description, samples, content)
        return replace(dataset, remarks=remarks)
    stop_if_packed(data)
    if data.suffix.lower() not in MANIFEST_SUFFIXES:
        raise DatasetError(f"{data} is neither a folder nor a manifest ({_MANIFESTS})")
    if label_by is not None:
        raise DatasetError(
            f"`label_by={label_by}` applies only to folders, but {data} is a manifest, which has a column of labels; "
            "leave out `label_by`"
        )
    return _scan_manifest(data, path_column, label_column)


def scan_unlabelled(folder: Path, memo: Mapping[str, FileState] | None = None) -> Dataset:
    """Scan a folder without labels; folder names are ignored.

    Raises
    ------
    DatasetError
        If the path is not a folder, or the folder contains no images.
    """
    source = source_at(folder)
    if source is None:
        raise DatasetError(f"{folder} is not a folder")
    content = _Content.of(source, memo or {})
    samples = [(entry, Sample(entry.name)) for entry in content.images]
    description = f"{sum(not entry.reason for entry in content.images):,} images in {folder}"
    return _dataset(folder, source, dataset_id(folder, "unlabelled"), description, samples, content)


def scan_files(files: Sequence[Path]) -> Dataset:
    """Return a data set of single files, in the given order; every file is treated as an image."""
    images = tuple(
        _named(image.sample, image.source, image.source.stat(image.sample.sample_id)) for image in map(image_at, files)
    )
    return Dataset("files", Path(), "", f"{len(images):,} files", images, ())


def is_list(path: Path) -> bool:
    """Return whether a file has the ending of a list and does not have the content of an image."""
    return path.suffix.lower() in MANIFEST_SUFFIXES and not _has_image_bytes(source_beside(path), path.name)


def scan_list(path: Path, path_column: str = "path") -> Dataset:
    """Return a data set of the images in a list, in the order of the list; labels are ignored.

    Raises
    ------
    DatasetError
        If the list cannot be used, or none of the listed files exists.
    """
    remarks: list[str] = []
    listed = _locate_listed(path, read_paths(path, path_column, remarks.append), remarks)
    source = source_beside(path)
    images = tuple(_named(Sample(name), source, stamp) for name, stamp in listed)
    return Dataset(path.name, path.parent, "", f"{len(images):,} files", images, (), remarks=tuple(remarks))


def stop_if_packed(path: Path) -> None:
    """Check that a file is not an archive or a spreadsheet, which must be decompressed or converted first.

    Raises
    ------
    DatasetError
        If the file name has the ending of an archive or a spreadsheet.
    """
    if path.suffix.lower() in _SPREADSHEETS:
        raise DatasetError(f"{path} is a spreadsheet; save it as CSV and give that file")
    if path.suffix.lower() in _ARCHIVES:
        raise DatasetError(
            f"{path} is an archive; expected a folder, a manifest ({_MANIFESTS}) or an image. Decompress the archive "
            "and give the folder"
        )


@dataclass(frozen=True)
class _Content:
    """Entries of a source, divided into images, other files and folders with output of featx."""

    images: list[Entry]
    ignored: list[Entry]
    own_folders: list[OwnFolder]

    @classmethod
    def of(cls, source: Source, memo: Mapping[str, FileState]) -> _Content:
        content = cls([], [], [])
        for entry in source.entries(content.own_folders.append):
            is_image = _is_image(source, entry, memo.get(entry.name))
            (content.images if is_image else content.ignored).append(entry)
        if all(entry.reason for entry in content.images):
            raise DatasetError(_no_images(source.name, content))
        return content


def _dataset(
    data: Path,
    source: Source,
    identity: str,
    description: str,
    samples: Iterable[tuple[Entry, Sample]],
    content: _Content,
) -> Dataset:
    images = tuple(ImageFile(sample, source, *entry.stamp, entry.reason) for entry, sample in samples)
    name = os.path.basename(os.path.realpath(data)) or "data"
    return Dataset(name, data, identity, description, images, tuple(content.ignored), tuple(content.own_folders))


def _without_images(source: Source, parents: Iterable[str], images: Sequence[Entry]) -> list[str]:
    """Return a remark about folders without images beside the class folders."""
    used = {entry.name for entry in images if entry.reason}
    for holder in {entry.name.rpartition("/")[0] for entry in images}:
        while holder and holder not in used:
            used.add(holder)
            holder = holder.rpartition("/")[0]
    empty = [folder for parent in sorted(parents) for folder in source.folders_in(parent, used)]
    return [f"no image in {first_few(empty)}, next to the class folders"] if empty else []


def _is_image(source: Source, entry: Entry, known: FileState | None) -> bool:
    if entry.reason:
        return True
    if os.path.splitext(entry.name)[1].lower() in EXPORT_FIRST:
        return False  # several of these formats use TIFF; only their thumbnail would be read
    if looks_like_image(entry.name, b""):
        return True
    if known is not None and known.stamp.fits(entry.stamp):
        return known.status != "ignored"
    return entry.size > 0 and _has_image_bytes(source, entry.name)


def _has_image_bytes(source: Source, name: str) -> bool:
    try:
        with source.open(name) as file:
            return looks_like_image(name, file.stream.read(_HEAD_BYTES))
    except OSError:  # a pipe, a device or an unreadable file without an image ending
        return False


def _no_images(folder: str, content: _Content) -> str:
    ignored = content.ignored
    if content.images:
        first = content.images[0]
        return f"{folder} contains no usable image; {first.name}: {first.reason}"
    if content.own_folders:
        own = content.own_folders[0]
        return f"{folder} contains no images; its subfolder {own.path} is {own.reason}, which featx never scans"
    if not ignored:
        return f"{folder} is empty; put the images of each class into a subfolder of it"
    kinds = Counter(PurePosixPath(entry.name).suffix.lower() for entry in ignored)
    exports = sorted(kind for kind in kinds if kind in EXPORT_FIRST)
    if exports:
        what = ", ".join(f"{kinds[kind]:,} {kind} ({EXPORT_FIRST[kind]})" for kind in exports)
        return f"{folder} contains no images that featx reads, but {what}; export these as TIFF, PNG or JPEG first"
    names = ", ".join(entry.name for entry in ignored[:3]) + (", ..." if len(ignored) > 3 else "")
    return f"{folder} contains no images (JPEG, PNG, BMP, GIF, TIFF, WebP, PGM and similar formats), only {names}"


def _scan_manifest(data: Path, path_column: str, label_column: str) -> Dataset:
    remarks: list[str] = []
    listed = read_manifest(data, path_column, label_column, remarks.append)
    files = _locate_listed(data, [sample.sample_id for sample in listed], remarks)
    if any(name != sample.sample_id for (name, _), sample in zip(files, listed, strict=True)):
        # Rows with two spellings of the same file are repeated rows of one image.
        renamed = [replace(sample, sample_id=name) for (name, _), sample in zip(files, listed, strict=True)]
        listed = drop_repeats(data, renamed, remarks.append)
    stamp_of = dict(files)
    source = source_beside(data)
    labels, splits = [s.label for s in listed], [s.split for s in listed]
    description = describe(labels, splits, f"by {data.name}")
    remarks += label_remarks(labels, splits, "labels")
    images = tuple(_named(sample, source, stamp_of[sample.sample_id]) for sample in listed)
    name = data.stem or "data"
    return Dataset(name, data.parent, dataset_id(data), description, images, (), remarks=tuple(remarks))


def _named(sample: Sample, source: Source, stamp: Stamp) -> ImageFile:
    """Return an image file for a listed name; a file that must be exported first gets a reason to be skipped.

    Several formats that must be exported use TIFF; only their thumbnail would be read.
    """
    kind = PurePosixPath(sample.sample_id).suffix.lower()
    reason = (
        f"{kind} ({EXPORT_FIRST[kind]}) is not read; export it as TIFF, PNG or JPEG" if kind in EXPORT_FIRST else ""
    )
    return ImageFile(sample, source, *stamp, "" if stamp.size < 0 else reason)


def _locate_listed(data: Path, names: Sequence[str], remarks: list[str]) -> list[tuple[str, Stamp]]:
    """Return the name and the stamp of the file for each listed name; add remarks about names that differ.

    Raises
    ------
    DatasetError
        If none of the files exists.
    """
    source = source_beside(data)
    listed = [(name, source.stat(name)) for name in names]
    spellings = Spellings(source)
    renamed: dict[str, list[str]] = {"case": [], "ending": []}
    for at, (name, stamp) in enumerate(listed):
        found = spellings.find(name) if stamp.size < 0 else None
        if found is not None and found.name != name:
            listed[at] = found.name, source.stat(found.name)
            if found.difference != "accents":  # this difference is invisible
                renamed[found.difference].append(f"{name} is {found.name}")
    if all(stamp.size < 0 for _, stamp in listed):
        raise DatasetError(
            f"{_none_of(len(names))} {data} exists; the first is {shortened(source.address(names[0]))}. "
            f"Paths are relative to the folder of the manifest{_elsewhere(source, names[0])}"
        )
    differences = {"case": "in other upper and lower case than the file", "ending": "without the ending of the file"}
    remarks += [
        f"{len(some_names):,} {'name' if len(some_names) == 1 else 'names'} {differences[how]}: {first_few(some_names)}"
        for how, some_names in renamed.items()
        if some_names
    ]
    return listed


def _none_of(n: int) -> str:
    return f"none of the {n:,} files in" if n > 1 else "no file in"


def _elsewhere(source: Source, name: str) -> str:
    """Return advice if a listed file exists in a subfolder of the folder of the manifest, else an empty text."""
    spellings = Spellings(source)
    for folder in itertools.islice(source.folders_in(""), _MOST_SEARCHED):
        found = spellings.find(f"{folder}/{name}")
        if found is not None:
            return f". {found.name} exists: move the manifest into {folder}, or write {folder}/ before the paths"
    return ""
