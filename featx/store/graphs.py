"""Graphs of the openvino engine, kept so that a second run needs no TensorFlow; and how well precisions agree."""

from __future__ import annotations

import hashlib
from pathlib import Path

from featx.store.files import prepare_cache, write_whole
from featx.store.latest import read_json, write_json

_MAGIC = b"featx graph 1\n\0\0"


def read_graph(cache: Path, key: str) -> bytes | None:
    """Return a graph; None if there is none, or if its bytes are not those that were written."""
    try:
        content = (cache / "graphs" / f"{key}.graph").read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + 32
    graph = content[start:]
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : start] != hashlib.sha256(graph).digest():
        return None
    return graph


def write_graph(cache: Path, key: str, graph: bytes) -> None:
    """Keep a graph under a key that covers everything that defines it.

    Raises
    ------
    StoreError
        The cache cannot be written.
    """
    content = _MAGIC + hashlib.sha256(graph).digest() + graph
    path = prepare_cache(cache, "graphs") / f"{key}.graph"
    write_whole(path, lambda temporary: _write(temporary, content))


def read_calibration(cache: Path, key: str, dataset_id: str) -> str | None:
    """Return the name of the graph that was quantized from the graph ``key`` for a data set, None if none was."""
    name = (read_json(cache / "graphs" / f"{key}.int8.json") or {}).get(dataset_id)
    return name if isinstance(name, str) else None


def remember_calibration(cache: Path, key: str, dataset_id: str, name: str) -> None:
    """Note what :func:`read_calibration` returns."""
    path = prepare_cache(cache, "graphs") / f"{key}.int8.json"
    write_json(path, {**(read_json(path) or {}), dataset_id: name})


def read_agreements(cache: Path, key: str) -> dict[str, float | None]:
    """Return the agreement of a graph's precisions with float32, by processor and precision; None: not possible."""
    found = read_json(cache / "graphs" / f"{key}.json") or {}
    return {name: value for name, value in found.items() if value is None or isinstance(value, float)}


def remember_agreement(cache: Path, key: str, name: str, cosine: float | None) -> None:
    """Note an agreement, as :func:`read_agreements` returns it."""
    path = prepare_cache(cache, "graphs") / f"{key}.json"
    write_json(path, {**read_agreements(cache, key), name: cosine})


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
