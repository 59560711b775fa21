"""The table of backbones, and how a named network becomes one that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featx.backbones.source import FILE_BACKBONE, BackboneSource, digest, find_backbone_source, is_onnx
from featx.backbones.table import BACKBONES, Backbone, PackagedWeights, engine_of, find_backbone
from featx.errors import BackboneError, WeightsError
from featx.libraries import start_keras
from featx.spec import FeatureSpec

__all__ = [
    "BACKBONES",
    "FILE_BACKBONE",
    "Backbone",
    "BackboneSource",
    "build_core",
    "build_network",
    "engine_of",
    "find_backbone",
    "find_backbone_source",
    "is_onnx",
    "list_backbones",
]


def list_backbones() -> list[Backbone]:
    """Return every backbone of the table, in its order."""
    return list(BACKBONES.values())


def build_network(spec: FeatureSpec, file: Path | None) -> Any:
    """Build the network of a recipe; see :mod:`featx.backbones.network` and, for ONNX, :mod:`featx.backbones.onnx`.

    Parameters
    ----------
    spec : FeatureSpec
    file : path, optional
        The weight file, or the local network; None for random weights. Its digest must be the recipe's.

    Returns
    -------
    keras.Model or openvino.Model
        uint8 RGB pixels (n, size, size, 3) to float32 features (n, n_features), inference mode.

    Raises
    ------
    BackboneError, WeightsError
        The file is not the recipe's, does not fit, or there is no such layer.
    """
    _check_digest(spec, file)
    if file is not None and is_onnx(file):
        from featx.backbones.onnx import build_onnx

        return build_onnx(spec, file)
    if file is not None and file.suffix == ".pth" and engine_of(spec).runs_onnx and spec.layer is None:
        row = find_backbone(spec.backbone)
        if isinstance(row.weights, PackagedWeights):
            from featx.backbones.lite_openvino import build_lite
            from featx.backbones.pth import read_pth_file

            return build_lite(spec, row.constructor, read_pth_file(file))
    start_keras()
    from featx.backbones import network

    return network.build_network(spec, file)


def build_core(spec: FeatureSpec, file: Path | None) -> Any:
    """Build the layers of a recipe alone, to be trained; see :func:`build_network`.

    Returns
    -------
    keras.Model
        float32 pixels (n, size, size, 3), scaled as the recipe says, to the output of its layer, before pooling.

    Raises
    ------
    BackboneError, WeightsError
        The file is not the recipe's, does not fit, holds no Keras network, or there is no such layer.
    """
    _check_digest(spec, file)
    if file is not None and is_onnx(file):
        raise BackboneError(
            f"{file} is an ONNX network, which only runs; training needs a named backbone or .keras file"
        )
    start_keras()
    from featx.backbones import network

    return network.build_core(spec, file)


def _check_digest(spec: FeatureSpec, file: Path | None) -> None:
    if file is not None and digest(file) != spec.weights:
        raise WeightsError(f"{file} has changed: its SHA-256 is no longer the one of these features; run again")
