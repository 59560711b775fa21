"""Sort predicted pictures into one folder for each class."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from featx.dataset import OUTPUT_TAG
from featx.errors import OutputError


class Sorter:
    """Copies or links pictures into ``folder/<class>/``.

    Parameters
    ----------
    folder : path
        New or empty, unless ``overwrite``.
    classes : sequence of str
    link : bool
        Hard links instead of copies: no space, the same disk only.
    overwrite : bool
        Put pictures into a folder that has some, replacing those of the same name.

    Raises
    ------
    OutputError
        The folder is not empty or cannot be made.
    """

    def __init__(self, folder: Path, classes: Sequence[str], link: bool, overwrite: bool) -> None:
        self._folder = folder
        self._link = link
        self._names = _folder_names(classes)
        self._taken: set[Path] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()) and not overwrite:
                raise OutputError(f"--sort-into {folder}: the folder is not empty; add --overwrite or choose another")
            (folder / OUTPUT_TAG).write_text("Pictures sorted by featx; never scanned as data.\n")
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"--sort-into {folder}: {error.strerror or error}") from None

    def place(self, picture: Path, label: str) -> Path:
        """Copy or link a picture to its class, and return where it is now.

        Raises
        ------
        OutputError
            It cannot be written there.
        """
        target = self._folder / self._names[label] / picture.name
        if target in self._taken:  # another picture of this name, from another folder
            mark = hashlib.sha256(os.fsencode(picture)).hexdigest()[:8]
            target = target.with_name(f"{picture.stem}-{mark}{picture.suffix}")
        self._taken.add(target)
        try:
            target.parent.mkdir(exist_ok=True)
            target.unlink(missing_ok=True)
            if self._link:
                os.link(picture, target)
            else:
                shutil.copy2(picture, target)
        except OSError as error:
            raise OutputError(f"{picture} cannot be put into {target.parent}: {error.strerror or error}") from None
        return target


def _folder_names(classes: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for label in classes:
        # What Windows forbids in names, so that the folder can be taken there.
        name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label).strip(" .") or "_"
        while name in names.values():
            name += "_"
        names[label] = name
    return names
