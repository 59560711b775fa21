"""Cache the graphs of the engine openvino, so that a second run does not need TensorFlow, and their agreements."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

from featx import network_files
from featx.errors import DamagedStoreError, EngineError
from featx.files import is_real_folder, is_regular, read_regular
from featx.store.files import entries, prepare_cache, write_content
from featx.store.notes import changing_notes, read_json, write_json

_MAGIC = b"featx graph 1\n\0\0"
_LARGEST = 1 << 32
"""Maximum size of a graph in bytes: twice the maximum size of a network in the formats that can be converted."""


def read_graph(cache: Path, key: str) -> bytes | None:
    """Return a graph; None if the file does not exist or does not contain an undamaged graph."""
    try:
        return check_graph_file(cache / "graphs" / f"{key}.graph")
    except OSError:  # the file is missing or damaged
        return None


def has_graph(cache: Path, key: str) -> bool:
    """Return whether the cache contains a graph; the graph is not read."""
    return is_regular(cache / "graphs" / f"{key}.graph")


def quantized_name(graph: bytes) -> str:
    """Return the name of a quantized graph, which is a digest of the graph and part of the feature spec."""
    return hashlib.sha256(graph).hexdigest()[:16]


def read_quantized_graph(cache: Path, name: str) -> bytes | None:
    """Return a quantized graph; None if there is none, or if the content of the file does not match the name."""
    graph = read_graph(cache, name)
    return graph if graph is not None and quantized_name(graph) == name else None


def check_graph_file(path: Path) -> bytes:
    """Read a graph file, check its digest, and return the graph.

    Raises
    ------
    DamagedStoreError
        If the digest is wrong, or the content is not a graph that featx wrote.
    OSError
        If the file cannot be read.
    """
    content = read_regular(path, _LARGEST, follow=False)
    start = len(_MAGIC) + 32
    graph = content[start:]
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : start] != hashlib.sha256(graph).digest():
        raise DamagedStoreError(f"{path} is damaged: its digest is wrong")
    try:
        network_files.check_graph(graph)
    except EngineError as error:
        raise DamagedStoreError(f"{path} is not a graph that featx wrote: {error}") from None
    return graph


def write_graph(cache: Path, key: str, graph: bytes) -> None:
    """Write a graph to the cache; the key must identify everything that determines the graph.

    Raises
    ------
    StoreError
        If the cache cannot be written.
    """
    content = _MAGIC + hashlib.sha256(graph).digest() + graph
    path = prepare_cache(cache, "graphs") / f"{key}.graph"
    write_content(path, content)


def read_quantized_name(cache: Path, key: str, dataset_id: str) -> str | None:
    """Return the name of the graph that was quantized from graph ``key`` with a data set; None if there is none."""
    return _read_names(cache / "graphs" / f"{key}.int8.json").get(dataset_id)


def read_quantized_names(cache: Path) -> dict[str, set[str]]:
    """Return the names of the quantized graphs, by the name of the original graph."""
    folder = cache / "graphs"
    paths = folder.glob("*.int8.json") if is_real_folder(folder) else ()
    return {path.name.removesuffix(".int8.json"): set(_read_names(path).values()) for path in paths}


def remember_quantized_name(cache: Path, key: str, dataset_id: str, name: str) -> None:
    """Record the name of the graph that was quantized from graph ``key`` with a data set."""
    path = prepare_cache(cache, "graphs") / f"{key}.int8.json"
    with changing_notes(cache):
        write_json(path, {**_read_names(path), dataset_id: name})


def read_agreements(cache: Path, key: str) -> dict[str, float | None]:
    """Return how well the precisions of a graph agree with float32, by CPU and precision.

    Returns
    -------
    dict
        Cosine similarity of the features; None if the CPU does not support the precision.
    """
    agreements = read_json(cache / "graphs" / f"{key}.json") or {}
    return {name: value for name, value in agreements.items() if value is None or _is_number(value)}


def remember_agreement(cache: Path, key: str, name: str, cosine: float | None) -> None:
    """Record how well a precision of a graph agrees with float32 on a CPU."""
    path = prepare_cache(cache, "graphs") / f"{key}.json"
    with changing_notes(cache):
        write_json(path, {**read_agreements(cache, key), name: cosine if _is_number(cosine) else None})


def _read_names(path: Path) -> dict[str, str]:
    return {key: name for key, name in (read_json(path) or {}).items() if isinstance(name, str)}


def _is_number(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def copy_quantized_graph(sources: Sequence[Path], cache: Path, name: str) -> None:
    """Copy a quantized graph from the first of several caches that has it, unless ``cache`` has it."""
    if read_quantized_graph(cache, name) is None:
        graphs = (read_quantized_graph(source, name) for source in sources)
        graph = next((graph for graph in graphs if graph is not None), None)
        if graph is not None:
            write_graph(cache, name, graph)


def copy_graph_notes(source: Path, cache: Path) -> None:
    """Add to a cache what another cache records about graphs: names of quantized graphs, and agreements on CPUs."""
    for path in entries(source / "graphs"):
        key = path.name.split(".")[0]
        if path.name == f"{key}.int8.json":
            known = _read_names(cache / "graphs" / path.name)
            for dataset_id, name in _read_names(path).items():
                if dataset_id not in known and has_graph(cache, name):
                    remember_quantized_name(cache, key, dataset_id, name)
        elif path.name == f"{key}.json":
            agreements = read_agreements(cache, key)
            for name, cosine in read_agreements(source, key).items():
                if name not in agreements:
                    remember_agreement(cache, key, name, cosine)
