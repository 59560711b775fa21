"""The recordings of a data set: numbers that are never given twice, and images that are whole or not there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from featx.dataset import read_layout, split_of
from featx.duplicates import make_frame_name, recording_of
from featx.errors import CaptureError, DatasetError, OutputError
from featx.files import ReplacedError
from featx.output import make_folder, write_new
from featx.source import LocalFolder

_CLAIM = ".take-"
_MOST_BYTES = 200
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}


class Recording:
    """A recording that images are written into.

    Parameters
    ----------
    number : int
    folder : path
        That of the label.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.folder = folder
        self.n_kept = 0

    def keep(self, image: bytes) -> Path:
        """Write a JPEG file as the next image of the recording, and return its path.

        Raises
        ------
        OutputError
            It cannot be written, or something of its name is there.
        """
        path = self.folder / f"{make_frame_name(self.number, self.n_kept + 1)}.jpg"
        make_folder(self.folder)
        try:
            write_new(path, image)
        except ReplacedError:
            raise OutputError(f"{path} exists already, and is not replaced") from None
        self.n_kept += 1
        return path


def check_label(label: str) -> None:
    """Make sure that a label can be the name of a class folder, on any system.

    Raises
    ------
    CaptureError
        It cannot.
    """
    reason = _fault(label)
    if reason:
        raise CaptureError(f"the label {label!r} {reason}; choose a plain name, as anna or cup_2")


def _fault(label: str) -> str:
    if not label.strip():
        return "is empty"
    if found := _FORBIDDEN.search(label):
        return f"holds {found[0]!r}, which names of folders may not on every system"
    if label.startswith(".") or label != label.strip() or label.endswith("."):
        return "begins or ends with a point or a space: such folders are hidden, or cannot be on some systems"
    if _DEVICES.fullmatch(label) or label.lower() in _SYSTEM:
        return "is a name that systems use themselves"
    if (split := split_of(label)) is not None:
        return f"would be read as the {split} part of a data set"
    return f"is longer than {_MOST_BYTES} bytes" if len(label.encode("utf-8", "replace")) > _MOST_BYTES else ""


def dataset_root(output: Path) -> Path:
    """Return the data set that a folder of labels belongs to: its parent where it is the part of a split."""
    return output.parent if split_of(output.name) is not None else output


@contextlib.contextmanager
def new_recording(output: Path, label: str) -> Iterator[Recording]:
    """Begin the next recording of a data set; folders in which nothing was kept are removed at the end.

    Parameters
    ----------
    output : path
        Folder of label folders; made when missing.
    label : str

    Raises
    ------
    OutputError
        The folder cannot be made or written.
    """
    root = dataset_root(output)
    made = [folder for folder in (output / label, output, root) if not folder.exists()]
    try:
        output.mkdir(parents=True, exist_ok=True)
        number, claim = _claim(root)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"`output={output}` cannot be written: {error.strerror or error}") from None
    try:
        yield Recording(number, output / label)
    finally:
        for folder in (claim, *made):
            with contextlib.suppress(OSError):  # it holds images
                folder.rmdir()


def _claim(root: Path) -> tuple[int, Path]:
    """Take the next number by making a folder, which one process alone can do."""
    claims = [path.name.removeprefix(_CLAIM) for path in root.glob(f"{_CLAIM}*")]
    numbers = [
        recording for entry in LocalFolder(root).entries() if (recording := recording_of(entry.name)) is not None
    ]
    number = 1 + max([0, *numbers, *(int(claim) for claim in claims if claim.isdecimal())])
    while True:
        claim = root / f"{_CLAIM}{number:03d}"
        try:
            claim.mkdir()
        except FileExistsError:
            number += 1
        else:
            return number, claim


def count_recordings(output: Path) -> dict[str, int]:
    """Return the number of recordings of each label of a data set; 0 where its images were not captured.

    Parameters
    ----------
    output : path
        Folder of label folders; where it is the part of a split, all parts are counted.
    """
    names = [entry.name for entry in LocalFolder(dataset_root(output)).entries()]
    recordings: dict[str, set[int]] = {}
    try:
        labels = read_layout(names, "top").labels
    except DatasetError:  # extract will ask; what was captured is kept
        return {}
    for name, label in zip(names, labels, strict=True):
        if label is not None:
            found = recordings.setdefault(label, set())
            found.update({recording_of(name)} - {None})  # type: ignore[arg-type]
    return {label: len(found) for label, found in sorted(recordings.items())}
