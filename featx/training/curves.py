"""Write loss, accuracy and learning rate of each epoch as a table, and draw them as an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from featx.output import Panel, draw_panels
from featx.store import write_content
from featx.training.records import Epoch, History

_X_LABEL = "epoch (0: before training)"
_COLUMNS = ("number", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


def write_log(path: Path, epochs: Sequence[Epoch]) -> None:
    """Write epochs to a CSV file, which is replaced atomically.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(("epoch", *_COLUMNS[1:]))
    for epoch in epochs:
        values = epoch.to_dict()
        table.writerow("" if values[name] is None else values[name] for name in _COLUMNS)
    write_content(path, stream.getvalue().encode())


def draw_curves(histories: Mapping[str, History], levels: Mapping[str, float]) -> bytes:
    """Return curves of loss, accuracy and learning rate as a PNG file.

    Parameters
    ----------
    histories : mapping of str to History
        Histories by the name of the trained network.
    levels : mapping of str to float
        Accuracies for comparison, by name; drawn as horizontal lines.

    Raises
    ------
    OutputError
        If the curves cannot be drawn.
    """
    losses = Panel("loss", _X_LABEL)
    accuracies = Panel("accuracy (vertical line: selected epoch)", _X_LABEL)
    rates = Panel("learning rate of the top at the end of the epoch", _X_LABEL, is_logarithmic=True)
    for colour, (name, history) in enumerate(histories.items()):
        trained = [epoch for epoch in history.epochs if epoch.number]
        at, all_at = [epoch.number for epoch in trained], [epoch.number for epoch in history.epochs]
        losses.lines.append(_line(at, [epoch.loss for epoch in trained], ":", colour, f"{name}, training"))
        losses.lines.append(_line(all_at, [e.val_loss for e in history.epochs], "-o", colour, f"{name}, validation"))
        accuracies.lines.append(_line(at, [epoch.accuracy for epoch in trained], ":", colour))
        accuracies.lines.append(_line(all_at, [epoch.val_accuracy for epoch in history.epochs], "-o", colour, name))
        accuracies.marks.append({"x": history.best, "colour": colour})
        rates.lines.append(_line(at, [epoch.learning_rate for epoch in trained], "-o", colour))
    for number, (name, level) in enumerate(levels.items()):
        accuracies.levels.append({"y": level, "colour": len(histories) + number, "label": name})
    return draw_panels([losses, accuracies, rates])


def _line(
    x: Sequence[float], y: Sequence[float | None], style: str, colour: int, label: str | None = None
) -> dict[str, Any]:
    return {"x": x, "y": y, "style": style, "colour": colour} | ({} if label is None else {"label": label})
