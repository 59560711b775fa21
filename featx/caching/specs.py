"""Read the feature specs of the stores in a cache, and determine which graphs the feature specs need."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from featx.backbones import FILE_BACKBONE, engine_of
from featx.errors import StoreError
from featx.execution import graph_key
from featx.spec import FeatureSpec
from featx.store import open_store, read_quantized_names


@dataclass(frozen=True)
class Needed:
    """Files in the folder ``graphs`` that feature specs need.

    Parameters
    ----------
    graphs : frozenset of str
        Names of converted and quantized graphs.
    notes : frozenset of str
        Names of the graphs whose JSON files are needed. A JSON file contains the agreements of the precisions of the
        graph, or the names of the graphs that were quantized from the graph.
    """

    graphs: frozenset[str]
    notes: frozenset[str]

    def has(self, path: Path) -> bool:
        """Return whether a file in the folder ``graphs`` is needed."""
        name = path.name.split(".")[0]
        return name in (self.graphs if path.suffix == ".graph" else self.notes)


def specs_of(stores: Iterable[Path]) -> tuple[list[FeatureSpec], list[StoreError]]:
    """Return the feature specs of the readable stores, and the errors of the other stores."""
    specs: list[FeatureSpec] = []
    errors: list[StoreError] = []
    for path in stores:
        try:
            specs.append(open_store(path).spec)
        except StoreError as error:
            errors.append(error)
    return specs, errors


def backbones_of_graphs(specs: Iterable[FeatureSpec]) -> dict[str, str]:
    """Return the backbone from which each graph was converted, by the name of the graph, as far as specs show it."""
    return {
        spec.graph or graph_key(spec): _backbone(spec)
        for spec in specs
        if spec.graph is not None or engine_of(spec).keeps_graph
    }


def _backbone(spec: FeatureSpec) -> str:
    """Return the name of a backbone, with the values that distinguish its graphs."""
    name = f"backbone file {spec.weights[:12]}" if spec.backbone == FILE_BACKBONE else spec.backbone
    layer = "" if spec.layer is None else f", layer {spec.layer}"
    pooling = "" if spec.pooling == "avg" else f", pooling {spec.pooling}"
    precision = ", int8" if spec.graph is not None else ""
    return f"{name}, {spec.size} pixels{layer}{pooling}{precision}"


def needed_graphs(cache: Path, specs: Collection[FeatureSpec]) -> Needed:
    """Return the files in the folder ``graphs`` that feature specs need.

    A converted graph can be rebuilt, but a quantized graph cannot. Therefore every quantized graph is needed whose name
    is in a JSON file that is needed.
    """
    converted = {graph_key(spec) for spec in specs if engine_of(spec).keeps_graph}
    quantized = {spec.graph for spec in specs if spec.graph is not None}
    calibrations = read_quantized_names(cache)
    notes = {graph_key(spec) for spec in specs} | {key for key, names in calibrations.items() if names & quantized}
    named = {name for key, names in calibrations.items() if key in notes for name in names}
    return Needed(frozenset(converted | quantized | named), frozenset(notes))
