"""The feature spec: all parameters on which features depend, and from which the cache key is computed."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from featx.errors import SpecError

Pooling = Literal["avg", "max", "flatten"]
Resize = Literal["crop", "squash", "pad"]
Layout = Literal["nchw", "nhwc"]
EngineName = Literal["openvino", "tensorflow"]
Precision = Literal["float32", "bfloat16", "int8"]
_CLOSED = {"pooling": Pooling, "resize": Resize, "layout": Layout, "engine": EngineName, "precision": Precision}
PreprocessMode = Literal["caffe", "tf", "torch", "lite", "none"]
PREPROCESS_MODES: tuple[PreprocessMode, ...] = get_args(PreprocessMode)
SMALLEST_SIZE, LARGEST_SIZE = 8, 4096
"""Minimum and maximum side of an input, in pixels."""

LARGEST_WHITE = 2**32 - 1
_NUMBERS = r"-?[\d.e+-]+(,-?[\d.e+-]+){2}"
_DIGEST = re.compile("[0-9a-f]{16}")
_MEAN_AND_STD = re.compile(f"mean={_NUMBERS};std={_NUMBERS}")


@dataclass(frozen=True)
class FeatureSpec:
    """All parameters that determine the features of an image file.

    Parameters
    ----------
    backbone : str
        Name in the table of backbones, or ``"file"`` for a local backbone, which is identified by its digest.
    weights : str
        SHA-256 of the weights file (hexadecimal), or ``random-<seed>-keras-<version>``.
    preprocess : {"caffe", "tf", "torch", "lite", "none"} or str
        Pixel scaling of the backbone; or ``mean=R,G,B;std=R,G,B`` for pixels from 0 to 1.
    size : int
        Side of the square input, in pixels.
    decode : str
        Version of the decoder and digest of its probe pixels.
    engine : {"openvino", "tensorflow"}
        Engine that executes the backbone.
    precision : {"float32", "bfloat16", "int8"}
        Number format in which the backbone computes.
    layer : str, optional
        Name of the layer whose output is used as features; by default the last layer of the backbone.
    pooling : {"avg", "max", "flatten"}
        Reduction of a map of activations to a vector.
    resize : {"crop", "squash", "pad"}
        Method to make an image square.
    graph : str, optional
        Digest of the quantized graph for int8, or of the graph that a model contains.
    layout : {"nchw", "nhwc"}, optional
        Order of the dimensions of the input of an ONNX file, if it was given by the user.
    white : int, optional
        Value of white in images with 16 or 32 bits; by default the value stated in each file, or else the maximum.
    page : int
        Number of the page of a TIFF file, or of the frame of an animation; the first is 1.
    augment : str, optional
        Canonical policy from :func:`featx.augmentation.read_policy`, if the features are those of views.
    augment_seed : int
        Random seed of the views.

    Raises
    ------
    SpecError
        If a value is not allowed.

    Examples
    --------
    >>> import featx
    >>> spec = featx.extract("data").spec
    >>> spec.backbone, spec.size, spec.pooling
    ('efficientnet-lite0', 224, 'avg')
    >>> featx.FeatureSpec.from_json(spec.to_json()) == spec
    True
    """

    backbone: str
    weights: str
    preprocess: str
    size: int
    decode: str
    engine: EngineName
    precision: Precision
    layer: str | None = None
    pooling: Pooling = "avg"
    resize: Resize = "crop"
    graph: str | None = None
    layout: Layout | None = None
    white: int | None = None
    page: int = 1
    augment: str | None = None
    augment_seed: int = 0

    def __post_init__(self) -> None:
        if not _is_scaling(self.preprocess):
            _one_of("preprocess", self.preprocess, PREPROCESS_MODES)
        for name, kind in _CLOSED.items():
            value = getattr(self, name)
            if not (name == "layout" and value is None):
                _one_of(name, value, get_args(kind))
        if not SMALLEST_SIZE <= self.size <= LARGEST_SIZE:
            raise _out_of_range("size", self.size, f"{SMALLEST_SIZE} to {LARGEST_SIZE} pixels")
        if self.white is not None and not 1 <= self.white <= LARGEST_WHITE:
            raise _out_of_range("white", self.white, f"1 to {LARGEST_WHITE:,}")
        if self.page < 1:
            raise _out_of_range("page", self.page, "1 or more")
        if self.graph is not None and not _DIGEST.fullmatch(self.graph):
            raise SpecError(f"graph is {self.graph!r}; expected the first 16 hexadecimal digits of a SHA-256")
        if self.augment is None and self.augment_seed:
            raise SpecError(f"augment_seed is {self.augment_seed} without augment; leave it out")

    @property
    def unbundled(self) -> FeatureSpec:
        """The feature spec without the graph of a model. The graph of an int8 feature spec is kept."""
        return self if self.precision == "int8" else replace(self, graph=None)

    def to_json(self) -> str:
        """Return canonical JSON, with sorted keys and without fields that have the default value.

        Default values are left out so that a new field does not change the keys of existing caches.
        """
        defaults = {f.name: f.default for f in fields(self) if f.default is not MISSING}
        values = {k: v for k, v in asdict(self).items() if k not in defaults or v != defaults[k]}
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSpec:
        """Create a feature spec from the output of :meth:`to_json`.

        Raises
        ------
        SpecError
            If the text is not JSON, or a field is missing, unknown, of the wrong type or not allowed.
        """
        try:
            values = json.loads(text)
        except (RecursionError, ValueError) as error:
            raise SpecError(f"the feature spec is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise SpecError("the feature spec is not a JSON object")
        _check_fields(values)
        return cls(**values)

    @property
    def id(self) -> str:
        """Name of the feature store: the first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def _is_scaling(text: str) -> bool:
    """Return whether a text states three finite means and three standard deviations above 0."""
    if not _MEAN_AND_STD.fullmatch(text):
        return False
    means, deviations = (part.partition("=")[2].split(",") for part in text.split(";"))
    try:
        return all(math.isfinite(float(m)) for m in means) and all(0 < float(s) < math.inf for s in deviations)
    except ValueError:
        return False


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"`{field}={value}`: expected {', '.join(allowed[:-1])} or {allowed[-1]}")


def _out_of_range(field: str, value: int, allowed: str) -> SpecError:
    return SpecError(f"`{field}={value}`: expected {allowed}")


def _check_fields(values: dict[str, Any]) -> None:
    types = {"int": (int,), "int | None": (int, type(None)), "str | None": (str, type(None))}
    types["Layout | None"] = types["str | None"]
    known = {f.name: f for f in fields(FeatureSpec)}
    for name, value in values.items():
        if name not in known:
            raise SpecError(
                f"the feature spec has a field {name!r} that this version of featx does not know; update featx"
            )
        expected = types.get(str(known[name].type), (str,))
        if not isinstance(value, expected) or isinstance(value, bool):
            names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in expected)
            raise SpecError(f"{name} of the feature spec is {value!r}; expected {names}")
    missing = [n for n, f in known.items() if f.default is MISSING and n not in values]
    if missing:
        raise SpecError(f"the feature spec lacks {', '.join(missing)}")
