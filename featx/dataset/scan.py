"""Scan a data set: a folder, a manifest, or a list of paths for prediction."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.dataset.layout import describe, first_few, label_remarks, read_layout, shortened
from featx.dataset.manifest import SUFFIXES as MANIFEST_SUFFIXES
from featx.dataset.manifest import drop_repeats, read_manifest, read_paths, stream_paths
from featx.dataset.spelling import Spellings
from featx.errors import DatasetError
from featx.images import looks_like_image
from featx.source import (
    Addresses,
    Archive,
    Entries,
    Entry,
    EntryList,
    ImageFile,
    ImageFiles,
    Place,
    Source,
    dataset_source,
    image_at,
    place_from_id,
    place_of,
    source_at,
    source_beside,
)
from featx.table import BLOCK, Categorical, FileState, OwnFolder, Samples, Texts, gathered

T = TypeVar("T")
Progress = Callable[[int], None]
"""Function that is called with the number of files that were found so far."""

EXPORT_FIRST = {
    **dict.fromkeys((".czi", ".nd2", ".lif", ".oib", ".oif", ".vsi", ".ims"), "microscope files"),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn"), "whole-slide files"),
    **dict.fromkeys((".dcm", ".dicom", ".nii"), "medical volumes"),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2"), "camera raw files"),
    **dict.fromkeys((".psd", ".xcf", ".svg", ".eps", ".pdf"), "documents"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "videos"),
}
"""Endings of files that must be exported as images first, and descriptions of these files."""

_PACKED_TAR = (".tgz", ".tbz", ".tbz2", ".txz", ".tzst")
_PACKED = (".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")
_MANIFESTS = ", ".join(MANIFEST_SUFFIXES)
_HEAD_BYTES = 16
_MOST_SEARCHED = 100


def _do_nothing(n: int) -> None:
    pass


@dataclass(frozen=True)
class Dataset:
    """The images of a data set, without their features.

    Parameters
    ----------
    name : str
        Name for messages and output files.
    root : path or other place
        Folder to which the sample ids are relative.
    id : str
        Name of the snapshot of the data set; empty if there is none.
    description : str
        One-line description of the data set.
    images : ImageFiles
        In sample_id order; in the given order for single files and lists.
    ignored : Entries
        Files that are not images.
    own_folders : tuple of OwnFolder
        Folders that were not scanned, because they contain output of featx.
    remarks : tuple of str
        Remarks about possible mistakes in the labels, the folders or the manifest.
    """

    name: str
    root: Place
    id: str
    description: str
    images: ImageFiles
    ignored: Entries
    own_folders: tuple[OwnFolder, ...] = ()
    remarks: tuple[str, ...] = ()

    def addresses(self, names: Sequence[str]) -> list[str]:
        """Return the addresses of files or folders, given their paths relative to the root."""
        if not names:
            return []
        source = dataset_source(self.root)
        return [source.address(name) for name in names]


def dataset_id(data: str | Place, purpose: str = "labelled") -> str:
    """Return the id of the data set at a place: 16 hexadecimal digits."""
    place = place_of(data)
    try:
        path = os.path.realpath(place) if isinstance(place, Path) else str(place.resolve())
    except ValueError:  # not a valid path; the scan reports it
        path = ascii(data)
    return hashlib.sha256(f"{purpose}\n{path}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def scan(
    data: str | Place,
    *,
    label_by: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    memo: Mapping[str, FileState] | None = None,
    progress: Progress = _do_nothing,
) -> Dataset:
    """Scan a folder or a manifest, with its labels if there are any.

    Parameters
    ----------
    data : path
        A folder, an archive, or a CSV or Parquet manifest.
    label_by : {"parent", "top"}, optional
        Folder level whose names are the classes; needed only if several levels are possible.
    path_column, label_column : str
        Names of the columns of a manifest.
    memo : mapping of str to FileState, optional
        Stored states of the files, by sample_id, so that unchanged files without an image ending are not opened again.
    progress : callable
        Called with the number of files that were found so far.

    Raises
    ------
    DatasetNotFoundError
        If the path does not exist.
    AmbiguousLayoutError
        If the folders can be interpreted in several ways.
    DatasetError
        If the folder contains no images, the manifest cannot be used, or ``label_by`` is given with a manifest.
    """
    data = place_of(data)
    source = source_at(data)
    if source is not None:
        content = _Content.of(source, memo or {}, progress)
        names = content.images.names
        is_file = content.images.reasons.where(lambda reason: not reason)
        layout = read_layout(names if is_file.all() else names.take(np.flatnonzero(is_file)), label_by)
        labels, splits = _spread(layout.labels, is_file), _spread(layout.splits, is_file)
        samples = Samples(names, labels, Categorical.constant(None, len(names)), splits)
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
    return _scan_manifest(data, path_column, label_column, progress)


def scan_unlabelled(
    folder: str | Place, memo: Mapping[str, FileState] | None = None, progress: Progress = _do_nothing
) -> Dataset:
    """Scan a folder without labels; folder names are ignored.

    Parameters
    ----------
    folder : path
    memo, progress
        As for :func:`scan`.

    Raises
    ------
    DatasetError
        If the path is not a folder, or the folder contains no images.
    """
    folder = place_of(folder)
    source = source_at(folder)
    if source is None:
        raise DatasetError(f"{folder} is not a folder")
    content = _Content.of(source, memo or {}, progress)
    samples = Samples.unlabelled(content.images.names)
    n_files = int(content.images.reasons.where(lambda reason: not reason).sum())
    description = f"{n_files:,} images in {folder}"
    return _dataset(folder, source, dataset_id(folder, "unlabelled"), description, samples, content)


def stream_folder(
    folder: str | Place, size: int, memo: Mapping[str, FileState] | None = None, progress: Progress = _do_nothing
) -> Iterator[Dataset]:
    """Yield the images of a folder in blocks, which together are the result of :func:`scan_unlabelled`.

    Parameters
    ----------
    folder : path or other place
    size : int
        Number of images of a block; a block may have up to 4,095 more.
    memo, progress
        As for :func:`featx.dataset.scan`.

    Raises
    ------
    DatasetError
        If the path is not a folder, or the folder contains no images; raised after all files are listed.
    """
    folder = place_of(folder)
    source = source_at(folder)
    if source is None:
        raise DatasetError(f"{folder} is not a folder")
    held: Dataset | None = None
    is_usable = False
    for content in _contents(source, size, memo or {}, progress):
        is_usable = is_usable or not content.images.reasons.where(bool).all()
        if held is not None and not len(content.images):  # files at the end that are not images
            ignored = Entries.join([held.ignored, content.ignored])
            held = replace(held, ignored=ignored, own_folders=(*held.own_folders, *content.own_folders))
            continue
        if held is not None:
            yield held
        elif not is_usable:
            last = content
        samples = Samples.unlabelled(content.images.names)
        held = _dataset(folder, source, dataset_id(folder, "unlabelled"), "", samples, content)
    if not is_usable or held is None:
        raise DatasetError(_no_images(source.name, last))
    yield held


def scan_files(files: Sequence[str | Place]) -> Dataset:
    """Return a data set of single files, in the given order; every file is treated as an image."""
    found = images_at([image_at(file) for file in files])
    return Dataset("files", Path(), "", f"{len(found):,} files", found, Entries.of([]))


def is_list(path: Place) -> bool:
    """Return whether a file has the ending of a list and does not have the content of an image."""
    return path.suffix.lower() in MANIFEST_SUFFIXES and not _has_image_bytes(source_beside(path), path.name)


def scan_list(path: Place, path_column: str = "path") -> Dataset:
    """Return a data set of the images in a list, in the order of the list; labels are ignored.

    Raises
    ------
    DatasetError
        If the list cannot be used, or none of the listed files exists.
    """
    remarks: list[str] = []
    names, stamps = _locate_listed(path, read_paths(path, path_column, remarks.append), remarks)
    samples = Samples.unlabelled(Texts.of(names))
    images = _image_files(samples, Categorical.constant(_listed_source(path, names), len(names)), stamps)
    description = f"{len(images):,} files"
    return Dataset(path.name, path.parent, "", description, images, Entries.of([]), remarks=tuple(remarks))


def stream_list(path: Place, size: int, path_column: str = "path") -> Iterator[Dataset]:
    """Yield the images of a manifest in blocks of ``size`` rows, in the order of the rows; labels are ignored.

    All rows are checked before the first block is yielded.

    Raises
    ------
    DatasetError
        If the list cannot be used, or none of the files in the first block exists.
    """
    remarks: list[str] = []
    rows = stream_paths(path, path_column, remarks.append)
    names = list(itertools.islice(rows, size))
    has_more = sum(1 for _ in rows) > 0
    yield _listed(path, names, remarks, must_exist=True)
    if has_more:
        rows = stream_paths(path, path_column)
        next(itertools.islice(rows, len(names) - 1, None), None)  # without the rows of the first block
        while names := list(itertools.islice(rows, size)):
            yield _listed(path, names, [], must_exist=False)


def stop_if_packed(path: Place) -> None:
    """Check that a file is neither an archive that is not read nor a spreadsheet.

    Raises
    ------
    DatasetError
        If the file name has the ending of such an archive or of a spreadsheet.
    """
    if path.suffix.lower() in _SPREADSHEETS:
        raise DatasetError(f"{path} is a spreadsheet; save it as CSV and give that file")
    if path.stem.lower().endswith(".tar") or path.suffix.lower() in _PACKED_TAR:
        raise DatasetError(
            f"{path} is a compressed tar archive, from which no file can be read without all files before it; "
            "decompress it to a .tar file, which featx reads, or give a .zip file"
        )
    if path.suffix.lower() in _PACKED:
        raise DatasetError(
            f"{path} is an archive that featx does not read; expected a folder, a .zip or .tar file, a manifest "
            f"({_MANIFESTS}) or an image. Unpack the archive and give the folder"
        )


@dataclass(frozen=True)
class _Content:
    """Entries of a source, divided into images, other files and folders with output of featx."""

    images: Entries
    ignored: Entries
    own_folders: tuple[OwnFolder, ...]

    @classmethod
    def of(cls, source: Source, memo: Mapping[str, FileState], progress: Progress) -> _Content:
        images, ignored, own_folders, n = EntryList(), EntryList(), list[OwnFolder](), 0
        entries = source.entries(own_folders.append)
        while block := list(itertools.islice(entries, BLOCK)):
            are_images = [_is_image(source, entry, memo) for entry in block]
            images.extend(list(itertools.compress(block, are_images)))
            ignored.extend([entry for entry, is_image in zip(block, are_images, strict=True) if not is_image])
            n += len(block)
            progress(n)
        content = cls(images.entries(), ignored.entries(), tuple(own_folders))
        if content.images.reasons.where(bool).all():
            raise DatasetError(_no_images(source.name, content))
        return content


def _contents(source: Source, size: int, memo: Mapping[str, FileState], progress: Progress) -> Iterator[_Content]:
    """Yield the entries of a source in blocks; the last block may have no images."""
    own_folders: list[OwnFolder] = []
    entries = source.entries(own_folders.append)
    images, ignored, n_images, n = EntryList(), EntryList(), 0, 0
    while block := list(itertools.islice(entries, min(BLOCK, size))):
        are_images = [_is_image(source, entry, memo) for entry in block]
        images.extend(list(itertools.compress(block, are_images)))
        ignored.extend([entry for entry, one in zip(block, are_images, strict=True) if not one])
        n, n_images = n + len(block), n_images + sum(are_images)
        progress(n)
        if n_images >= size:
            yield _Content(images.entries(), ignored.entries(), tuple(own_folders))
            images, ignored, n_images = EntryList(), EntryList(), 0
            own_folders.clear()
    yield _Content(images.entries(), ignored.entries(), tuple(own_folders))


def _spread(column: Categorical[T], chosen: NDArray[np.bool_]) -> Categorical[T]:
    """Return a column with the rows of another column at the chosen positions, and None elsewhere."""
    if chosen.all():
        return column
    at = np.where(chosen, np.cumsum(chosen) - 1, len(column))
    nothing: Categorical[Any] = Categorical.constant(None, 1)
    return Categorical.join([column, nothing]).take(at)


def _dataset(
    data: Place, source: Source, identity: str, description: str, samples: Samples, content: _Content
) -> Dataset:
    sources = Categorical.constant(source, len(samples))
    images = ImageFiles(samples, sources, content.images.stamps, content.images.reasons)
    name = os.path.basename(os.path.realpath(data)) if isinstance(data, Path) else data.name
    if isinstance(source, Archive) and data.suffix:
        name = data.stem
    return Dataset(name or "data", data, identity, description, images, content.ignored, content.own_folders)


def _without_images(source: Source, parents: Iterable[str], images: Entries) -> list[str]:
    """Return a remark about folders without images beside the class folders."""
    used = {images.names[at] for at in np.flatnonzero(images.reasons.where(bool)).tolist()}
    for holder in {name.rpartition("/")[0] for name in images.names}:
        while holder and holder not in used:
            used.add(holder)
            holder = holder.rpartition("/")[0]
    empty = [folder for parent in sorted(parents) for folder in source.folders_in(parent, used)]
    return [f"no image in {first_few(empty)}, next to the class folders"] if empty else []


def _is_image(source: Source, entry: Entry, memo: Mapping[str, FileState]) -> bool:
    kind = _kind(entry.name[entry.name.rfind(".") :])
    if entry.reason:  # a folder that cannot be read, or a file of an archive that must not be read
        return entry.size < 0 or bool(kind)
    if kind is not None:
        return kind
    known = memo.get(entry.name)
    if known is not None and known.stamp.fits(entry.stamp):
        return known.status != "ignored"
    return entry.size > 0 and _has_image_bytes(source, entry.name)


@functools.lru_cache(1000)
def _kind(ending: str) -> bool | None:
    """Return whether files with an ending are images; None if their content decides."""
    ending = ending.lower()
    if ending in EXPORT_FIRST:
        return False  # several of these formats use TIFF; only their thumbnail would be read
    return True if looks_like_image(f"name{ending}", b"") else None


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
    if not ignored and not isinstance(place_of(folder), Path):
        return f"{folder} contains no files; check its name"
    if not ignored:
        return f"{folder} is empty; put the images of each class into a subfolder of it"
    kinds = Counter(PurePosixPath(entry.name).suffix.lower() for entry in ignored)
    exports = sorted(kind for kind in kinds if kind in EXPORT_FIRST)
    if exports:
        what = ", ".join(f"{kinds[kind]:,} {kind} ({EXPORT_FIRST[kind]})" for kind in exports)
        return f"{folder} contains no images that featx reads, but {what}; export these as TIFF, PNG or JPEG first"
    names = ", ".join(entry.name for entry in ignored[:3]) + (", ..." if len(ignored) > 3 else "")
    return f"{folder} contains no images (JPEG, PNG, BMP, GIF, TIFF, WebP, PGM and similar formats), only {names}"


def _scan_manifest(data: Place, path_column: str, label_column: str, progress: Progress) -> Dataset:
    remarks: list[str] = []
    listed = read_manifest(data, path_column, label_column, remarks.append)
    names, stamps = _locate_listed(data, [sample.sample_id for sample in listed], remarks, progress)
    if any(name != sample.sample_id for name, sample in zip(names, listed, strict=True)):
        # Rows with two spellings of the same file are repeated rows of one image.
        renamed = [replace(sample, sample_id=name) for name, sample in zip(names, listed, strict=True)]
        listed = drop_repeats(data, renamed, remarks.append)
        position = {name: at for at, name in enumerate(names)}
        stamps = stamps[[position[sample.sample_id] for sample in listed]]
    samples = Samples.of(listed)
    description = describe(samples.labels, samples.splits, f"by {data.name}")
    remarks += label_remarks(samples.labels, samples.splits, "labels")
    images = _image_files(samples, Categorical.constant(_listed_source(data, samples.sample_ids), len(samples)), stamps)
    name = data.stem or "data"
    return Dataset(name, data.parent, dataset_id(data), description, images, Entries.of([]), remarks=tuple(remarks))


def _listed(path: Place, names: Sequence[str], remarks: list[str], must_exist: bool) -> Dataset:
    located, stamps = _locate_listed(path, names, remarks, must_exist=must_exist)
    samples = Samples.unlabelled(Texts.of(located))
    images = _image_files(samples, Categorical.constant(_listed_source(path, located), len(located)), stamps)
    return Dataset(path.name, path.parent, "", "", images, Entries.of([]), remarks=tuple(remarks))


def images_at(images: Sequence[ImageFile]) -> ImageFiles:
    """Return image files with their stamps; the files of one source are queried together."""
    stamps, of_source = np.empty((len(images), 4), np.int64), defaultdict[Source, list[int]](list)
    for at, image in enumerate(images):
        of_source[image.source].append(at)
    for source, places in of_source.items():
        stamps[places] = source.stats([images[at].sample.sample_id for at in places])
    samples = Samples.of(image.sample for image in images)
    return _image_files(samples, Categorical.of(image.source for image in images), stamps)


def _image_files(samples: Samples, sources: Categorical[Source], stamps: NDArray[np.int64]) -> ImageFiles:
    """Return image files for listed names; a file that must be exported first gets a reason to be skipped.

    Several formats that must be exported use TIFF; only their thumbnail would be read.
    """
    kinds = Categorical.of(PurePosixPath(name).suffix.lower() for name in samples.sample_ids)
    reasons = kinds.changed(
        lambda kind: (
            f"{kind} ({EXPORT_FIRST[kind]}) is not read; export it as TIFF, PNG or JPEG" if kind in EXPORT_FIRST else ""
        )
    )
    exists = stamps[:, 0] >= 0
    at = np.where(exists, np.arange(len(stamps)), len(stamps))
    return ImageFiles(samples, sources, stamps, gathered([reasons, Categorical.constant("", 1)], at))


def _locate_listed(
    data: Place,
    names: Sequence[str],
    remarks: list[str],
    progress: Progress = _do_nothing,
    *,
    must_exist: bool = True,
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the name and the stamp of the file for each listed name; add remarks about names that differ.

    Raises
    ------
    DatasetError
        If none of the files exists and ``must_exist`` is true.
    """
    source = _listed_source(data, names)
    located, stamps = list(names), source.stats(names, progress)
    spellings = Spellings(source)
    renamed: dict[str, list[str]] = {"case": [], "ending": []}
    for at in np.flatnonzero(stamps[:, 0] < 0).tolist():
        name = names[at]
        found = spellings.find(name)
        if found is not None and found.name != name:
            located[at], stamps[at] = found.name, source.stat(found.name)
            if found.difference != "accents":  # this difference is invisible
                renamed[found.difference].append(f"{name} is {found.name}")
    if must_exist and (stamps[:, 0] < 0).all():
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
    return located, stamps


def _listed_source(data: Place, names: Iterable[str]) -> Source:
    """Return the source of the names that a manifest lists, some of which may be made of addresses."""
    source = source_beside(data)
    is_local = all(isinstance(place_from_id(name), Path) for name in names)
    return source if is_local else Addresses(source)


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
