"""Whether what a model file holds fits together, before anything is computed with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier.folded import Folded
from featx.errors import ClassifierError


def check_arrays(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Make sure that all arrays are plain and finite, and those of fixed shape have it.

    Raises
    ------
    ClassifierError
        They are not; the message names the array.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise ClassifierError(f"{name} holds something besides finite numbers")
    for name, dtype, columns in (("content_hashes", np.uint8, 32), ("probes", np.float32, None)):
        array = arrays[name]
        if array.dtype != dtype or array.ndim != 2 or columns not in (None, array.shape[1]):
            raise ClassifierError(f"{name} is {array.dtype} of shape {array.shape}")


def check_classes(classes: Sequence[Any]) -> tuple[str, ...]:
    """Return the class names.

    Raises
    ------
    ClassifierError
        They are not at least two different texts.
    """
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ClassifierError("its class names are not a list of texts")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ClassifierError(f"it has the classes {classes!r}; needed are two or more, each once")
    return tuple(classes)


def check_temperature(temperature: Any) -> float:
    """Return the temperature; a ClassifierError if it is not a positive number."""
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature < math.inf:
        raise ClassifierError(f"its temperature is {temperature!r}, which is no positive number")
    return float(temperature)


def check_folded(folded: Folded, feature_dim: int, n_classes: int) -> None:
    """Make sure that a chain of matrices leads from features to scores.

    Raises
    ------
    ClassifierError
        It does not.
    """
    n = feature_dim
    for weight, bias in zip(folded.weights, folded.biases, strict=True):
        if weight.ndim != 2 or weight.shape[0] != n or bias.shape != weight.shape[1:]:
            raise ClassifierError(f"its matrices of shapes {weight.shape} and {bias.shape} do not fit {n} numbers")
        n = weight.shape[1]
    needed = n_classes * (n_classes - 1) // 2 if folded.pairwise else n_classes
    if n != (1 if n_classes == 2 else needed):
        raise ClassifierError(f"its matrices give {n} numbers for {n_classes} classes")


def check_out_of_fold(
    y: NDArray[Any], scores: NDArray[Any], predicted: NDArray[Any], n_samples: int, n_classes: int
) -> None:
    """Make sure that out-of-fold scores belong to the samples and classes.

    Raises
    ------
    ClassifierError
        They do not.
    """
    if scores.shape != (n_samples, n_classes) or scores.dtype.kind != "f":
        raise ClassifierError(f"its out-of-fold scores have the shape {scores.shape}, not ({n_samples}, {n_classes})")
    for numbers in (y, predicted):
        if numbers.shape != (n_samples,) or numbers.dtype.kind not in "iu":
            raise ClassifierError("its out-of-fold classes do not belong to its samples")
        if n_samples and not 0 <= int(numbers.min()) <= int(numbers.max()) < n_classes:
            raise ClassifierError(f"its out-of-fold classes are not within its {n_classes} classes")


def check_contents(content_hashes: NDArray[Any] | None, n_samples: int) -> None:
    """Make sure that content hashes, where there are any, belong to the samples.

    Raises
    ------
    ClassifierError
        They do not.
    """
    if content_hashes is not None and (content_hashes.dtype != np.uint8 or content_hashes.shape != (n_samples, 32)):
        raise ClassifierError("its content hashes do not belong to its samples")
