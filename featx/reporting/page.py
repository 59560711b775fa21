"""The report as one HTML page that needs nothing else: plain data, then a template."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier import Classifier
from featx.output import render_page
from featx.reporting.charts import learning_points, reliability_points, training_charts
from featx.reporting.pictures import Pictures
from featx.reporting.terminal import fact_lines, groups_text, judged_part, line_parts

_MOST_PICTURES = 2000
_MOST_IN_A_VIEW = 200
_REJECT_RATE = 0.05
_WIDEST_MATRIX = 40
_MOST_CONFUSIONS = 100
"""Of these the most frequent are listed where there are too many classes for a matrix."""


@dataclass(frozen=True)
class Page:
    """A page, and how many of the images on it were found.

    Parameters
    ----------
    text : str
        HTML.
    n_images, n_missing : int
        Images that the page shows; those of them that are not where they were, or have changed.
    """

    text: str
    n_images: int
    n_missing: int


@dataclass(frozen=True)
class View:
    """Pictures that are shown together.

    Parameters
    ----------
    id : str
        Part of the page's address that opens it.
    title, text : str
        What it shows, and what that means.
    n : int
        Pictures there are, of which the first 200 are shown.
    pictures : list of int
        Positions among the training pictures.
    """

    id: str
    title: str
    text: str
    n: int
    pictures: list[int]


def report_page(
    classifier: Classifier, summary: Mapping[str, Any], suspects: Sequence[Mapping[str, Any]], pictures: Pictures
) -> Page:
    """Return the page.

    Parameters
    ----------
    classifier : Classifier
    summary : mapping
        That of ``featx report --json``.
    suspects : sequence of mapping
        Labels in doubt, the most suspicious first.
    pictures : Pictures
        Where thumbnails and features come from.
    """
    cells = _cells(summary)
    views = _views(classifier, summary, suspects, cells)
    shown, some = _chosen(views, 0 if classifier.out_of_fold is None else len(classifier.out_of_fold.y))
    data = _data(classifier, views, shown, some, pictures)
    entries = data["pictures"].values()
    n_missing = sum(one["thumb"] is None for one in entries)
    text = render_page(
        "featx.reporting",
        "page",
        summary=summary,
        lines=_facts(summary),
        groups=groups_text(summary),
        judged=judged_part(summary),
        views=[asdict(view) for view in views],
        matrix=_matrix(summary),
        confusions=_confusions(summary, cells),
        bins=reliability_points(summary),
        learning=learning_points(summary),
        training=training_charts(summary),
        data_root=None if pictures.root is None else str(pictures.root),
        n_missing=n_missing,
        data=data,
    )
    return Page(text, len(entries), n_missing)


def _cells(summary: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Return (label, taken for, pictures) of the cells whose pictures can be opened, the fullest mistakes first."""
    judged = judged_part(summary)
    if judged is None:
        return []
    confusion = np.array(judged["confusion"])
    cells = [(true, taken, int(confusion[true, taken])) for true, taken in np.argwhere(confusion).tolist()]
    if len(summary["classes"]) <= _WIDEST_MATRIX:
        return cells
    return sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])[:_MOST_CONFUSIONS]


def _views(
    classifier: Classifier,
    summary: Mapping[str, Any],
    suspects: Sequence[Mapping[str, Any]],
    cells: Sequence[tuple[int, int, int]],
) -> list[View]:
    known, probabilities = classifier.out_of_fold, classifier.out_of_fold_probabilities()
    if known is None or probabilities is None:
        return []
    at = {sample_id: i for i, sample_id in enumerate(known.sample_ids)}
    confidence = probabilities[np.arange(len(known.y)), known.predicted]
    wrong = np.flatnonzero(known.predicted != known.y)
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")].tolist()
    doubted = [at[row["path"]] for row in suspects]
    conflicts = [at[sample_id] for pair in summary["groups"]["conflicts"] for sample_id in pair if sample_id in at]
    outliers: list[int] = []
    rejector = classifier.rejector
    if rejector is not None and len(rejector.novelties) == len(known.y) and _REJECT_RATE * len(known.y) >= 1:
        outliers = np.flatnonzero(rejector.outliers(_REJECT_RATE)).tolist()
    views = [
        _view("mistakes", "Most confident mistakes", "Taken for another class when they were left out.", mistakes),
        _view("suspects", "Suspicious labels", "Another class is more probable than the given label.", doubted),
        _view("conflicts", "Copies across classes", "Copies and near-copies whose labels differ.", conflicts),
        _view("rejected", "Rejected at 5 %", "What predict --reject-rate 0.05 would let go.", outliers),
    ]
    names = classifier.classes_
    for true, taken, _ in cells:
        members = np.flatnonzero((known.y == true) & (known.predicted == taken))
        title = f"{names[true]} taken for {names[taken]}" if true != taken else f"{names[true]}, recognised"
        ordered = members[np.argsort(-confidence[members], kind="stable")].tolist()
        views.append(_view(_cell_id(true, taken), title, "The most confident first.", ordered))
    return views


