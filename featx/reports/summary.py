"""The report of a classifier as a summary for terminal, JSON and HTML page."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.arguments import checked
from featx.errors import ClassifierError, DatasetError, as_usage
from featx.model import Classifier
from featx.options import DatasetOptions, LabelBy
from featx.output import OutputFile
from featx.rendering import report_lines, report_page
from featx.reports.images import TrainingImages
from featx.reports.page_images import page_data
from featx.reports.provenance import provenance
from featx.reports.suspects import list_suspects, write_suspects
from featx.runtime import Runtime
from featx.source import source_at

_SUSPECTS = 20


@dataclass(frozen=True)
class Report:
    """The report of a classifier.

    Parameters
    ----------
    summary : dict
        JSON values.

    Examples
    --------
    >>> import featx
    >>> found = featx.report("digits.featx")
    >>> found.to_dict()["n_images"]
    300
    """

    summary: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx report --json``."""
        return self.summary

    def __str__(self) -> str:
        return "\n".join(report_lines(self.summary))


@checked()
def report(
    model: Classifier | str | Path,
    *,
    on: str | Path | None = None,
    label_by: LabelBy | None = None,
    path_column: str = "path",
    label_column: str = "label",
    group_by: str | None = None,
    weights: str | Path | None = None,
    html: str | Path | None = None,
    suspects: str | Path | None = None,
    data: str | Path | None = None,
    overwrite: bool = False,
    runtime: Runtime | None = None,
) -> Report:
    """Return the report of a classifier; optionally write an HTML page and a table of doubtful labels.

    Parameters
    ----------
    model : Classifier or path
    on : path, optional
        Labelled images to evaluate the model on; training images among them are left out. Their features are cached.
    label_by : {"parent", "top"}, optional
        Which folder of the images of ``on`` is the class.
    path_column, label_column : str
        Columns of ``on``, if it is a manifest.
    group_by : str, optional
        Groups of the images of ``on``, as for :func:`featx.fit`; the confidence interval depends on them. Default: the
        column ``group`` of the manifest.
    weights : path, optional
        Weight file or local network, if the model needs one for ``on``.
    html : path, optional
        HTML page to write; it needs no other file and no network access.
    suspects : path, optional
        CSV file to write with images whose label is doubtful, the most suspicious first.
    data : path, optional
        Folder or manifest that the model was fitted on, for the images of the page; default: the folder stored in the
        model. Missing and changed images are counted.
    overwrite : bool
        Replace existing outputs that featx wrote.
    runtime : Runtime, optional
        Cache folder (the map of the page uses its features), threads and callbacks.

    Returns
    -------
    Report

    Raises
    ------
    ClassifierError
        The model file cannot be used, or ``suspects`` is given for a model without cross-validation.
    OutputError
        An output exists and may not be replaced, or cannot be written.
    DatasetNotFoundError
        The data set does not exist.
    EvaluationError
        The images of ``on`` have no labels, or a label that the model does not have.

    Examples
    --------
    >>> import featx
    >>> found = featx.report("digits.featx", html="report.html", data="data", overwrite=True)
    >>> print(str(found).splitlines()[0])  # doctest: +ELLIPSIS
    model      ...
    """
    reading = DatasetOptions.of(locals())
    unused = [*reading.changed(), *(name for name, value in (("group_by", group_by), ("weights", weights)) if value)]
    runtime = runtime or Runtime()
    inputs = [path for path in (model, on, data, weights) if isinstance(path, str | Path)]
    page = None if html is None else OutputFile(html, (".html", ".htm"), overwrite, "html", inputs)
    table = None if suspects is None else OutputFile(suspects, (".csv",), overwrite, "suspects", inputs)
    classifier = model if isinstance(model, Classifier) else Classifier.load(model)
    if table is not None and classifier.out_of_fold is None:
        raise ClassifierError(
            f"`suspects`: there are no out-of-fold predictions to check labels: {classifier.evaluation.cv_reason}"
        )
    rows = list_suspects(classifier)
    summary = _summary(classifier, rows)
    if on is None and unused:
        names = ", ".join(f"`{name}`" for name in unused)
        raise as_usage(ClassifierError(f"{names} applies only to the images of `on`; add `on` or leave it out"))
    if on is not None:
        from featx.reports.new_images import new_images_summary  # imports scikit-learn

        summary["on"] = new_images_summary(classifier, Path(on), reading, group_by, weights, runtime)
    if table is not None:
        write_suspects(table, rows)
    if page is not None:
        images = TrainingImages(classifier, _known_data(classifier) if data is None else Path(data), runtime)
        with runtime.stage("drawing the page"):
            shown = page_data(classifier, summary, rows, images)
            text = report_page(summary, shown)
        page.write_content(text.encode())
        summary["images"] = {"data": shown.root, "n": shown.n_images, "n_missing": shown.n_missing}
    return Report(summary)


def _known_data(classifier: Classifier) -> Path | None:
    """Return the folder that a model was fitted on, if it exists; network paths and relative paths are ignored."""
    root = str(classifier.evaluation.made.get("data", ""))
    if not os.path.isabs(root) or root.startswith(("//", "\\\\")):
        return None
    try:
        return None if source_at(Path(root)) is None else Path(root)
    except DatasetError:
        return None


def _summary(classifier: Classifier, suspects: list[dict[str, Any]]) -> dict[str, Any]:
    spec = classifier.spec
    return {
        "model": classifier.file,
        **classifier.evaluation.to_dict(),
        "n_suspects": len(suspects),
        "suspects": suspects[:_SUSPECTS],
        "on": None,
        "images": None,
        "features": {
            "backbone": classifier.title,
            "n_features": int(classifier.probes.shape[1]),
            "layer": spec.layer,
            "pooling": spec.pooling,
            "size": spec.size,
            "resize": spec.resize,
            "engine": spec.engine,
            "precision": spec.precision,
            "weights": spec.weights,
        },
        **provenance(classifier),
    }
