"""The model file: a zip of JSON and plain arrays, and a skops file for what is neither; never a pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ClassifierError

FORMAT_VERSION = 2
_FORMAT_NAME = "featx model"
_HEADER = "model.json"
_ESTIMATOR = "estimator.skops"
_TRUSTED = ["featx.scaling.CommonScaler"]  # besides what skops itself holds for safe


class Archive:
    """The content of a model file.

    Parameters
    ----------
    header : dict
        JSON values.
    arrays : mapping of str to ndarray
        Plain arrays by name.
    files : mapping of str to bytes
        Probe pictures by file name.
    estimator : bytes
        The fitted estimator in skops format.
    """

    def __init__(
        self,
        header: dict[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        files: Mapping[str, bytes],
        estimator: bytes,
    ) -> None:
        self.header, self.arrays, self.files, self.estimator = header, arrays, files, estimator

    def write(self, path: Path) -> None:
        """Write the file; the bytes depend on the content alone."""
        header = {"format": _FORMAT_NAME, "format_version": FORMAT_VERSION, **self.header}
        with zipfile.ZipFile(path, "w") as archive:
            _add(archive, _HEADER, json.dumps(header, indent=1, sort_keys=True).encode())
            _add(archive, _ESTIMATOR, self.estimator)
            for name, array in self.arrays.items():
                stream = io.BytesIO()
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
                _add(archive, f"arrays/{name}.npy", stream.getvalue())
            for name, content in self.files.items():
                _add(archive, f"probes/{name}", content)

    @classmethod
    def read(cls, path: Path) -> Archive:
        """Read a file; nothing in it is run.

        Raises
        ------
        ClassifierError
            Not a model file, damaged, or of another version's format.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                return cls._read(archive, path)
        except (ClassifierError, FileNotFoundError):
            raise
        except Exception as error:  # zipfile, zlib, numpy and json raise BadZipFile, zlib.error, ValueError, KeyError
            raise ClassifierError(f"{path} is not a featx model, or it is damaged: {error}") from None

    @classmethod
    def _read(cls, archive: zipfile.ZipFile, path: Path) -> Archive:
        sizes = _sizes(archive, path.stat().st_size, path.name)
        header = json.loads(archive.read(_HEADER))
        if header.get("format") != _FORMAT_NAME:
            raise ClassifierError(f"{path} is not a featx model")
        if header["format_version"] > FORMAT_VERSION:
            raise ClassifierError(
                f"{path} has format {header['format_version']}; this featx knows {FORMAT_VERSION}: update featx"
            )
        if header["format_version"] < FORMAT_VERSION:
            raise ClassifierError(
                f"{path} has format {header['format_version']}, which says less than reports and rejection need; "
                "fit it again: the cached features serve"
            )
        arrays = {
            name.removeprefix("arrays/").removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(name)), allow_pickle=False
            )
            for name in sizes
            if name.startswith("arrays/")
        }
        files = {name.removeprefix("probes/"): archive.read(name) for name in sizes if name.startswith("probes/")}
        return cls(header, arrays, files, archive.read(_ESTIMATOR))


def _sizes(archive: zipfile.ZipFile, n_bytes: int, name: str) -> dict[str, int]:
    """Return the members of a zip file and their sizes; a ClassifierError if it is larger unpacked than packed."""
    packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise ClassifierError(f"{name} holds {packed[0]!r} compressed, as featx never writes it")
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if sum(entry.file_size for entry in archive.infolist()) > n_bytes:
        raise ClassifierError(f"{name} would unpack to more bytes than it has")
    return sizes


def dump_estimator(estimator: Any) -> bytes:
    """Return a fitted estimator in skops format.

    Raises
    ------
    ClassifierError
        It holds types that could not be loaded again without running unknown code.
    """
    from skops.io import dumps

    content: bytes = dumps(_without_optimizer(estimator))
    load_estimator(content)
    return content


def load_estimator(content: bytes) -> Any:
    """Load an estimator in skops format; types outside skops's own list of safe ones are refused by name.

    Raises
    ------
    ClassifierError
        A type that is not allowed, or no skops file.
    """
    from skops.io import get_untrusted_types, loads

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _sizes(archive, len(content), "it")
        unknown = get_untrusted_types(data=content)
        unknown = [name for name in unknown if name not in _TRUSTED]
        if not unknown:
            return loads(content, trusted=_TRUSTED)
    except Exception as error:  # skops raises zipfile, json and its own errors on a damaged file
        raise ClassifierError(f"the fitted head cannot be read: {error}") from None
    raise ClassifierError(
        f"the head holds types that featx does not load from a file: {', '.join(unknown)}. "
        "Allowed are those of scikit-learn that run no code on load"
    )


def _without_optimizer(estimator: Any) -> Any:
    """Drop what an MLP needs only to go on training, which no safe loader takes, or is as large as the MLP itself."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        steps = [(name, _without_optimizer(step)) for name, step in estimator.steps]
        return _copy_of(estimator, steps=steps)
    if isinstance(estimator, MLPClassifier):
        left_out = ("_optimizer", "_best_coefs", "_best_intercepts")
        return _copy_of(estimator, **{name: None for name in left_out if hasattr(estimator, name)})
    return estimator


def _copy_of(estimator: Any, **changes: Any) -> Any:
    twin = object.__new__(type(estimator))
    twin.__dict__.update({**estimator.__dict__, **changes})
    return twin


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_STORED
    archive.writestr(entry, content)
