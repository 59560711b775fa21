"""Read a data set: a folder, a manifest, or whatever paths are to be predicted."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from featx.dataset.layout import describe, label_remarks, some, understand
from featx.dataset.manifest import SUFFIXES as MANIFEST_SUFFIXES
from featx.dataset.manifest import each_once, read_list, read_manifest
from featx.dataset.spelling import Spellings
from featx.dataset.walk import Entry, folders_in, walk
from featx.errors import DatasetError, DatasetNotFoundError
from featx.files import open_regular
from featx.images import looks_like_image
from featx.table import FileState, Sample

EXPORT_FIRST = {
    **dict.fromkeys((".czi", ".nd2", ".lif", ".oib", ".oif", ".vsi", ".ims"), "microscope files"),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn"), "whole-slide files"),
    **dict.fromkeys((".dcm", ".dicom", ".nii"), "medical volumes"),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2"), "camera raw files"),
    **dict.fromkeys((".psd", ".xcf", ".svg", ".eps", ".pdf"), "documents"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "videos"),
}
"""File names that hold pictures only after an export, and what they are."""

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")
_HEAD_BYTES = 16
_MOST_SEARCHED = 100


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
    """

    sample: Sample
    root: Path
    size: int
    mtime_ns: int

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
    remarks : tuple of str
        What people may want to change about labels, folders or the manifest.
    """

    name: str
    root: Path
    id: str
    description: str
    pictures: tuple[Found, ...]
    ignored: tuple[Entry, ...]
    remarks: tuple[str, ...] = ()


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
        remarks = (*layout.remarks, *_without_images(data, layout.parents, pictures))
        return _dataset(data, data, dataset_id(data), layout.description, samples, ignored, remarks)
    if not data.exists():
        raise DatasetNotFoundError(f"no such file or folder: {data}")
    stop_if_packed(data)
    if data.suffix.lower() not in MANIFEST_SUFFIXES:
        raise DatasetError(f"{data} is neither a folder nor a manifest; allowed are a folder, .csv and .parquet")
    if label_by is not None:
        raise DatasetError(f"{data} names its labels in a column; --label-by is for folders")
    return _scan_manifest(data, path_column, label_column)


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
    entries = [Entry(path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    samples = [(entry, Sample(entry.name)) for entry in entries]
    return _dataset(Path("files"), Path(), "", f"{len(samples):,} files", samples, [])


def is_list(path: Path) -> bool:
    """Tell whether a file lists images, by its name, instead of being one."""
    return path.suffix.lower() in MANIFEST_SUFFIXES and not path.is_dir() and not _has_image_bytes(path)


def scan_list(path: Path, path_column: str = "path") -> Dataset:
    """Read the images that a manifest lists, in its order, as single files; labels do not matter.

    Raises
    ------
    DatasetError
        A list that cannot be used, or none of its files exists.
    """
    root = path.parent
    remarks: list[str] = []
    entries = _found_listed(path, read_list(path, path_column, remarks.append), remarks)
    samples = [
        (Entry((root / entry.name).as_posix(), entry.size, entry.mtime_ns), Sample((root / entry.name).as_posix()))
        for entry in entries
    ]
    return _dataset(path, Path(), "", f"{len(samples):,} files", samples, [], remarks)


def stop_if_packed(path: Path) -> None:
    """Refuse what holds images or a table, but has to be unpacked or saved otherwise first.

    Raises
    ------
    DatasetError
    """
    if path.suffix.lower() in _SPREADSHEETS:
        raise DatasetError(f"{path} is a spreadsheet; save it as CSV and give that file")
    if path.suffix.lower() in _ARCHIVES:
        raise DatasetError(
            f"{path} is an archive, neither a folder nor a manifest (.csv, .parquet) nor an image; "
            "unpack it and give the folder"
        )


def _dataset(
    data: Path,
    root: Path,
    identity: str,
    description: str,
    samples: Iterable[tuple[Entry, Sample]],
    ignored: Sequence[Entry],
    remarks: Iterable[str] = (),
) -> Dataset:
    pictures = tuple(Found(sample, root, entry.size, entry.mtime_ns) for entry, sample in samples)
    name = data.resolve().name if data.is_dir() else data.stem
    return Dataset(name or "data", root, identity, description, pictures, tuple(ignored), tuple(remarks))


def _without_images(root: Path, parents: Iterable[str], pictures: Sequence[Entry]) -> list[str]:
    """Name the folders beside class folders in which there is no image."""
    used = set()
    for holder in {entry.name.rpartition("/")[0] for entry in pictures}:
        while holder and holder not in used:
            used.add(holder)
            holder = holder.rpartition("/")[0]
    there = [f"{parent}/{name}" if parent else name for parent in sorted(parents) for name in folders_in(root, parent)]
    empty = [folder for folder in there if folder not in used]
    return [f"no image in {some(empty)}, beside the class folders"] if empty else []


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
    if known is not None and (known.size, known.mtime_ns) == (entry.size, entry.mtime_ns):
        return known.status != "ignored"
    return _has_image_bytes(folder / entry.name)


def _has_image_bytes(path: Path) -> bool:
    try:
        with open_regular(path) as stream:
            return looks_like_image(path.name, stream.read(_HEAD_BYTES))
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


def _scan_manifest(data: Path, path_column: str, label_column: str) -> Dataset:
    remarks: list[str] = []
    listed = read_manifest(data, path_column, label_column, remarks.append)
    entries = _found_listed(data, [sample.sample_id for sample in listed], remarks)
    if any(entry.name != sample.sample_id for entry, sample in zip(entries, listed, strict=True)):
        # Two spellings of one file are two rows of it.
        entry_of = {entry.name: entry for entry in entries}
        renamed = [replace(sample, sample_id=entry.name) for entry, sample in zip(entries, listed, strict=True)]
        listed = each_once(data, renamed, remarks.append)
        entries = [entry_of[sample.sample_id] for sample in listed]
    labels, splits = [s.label for s in listed], [s.split for s in listed]
    description = describe(labels, splits, f"by {data.name}")
    remarks += label_remarks(labels, splits, "labels")
    samples = zip(entries, listed, strict=True)
    return _dataset(data, data.parent, dataset_id(data), description, samples, [], remarks)


def _found_listed(data: Path, names: Sequence[str], remarks: list[str]) -> list[Entry]:
    """Return an entry for each listed name, of the file that it means, and remark on those with another name.

    Raises
    ------
    DatasetError
        None of them exists.
    """
    root = data.parent
    entries = [_entry(root, name) for name in names]
    spellings = Spellings(root)
    meant: dict[str, list[str]] = {"case": [], "ending": []}
    for at, entry in enumerate(entries):
        found = spellings.find(entry.name) if entry.size < 0 else None
        if found is not None and found.name != entry.name:
            entries[at] = _entry(root, found.name)
            if found.difference != "accents":  # nobody sees or types those
                meant[found.difference].append(f"{entry.name} is {found.name}")
    if all(entry.size < 0 for entry in entries):
        raise DatasetError(
            f"none of the {len(names):,} files of {data} exists, the first is {root / names[0]}; "
            f"paths are relative to the manifest's folder{_elsewhere(root, names[0])}"
        )
    told = {"case": "other than the file's in upper and lower case", "ending": "without the file's ending"}
    remarks += [
        f"{len(some_names):,} {'name' if len(some_names) == 1 else 'names'} {told[how]}: {some(some_names)}"
        for how, some_names in meant.items()
        if some_names
    ]
    return entries


def _elsewhere(root: Path, name: str) -> str:
    """Say in which folder of the manifest's own a listed file lies, where one has it."""
    for folder in itertools.islice(folders_in(root, ""), _MOST_SEARCHED):
        found = Spellings(root / folder).find(name)
        if found is not None:
            return (
                f". {folder}/{found.name} exists: move the manifest into {folder}, or write {folder}/ before the paths"
            )
    return ""


def _entry(root: Path, name: str) -> Entry:
    try:
        status = (root / name).stat()
    except OSError:  # listed, but not there: it will be skipped with that reason
        return Entry(name, -1, -1)
    return Entry(name, status.st_size, status.st_mtime_ns)
