"""Write a small data set of real images without a download: the handwritten digits of scikit-learn.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
1998 (CC BY 4.0); scikit-learn includes its test part, 1,797 images of 8 x 8 pixels by 13 writers.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featx.arguments import checked
from featx.files import ReplacedError
from featx.output import make_folder, write_new

_PER_CLASS = 30
_NEW_PER_CLASS = 5


@checked()
def make_sample(folder: str | Path) -> Path:
    """Write 300 digits, 30 in each of ten class folders, as PNG files.

    Parameters
    ----------
    folder : path
        Folder to write into, created if it does not exist. Existing files are left unchanged.

    Returns
    -------
    path
        The folder.

    Raises
    ------
    OutputError
        If the folder or a file cannot be written.

    Examples
    --------
    >>> import featx
    >>> folder = featx.make_sample("sample")
    >>> sorted(path.name for path in folder.iterdir())[:3]
    ['0', '1', '2']
    """
    target = Path(folder)
    for label, number, image in _pick(0, _PER_CLASS):
        make_folder(target / label)
        _write(target / label / f"digit-{number:04d}.png", image)
    return target


def make_new_images(folder: str | Path) -> Path:
    """Write 50 other digits without labels into one folder, as new images for prediction."""
    target = Path(folder)
    make_folder(target)
    for _, number, image in _pick(_PER_CLASS, _PER_CLASS + _NEW_PER_CLASS):
        _write(target / f"digit-{number:04d}.png", image)
    return target


def is_sample(folder: str | Path) -> bool:
    """Return whether a folder contains all files of the sample data set; only the names are compared."""
    return all(
        (Path(folder) / label / f"digit-{number:04d}.png").is_file() for label, number, _ in _pick(0, _PER_CLASS)
    )


def _pick(start: int, stop: int) -> Iterator[tuple[str, int, Any]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in range(10):
        for number in np.flatnonzero(digits.target == label)[start:stop]:
            yield str(label), int(number), digits.images[number]


def _write(path: Path, image: Any) -> None:
    if os.path.lexists(path):
        return
    grey = Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8))
    stream = io.BytesIO()
    grey.save(stream, "PNG", compress_level=0)  # uncompressed, so that the bytes do not depend on the zlib version
    with contextlib.suppress(ReplacedError):  # another run has written the file
        write_new(path, stream.getvalue())
