"""Check that Keras files do not refer to other files, and that their layers open no files and run no code."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from featx.errors import BackboneError

_MAX_CONFIG = 64 << 20
_MAX_RATIO = 100
_MIN_DECOMPRESSED_LIMIT = 64 << 20
"""Decompressed size in bytes that is always allowed."""

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"

_NOT_RUN = "featx does not run code from files"
_CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_OPENERS = ("TFSMLayer", "StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization")
_REFUSED = dict.fromkeys(_CODE, f"contains code; {_NOT_RUN}") | dict.fromkeys(_OPENERS, "may open other files")
"""Layers that are refused, with the reason."""


def check_keras_file(path: Path) -> None:
    """Check that a ``.keras`` or HDF5 file contains all its weights, and no layer that opens a file or runs code.

    Raises
    ------
    BackboneError
        If the file has another format, refers to another file, or contains a layer that is refused.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    if not is_zip:
        _check_hdf5(path, path.stat().st_size)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive, path.stat().st_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, EOFError) as error:
        raise BackboneError(f"is not a Keras file, or it is damaged: {error}") from None


def _check_archive(archive: zipfile.ZipFile, n_bytes: int) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise BackboneError("contains two entries of the same name")
    if sum(entry.file_size for entry in entries) > max(_MAX_RATIO * n_bytes, _MIN_DECOMPRESSED_LIMIT):
        raise BackboneError(f"would have more than {_MAX_RATIO} times its size when decompressed")
    if _CONFIG in names:
        if archive.getinfo(_CONFIG).file_size > _MAX_CONFIG:
            raise BackboneError("has a configuration of more than 64 MB")
        _check_config(archive.read(_CONFIG))
    if any(name.endswith((".h5", ".hdf5")) and name != _WEIGHTS for name in names):
        raise BackboneError("contains HDF5 files other than its weights")
    if _WEIGHTS in names:
        content = archive.read(_WEIGHTS)
        _check_hdf5(io.BytesIO(content), len(content))


def _check_hdf5(file: Path | BinaryIO, n_bytes: int) -> None:
    import h5py

    try:
        with h5py.File(file, "r") as content:
            if _check_group(content) > max(_MAX_RATIO * n_bytes, _MIN_DECOMPRESSED_LIMIT):
                raise BackboneError(
                    f"contains HDF5 datasets whose total size is more than {_MAX_RATIO} times the size of the file"
                )
            config = content.attrs.get("model_config")
    except BackboneError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, ValueError, ... on damage
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BackboneError(f"is not an HDF5 file, or it is damaged: {first}") from None
    if isinstance(config, str | bytes):
        _check_config(config.encode() if isinstance(config, str) else config)


def _check_group(top: Any) -> int:
    """Check that no link or HDF5 dataset refers to another place, and return the size of all data in bytes."""
    import h5py

    n_bytes, groups, seen = 0, [top], set()
    while groups:
        group = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BackboneError(f"contains {name!r}, a link to another place; save the network again with Keras")
            member = group[name]
            if isinstance(member, h5py.Group):
                address = h5py.h5o.get_info(member.id).addr
                if address not in seen:
                    seen.add(address)
                    groups.append(member)
            elif isinstance(member, h5py.Dataset):
                if member.external or member.is_virtual:
                    raise BackboneError(
                        f"keeps the data of {name!r} in another file; save the network again with Keras"
                    )
                n_bytes += int(member.size or 0) * member.dtype.itemsize
    return n_bytes


def _check_config(content: bytes) -> None:
    try:
        config = json.loads(content)
    except (ValueError, RecursionError):
        raise BackboneError("has a configuration that is not JSON") from None
    for values in _objects(config):
        name = values.get("class_name")
        if not isinstance(name, str):
            continue
        kind = name.rpartition(">")[2]
        if kind in _REFUSED:
            raise BackboneError(f"contains a {kind} layer, which {_REFUSED[kind]}")
        module = values.get("module")
        if isinstance(module, str) and module != "builtins" and module.split(".")[0] not in _MODULES:
            raise BackboneError(f"needs {module}.{name}, which is not part of Keras; featx does not import it")


_MODULES = ("keras", "keras_hub")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    parts = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            yield part
            parts += part.values()
        elif isinstance(part, list):
            parts += part
