"""Coordinates of points in the charts of the HTML report; other packages compute the values of the points."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_LEAST_APART = 24
"""Minimum distance between two axis labels, in units of the chart, so that the labels do not overlap."""

_WIDTH, _HEIGHT = 240, 150
"""Size of the training charts, in units of the chart."""


def reliability_points(summary: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return the points of the reliability curve in a square with a side of 200 units.

    The y axis points down. The radius of a point increases with the number of images in its bin.
    """
    reliability = summary["reliability"]
    if reliability is None:
        return []
    most = max(each["n"] for each in reliability["bins"])
    return [
        {
            "x": round(200 * each["confidence"], 1),
            "y": round(200 * (1 - each["accuracy"]), 1),
            "r": round(3 + 4 * math.sqrt(each["n"] / most), 1),
            **each,
        }
        for each in reliability["bins"]
    ]


def learning_points(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the points of the learning curve in a chart of 300 x 200 units.

    The x axis is the number of images on a logarithmic scale; the y axis is the accuracy.
    """
    curve = summary["learning_curve"]
    points = [] if curve is None else [(point["n"], point["accuracy"]) for point in curve["points"]]
    if len(points) < 2:
        return []
    first, last = math.log(points[0][0]), math.log(points[-1][0])
    lowest = math.floor(10 * min(accuracy["low"] for _, accuracy in points)) / 10

    def up(value: float) -> float:
        return float(round(200 * (1 - (value - lowest) / max(1 - lowest, 0.1)), 1))

    places = [round(300 * (math.log(n) - first) / max(last - first, 1e-9), 1) for n, _ in points]
    return [
        {
            "n": n,
            "x": x,
            "apart": i == 0 or x - places[i - 1] >= _LEAST_APART,
            "y": up(accuracy["mean"]),
            "low": up(accuracy["low"]),
            "high": up(accuracy["high"]),
            "floor": lowest,
            "accuracy": accuracy,
        }
        for i, (x, (n, accuracy)) in enumerate(zip(places, points, strict=True))
    ]


def training_charts(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return charts of accuracy, loss and learning rate over the epochs of fine-tuning, each of 240 x 150 units."""
    comparison = summary["finetuning"]
    epochs = [] if comparison is None else comparison["history"]["epochs"]
    if len(epochs) < 2:
        return []
    step = _WIDTH / (len(epochs) - 1)
    best = round(
        step * next(i for i, epoch in enumerate(epochs) if epoch["number"] == comparison["history"]["best"]), 1
    )
    charts = [
        _chart("accuracy", {"training": "accuracy", "validation": "val_accuracy"}, epochs),
        _chart("loss", {"training": "loss", "validation": "val_loss"}, epochs),
        _chart("learning rate of the dense layers", {"training": "learning_rate"}, epochs[1:], step, _logarithm),
    ]
    return [chart | {"best": best, "last": epochs[-1]["number"]} for chart in charts]


def _logarithm(value: float) -> float:
    return math.log10(max(value, 1e-12))


def _chart(
    title: str,
    columns: Mapping[str, str],
    epochs: Sequence[Mapping[str, Any]],
    first: float = 0.0,
    scale: Callable[[float], float] = float,
) -> dict[str, Any]:
    """Return a chart: the title, the points of an SVG polyline for each curve, and the values at the two edges."""
    step = (_WIDTH - first) / max(len(epochs) - 1, 1)
    known = [epoch[column] for column in columns.values() for epoch in epochs if epoch[column] is not None]
    low, high = min(known), max(known)
    reach = max(scale(high) - scale(low), 1e-9)
    curves = {
        name: " ".join(
            f"{first + i * step:.1f},{_HEIGHT * (1 - (scale(epoch[column]) - scale(low)) / reach):.1f}"
            for i, epoch in enumerate(epochs)
            if epoch[column] is not None
        )
        for name, column in columns.items()
    }
    return {"title": title, "curves": curves, "low": f"{low:.2g}", "high": f"{high:.2g}"}
