"""Find the backbone and the weights that a user names, and compute their digest, without building the network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from featx import files
from featx.backbones.pixels import canonical_scaling, spell_scaling
from featx.backbones.table import BACKBONES, Backbone, KerasWeights, PackagedWeights, find_backbone
from featx.errors import BackboneError, SpecError, WeightsError, as_usage
from featx.files import open_regular, read_regular
from featx.libraries import start_keras
from featx.spec import PREPROCESS_MODES, Layout

MOST_BYTES = 20_000_000_000
"""Maximum size of a weights file or backbone file, in bytes."""

_LARGEST_SIDECAR = 1_000_000

FILE_BACKBONE = "file"
"""Backbone name in the feature spec of a local backbone, which is identified by its digest, not by its path."""

_FILE_SUFFIXES = (".keras", ".h5", ".hdf5", ".onnx")
_FROM_PYTORCH = "; export it to ONNX with torch.onnx.export"
_FROM_TENSORFLOW = "; convert it to ONNX with tf2onnx"
_ADVICE = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".safetensors"), _FROM_PYTORCH),
    **dict.fromkeys((".pb", ".tflite"), _FROM_TENSORFLOW),
}
"""Advice for files of other libraries, by suffix."""

_SIDECAR = {
    **{"size": int, "mean": list, "std": list, "preprocess": str, "layout": str},
    **{"made_by": str, "classes": list, "resize": str},  # written for a fine-tuned classifier; not used for features
}
"""Keys that a JSON file beside a backbone file may have, with their types."""


@dataclass(frozen=True)
class BackboneSource:
    """A backbone and its weights.

    Parameters
    ----------
    backbone : str
        Name in the table, or ``"file"``.
    weights : str
        SHA-256 of the file, or ``random-<seed>-keras-<version>``.
    preprocess : str
    size : int
        Side of the input, in pixels.
    file : path or None
        Weights file or backbone file; None for random weights.
    n_features : int or None
        Number of features at the default layer and pooling, if known without building the network.
    title : str
        Name and weights, for messages.
    layout : str or None
        Order of the dimensions of the input; None if it is not stated.
    """

    backbone: str
    weights: str
    preprocess: str
    size: int
    file: Path | None
    n_features: int | None
    title: str
    layout: Layout | None = None


def is_onnx(path: Path) -> bool:
    """Return whether a backbone file is an ONNX file."""
    return path.suffix.lower() == ".onnx"


def digest(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        with open_regular(path) as stream:
            return files.digest(stream, MOST_BYTES)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


def find_backbone_source(
    backbone: str,
    weights: str | Path = "imagenet",
    size: int | None = None,
    preprocess: str | None = None,
    layout: Layout | None = None,
    *,
    known_sizes: Mapping[str, int] | None = None,
    notice: Callable[[str], None] = lambda text: None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> BackboneSource:
    """Find the backbone and the weights that a user names.

    Keras is imported only for a download, or to read the input size of a Keras file.

    Parameters
    ----------
    backbone : str
        Name in the table, or the path of a ``.keras``, ``.h5`` or ``.onnx`` file.
    weights : "imagenet", "random", "random:SEED" or path
    size : int, optional
        Side of the input, in pixels; by default the usual size of the backbone.
    preprocess : str, optional
        Pixel scaling of a local backbone: a mode, or ``mean=R,G,B;std=R,G,B`` for pixels from 0 to 1.
    layout : {"nchw", "nhwc"}, optional
        Order of the dimensions of the input of an ONNX file, if its shape does not show it.
    known_sizes : mapping, optional
        Declared input sizes of local backbones by digest, from earlier runs.
    notice : callable
        Called with one line of text before a download.
    progress : callable
        Called with (stage, done, total) during a download, in megabytes.

    Returns
    -------
    BackboneSource

    Raises
    ------
    BackboneError, WeightsError, SpecError
        If an argument is unknown, a file is missing, or arguments contradict each other. The message states a solution.
    """
    path = Path(backbone)
    _refuse_folder(path)
    if (os.path.isfile(path) and backbone not in BACKBONES) or path.suffix.lower() in _FILE_SUFFIXES:
        if str(weights) != "imagenet":
            raise WeightsError(f"{path} contains its own weights; leave out `weights`")
        return _local_source(path, size, preprocess, layout, known_sizes or {})
    row = find_backbone(backbone)
    if preprocess is not None and preprocess != row.preprocess:
        raise SpecError(
            f"{row.name} always uses {row.preprocess} scaling; leave out `preprocess`, which is for local backbones"
        )
    if layout is not None:
        raise SpecError("`layout` applies only to an ONNX file; leave it out")
    side = size or row.size
    spelled = str(weights)
    if spelled == "random" or spelled.startswith("random:"):
        return _random_source(row, side, spelled)
    if spelled == "imagenet":
        return _imagenet_source(row, side, notice, progress)
    file = Path(weights)
    _stop_unless_file(
        file,
        WeightsError(
            f"`weights={weights}`: no such file; expected imagenet, random, random:SEED or the path of a weights file"
        ),
    )
    return _row_source(row, side, digest(file), file, f"weights {file.name}")


def _stop_unless_file(path: Path, missing: BackboneError) -> None:
    try:
        open_regular(path).close()
    except (FileNotFoundError, NotADirectoryError):
        raise missing from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


def _refuse_folder(path: Path) -> None:
    if (path / "saved_model.pb").is_file():
        raise BackboneError(
            f'{path} is a SavedModel folder; save the model as one file with model.save("net.keras"), or convert it: '
            f"python -m tf2onnx.convert --saved-model {path} --output net.onnx"
        )
    if path.is_dir() and str(path) not in BACKBONES:
        raise BackboneError(f"{path} is a folder; expected a .keras, .h5 or .onnx file, or the name of a backbone")


def seed_of_weights(weights: str) -> int:
    """Return the seed from the ``weights`` field of a feature spec with random weights."""
    return int(weights.split("-")[1])


def _row_source(row: Backbone, side: int, weights: str, file: Path | None, title: str) -> BackboneSource:
    return BackboneSource(row.name, weights, row.preprocess, side, file, row.n_features, f"{row.name} ({title})")


def _random_source(row: Backbone, side: int, spelled: str) -> BackboneSource:
    seed = spelled.partition(":")[2] or "0"
    if not seed.isdecimal():
        raise as_usage(WeightsError(f"`weights={spelled}`: the seed must be an integer of at least 0, as in random:7"))
    weights = f"random-{int(seed)}-keras-{version('keras')}"
    return _row_source(row, side, weights, None, f"RANDOM weights, seed {int(seed)}: untrained, for tests only")


def _imagenet_source(
    row: Backbone, side: int, notice: Callable[[str], None], progress: Callable[[str, int, int], None]
) -> BackboneSource:
    file = row.weights.path(side)
    if isinstance(row.weights, KerasWeights) and not os.path.isfile(file):
        notice(f"downloading the ImageNet weights of {row.name} to {file}")
        _download(row, side, file, progress)
    sha256 = digest(file)
    if isinstance(row.weights, PackagedWeights) and sha256 != row.weights.sha256:
        raise WeightsError(
            f"{file} is not the file that featx expects (its SHA-256 differs); reinstall the package that contains it"
        )
    return _row_source(row, side, sha256, file, "ImageNet weights")


def _download(row: Backbone, side: int, file: Path, progress: Callable[[str, int, int], None]) -> None:
    start_keras()
    from featx.backbones.applications import fetch, imagenet_architecture

    _, download = imagenet_architecture(row.constructor, side)
    fetch(download, file, progress)


def _local_source(
    path: Path, size: int | None, preprocess: str | None, layout: Layout | None, known_sizes: Mapping[str, int]
) -> BackboneSource:
    _stop_unless_file(path, BackboneError(f"no such backbone file: {path}"))
    if path.suffix.lower() not in _FILE_SUFFIXES:
        advice = _ADVICE.get(path.suffix.lower(), "")
        raise BackboneError(f"{path}: a local backbone must be a .keras, .h5 or .onnx file{advice}")
    sidecar = _read_sidecar(path)
    preprocess = preprocess or sidecar.get("preprocess")
    layout = layout or sidecar.get("layout")
    if preprocess is None and {"mean", "std"} <= set(sidecar):
        preprocess = spell_scaling(sidecar["mean"], sidecar["std"])
    if preprocess is None:
        modes = ", ".join(PREPROCESS_MODES)
        raise BackboneError(
            f"{path} does not state how its pixels are scaled; add `preprocess` with one of {modes} or "
            f"mean=R,G,B;std=R,G,B, or write {path.with_suffix('.json').name} beside it, for example "
            '{"preprocess": "tf"}'
        )
    if layout is not None and not is_onnx(path):
        raise SpecError("`layout` applies only to an ONNX file; leave it out")
    sha256 = digest(path)
    side = size or sidecar.get("size") or known_sizes.get(sha256) or _declared_size(path, layout)
    title = f"{path.name} (local backbone)"
    return BackboneSource(FILE_BACKBONE, sha256, canonical_scaling(preprocess), side, path, None, title, layout)


def _read_sidecar(path: Path) -> dict[str, Any]:
    """Return the content of ``FILE.json`` beside a backbone file ``FILE.onnx`` (or ``.keras``); empty if missing."""
    file = path.with_suffix(".json")
    try:
        sidecar = json.loads(read_regular(file, _LARGEST_SIDECAR))
        if {"class_name", "config"} <= set(sidecar):  # a Keras architecture, saved beside the weights in older versions
            return {}
        wrong = [name for name, value in sidecar.items() if not _is_known(name, value)]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BackboneError(f"{file}, beside the backbone file, cannot be read: {error.strerror or error}") from None
    except (AttributeError, RecursionError, TypeError, ValueError):
        raise BackboneError(f"{file}, beside the backbone file, is not a JSON object") from None
    if wrong:
        raise BackboneError(
            f"{file} has unknown keys or wrong values: {', '.join(wrong)}; allowed keys: {', '.join(_SIDECAR)}"
        )
    return dict(sidecar)


def _is_known(name: str, value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    numbers = name not in ("mean", "std") or all(type(number) in (int, float) for number in values)
    return isinstance(value, _SIDECAR.get(name, ())) and not isinstance(value, bool) and numbers


def _declared_size(path: Path, layout: str | None) -> int:
    if is_onnx(path):
        from featx.backbones.onnx import declared_onnx_size

        size = declared_onnx_size(path, layout)
    else:
        start_keras()
        from featx.backbones.local import declared_size, load_local

        size = declared_size(load_local(path))
    if size is None:
        raise BackboneError(f"{path} accepts images of any size; choose a size with `size=N` (compare: `sizes=N`)")
    return size
