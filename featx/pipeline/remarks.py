"""Remarks on the engine and on the features of a backbone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.backbones import FILE_BACKBONE
from featx.errors import EngineError
from featx.execution import Locate
from featx.runtime import Runtime
from featx.spec import FeatureSpec

_WIDE = 100_000
_ROUNDING = 0.02
"""Maximum rounding error of a sum of probabilities in bfloat16."""


def backbone_label(spec: FeatureSpec, locate: Locate) -> str:
    """Return the name of a backbone, or the path of its file, for messages."""
    return spec.backbone if spec.backbone != FILE_BACKBONE else str(locate())


def no_finite_probes(spec: FeatureSpec, locate: Locate) -> EngineError:
    """Return the error for a backbone without finite features of the probe images."""
    return EngineError(f"{backbone_label(spec, locate)} gives no finite features for any of the probe images of featx")


def report_engine(spec: FeatureSpec, how: str, n_features: int, runtime: Runtime) -> None:
    """Report the engine and the number of features, with a warning if there are very many.

    Parameters
    ----------
    spec : FeatureSpec
    how : str
        Engine, precision and device.
    n_features : int
    runtime : Runtime
    """
    runtime.notice(f"engine     {how}: {n_features:,} features per image")
    if spec.pooling == "flatten" and n_features > _WIDE:
        megabytes = n_features * 4 / 1e6
        runtime.notice(
            f"warning: pooling flatten gives {n_features:,} features per image ({megabytes:.1f} MB); heads "
            "will be slow and overfit. The usual choice is average pooling"
        )


def warn_of_probabilities(probes: NDArray[np.float32], spec: FeatureSpec, runtime: Runtime) -> None:
    """Report a warning if the output of a network file looks like class probabilities."""
    if spec.backbone != FILE_BACKBONE or spec.layer is not None or probes.min() < 0 or not probes.any():
        return
    n = probes.shape[1]
    if probes.max() <= 1 if n == 1 else np.abs(probes.sum(axis=1) - 1).max() < _ROUNDING:
        what = "the probability of one class" if n == 1 else f"the probabilities of {n:,} classes (they sum to 1)"
        runtime.notice(
            f"warning: the output of this network looks like {what}; features of an earlier layer are usually better. "
            "Choose the layer with `layer=NAME` in extract or fit"
        )
