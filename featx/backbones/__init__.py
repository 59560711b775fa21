"""The table of backbones, and how a named network becomes one that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featx.backbones.source import FILE_BACKBONE, Source, find_source
from featx.backbones.table import BACKBONES, DEFAULT_BACKBONE, Backbone, find_backbone
from featx.libraries import start_keras
from featx.spec import FeatureSpec

__all__ = [
    "BACKBONES",
    "DEFAULT_BACKBONE",
    "FILE_BACKBONE",
    "Backbone",
    "Source",
    "build_network",
    "find_backbone",
    "find_source",
    "list_backbones",
]


def list_backbones() -> list[Backbone]:
    """Return every backbone of the table, in its order."""
    return list(BACKBONES.values())


def build_network(spec: FeatureSpec, file: Path | None) -> Any:
    """Build the network of a recipe; see :func:`featx.backbones.network.build_network`. Imports Keras."""
    start_keras()
    from featx.backbones import network

    return network.build_network(spec, file)
