"""The recipes of the stores of a cache, and the graphs that they need."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from featx.backbones import engine_of
from featx.errors import StoreError
from featx.execution import graph_key
from featx.spec import FeatureSpec
from featx.store import open_store, read_quantized_names


@dataclass(frozen=True)
class Needed:
    """What recipes need of the folder of graphs.

    Parameters
    ----------
    graphs : frozenset of str
        Names of converted and quantized graphs.
    notes : frozenset of str
        Names of the graphs whose notes are needed: how well precisions agree, what was quantized from them.
    """

    graphs: frozenset[str]
    notes: frozenset[str]

    def has(self, path: Path) -> bool:
        """Tell whether a file of that folder is needed."""
        name = path.name.split(".")[0]
        return name in (self.graphs if path.suffix == ".graph" else self.notes)


def recipes_of(stores: Iterable[Path]) -> tuple[list[FeatureSpec], list[StoreError]]:
    """Return the recipes of the stores that can be read, and why the others cannot."""
    specs: list[FeatureSpec] = []
    errors: list[StoreError] = []
    for path in stores:
        try:
            specs.append(open_store(path).spec)
        except StoreError as error:
            errors.append(error)
    return specs, errors


def needed_graphs(cache: Path, specs: Collection[FeatureSpec]) -> Needed:
    """Return what recipes need of the folder of graphs.

    A converted graph is made again when it is missing; a quantized one cannot be, so that all are needed that a needed
    note names.
    """
    converted = {graph_key(spec) for spec in specs if engine_of(spec).keeps_graph}
    quantized = {spec.graph for spec in specs if spec.graph is not None}
    calibrations = read_quantized_names(cache)
    notes = {graph_key(spec) for spec in specs} | {key for key, names in calibrations.items() if names & quantized}
    named = {name for key, names in calibrations.items() if key in notes for name in names}
    return Needed(frozenset(converted | quantized | named), frozenset(notes))
