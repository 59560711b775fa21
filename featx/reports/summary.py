"""Report on a classifier, as a summary for the terminal, for JSON and for an HTML page."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featx.arguments import checked
from featx.errors import ClassifierError, DatasetError, as_usage
from featx.evaluation import Evaluation, ModelEvaluation
from featx.model import Classifier
from featx.options import DatasetOptions, LabelBy
from featx.output import OutputFile
from featx.rendering import report_lines, report_page
from featx.reports.images import TrainingImages
from featx.reports.page_images import page_data
from featx.reports.provenance import provenance
from featx.reports.suspects import list_suspects, write_suspects
from featx.runtime import Runtime
from featx.source import place_of, source_at

_SUSPECTS = 20


@dataclass(frozen=True)
class Report:
    """Report on a classifier.

    Parameters
    ----------
    summary : dict
        JSON object that ``featx report --json`` prints.

    Examples
    --------
    >>> import featx
    >>> found = featx.report("digits.featx")
    >>> found.to_dict()["n_images"]
    300
    """

    summary: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx report --json`` prints."""
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
        Fitted classifier, or a model file.
    on : path, optional
        Folder or manifest of labelled images on which the model is evaluated, without training images and their
        near-duplicates. The features of these images are cached.
    label_by : {"parent", "top"}, optional
        Folder whose name is the label, if class folders of ``on`` contain folders.
    path_column, label_column : str
        Columns of the paths and of the labels, if ``on`` is a manifest.
    group_by : str, optional
        Groups of the images of ``on``, as for :func:`featx.fit`, for the confidence interval. If not given, the column
        ``group`` of the manifest is used.
    weights : path, optional
        Weights file or backbone file; required with ``on`` if the model was fitted with such a file and does not
        include it.
    html : path, optional
        HTML page to write: one self-contained file.
    suspects : path, optional
        CSV file to write: the images with doubtful labels, the most doubtful first.
    data : path, optional
        Folder or manifest of the training images, which the page shows. If not given, the path that is recorded in the
        model. The number of missing and changed images is reported.
    overwrite : bool
        Replace existing outputs that featx wrote.
    runtime : Runtime, optional
        Cache folder, number of workers and callbacks. The map on the page requires the features in the cache.

    Returns
    -------
    Report

    Raises
    ------
    ClassifierError
        If the model file cannot be used, ``suspects`` is given for a model without cross-validation, or an option for
        ``on`` is given without ``on``.
    OutputError
        If an output exists and may not be replaced, or cannot be written.
    DatasetNotFoundError
        If the data set does not exist.
    EvaluationError
        If the images of ``on`` have no labels, a label is not a class of the model, or no image can be used.

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
            "`suspects`: labels cannot be checked, because there are no out-of-fold predictions: "
            f"{classifier.evaluation.cv_reason}"
        )
    rows, evaluation, new = list_suspects(classifier), classifier.evaluation, None
    if on is None and unused:
        names, require = ", ".join(f"`{name}`" for name in unused), "requires" if len(unused) == 1 else "require"
        raise as_usage(ClassifierError(f"{names} {require} `on`; add `on=FOLDER`, or leave out {names}"))
    if on is not None:
        from featx.reports.new_images import new_images_summary  # imports scikit-learn

        new, contradiction = new_images_summary(classifier, place_of(on), reading, group_by, weights, runtime)
        if contradiction is not None and isinstance(evaluation, Evaluation):
            evaluation = replace(evaluation, contradictions=(*evaluation.contradictions, contradiction))
    summary = {**_summary(classifier, evaluation, rows), "on": new}
    if table is not None:
        write_suspects(table, rows)
    if page is not None:
        images = TrainingImages(classifier, _known_data(classifier) if data is None else place_of(data), runtime)
        with runtime.stage("drawing the page"):
            shown = page_data(classifier, summary, rows, images)
            text = report_page(summary, shown)
        page.write_content(text.encode())
        summary["images"] = {"data": shown.root, "n": shown.n_images, "n_missing": shown.n_missing}
    return Report(summary)


def _known_data(classifier: Classifier) -> Path | None:
    """Return the folder of the training images, if it exists; relative paths and network paths are ignored."""
    root = str(classifier.evaluation.made.get("data", ""))
    if not os.path.isabs(root) or root.startswith(("//", "\\\\")):
        return None
    try:
        return None if source_at(Path(root)) is None else Path(root)
    except DatasetError:
        return None


def _summary(classifier: Classifier, evaluation: ModelEvaluation, suspects: list[dict[str, Any]]) -> dict[str, Any]:
    spec = classifier.spec
    return {
        "model": classifier.file,
        **evaluation.to_dict(),
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
