"""Small JSON files of the cache: the set extracted last, and what local networks said of themselves."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx.files import read_regular
from featx.store.files import locked, prepare_cache, write_content

_LARGEST = 1 << 24
"""Bytes of the largest file that is read; what featx writes has some thousands."""

_LARGEST_SIDE = 1 << 16
"""Pixels; no network takes larger images."""


def write_latest(cache: Path, latest: dict[str, Any]) -> None:
    """Note which data set was extracted last, with which recipe, in ``cache/latest.json``."""
    write_json(prepare_cache(cache, ".") / "latest.json", latest)


def read_latest(cache: Path) -> dict[str, Any] | None:
    """Return what :func:`write_latest` noted; None if there is nothing to read."""
    return read_json(cache / "latest.json")


def remember_input_size(cache: Path, digest: str, size: int) -> None:
    """Note the input size that a local network declares, so that it need not be loaded to ask again."""
    if read_input_sizes(cache).get(digest) != size:
        with changing_notes(cache):
            write_json(cache / "networks.json", {**read_input_sizes(cache), digest: size})


def read_input_sizes(cache: Path) -> dict[str, int]:
    """Return the input sizes of local networks by their digest."""
    found = read_json(cache / "networks.json") or {}
    return {digest: size for digest, size in found.items() if type(size) is int and 0 < size < _LARGEST_SIDE}


@contextlib.contextmanager
def changing_notes(cache: Path) -> Iterator[None]:
    """Let one run at a time read small JSON files of a cache, change and write them.

    Raises
    ------
    StoreError
        The cache cannot be written.
    """
    with locked(prepare_cache(cache, ".") / "notes.lock", lambda: None):
        yield


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a small JSON file, whole or not at all."""
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    write_content(path, text.encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a small JSON file holds; None if there is nothing to read."""
    try:
        value = json.loads(read_regular(path, _LARGEST, follow=False), parse_constant=_refuse)
    except (OSError, RecursionError, ValueError):  # missing, or not what featx wrote
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
