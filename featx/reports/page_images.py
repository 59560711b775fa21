"""Select the images of a report page: sets of images with thumbnails, and a map of the features."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.model import Classifier
from featx.rendering import ImageSet, PageData, cell_id, confusion_cells
from featx.reports.images import TrainingImages

_MOST_IMAGES = 2000
_MOST_IN_A_VIEW = 200
_REJECT_RATE = 0.05


def page_data(
    classifier: Classifier, summary: Mapping[str, Any], suspects: Sequence[Mapping[str, Any]], images: TrainingImages
) -> PageData:
    """Return the images and the feature map that a page shows in addition to the summary.

    Parameters
    ----------
    classifier : Classifier
        Model of the report.
    summary : mapping
        Result of ``featx report --json``.
    suspects : sequence of mapping
        Images with doubtful labels, the most doubtful first.
    images : TrainingImages
        Source of thumbnails and features.
    """
    views = _views(classifier, summary, suspects, confusion_cells(summary))
    shown, some = _chosen(views, 0 if classifier.out_of_fold is None else len(classifier.out_of_fold.y))
    data = _data(classifier, views, shown, some, images)
    return PageData(tuple(views), data, None if images.source is None else images.source.name)


def _views(
    classifier: Classifier,
    summary: Mapping[str, Any],
    suspects: Sequence[Mapping[str, Any]],
    cells: Sequence[tuple[int, int, int]],
) -> list[ImageSet]:
    known, probabilities = classifier.out_of_fold, classifier.out_of_fold_probabilities()
    if known is None or probabilities is None:
        return []
    at = {sample_id: i for i, sample_id in enumerate(known.sample_ids)}
    confidence = classifier.targets.confidence(probabilities, known.predicted)
    wrong = np.flatnonzero(~classifier.targets.hits(known.predicted, known.y))
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")].tolist()
    doubted = [at[row["path"]] for row in suspects]
    same, similar = (
        [at[sample_id] for pair in summary["groups"][name] for sample_id in pair if sample_id in at]
        for name in ("duplicate_conflicts", "near_duplicate_conflicts")
    )
    outliers: list[int] = []
    rejector = classifier.rejector
    if rejector is not None and len(rejector.novelties) == len(known.y) and _REJECT_RATE * len(known.y) >= 1:
        outliers = np.flatnonzero(rejector.outliers(_REJECT_RATE)).tolist()
    views = [
        _view(
            "mistakes",
            "Most confident mistakes",
            "The class that was predicted without training on the image is wrong.",
            mistakes,
        ),
        _view("suspects", "Doubtful labels", "Another class is more probable than the given label.", doubted),
        _view(
            "duplicates",
            "Duplicates across classes",
            "Pairs of duplicates (the same bytes) with different labels: one of the two labels is wrong.",
            same,
        ),
        _view(
            "near-duplicates",
            "Near-duplicates across classes",
            "Pairs of near-duplicates with different labels: the same image, or different objects that look alike.",
            similar,
        ),
        _view("rejected", "Rejected at 5 %", "Images that predict `reject_rate=0.05` would reject.", outliers),
    ]
    names = classifier.classes_
    for true, predicted, _ in cells:
        members = np.flatnonzero((known.y == true) & (known.predicted == predicted))
        title = f"{names[true]} predicted as {names[predicted]}"
        title = title if true != predicted else f"{names[true]}, predicted correctly"
        ordered = members[np.argsort(-confidence[members], kind="stable")].tolist()
        views.append(_view(cell_id(true, predicted), title, "The most confident prediction is first.", ordered))
    return views


def _view(name: str, title: str, text: str, images: list[int]) -> ImageSet:
    return ImageSet(name, title, text, len(images), images[:_MOST_IN_A_VIEW])


def _chosen(views: Sequence[ImageSet], n: int) -> tuple[list[int], list[int]]:
    """Return the images to show, and the images for the map: the shown images and random images, together 2,000.

    The images to show are chosen from the views in turn, one image at a time, until 2,000 images are chosen.
    """
    chosen: dict[int, None] = {}
    longest = max((len(view.images) for view in views), default=0)
    for place in range(longest):
        for view in views:
            if place < len(view.images) and len(chosen) < _MOST_IMAGES:
                chosen[view.images[place]] = None
    rest = [i for i in np.random.default_rng(0).permutation(n).tolist() if i not in chosen]
    return list(chosen), [*chosen, *rest[: _MOST_IMAGES - len(chosen)]]


def _data(
    classifier: Classifier, views: Sequence[ImageSet], shown: Sequence[int], some: Sequence[int], images: TrainingImages
) -> dict[str, Any]:
    known, probabilities = classifier.out_of_fold, classifier.out_of_fold_probabilities()
    if known is None or probabilities is None:
        return {"classes": list(classifier.classes_), "images": {}, "views": [], "map": []}
    thumbnails, features = images.draw([known.sample_ids[i] for i in some])
    drawn = {i: thumbnail for i, thumbnail in zip(some, thumbnails, strict=True) if thumbnail is not None}
    entries = {
        str(i): {
            "path": known.sample_ids[i],
            "label": int(known.y[i]),
            "predicted": int(known.predicted[i]),
            "confidence": round(float(probabilities[i, known.predicted[i]]), 3),
            "thumb": base64.b64encode(drawn[i]).decode() if i in drawn else None,
        }
        for i in some
    }
    kept = set(shown)
    return {
        "classes": list(classifier.classes_),
        "images": entries,
        "views": [asdict(view) | {"images": [i for i in view.images if i in kept]} for view in views],
        "map": [] if features is None else pca_map(some, features),
    }


def pca_map(positions: Sequence[int], features: NDArray[np.float32]) -> list[list[float]]:
    """Return x, y and the position of each image; x and y are the first two principal components, scaled to 0 to 1.

    Parameters
    ----------
    positions : sequence of int
        Positions of the images.
    features : ndarray of shape (n, n_features), float32
        Features of the images; rows with NaN are left out.
    """
    known = np.isfinite(features).all(axis=1)
    X = features[known].astype(np.float64)
    if len(X) < 3:
        return []
    X -= X.mean(axis=0)
    if len(X) < X.shape[1]:  # for few images with many features, X X^T is smaller than X^T X
        vectors = X.T @ np.linalg.eigh(X @ X.T)[1][:, :-3:-1]
        lengths = np.linalg.norm(vectors, axis=0)
        vectors = np.where(lengths > 1e-9 * lengths.max(), vectors / np.maximum(lengths, 1e-300), 0)
    else:
        vectors = np.linalg.eigh(X.T @ X)[1][:, :-3:-1]
    points = X @ (vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(vectors.shape[1])]))
    reach = np.maximum(np.ptp(points, axis=0), 1e-12)
    points = (points - points.min(axis=0)) / reach
    at = np.asarray(positions)[known].tolist()
    return [[round(x, 4), round(y, 4), i] for (x, y), i in zip(points.tolist(), at, strict=True)]
