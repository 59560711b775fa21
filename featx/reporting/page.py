"""The report as one HTML page that needs nothing else: plain data, then a template."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier import Classifier
from featx.output import utf8_text
from featx.reporting.pictures import Pictures
from featx.reporting.terminal import evaluation_lines, groups_text

_MOST_PICTURES = 2000
_MOST_IN_A_VIEW = 200
_REJECT_RATE = 0.05
_WIDEST_MATRIX = 40


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


def render_page(
    classifier: Classifier, summary: Mapping[str, Any], suspects: Sequence[Mapping[str, Any]], pictures: Pictures
) -> str:
    """Return the page as HTML.

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
    from jinja2 import Environment, PackageLoader, StrictUndefined

    views = _views(classifier, summary, suspects)
    shown, some = _chosen(views, 0 if classifier.out_of_fold is None else len(classifier.out_of_fold.y))
    data = _data(classifier, views, shown, some, pictures)
    environment = Environment(
        loader=PackageLoader("featx.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    script = environment.get_template("page.js").render()
    return environment.get_template("page.html.j2").render(
        summary=_utf8(summary),
        lines=[_split_line(text) for text in evaluation_lines(_utf8(summary))],
        groups=groups_text(summary),
        views=views,
        matrix=_matrix(summary),
        bins=_curve(summary),
        learning=_learning(summary),
        data=data,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _views(classifier: Classifier, summary: Mapping[str, Any], suspects: Sequence[Mapping[str, Any]]) -> list[View]:
    known, probabilities = classifier.out_of_fold, classifier.out_of_fold_probabilities()
    if known is None or probabilities is None:
        return []
    at = {sample_id: i for i, sample_id in enumerate(known.sample_ids)}
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(known.predicted != known.y)
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")].tolist()
    doubted = [at[row["path"]] for row in suspects]
    conflicts = [at[sample_id] for pair in summary["groups"]["conflicts"] for sample_id in pair if sample_id in at]
    outliers: list[int] = []
    if classifier.rejector is not None and _REJECT_RATE * len(known.y) >= 1:
        outliers = np.flatnonzero(classifier.rejector.outliers(_REJECT_RATE)).tolist()
    views = [
        _view("mistakes", "Most confident mistakes", "Taken for another class when they were left out.", mistakes),
        _view("suspects", "Suspicious labels", "Another class is more probable than the given label.", doubted),
        _view("conflicts", "Copies across classes", "Copies and near-copies whose labels differ.", conflicts),
        _view("rejected", "Rejected at 5 %", "What predict --reject-rate 0.05 would let go.", outliers),
    ]
    n_classes = len(classifier.classes_)
    for cell in np.unique(known.y * n_classes + known.predicted).tolist():
        true, taken = divmod(cell, n_classes)
        members = np.flatnonzero((known.y == true) & (known.predicted == taken))
        names = classifier.classes_
        title = f"{names[true]} taken for {names[taken]}" if true != taken else f"{names[true]}, recognised"
        ordered = members[np.argsort(-confidence[members], kind="stable")].tolist()
        views.append(_view(f"cell-{true}-{taken}", title, "The most confident first.", ordered))
    return views


def _view(name: str, title: str, text: str, pictures: list[int]) -> View:
    return View(name, utf8_text(title), text, len(pictures), pictures[:_MOST_IN_A_VIEW])


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
        return {"classes": [utf8_text(name) for name in classifier.classes_], "pictures": {}, "views": [], "map": []}
    thumbnails, features = pictures.draw([known.sample_ids[i] for i in some])
    drawn = {i: thumbnail for i, thumbnail in zip(some, thumbnails, strict=True) if thumbnail is not None}
    entries = {
        str(i): {
            "path": utf8_text(known.sample_ids[i]),
            "label": int(known.y[i]),
            "taken": int(known.predicted[i]),
            "likeliest": int(probabilities[i].argmax()),
            "confidence": round(float(probabilities[i].max()), 3),
            "thumb": base64.b64encode(drawn[i]).decode() if i in drawn else None,
        }
        for i in some
    }
    kept = set(shown)
    return {
        "classes": [utf8_text(name) for name in classifier.classes_],
        "pictures": entries,
        "views": [
            {
                "id": view.id,
                "title": view.title,
                "text": view.text,
                "n": view.n,
                "pictures": [i for i in view.pictures if i in kept],
            }
            for view in views
        ],
        "map": [] if features is None else _map(some, features),
    }


def _map(positions: Sequence[int], features: NDArray[np.float32]) -> list[list[float]]:
    """Return (x, y, position) of pictures by their two principal components, from 0 to 1."""
    found = np.isfinite(features).all(axis=1)
    X = features[found].astype(np.float64)
    if len(X) < 3:
        return []
    X -= X.mean(axis=0)
    vectors = np.linalg.eigh(X.T @ X)[1][:, :-3:-1]
    points = X @ (vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(vectors.shape[1])]))
    reach = np.maximum(np.ptp(points, axis=0), 1e-12)
    points = (points - points.min(axis=0)) / reach
    at = np.asarray(positions)[found].tolist()
    return [[round(x, 4), round(y, 4), i] for (x, y), i in zip(points.tolist(), at, strict=True)]


def _matrix(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix; empty where it would be too wide to read."""
    cv, classes = summary["cv"], summary["classes"]
    if cv is None or len(classes) > _WIDEST_MATRIX:
        return []
    rows = []
    for true, (name, row) in enumerate(zip(classes, cv["confusion"], strict=True)):
        total = sum(row) or 1
        cells = [
            {"n": n, "share": round(n / total, 2), "right": true == taken, "view": f"cell-{true}-{taken}"}
            for taken, n in enumerate(row)
        ]
        rows.append({"name": utf8_text(name), "cells": cells})
    return rows


def _curve(summary: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return the points of the reliability curve in a square of 200, y downwards, the radius by the pictures."""
    reliability = summary["reliability"]
    if reliability is None:
        return []
    most = max(one["n"] for one in reliability["bins"])
    return [
        {
            "x": round(200 * one["confidence"], 1),
            "y": round(200 * (1 - one["accuracy"]), 1),
            "r": round(3 + 4 * math.sqrt(one["n"] / most), 1),
            **one,
        }
        for one in reliability["bins"]
    ]


def _learning(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the points of the learning curve: pictures to the right (logarithmic), accuracy upwards, in 300 x 200."""
    curve = summary["learning_curve"]
    points = [] if curve is None else [(one["n"], one["accuracy"]) for one in curve["points"]]
    if len(points) < 2:
        return []
    first, last = math.log(points[0][0]), math.log(points[-1][0])
    lowest = math.floor(10 * min(accuracy["low"] for _, accuracy in points)) / 10

    def up(value: float) -> float:
        return float(round(200 * (1 - (value - lowest) / max(1 - lowest, 0.1)), 1))

    return [
        {
            "n": n,
            "x": round(300 * (math.log(n) - first) / max(last - first, 1e-9), 1),
            "y": up(accuracy["mean"]),
            "low": up(accuracy["low"]),
            "high": up(accuracy["high"]),
            "mean": accuracy["mean"],
            "floor": lowest,
        }
        for n, accuracy in points
    ]


def _split_line(text: str) -> tuple[str, str]:
    return text[:10].strip(), text[10:].strip()


def _utf8(value: Any) -> Any:
    """Return plain values whose texts can be written as UTF-8."""
    if isinstance(value, str):
        return utf8_text(value)
    if isinstance(value, Mapping):
        return {utf8_text(str(name)): _utf8(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_utf8(one) for one in value]
    return value
