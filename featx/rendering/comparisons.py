"""Text lines about a comparison, from the dictionary that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.rendering.facts import change_text, interval_text
from featx.rendering.terminal import line


def comparison_lines(comparison: Mapping[str, Any]) -> list[str]:
    """Return a comparison as a table, the best row first; ``comparison`` is the result of ``featx compare --json``."""
    rows = comparison["rows"]
    shown = [name for name in ("pooling", "resize", "size") if len({row[name] for row in rows}) > 1]
    figures = ("accuracy (95 % CI)", "difference from the best (95 % CI)")
    head = ("backbone", *shown, "head", *figures, "seconds", "extraction")
    cells = [head]
    for row in rows:
        difference = row["difference_to_best"]
        text = "" if row is rows[0] else change_text(difference, "")
        names = (row["backbone"], *(str(row[name]) for name in shown), row["head"])
        seconds = (f"{row['seconds']:.1f}", _extraction_cost(row))
        cells.append((*names, interval_text(row["accuracy"], ""), text, *seconds))
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    table = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    level = [row for row in rows[1:] if row["difference_to_best"]["high"] >= 0]
    if len(level) == 1:
        ties = "1 other combination may be as good (the interval of its difference contains 0)"
    elif level:
        ties = f"{len(level):,} other combinations may be as good (the intervals of their differences contain 0)"
    else:
        ties = "all others are worse"
    lines = [
        *table,
        line("baseline", f"majority class: accuracy {comparison['baseline']['accuracy']:.3f}"),
        *([line("verdict", f"best: {comparison['verdict']}")] if comparison["verdict"] else []),
        line("splits", _splits(comparison)),
        line("best", f"{rows[0]['backbone']} {rows[0]['head']}; {ties if rows[1:] else 'the only combination'}"),
    ]
    if rows[1:]:
        selection = f"the best of {len(rows):,} combinations was selected on these images"
        size = comparison["selection_bias"]
        bias = f"so its accuracy may be too high by {'less than 0.001' if size < 0.0005 else f'about {size:.3f}'}"
        lines.append(line("selection", f"{selection}, {bias}; for an independent test: featx report MODEL --on FOLDER"))
    return lines + [line("note", note) for note in comparison["notes"]]


def _splits(comparison: Mapping[str, Any]) -> str:
    if comparison["n_folds"] == 1:
        return f"{comparison['n_images']:,} training images and {comparison['splitter']}, the same for all rows"
    return f"{comparison['n_folds']} folds ({comparison['splitter']}), the same for all rows"


def _extraction_cost(row: Mapping[str, Any]) -> str:
    if row["extraction_seconds"] is None:
        return "cached"
    return f"{row['extraction_seconds']:.1f} ({row['n_computed']:,} computed)"