def _cell_id(true: int, taken: int) -> str:
    return f"cell-{true}-{taken}"


def _view(name: str, title: str, text: str, pictures: list[int]) -> View:
    return View(name, title, text, len(pictures), pictures[:_MOST_IN_A_VIEW])


def _chosen(views: Sequence[View], n: int) -> tuple[list[int], list[int]]:
    """Return the pictures to draw: of each view in turn its next one, until 2,000; and the same filled up at random."""
    chosen: dict[int, None] = {}
    longest = max((len(view.pictures) for view in views), default=0)
    for place in range(longest):
        for view in views:
            if place < len(view.pictures) and len(chosen) < _MOST_PICTURES:
                chosen[view.pictures[place]] = None
    rest = [i for i in np.random.default_rng(0).permutation(n).tolist() if i not in chosen]
    return list(chosen), [*chosen, *rest[: _MOST_PICTURES - len(chosen)]]


def _data(
    classifier: Classifier, views: Sequence[View], shown: Sequence[int], some: Sequence[int], pictures: Pictures
) -> dict[str, Any]:
    known, probabilities = classifier.out_of_fold, classifier.out_of_fold_probabilities()
    if known is None or probabilities is None:
        return {"classes": list(classifier.classes_), "pictures": {}, "views": [], "map": []}
    thumbnails, features = pictures.draw([known.sample_ids[i] for i in some])
    drawn = {i: thumbnail for i, thumbnail in zip(some, thumbnails, strict=True) if thumbnail is not None}
    entries = {
        str(i): {
            "path": known.sample_ids[i],
            "label": int(known.y[i]),
            "taken": int(known.predicted[i]),
            "confidence": round(float(probabilities[i, known.predicted[i]]), 3),
            "thumb": base64.b64encode(drawn[i]).decode() if i in drawn else None,
        }
        for i in some
    }
    kept = set(shown)
    return {
        "classes": list(classifier.classes_),
        "pictures": entries,
        "views": [asdict(view) | {"pictures": [i for i in view.pictures if i in kept]} for view in views],
        "map": [] if features is None else _map(some, features),
    }


def _map(positions: Sequence[int], features: NDArray[np.float32]) -> list[list[float]]:
    """Return (x, y, position) of pictures by their two principal components, from 0 to 1."""
    found = np.isfinite(features).all(axis=1)
    X = features[found].astype(np.float64)
    if len(X) < 3:
        return []
    X -= X.mean(axis=0)
    if len(X) < X.shape[1]:  # of few images with many features, by the smaller of the two matrices
        vectors = X.T @ np.linalg.eigh(X @ X.T)[1][:, :-3:-1]
        lengths = np.linalg.norm(vectors, axis=0)
        vectors = np.where(lengths > 1e-9 * lengths.max(), vectors / np.maximum(lengths, 1e-300), 0)
    else:
        vectors = np.linalg.eigh(X.T @ X)[1][:, :-3:-1]
    points = X @ (vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(vectors.shape[1])]))
    reach = np.maximum(np.ptp(points, axis=0), 1e-12)
    points = (points - points.min(axis=0)) / reach
    at = np.asarray(positions)[found].tolist()
    return [[round(x, 4), round(y, 4), i] for (x, y), i in zip(points.tolist(), at, strict=True)]


def _matrix(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix; empty where it would be too wide to read."""
    judged, classes = judged_part(summary), summary["classes"]
    if judged is None or len(classes) > _WIDEST_MATRIX:
        return []
    rows = []
    for true, (name, row) in enumerate(zip(classes, judged["confusion"], strict=True)):
        total = sum(row) or 1
        cells = [
            {"n": n, "share": round(n / total, 2), "right": true == taken, "view": _cell_id(true, taken)}
            for taken, n in enumerate(row)
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _confusions(summary: Mapping[str, Any], cells: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Return the most frequent confusions, where there are too many classes for a matrix."""
    classes = summary["classes"]
    if len(classes) <= _WIDEST_MATRIX:
        return []
    return [
        {"name": classes[true], "taken": classes[taken], "n": n, "view": _cell_id(true, taken)}
        for true, taken, n in cells
    ]


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of the terminal as (what, text); a line without a name goes on with the one before."""
    facts: list[tuple[str, str]] = []
    for label, text in map(line_parts, fact_lines(summary)):
        parts = "; ".join(part.strip() for part in text.split("   ") if part.strip())
        if label or not facts:
            facts.append((label, parts))
        else:
            facts[-1] = (facts[-1][0], f"{facts[-1][1]}; {parts}")
    return facts
