"""Small JSON files of the cache: the set extracted last, and what local networks said of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featx.store.files import prepare_cache, write_content


def write_latest(cache: Path, latest: dict[str, Any]) -> None:
    """Note which data set was extracted last, with which recipe, in ``cache/latest.json``."""
    write_json(prepare_cache(cache, ".") / "latest.json", latest)


def read_latest(cache: Path) -> dict[str, Any] | None:
    """Return what :func:`write_latest` noted; None if there is nothing to read."""
    return read_json(cache / "latest.json")


def remember_size(cache: Path, digest: str, size: int) -> None:
    """Note the input size that a local network declares, so that it need not be loaded to ask again."""
    sizes = read_sizes(cache)
    if sizes.get(digest) != size:
        write_json(prepare_cache(cache, ".") / "networks.json", {**sizes, digest: size})


def read_sizes(cache: Path) -> dict[str, int]:
    """Return the input sizes of local networks by their digest."""
    found = read_json(cache / "networks.json") or {}
    return {digest: size for digest, size in found.items() if isinstance(size, int)}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a small JSON file, whole or not at all."""
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    write_content(path, text.encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a small JSON file holds; None if there is nothing to read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing, or not what featx wrote
        return None
    return value if isinstance(value, dict) else None
