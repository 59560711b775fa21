"""Read and write small JSON files in the cache: ``latest.json``, and the input sizes of network files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx.files import read_regular
from featx.store.files import locked, prepare_cache, write_content

_LARGEST = 1 << 24
"""Maximum size of a file that is read, in bytes. The files that featx writes have a few thousand bytes."""

_LARGEST_SIDE = 1 << 16
"""Limit in pixels; no network has an input as large as this."""


def write_latest(cache: Path, latest: dict[str, Any]) -> None:
    """Record the last extraction in ``cache/latest.json``: the data set, the feature spec and the options."""
    write_json(prepare_cache(cache, ".") / "latest.json", latest)


def read_latest(cache: Path) -> dict[str, Any] | None:
    """Return the content of ``cache/latest.json``; None if the file does not exist or cannot be read."""
    return read_json(cache / "latest.json")


def remember_input_size(cache: Path, digest: str, size: int) -> None:
    """Record the input size of a network file, so that the network need not be loaded again to determine the size."""
    if read_input_sizes(cache).get(digest) != size:
        with changing_notes(cache):
            write_json(cache / "networks.json", {**read_input_sizes(cache), digest: size})


def read_input_sizes(cache: Path) -> dict[str, int]:
    """Return the input sizes of network files in pixels, by the digest of the file."""
    sizes = read_json(cache / "networks.json") or {}
    return {digest: size for digest, size in sizes.items() if type(size) is int and 0 < size < _LARGEST_SIDE}


@contextlib.contextmanager
def changing_notes(cache: Path) -> Iterator[None]:
    """Lock the JSON files of a cache that are changed in place, so that one process at a time changes them.

    Raises
    ------
    StoreError
        If the cache cannot be written.
    """
    with locked(prepare_cache(cache, ".") / "notes.lock", lambda: None):
        yield


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a small JSON file atomically."""
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    write_content(path, text.encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a small JSON file; None if the file is missing or is not a JSON object."""
    try:
        value = json.loads(read_regular(path, _LARGEST, follow=False), parse_constant=_refuse)
    except (OSError, RecursionError, ValueError):  # the file is missing, or featx did not write it
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")
