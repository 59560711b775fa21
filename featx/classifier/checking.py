"""Whether what a model file holds fits together, before anything is computed with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier.dense import DenseHead
from featx.classifier.novelty import Rejector
from featx.classifier.records import OutOfFold
from featx.errors import ClassifierError, EngineError
from featx.evaluation import CrossValidation, ModelEvaluation
from featx.evaluation.records.fields import shown
from featx.network_files import check_graph
from featx.spec import FeatureSpec
from featx.targets import SingleLabel

_ROUNDING = 1e-6
_COLDEST, _HOTTEST = 1e-9, 1e9
"""Limits of a temperature; those that are found lie between 0.01 and 100."""


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
    """Return the temperature; a ClassifierError if it is not a positive number of a usual size."""
    if type(temperature) not in (int, float) or not _COLDEST <= temperature <= _HOTTEST:
        raise ClassifierError(f"its temperature is {shown(temperature)}, which is no positive number")
    return float(temperature)


def check_dense_head(folded: DenseHead, n_features: int, n_classes: int) -> None:
    """Make sure that a chain of matrices leads from features to scores.

    Raises
    ------
    ClassifierError
        It does not.
    """
    n = n_features
    for weight, bias in zip(folded.weights, folded.biases, strict=True):
        if weight.ndim != 2 or weight.shape[0] != n or bias.shape != weight.shape[1:]:
            raise ClassifierError(f"its matrices of shapes {weight.shape} and {bias.shape} do not fit {n} numbers")
        n = weight.shape[1]
    needed = n_classes * (n_classes - 1) // 2 if folded.pairwise else n_classes
    if n != (1 if n_classes == 2 else needed):
        raise ClassifierError(f"its matrices give {n} numbers for {n_classes} classes")


def check_out_of_fold(known: OutOfFold, temperature: float, evaluation: ModelEvaluation) -> None:
    """Make sure that out-of-fold scores belong to the samples, the classes and the cross-validation.

    Raises
    ------
    ClassifierError
        They do not.
    """
    n_samples, n_classes = len(known.sample_ids), len(evaluation.classes)
    counted = evaluation.judged
    if counted is None or not counted.confusion:
        raise ClassifierError("it has out-of-fold scores without a cross-validation or the classes of a held-out part")
    n_folds = counted.n_folds if isinstance(counted, CrossValidation) else 1
    if known.scores.shape != (n_samples, n_classes) or known.scores.dtype.kind != "f":
        shape = known.scores.shape
        raise ClassifierError(f"its out-of-fold scores have the shape {shape}, not ({n_samples}, {n_classes})")
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(known.scores / temperature).all()
    if not is_finite:
        raise ClassifierError("its out-of-fold scores are no finite numbers at its temperature")
    numbers = (known.y, known.predicted, known.fold)
    for column, n in zip(numbers, (n_classes, n_classes, n_folds), strict=True):
        if column.shape != (n_samples,) or column.dtype.kind not in "iu":
            raise ClassifierError("its out-of-fold classes do not belong to its samples")
        if n_samples and not 0 <= int(column.min()) <= int(column.max()) < n:
            raise ClassifierError(f"its out-of-fold classes or folds are not within its {n}")
    targets = SingleLabel(evaluation.classes)
    confusion = targets.confusion(known.predicted.astype(np.int64), known.y.astype(np.int64))
    if not np.array_equal(confusion, np.array(counted.confusion)):
        raise ClassifierError("its confusion is not that of its out-of-fold classes")
    if isinstance(counted, CrossValidation):
        _check_folds(known, targets, counted)
    _check_scores(known)


def _check_scores(known: OutOfFold) -> None:
    n_samples = len(known.sample_ids)
    largest, chosen = known.scores.max(axis=1), known.scores[np.arange(n_samples), known.predicted]
    if (largest - chosen > _ROUNDING * (1 + np.abs(largest))).any():
        raise ClassifierError("its out-of-fold classes are not those of its out-of-fold scores")
    hashes = known.content_hashes
    if hashes is not None and (hashes.dtype != np.uint8 or hashes.shape != (n_samples, 32)):
        raise ClassifierError("its content hashes do not belong to its samples")


def _check_folds(known: OutOfFold, targets: SingleLabel, cv: CrossValidation) -> None:
    n = np.bincount(known.fold, minlength=cv.n_folds)
    hits = np.bincount(known.fold, targets.hits(known.predicted, known.y), cv.n_folds)
    if (n == 0).any() or np.abs(hits / np.maximum(n, 1) - cv.per_fold[: cv.n_folds]).max() > _ROUNDING:
        raise ClassifierError("the accuracies of its folds are not those of its out-of-fold classes")


def check_sample_ids(sample_ids: Any) -> tuple[str, ...]:
    """Return sample ids: POSIX paths that stay below the folder of a data set.

    Raises
    ------
    ClassifierError
        One is none, or leads elsewhere.
    """
    if not isinstance(sample_ids, list):
        raise ClassifierError(f"its sample ids are {shown(sample_ids)}, not a list")
    for sample_id in sample_ids:
        if not isinstance(sample_id, str) or not _stays_below(sample_id):
            raise ClassifierError(f"its sample id {shown(sample_id)} is not a path below the folder of a data set")
    return tuple(sample_ids)


def _stays_below(sample_id: str) -> bool:
    parts = sample_id.split("/")
    if "\0" in sample_id or {"", ".", ".."} & set(parts) or PurePosixPath(sample_id).is_absolute():
        return False
    if os.name != "nt":
        return True
    windows = PureWindowsPath(sample_id)
    return not (windows.drive or windows.root or "\\" in sample_id or ":" in sample_id)


def check_texts(header: Mapping[str, Any]) -> None:
    """Make sure that all text can be written: names of files may hold bytes that are no UTF-8, nothing else may.

    Raises
    ------
    ClassifierError
        A text holds half a character.
    """
    try:
        json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ClassifierError("it holds text that is no Unicode") from None


def check_versions(values: Any, name: str) -> dict[str, str]:
    """Return texts by name, as versions of libraries; a ClassifierError if they are none."""
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ClassifierError(f"its {name} are not texts by name")
    return values


def check_probes(names: Any, files: Mapping[str, bytes], probes: NDArray[np.float32]) -> dict[str, bytes]:
    """Return the probe images by name, in the order of their features.

    Raises
    ------
    ClassifierError
        They are not those that the file holds, each once.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ClassifierError("its probe images are not a list of names")
    if sorted(names) != sorted(files) or len(names) != len(probes) or not probes.size:
        raise ClassifierError(
            f"it names {len(names)} probe images, and holds {len(files)} and features of {len(probes)}"
        )
    return {name: files[name] for name in names}


