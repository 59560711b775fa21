"""Read and write model files: zip files with JSON, plain arrays and the estimator in skops format, without a pickle."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from featx.classifier.arrays import array_bytes, read_array
from featx.classifier.estimators import add_member, check_members
from featx.errors import ClassifierError
from featx.files import open_regular

FORMAT_VERSION = 2
_FORMAT_NAME = "featx model"
_HEADER = "model.json"
_ESTIMATOR = "estimator.skops"
_MEMBER = re.compile(r"model\.json|estimator\.skops|arrays/[a-z_]+\d*\.npy|probes/[\w.-]+")


class Archive:
    """Content of a model file.

    Parameters
    ----------
    header : dict
        JSON values.
    arrays : mapping of str to ndarray
        Plain arrays by name.
    files : mapping of str to bytes
        Probe images by file name.
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
        """Write the file; its bytes depend only on the content."""
        header = {"format": _FORMAT_NAME, "format_version": FORMAT_VERSION, **self.header}
        with zipfile.ZipFile(path, "w") as archive:
            add_member(archive, _HEADER, json.dumps(header, indent=1, sort_keys=True).encode())
            add_member(archive, _ESTIMATOR, self.estimator)
            for name, array in self.arrays.items():
                add_member(archive, f"arrays/{name}.npy", array_bytes(array))
            for name, content in self.files.items():
                add_member(archive, f"probes/{name}", content)

    @classmethod
    def read(cls, path: Path) -> Archive:
        """Read a model file without running any code in it.

        Raises
        ------
        ClassifierError
            If the file is not a model file, is damaged, or has another format version.
        """
        try:
            with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
                return cls._read(archive, path, os.fstat(stream.fileno()).st_size)
        except ClassifierError as error:
            raise error if str(path.name) in str(error) else ClassifierError(f"{path}: {error}") from None
        except MemoryError:
            raise ClassifierError(f"{path} needs more memory than is available") from None
        except (FileNotFoundError, NotADirectoryError):
            raise ClassifierError(f"{path}: no such model file; create one with featx fit") from None
        except OSError as error:
            raise ClassifierError(f"{path} cannot be read: {error.strerror or error}") from None
        except Exception as error:  # zipfile, zlib, numpy and json raise BadZipFile, zlib.error, ValueError, KeyError
            raise ClassifierError(f"{path} is not a featx model, or it is damaged: {error}") from None

    @classmethod
    def _read(cls, archive: zipfile.ZipFile, path: Path, n_bytes: int) -> Archive:
        if n_bytes > _memory():
            raise ClassifierError(f"{path} has {n_bytes:,} bytes, more than the memory of this machine")
        sizes = check_members(archive, n_bytes, path.name)
        header = json.loads(archive.read(_HEADER))
        if not isinstance(header, dict) or header.get("format") != _FORMAT_NAME:
            raise ClassifierError(f"{path} is not a featx model")
        if type(header["format_version"]) is not int:
            raise ClassifierError(f"{path} has no format version")
        if header["format_version"] > FORMAT_VERSION:
            raise ClassifierError(
                f"{path} has format {header['format_version']}; this featx reads format {FORMAT_VERSION}: update featx"
            )
        if header["format_version"] < FORMAT_VERSION:
            raise ClassifierError(
                f"{path} has format {header['format_version']}, which lacks data that reports and rejection need; "
                "fit the model again (cached features are reused)"
            )
        unknown = [name for name in sizes if not _MEMBER.fullmatch(name)]
        if unknown:
            raise ClassifierError(f"{path} contains {unknown[0]!r}, which is not part of a featx model")
        arrays = {
            name.removeprefix("arrays/").removesuffix(".npy"): read_array(archive.read(name), name)
            for name in sizes
            if name.startswith("arrays/")
        }
        files = {name.removeprefix("probes/"): archive.read(name) for name in sizes if name.startswith("probes/")}
        return cls(header, arrays, files, archive.read(_ESTIMATOR))


def _memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return float("inf")
