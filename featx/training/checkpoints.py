"""Checkpoints of a training run: arrays and plain values in one file that is replaced atomically."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featx.files import open_regular, temporary_folder
from featx.output import GENERATOR
from featx.store import write_cache_file

_HEAD_BYTES = 1 << 16
_LARGEST_STATE = 1 << 26
"""Maximum size of the plain values, in bytes; each epoch adds a few hundred bytes."""


def write_checkpoint(path: Path, arrays: Sequence[NDArray[Any]], state: dict[str, Any]) -> None:
    """Write a checkpoint; an existing file is replaced atomically.

    Parameters
    ----------
    path : path
        File in an existing folder.
    arrays : sequence of ndarray
    state : dict
        JSON values.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    named = {f"a{i}": array for i, array in enumerate(arrays)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, state=text, **named)  # type: ignore[arg-type]

    write_cache_file(path, write)


def read_checkpoint(path: Path, like: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], dict[str, Any]] | None:
    """Return arrays and state; None if the file is missing or damaged, or its arrays differ from ``like`` in shape."""
    try:
        with open_regular(path, follow=False) as stream:
            _check_sizes(stream, like)
            with np.load(stream, allow_pickle=False) as file:
                arrays = [file[f"a{i}"] for i in range(len(like))]
                state = json.loads(file["state"].tobytes())
    except Exception:  # zipfile, zlib, numpy and json raise many kinds of errors for a damaged file
        return None
    fits = all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(arrays, like, strict=True))
    return (arrays, state) if fits and isinstance(state, dict) else None


def write_network(path: Path, save: Callable[[Path], None]) -> None:
    """Write a Keras file that names featx as its producer and whose bytes do not depend on the time of writing.

    Keras itself stores the time, and cannot save a file with a date before 1980.

    Parameters
    ----------
    path : path
    save : callable
        Saves the network as a folder.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with temporary_folder(str(path.parent)) as folder, zipfile.ZipFile(path, "w") as archive:
        archive.comment = GENERATOR.encode()
        save(folder)
        for part in sorted(file for file in folder.rglob("*") if file.is_file()):
            info = zipfile.ZipInfo(part.relative_to(folder).as_posix())
            with archive.open(info, "w", force_zip64=True) as member, part.open("rb") as source:
                if part.name == "metadata.json":
                    metadata = json.load(source)
                    metadata.pop("date_saved", None)
                    member.write(json.dumps(metadata).encode())
                else:
                    shutil.copyfileobj(source, member)


def _check_sizes(stream: BinaryIO, like: Sequence[NDArray[Any]]) -> None:
    """Check that the decompressed size of each member of the archive is not too large for this network."""
    with zipfile.ZipFile(stream) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    most = {f"a{i}.npy": array.nbytes + _HEAD_BYTES for i, array in enumerate(like)} | {"state.npy": _LARGEST_STATE}
    if any(sizes[name] > bound for name, bound in most.items()):
        raise ValueError("not a checkpoint of this network")
    stream.seek(0)
