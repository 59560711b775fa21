"""Draw figures of curves as PNG files, with matplotlib in a child process.

When matplotlib is imported, it reads settings from the current folder, which may cause errors or execute a program. The
child process therefore uses only the default settings of matplotlib.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from featx.children import ChildError, run_in_child
from featx.errors import OutputError
from featx.output.marks import mark_png


@dataclass(frozen=True)
class Panel:
    """Content of one pair of axes.

    Parameters
    ----------
    title, x_label : str
        Title of the panel, and label of the horizontal axis.
    lines : list of dict
        Curves with the keys ``x``, ``y``, ``style`` (such as ``-o`` or ``:``) and ``colour`` (a number); a curve with
        the key ``label`` is listed in the legend.
    levels : list of dict
        Horizontal lines with the keys ``y``, ``colour`` and ``label``.
    marks : list of dict
        Vertical lines with the keys ``x`` and ``colour``.
    is_logarithmic : bool
        Whether the vertical axis is logarithmic.
    """

    title: str
    x_label: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    levels: list[dict[str, Any]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    is_logarithmic: bool = False


def draw_panels(panels: Sequence[Panel]) -> bytes:
    """Return a PNG file with panels side by side and the mark of featx.

    Raises
    ------
    OutputError
        If the panels cannot be drawn.
    """
    content = json.dumps([asdict(panel) for panel in panels]).encode()
    try:
        return mark_png(run_in_child("featx.output.figures", "draw", content))
    except ChildError as error:
        raise OutputError(f"curves cannot be drawn: {error.strerror or error}") from None


def draw(content: bytes) -> bytes:
    """Return a PNG file of the panels that :func:`draw_panels` sends as JSON; executed in the child process."""
    package = importlib.util.find_spec("matplotlib")
    if package is None or package.origin is None:
        raise ImportError("matplotlib is not installed")
    os.environ["MATPLOTLIBRC"] = str(Path(package.origin).parent / "mpl-data" / "matplotlibrc")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = json.loads(content)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, panel)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _draw_panel(axes: Any, panel: Mapping[str, Any]) -> None:
    for line in panel["lines"]:
        size = {"ms": 3} if "o" in line["style"] else {}
        axes.plot(
            line["x"], line["y"], line["style"], color=f"C{line['colour']}", label=_text(line.get("label")), **size
        )
    for mark in panel["marks"]:
        axes.axvline(mark["x"], color=f"C{mark['colour']}", lw=0.8, alpha=0.5)
    for level in panel["levels"]:
        axes.axhline(level["y"], ls="--", color=f"C{level['colour']}", label=_text(level["label"]))
    axes.set_title(panel["title"], fontsize=10)
    axes.set_xlabel(panel["x_label"])
    axes.grid(alpha=0.3)
    if panel["is_logarithmic"]:
        axes.set_yscale("log")
    if any("label" in one for one in (*panel["lines"], *panel["levels"])):
        axes.legend(fontsize=8)


def _text(name: str | None) -> str | None:
    """Return a name with escaped dollar signs, which would otherwise start a formula."""
    return None if name is None else name.replace("$", r"\$")
