"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from featx.output import render_page
from featx.rendering.charts import learning_points, reliability_points, training_charts
from featx.rendering.facts import groups_text, judged_part, report_facts

_WIDEST_MATRIX = 40
_MOST_CONFUSIONS = 100
"""Of these the most frequent are listed where there are too many classes for a matrix."""


@dataclass(frozen=True)
class ImageSet:
    """Images that are shown together.

    Parameters
    ----------
    id : str
        Part of the page's address that opens it.
    title, text : str
        What it shows, and what that means.
    n : int
        Images there are, of which the first 200 are shown.
    images : list of int
        Positions among the training images.
    """

    id: str
    title: str
    text: str
    n: int
    images: list[int]


@dataclass(frozen=True)
class PageData:
    """What a page shows beside the summary.

    Parameters
    ----------
    views : tuple of View
    data : mapping
        Images, views and map, as the page's script takes them.
    root : str or None
        The folder of the images.
    """

    views: tuple[ImageSet, ...]
    data: Mapping[str, Any]
    root: str | None

    @property
    def n_images(self) -> int:
        """Images that the page shows."""
        return len(self.data["images"])

    @property
    def n_missing(self) -> int:
        """Those of them that are not where they were, or have changed."""
        return sum(one["thumb"] is None for one in self.data["images"].values())


def report_page(summary: Mapping[str, Any], shown: PageData) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    summary : mapping
        That of ``featx report --json``.
    shown : PageData
    """
    return render_page(
        "featx.rendering",
        "page",
        summary=summary,
        lines=_facts(summary),
        groups=groups_text(summary),
        judged=judged_part(summary),
        views=[asdict(view) for view in shown.views],
        matrix=_matrix(summary),
        confusions=_confusions(summary, confusion_cells(summary)),
        bins=reliability_points(summary),
        learning=learning_points(summary),
        training=training_charts(summary),
        data_root=shown.root,
        n_missing=shown.n_missing,
        data=shown.data,
    )


def confusion_cells(summary: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Return (label, taken for, images) of the cells whose images can be opened, the fullest mistakes first."""
    judged = judged_part(summary)
    if judged is None:
        return []
    confusion = np.array(judged["confusion"])
    cells = [(true, taken, int(confusion[true, taken])) for true, taken in np.argwhere(confusion).tolist()]
    if len(summary["classes"]) <= _WIDEST_MATRIX:
        return cells
    return sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])[:_MOST_CONFUSIONS]


def cell_id(true: int, taken: int) -> str:
    """Return the name of the view of a cell."""
    return f"cell-{true}-{taken}"


def _matrix(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix; empty where it would be too wide to read."""
    judged, classes = judged_part(summary), summary["classes"]
    if judged is None or len(classes) > _WIDEST_MATRIX:
        return []
    rows = []
    for true, (name, row) in enumerate(zip(classes, judged["confusion"], strict=True)):
        total = sum(row) or 1
        cells = [
            {"n": n, "share": round(n / total, 2), "right": true == taken, "view": cell_id(true, taken)}
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
        {"name": classes[true], "taken": classes[taken], "n": n, "view": cell_id(true, taken)}
        for true, taken, n in cells
    ]


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known as (what, text); a fact without a label goes on with the one before."""
    facts: list[tuple[str, str]] = []
    for label, parts in report_facts(summary):
        text = "; ".join(parts)
        if label or not facts:
            facts.append((label, text))
        else:
            facts[-1] = (facts[-1][0], f"{facts[-1][1]}; {text}")
    return facts
