"""Loss, accuracy and rate over the epochs: as a table and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from featx.store import write_content
from featx.training.records import Epoch, History

_COLUMNS = ("number", "rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


def write_log(path: Path, epochs: Sequence[Epoch]) -> None:
    """Write epochs as a CSV file; it is whole at any instant.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(("epoch", *_COLUMNS[1:]))
    for epoch in epochs:
        values = epoch.to_dict()
        table.writerow("" if values[name] is None else values[name] for name in _COLUMNS)
    write_content(path, stream.getvalue().encode())


def draw_curves(histories: Mapping[str, History], levels: Mapping[str, float]) -> bytes:
    """Return curves of loss, accuracy and rate as a PNG file.

    Parameters
    ----------
    histories : mapping of str to History
        By what was trained.
    levels : mapping of str to float
        Accuracies to compare with, as horizontal lines, by name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracies, rates = figure.subplots(1, 3)
    for number, (name, history) in enumerate(histories.items()):
        trained = [epoch for epoch in history.epochs if epoch.number]
        at, all_at = [epoch.number for epoch in trained], [epoch.number for epoch in history.epochs]
        colour = f"C{number}"
        losses.plot(at, [epoch.loss for epoch in trained], ":", color=colour, label=f"{name}, training")
        losses.plot(all_at, [e.val_loss for e in history.epochs], "-o", ms=3, color=colour, label=f"{name}, validation")
        accuracies.plot(at, [epoch.accuracy for epoch in trained], ":", color=colour)
        accuracies.plot(all_at, [epoch.val_accuracy for epoch in history.epochs], "-o", ms=3, color=colour, label=name)
        accuracies.axvline(history.best, color=colour, lw=0.8, alpha=0.5)
        rates.plot(at, [epoch.rate for epoch in trained], "-o", ms=3, color=colour)
    for number, (name, level) in enumerate(levels.items()):
        accuracies.axhline(level, ls="--", color=f"C{len(histories) + number}", label=name)
    titles = ("loss", "accuracy (line: the epoch kept)", "learning rate of the top at the end of the epoch")
    for axes, title in zip((losses, accuracies, rates), titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch (0: before training)")
        axes.grid(alpha=0.3)
    rates.set_yscale("log")
    losses.legend(fontsize=8)
    accuracies.legend(fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
