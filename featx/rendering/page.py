"""Render the report as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from featx.output import render_page
from featx.rendering.charts import learning_points, reliability_points, training_charts
from featx.rendering.facts import CAVEAT, groups_text, is_refuted, judged_part, report_facts, verdict_facts

_WIDEST_MATRIX = 40
_MOST_CONFUSIONS = 100
"""Maximum number of confusions that are listed if there are too many classes for a matrix."""


@dataclass(frozen=True)
class ImageSet:
    """Images that are shown together.

    Parameters
    ----------
    id : str
        Id of the set; as the fragment of the page address, the id opens these images.
    title, text : str
        Title and explanation.
    n : int
        Number of images in the set; the page shows at most 200.
    images : list of int
        Positions of the shown images in the out-of-fold predictions.
    """

    id: str
    title: str
    text: str
    n: int
    images: list[int]


@dataclass(frozen=True)
class PageData:
    """Images and feature map that a page shows in addition to the summary.

    Parameters
    ----------
    views : tuple of ImageSet
        Sets of images that the page can show.
    data : mapping
        Values for the script of the page: classes, images, sets of images and feature map.
    root : str or None
        Folder of the images.
    """

    views: tuple[ImageSet, ...]
    data: Mapping[str, Any]
    root: str | None

    @property
    def n_images(self) -> int:
        """Number of images of the page."""
        return len(self.data["images"])

    @property
    def n_missing(self) -> int:
        """Number of images of the page that are missing or have changed."""
        return sum(image["thumb"] is None for image in self.data["images"].values())


def report_page(summary: Mapping[str, Any], shown: PageData) -> str:
    """Return the report as an HTML page.

    Parameters
    ----------
    summary : mapping
        Result of ``featx report --json``.
    shown : PageData
        Images and feature map of the page.
    """
    return render_page(
        "featx.rendering",
        "page",
        summary=summary,
        lines=_facts(summary),
        groups=groups_text(summary),
        judged=judged_part(summary),
        views=[asdict(view) for view in shown.views],
        matrix=_matrix(summary["classes"], judged_part(summary)),
        confusions=_confusions(summary["classes"], judged_part(summary)),
        on_matrix=_matrix(summary["classes"], summary["on"]),
        on_confusions=_confusions(summary["classes"], summary["on"]),
        caveat=CAVEAT if is_refuted(summary) else "",
        bins=reliability_points(summary),
        learning=learning_points(summary),
        training=training_charts(summary),
        data_root=shown.root,
        n_missing=shown.n_missing,
        data=shown.data,
    )


def confusion_cells(summary: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Return the true class, the predicted class and the number of images of each cell that the page can open.

    If there are too many classes for a matrix, the cells are the most frequent confusions, in descending order.
    """
    return _cells(summary["classes"], judged_part(summary))


def _cells(classes: Sequence[str], judged: Mapping[str, Any] | None) -> list[tuple[int, int, int]]:
    if judged is None or not judged["confusion"]:
        return []
    confusion = np.array(judged["confusion"])
    cells = [(true, predicted, int(confusion[true, predicted])) for true, predicted in np.argwhere(confusion).tolist()]
    if len(classes) <= _WIDEST_MATRIX:
        return cells
    return sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])[:_MOST_CONFUSIONS]


def cell_id(true: int, predicted: int) -> str:
    """Return the id of the set of images in a cell of the confusion matrix."""
    return f"cell-{true}-{predicted}"


def _matrix(classes: Sequence[str], judged: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix; empty if there are too many classes for a matrix."""
    if judged is None or not judged["confusion"] or len(classes) > _WIDEST_MATRIX:
        return []
    rows = []
    for true, (name, row) in enumerate(zip(classes, judged["confusion"], strict=True)):
        total = sum(row) or 1
        cells = [
            {"n": n, "share": round(n / total, 2), "right": true == predicted, "view": cell_id(true, predicted)}
            for predicted, n in enumerate(row)
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _confusions(classes: Sequence[str], judged: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the most frequent confusions; empty if the page shows the confusion matrix."""
    if len(classes) <= _WIDEST_MATRIX:
        return []
    return [
        {"name": classes[true], "predicted": classes[predicted], "n": n, "view": cell_id(true, predicted)}
        for true, predicted, n in _cells(classes, judged)
    ]


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the label and the text of each fact; a fact without a label is appended to the preceding fact."""
    facts: list[tuple[str, str]] = []
    for label, parts in [*verdict_facts(summary), *report_facts(summary)]:
        text = "; ".join(parts)
        if label or not facts:
            facts.append((label, text))
        else:
            facts[-1] = (facts[-1][0], f"{facts[-1][1]}; {text}")
    return facts
