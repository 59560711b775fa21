"""The table of backbones, and the functions that build a named backbone."""

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
    """Return all backbones in the order of the table.

    Returns
    -------
    list of Backbone

    Examples
    --------
    >>> import featx
    >>> [row.name for row in featx.list_backbones() if row.name.startswith("vgg")]
    ['vgg16', 'vgg19']
    """
    return list(BACKBONES.values())


def build_network(spec: FeatureSpec, file: Path | None) -> Any:
    """Build the backbone of a feature spec, from pixels to pooled features.

    See :mod:`featx.backbones.network` and, for ONNX, :mod:`featx.backbones.onnx`.

    Parameters
    ----------
    spec : FeatureSpec
    file : path, optional
        Weights file or backbone file, with the digest in the feature spec; None for random weights.

    Returns
    -------
    keras.Model or openvino.Model
        Maps uint8 RGB pixels (n, size, size, 3) to float32 features (n, n_features), in inference mode.

    Raises
    ------
    BackboneError, WeightsError
        If the file differs from the one in the feature spec, does not fit the architecture, or lacks the layer.
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
    """Build the layers of a feature spec without scaling and pooling, for training; see :func:`build_network`.

    Returns
    -------
    keras.Model
        Maps float32 pixels (n, size, size, 3), scaled as in the feature spec, to the activations before pooling.

    Raises
    ------
    BackboneError, WeightsError
        If the file differs from the one in the feature spec, does not fit the architecture, is not a Keras file, or
        lacks the layer.
    """
    _check_digest(spec, file)
    if file is not None and is_onnx(file):
        raise BackboneError(
            f"{file} is an ONNX file, which cannot be trained; use a backbone of the table or a .keras file"
        )
    start_keras()
    from featx.backbones import network

    return network.build_core(spec, file)


def _check_digest(spec: FeatureSpec, file: Path | None) -> None:
    if file is not None and digest(file) != spec.weights:
        raise WeightsError(f"{file} has changed: its SHA-256 differs from the one in the feature spec; run again")
