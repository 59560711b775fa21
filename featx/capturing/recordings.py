"""The recordings of a data set, with unique numbers, and their image files, which are written atomically."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from featx.dataset import exact_split_name, read_layout
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
    """A recording that is being written.

    Parameters
    ----------
    number : int
    folder : path
        Folder of the label.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.folder = folder
        self.n_kept = 0

    def keep(self, image: bytes) -> Path:
        """Write a JPEG file as the next image of the recording; return its path.

        Raises
        ------
        OutputError
            If the file cannot be written, or it exists.
        """
        path = self.folder / f"{make_frame_name(self.number, self.n_kept + 1)}.jpg"
        make_folder(self.folder)
        try:
            write_new(path, image)
        except ReplacedError:
            raise OutputError(f"{path} exists and is not replaced") from None
        self.n_kept += 1
        return path


def check_label(label: str) -> None:
    """Check that a label can be the name of a class folder on all operating systems.

    Raises
    ------
    CaptureError
        If the label cannot be a folder name.
    """
    reason = _fault(label)
    if reason:
        raise CaptureError(f"the label {label!r} {reason}; choose a plain name, such as anna or cup_2")


def _fault(label: str) -> str:
    if not label.strip():
        return "is empty"
    if match := _FORBIDDEN.search(label):
        return f"contains {match[0]!r}, which some systems do not allow in folder names"
    if label.startswith(".") or label != label.strip() or label.endswith("."):
        return "begins or ends with a dot or a space: such folders are hidden or not allowed on some systems"
    if _DEVICES.fullmatch(label) or label.lower() in _SYSTEM:
        return "is a reserved name on some systems"
    if (split := exact_split_name(label)) is not None:
        return f"would be read as the {split} part of a data set"
    return f"is longer than {_MOST_BYTES} bytes" if len(label.encode("utf-8", "replace")) > _MOST_BYTES else ""


def dataset_root(output: Path) -> Path:
    """Return the root of a data set from the folder of label folders.

    This is the parent of the folder if the folder is one part of a split, such as ``train``.
    """
    return output.parent if exact_split_name(output.name) is not None else output


@contextlib.contextmanager
def new_recording(output: Path, label: str) -> Iterator[Recording]:
    """Start the next recording of a data set; new folders that remain empty are removed at the end.

    Parameters
    ----------
    output : path
        Folder of label folders; created if missing.
    label : str

    Raises
    ------
    OutputError
        If the folder cannot be created or written.
    """
    root = dataset_root(output)
    new = [folder for folder in (output / label, output, root) if not folder.exists()]
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
        for folder in (claim, *new):
            with contextlib.suppress(OSError):  # the folder contains files
                folder.rmdir()


def _claim(root: Path) -> tuple[int, Path]:
    """Reserve the next number by creating a folder, which only one process can do."""
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
    """Return the number of recordings of each label of a data set; 0 for labels whose images were not captured.

    Parameters
    ----------
    output : path
        Folder of label folders; if it is one part of a split, all parts are counted.
    """
    names = [entry.name for entry in LocalFolder(dataset_root(output)).entries()]
    recordings: dict[str, set[int]] = {}
    try:
        labels = read_layout(names, "top").labels
    except DatasetError:  # the layout is ambiguous: the captured images are kept, and extract asks the user
        return {}
    for name, label in zip(names, labels, strict=True):
        if label is not None:
            numbers = recordings.setdefault(label, set())
            numbers.update({recording_of(name)} - {None})  # type: ignore[arg-type]
    return {label: len(numbers) for label, numbers in sorted(recordings.items())}