def check_contents(content_hashes: NDArray[np.uint8], n_images: int) -> None:
    """Make sure that the contents are as many as they can be; a ClassifierError if they are not."""
    if not 1 <= len(content_hashes) <= n_images:
        raise ClassifierError(f"it was fitted on {len(content_hashes):,} contents of {n_images:,} images")


def check_rejector(rejector: Rejector) -> None:
    """Make sure that novelties and confidences are such; a ClassifierError if they are not."""
    least, most = float(rejector.confidences.min()), float(rejector.confidences.max())
    if float(rejector.novelties.min()) < 0 or not 0 <= least <= most <= 1 + 1e-9:
        raise ClassifierError("its novelties and confidences are none")


def check_model_graph(graph: NDArray[np.uint8] | None, spec: FeatureSpec, n_features: int) -> None:
    """Make sure that the graph that a model takes along is the one that its feature spec names, and can be run.

    Raises
    ------
    ClassifierError
        It is not.
    """
    if spec.graph is None:
        if graph is not None or spec.precision == "int8":
            raise ClassifierError("its feature spec names no graph, and it has one, or needs one for int8")
        return
    if graph is None or graph.dtype != np.uint8 or sha256(graph.tobytes()).hexdigest()[:16] != spec.graph:
        raise ClassifierError("its quantized graph is missing or damaged")
    try:
        check_graph(graph.tobytes(), spec.size, n_features)
    except EngineError as error:
        raise ClassifierError(f"its graph is not one of featx: {error}") from None
