"""The feature recipe: everything that changes features, and so the cache key."""

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
"""Sides of an input, in pixels."""

LARGEST_WHITE = 2**32 - 1
_NUMBERS = r"-?[\d.e+-]+(,-?[\d.e+-]+){2}"
_DIGEST = re.compile("[0-9a-f]{16}")
_MEAN_AND_STD = re.compile(f"mean={_NUMBERS};std={_NUMBERS}")


@dataclass(frozen=True)
class FeatureSpec:
    """One recipe from image file to features.

    Parameters
    ----------
    backbone : str
        Name in the table of backbones, or ``"file"`` for a local network, which counts by its digest.
    weights : str
        SHA-256 of the weight file (hexadecimal), or ``random-<seed>-keras-<version>``.
    preprocess : {"caffe", "tf", "torch", "lite", "none"} or str
        The backbone's own pixel scaling; or ``mean=R,G,B;std=R,G,B`` of pixels from 0 to 1.
    size : int
        Side of the square input, in pixels.
    decode : str
        Version of the decoder and digest of its probe pixels.
    engine : {"openvino", "tensorflow"}
        What executes the network.
    precision : {"float32", "bfloat16", "int8"}
        Number format of the network's arithmetic.
    layer : str, optional
        Layer whose output is taken; the backbone's last one if not given.
    pooling : {"avg", "max", "flatten"}
        How a map of activations becomes a vector.
    resize : {"crop", "squash", "pad"}
        How an image becomes a square.
    graph : str, optional
        Digest of the quantized graph, for int8; or of the graph that a model takes along.
    layout : {"nchw", "nhwc"}, optional
        Order of the dimensions of an ONNX network's input, where the user had to say it.
    white : int, optional
        Value of white where pixels have 16 or 32 bits; if not given, what each file says, else full scale.
    page : int
        Page of a TIFF, frame of an animation, from 1.
    augment : str, optional
        The canonical policy of :func:`featx.augmentation.read_policy`, where the features are those of views.
    augment_seed : int
        What their views are drawn with.

    Raises
    ------
    SpecError
        A value outside the allowed ones.
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
            raise SpecError(f"size is {self.size}; allowed are {SMALLEST_SIZE} to {LARGEST_SIZE} pixels")
        if self.white is not None and not 1 <= self.white <= LARGEST_WHITE:
            raise SpecError(f"white is {self.white}; allowed are 1 to {LARGEST_WHITE:,}")
        if self.page < 1:
            raise SpecError(f"page is {self.page}; the first is 1")
        if self.graph is not None and not _DIGEST.fullmatch(self.graph):
            raise SpecError(f"graph is {self.graph!r}; it must be the first 16 hexadecimal digits of a SHA-256")
        if self.augment is None and self.augment_seed:
            raise SpecError(f"augment_seed is {self.augment_seed} without augment; leave it out")

    @property
    def unbundled(self) -> FeatureSpec:
        """The recipe of the same features where no model took its graph along; a quantized graph always counts."""
        return self if self.precision == "int8" else replace(self, graph=None)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, fields at their default left out, so that new fields keep old keys."""
        defaults = {f.name: f.default for f in fields(self) if f.default is not MISSING}
        values = {k: v for k, v in asdict(self).items() if k not in defaults or v != defaults[k]}
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSpec:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        SpecError
            Not such a JSON object: a field is missing, unknown or of the wrong type.
        """
        try:
            values = json.loads(text)
        except (RecursionError, ValueError) as error:
            raise SpecError(f"the feature recipe is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise SpecError("the feature recipe is not a JSON object")
        _check_fields(values)
        return cls(**values)

    @property
    def id(self) -> str:
        """Name of the feature store: the first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def _is_scaling(text: str) -> bool:
    """Tell whether a text spells three finite means and three deviations above 0."""
    if not _MEAN_AND_STD.fullmatch(text):
        return False
    means, deviations = (part.partition("=")[2].split(",") for part in text.split(";"))
    try:
        return all(math.isfinite(float(m)) for m in means) and all(0 < float(s) < math.inf for s in deviations)
    except ValueError:
        return False


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"{field} is {value!r}; allowed are {', '.join(allowed)}")


def _check_fields(values: dict[str, Any]) -> None:
    types = {"int": (int,), "int | None": (int, type(None)), "str | None": (str, type(None))}
    types["Layout | None"] = types["str | None"]
    known = {f.name: f for f in fields(FeatureSpec)}
    for name, value in values.items():
        if name not in known:
            raise SpecError(f"the feature recipe has a field {name!r} that this featx does not know; update featx")
        wanted = types.get(str(known[name].type), (str,))
        if not isinstance(value, wanted) or isinstance(value, bool):
            names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in wanted)
            raise SpecError(f"the feature recipe's {name} is {value!r}; it must be {names}")
    missing = [n for n, f in known.items() if f.default is MISSING and n not in values]
    if missing:
        raise SpecError(f"the feature recipe lacks {', '.join(missing)}")
