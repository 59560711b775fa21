"""Check that the parts of a model file are valid and consistent, before anything is computed with them."""

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
"""Limits of a valid temperature; fitted temperatures lie between 0.001 and 1,000."""


def check_arrays(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check that all arrays are numeric and finite, and that arrays with a fixed type and shape have them.

    Raises
    ------
    ClassifierError
        If an array is invalid; the message names it.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise ClassifierError(f"the array {name} holds values that are not finite numbers")
    for name, dtype, columns in (("content_hashes", np.uint8, 32), ("probes", np.float32, None)):
        array = arrays[name]
        if array.dtype != dtype or array.ndim != 2 or columns not in (None, array.shape[1]):
            raise ClassifierError(f"the array {name} has the wrong type {array.dtype} or shape {array.shape}")


def check_classes(classes: Sequence[Any]) -> tuple[str, ...]:
    """Return the class names as a tuple.

    Raises
    ------
    ClassifierError
        If ``classes`` is not a list of at least two different strings.
    """
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ClassifierError("the class names are not a list of strings")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ClassifierError(f"the classes are {classes!r}; expected two or more different names")
    return tuple(classes)


def check_temperature(temperature: Any) -> float:
    """Return the temperature as a float.

    Raises
    ------
    ClassifierError
        If ``temperature`` is not a number from 1e-9 to 1e9.
    """
    if type(temperature) not in (int, float) or not _COLDEST <= temperature <= _HOTTEST:
        raise ClassifierError(f"the temperature is {shown(temperature)}; expected a number from 1e-9 to 1e9")
    return float(temperature)


def check_dense_head(dense_head: DenseHead, n_features: int, n_classes: int) -> None:
    """Check that a chain of matrices converts features to the scores of the classes.

    Raises
    ------
    ClassifierError
        If the shape of a matrix or the number of scores does not match.
    """
    n = n_features
    for weight, bias in zip(dense_head.weights, dense_head.biases, strict=True):
        if weight.ndim != 2 or weight.shape[0] != n or bias.shape != weight.shape[1:]:
            raise ClassifierError(f"the matrices of shapes {weight.shape} and {bias.shape} do not match {n} inputs")
        n = weight.shape[1]
    needed = n_classes * (n_classes - 1) // 2 if dense_head.pairwise else n_classes
    if n != (1 if n_classes == 2 else needed):
        raise ClassifierError(f"the matrices give {n} scores for {n_classes} classes")


def check_out_of_fold(oof: OutOfFold, temperature: float, evaluation: ModelEvaluation) -> None:
    """Check that out-of-fold scores match the samples, the classes and the evaluation.

    Raises
    ------
    ClassifierError
        If a shape or a value does not match.
    """
    n_samples, n_classes = len(oof.sample_ids), len(evaluation.classes)
    counted = evaluation.judged
    if counted is None or not counted.confusion:
        raise ClassifierError("the model has out-of-fold scores, but no cross-validation and no held-out part")
    n_folds = counted.n_folds if isinstance(counted, CrossValidation) else 1
    if oof.scores.shape != (n_samples, n_classes) or oof.scores.dtype.kind != "f":
        shape = oof.scores.shape
        raise ClassifierError(f"the out-of-fold scores have shape {shape}; expected ({n_samples}, {n_classes})")
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(oof.scores / temperature).all()
    if not is_finite:
        raise ClassifierError("the out-of-fold scores divided by the temperature are not finite")
    numbers = (oof.y, oof.predicted, oof.fold)
    for column, n in zip(numbers, (n_classes, n_classes, n_folds), strict=True):
        if column.shape != (n_samples,) or column.dtype.kind not in "iu":
            raise ClassifierError("the out-of-fold classes or folds do not match the samples")
        if n_samples and not 0 <= int(column.min()) <= int(column.max()) < n:
            raise ClassifierError(f"an out-of-fold class or fold is outside 0 to {n - 1}")
    targets = SingleLabel(evaluation.classes)
    confusion = targets.confusion(oof.predicted.astype(np.int64), oof.y.astype(np.int64))
    if not np.array_equal(confusion, np.array(counted.confusion)):
        raise ClassifierError("the confusion matrix does not match the out-of-fold classes")
    if isinstance(counted, CrossValidation):
        _check_folds(oof, targets, counted)
    _check_scores(oof)


def _check_scores(oof: OutOfFold) -> None:
    n_samples = len(oof.sample_ids)
    largest, chosen = oof.scores.max(axis=1), oof.scores[np.arange(n_samples), oof.predicted]
    if (largest - chosen > _ROUNDING * (1 + np.abs(largest))).any():
        raise ClassifierError("the out-of-fold classes do not match the out-of-fold scores")
    hashes = oof.content_hashes
    if hashes is not None and (hashes.dtype != np.uint8 or hashes.shape != (n_samples, 32)):
        raise ClassifierError("the content hashes do not match the samples")


def _check_folds(oof: OutOfFold, targets: SingleLabel, cv: CrossValidation) -> None:
    n = np.bincount(oof.fold, minlength=cv.n_folds)
    hits = np.bincount(oof.fold, targets.hits(oof.predicted, oof.y), cv.n_folds)
    if (n == 0).any() or np.abs(hits / np.maximum(n, 1) - cv.per_fold[: cv.n_folds]).max() > _ROUNDING:
        raise ClassifierError("the accuracies of the folds do not match the out-of-fold classes")


def check_sample_ids(sample_ids: Any) -> tuple[str, ...]:
    """Return the sample ids as a tuple; each must be a POSIX path inside the folder of a data set.

    Raises
    ------
    ClassifierError
        If ``sample_ids`` is not a list, or a sample id is not a path inside the folder.
    """
    if not isinstance(sample_ids, list):
        raise ClassifierError(f"the sample ids are {shown(sample_ids)}; expected a list")
    for sample_id in sample_ids:
        if not isinstance(sample_id, str) or not _stays_below(sample_id):
            raise ClassifierError(f"the sample id {shown(sample_id)} is not a path inside the folder of a data set")
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
    """Check that all strings are valid Unicode; undecodable bytes of file names are allowed.

    Raises
    ------
    ClassifierError
        If a string holds a lone surrogate that does not stand for a byte of a file name.
    """
    try:
        json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ClassifierError("the header holds text that is not valid Unicode") from None


def check_strings_by_name(values: Any, name: str) -> dict[str, str]:
    """Check that a dict contains only strings, such as the versions of libraries, and return it.

    Raises
    ------
    ClassifierError
        If ``values`` is not a dict of strings.
    """
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ClassifierError(f"the {name} are not a JSON object whose values are strings")
    return values


def check_probes(names: Any, files: Mapping[str, bytes], probes: NDArray[np.float32]) -> dict[str, bytes]:
    """Return the probe images by name, in the order of their features.

    Raises
    ------
    ClassifierError
        If the names are not strings, differ from the file names, or are not as many as the rows of features.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ClassifierError("the probe images are not a list of names")
    if sorted(names) != sorted(files) or len(names) != len(probes) or not probes.size:
        raise ClassifierError(
            f"the model names {len(names)} probe images, but contains {len(files)} images, and the features of "
            f"{len(probes)} images"
        )
    return {name: files[name] for name in names}


def check_content_hashes(content_hashes: NDArray[np.uint8], n_images: int) -> None:
    """Check that there is at least one content hash and at most one for each image.

    Raises
    ------
    ClassifierError
        If there is no content hash, or there are more content hashes than images.
    """
    if not 1 <= len(content_hashes) <= n_images:
        raise ClassifierError(f"the model has {len(content_hashes):,} content hashes for {n_images:,} images")


def check_rejector(rejector: Rejector) -> None:
    """Check that novelties are not negative and that confidences are between 0 and 1.

    Raises
    ------
    ClassifierError
        If a novelty or a confidence is out of range.
    """
    least, most = float(rejector.confidences.min()), float(rejector.confidences.max())
    if float(rejector.novelties.min()) < 0 or not 0 <= least <= most <= 1 + 1e-9:
        raise ClassifierError("the novelties or confidences are out of range")


def check_model_graph(graph: NDArray[np.uint8] | None, spec: FeatureSpec, n_features: int) -> None:
    """Check that the graph in a model is the graph that the feature spec names, and that it can be executed.

    Raises
    ------
    ClassifierError
        If the graph is missing, differs from the feature spec, or cannot be executed.
    """
    if spec.graph is None:
        if graph is not None or spec.precision == "int8":
            raise ClassifierError(
                "the feature spec names no graph, but the model contains a graph or needs one for int8"
            )
        return
    if graph is None or graph.dtype != np.uint8 or sha256(graph.tobytes()).hexdigest()[:16] != spec.graph:
        raise ClassifierError("the bundled graph is missing or damaged")
    try:
        check_graph(graph.tobytes(), spec.size, n_features)
    except EngineError as error:
        raise ClassifierError(f"the bundled graph cannot be used: {error}") from None
