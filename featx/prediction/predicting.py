"""Predict the classes of images with a fitted classifier, and write the predictions to a table in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from featx.arguments import checked
from featx.errors import ClassifierError, FeatxError, OutputError, StoreError, as_usage
from featx.files import temporary_folder
from featx.galleries import Gallery, Status, Tile
from featx.lookup import why_none_usable
from featx.model import Classifier
from featx.options import PredictOptions, check_ranges
from featx.output import OutputFile, reason_of
from featx.prediction.sorting import Sorter
from featx.prediction.writing import WRITERS, Row, Values, open_table
from featx.runtime import Runtime
from featx.table import FeatureTable, OwnFolder

_COLUMNS = ("path", "label", "confidence", "status", "seen", "reason")


@dataclass(frozen=True)
class PredictionSummary:
    """Summary of one call of :func:`featx.predict`.

    Parameters
    ----------
    model : str
        Path of the model file, or the backbone of a classifier in memory.
    columns : tuple of str
        Columns of the table.
    n_images : int
        Number of predicted, rejected and skipped images together.
    n_predicted, n_rejected, n_skipped : int
        Number of predicted, of rejected, and of skipped images.
    n_seen : int
        Number of training images of the model among the images.
    n_ignored : int
        Number of files that are not images.
    precision : str
        Number format of the computation of the features.
    output : path or None
        Path of the table; None if no table was written.
    gallery : path or None
        Path of the gallery; None if no gallery was written.
    n_in_gallery : int
        Number of images in the gallery.
    rows : tuple of tuple
        Rows of the table; empty if the table was written to a file.
    seconds : float
        Wall time.
    own_folders : tuple of OwnFolder
        Folders that featx wrote; their images are not predicted.
    fault : str
        Reason why no image could be used; empty if at least one image could be used.
    reject_rate : float or None
        Expected fraction of images of the known classes that are rejected by mistake; None if no image may be rejected.

    Examples
    --------
    >>> import featx
    >>> done = featx.predict("digits.featx", "data/3")
    >>> done.n_images, done.n_predicted, done.n_skipped
    (30, 30, 0)
    """

    model: str
    columns: tuple[str, ...]
    n_images: int
    n_predicted: int
    n_rejected: int
    n_skipped: int
    n_seen: int
    n_ignored: int
    precision: str
    output: Path | None
    gallery: Path | None
    n_in_gallery: int
    rows: tuple[Values, ...] = field(repr=False)
    seconds: float
    own_folders: tuple[OwnFolder, ...] = ()
    fault: str = ""
    reject_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx predict --json`` prints, with the rows if there is no output file."""
        return {
            "model": self.model,
            "n_images": self.n_images,
            "n_predicted": self.n_predicted,
            "n_rejected": self.n_rejected,
            "reject_rate": self.reject_rate,
            "n_skipped": self.n_skipped,
            "n_seen": self.n_seen,
            "n_ignored": self.n_ignored,
            "own_folders": [folder.to_dict() for folder in self.own_folders],
            "precision": self.precision,
            "output": None if self.output is None else str(self.output),
            "gallery": None if self.gallery is None else str(self.gallery),
            "n_in_gallery": self.n_in_gallery,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.n_images / self.seconds, 1) if self.seconds > 0 else None,
        } | ({} if self.output else {"rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows]})


@checked()
def load(path: str | Path, *, trusted: Collection[str] = ()) -> Classifier:
    """Load a model file; only code of trusted types is executed.

    Parameters
    ----------
    path : path
        Model file.
    trusted : collection of str
        Further types that the head may contain, in addition to the types that featx checks, such as ``mine.MyHead`` or
        ``sklearn.ensemble._forest.RandomForestClassifier``. The code of these types is executed with content of the
        file that featx does not check. Name a type only if you trust the author of the file to run code on this
        machine. If a required type is not named, the error message lists it.

    Raises
    ------
    ClassifierError
        If the file does not exist, is not a model, is damaged, was written by a later version of featx, or contains a
        type that is not trusted.

    Examples
    --------
    >>> import featx
    >>> featx.load("digits.featx").evaluation.head
    'logreg'
    """
    return Classifier.load(path, trusted=trusted)


@checked()
def predict(
    model: Classifier | str | Path,
    paths: Sequence[str | Path] | str | Path,
    output: str | Path | None = None,
    *,
    top_k: int = 1,
    sort_into: str | Path | None = None,
    link: bool = False,
    gallery: str | Path | None = None,
    overwrite: bool = False,
    no_cache: bool = False,
    weights: str | Path | None = None,
    exact: bool = False,
    strict: bool = False,
    reject_rate: float | None = None,
    path_column: str = "path",
    runtime: Runtime | None = None,
) -> PredictionSummary:
    """Predict the classes of any number of images in files and folders.

    Parameters
    ----------
    model : Classifier or path
        Fitted classifier, or a model file.
    paths : path or sequence of paths
        Images, folders of images, and lists of images (``.csv``, ``.txt`` or ``.parquet`` files with a column of
        paths).
    output : path, optional
        Table to write: ``.csv``, ``.jsonl``, ``.ndjson`` or ``.parquet``. If not given, the rows are returned.
    top_k : int
        Number of classes that are listed for each image, the most probable first, with their probabilities.
    sort_into : path, optional
        Folder into which the images are copied, with a subfolder for each predicted class.
    link : bool
        With ``sort_into``, create hard links instead of copies.
    gallery : path, optional
        File to write that shows the images with predicted labels and confidences: ``.html`` with at most 2,000 images,
        or ``.png`` with at most 200 images.
    overwrite : bool
        Replace outputs that featx wrote.
    no_cache : bool
        Do not read or write the cache.
    weights : path, optional
        Weights file or backbone file; required if the model was fitted with such a file and does not include it.
    exact : bool
        If the features of the model were computed in bfloat16 and the CPU does not support bfloat16, raise an error
        instead of computing in float32.
    strict : bool
        If an image is skipped, raise an error after all other images are processed.
    reject_rate : float, optional
        Expected fraction of images of the known classes that are rejected by mistake. Images that are not similar to
        the training images are marked as rejected. If not given, no image is rejected.
    path_column : str
        Column of a list that contains the paths.
    runtime : Runtime, optional
        Cache folder, number of workers and callbacks.

    Returns
    -------
    PredictionSummary
        Counts, and the rows if ``output`` is not given.

    Raises
    ------
    OutputError
        If an output exists and may not be replaced, or cannot be written.
    ClassifierError
        If the model cannot be used, or this machine does not reproduce its features.
    DatasetError, WeightsError, StoreError
        See :mod:`featx.errors`.

    Examples
    --------
    >>> import featx
    >>> done = featx.predict("digits.featx", "data/3", "scores.csv", overwrite=True)
    >>> done.n_predicted
    30
    """
    check_ranges(locals(), PredictOptions)
    if link and sort_into is None:
        raise as_usage(OutputError("`link` requires `sort_into`; add `sort_into=FOLDER`, or leave out `link`"))
    runtime = runtime or Runtime()
    started = time.monotonic()
    name = str(model) if isinstance(model, str | Path) else model.title
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if isinstance(model, str | Path):
        _stop_if_swapped(Path(model), [Path(path) for path in given])
    classifier = load(model) if isinstance(model, str | Path) else model
    n_classes = len(classifier.classes_)
    if top_k > n_classes:
        raise as_usage(
            OutputError(f"`top_k={top_k}`: the model has {n_classes} classes; expected a number from 1 to {n_classes}")
        )
    read = [path for path in (*given, model, weights) if isinstance(path, str | Path)]
    target = None if output is None else OutputFile(output, WRITERS, overwrite, inputs=read, keeps=not no_cache)
    if reject_rate is not None:
        classifier.check_reject_rate(reject_rate)
    sheet = None if gallery is None else Gallery(Path(gallery), given, overwrite)
    sorter = None
    if sort_into is not None:
        sorter = Sorter(Path(sort_into), classifier.classes_, given, link, overwrite)
    with ExitStack() as stack:
        if no_cache:
            stack.enter_context(_explain_errors_of_temporary_cache())
            runtime = replace(runtime, cache=stack.enter_context(temporary_folder()))
        table = classifier.features_of(
            given, weights=weights, exact=exact, strict=strict, path_column=path_column, runtime=runtime
        )
        classifier.check(table)
        if sheet is not None:
            sheet.refuse_inputs(Path(sample.sample_id) for sample in table.samples)
        if sorter is not None:
            sorter.begin(sample.sample_id for sample in table.samples)
        columns = _columns(classifier.classes_, top_k)
        rows: list[Values] = []
        n_images = len(table) + len(table.extraction.skipped)
        with runtime.stage("predicting" if sorter is None else "sorting the images into folders") as advance:
            chunks = _chunks(classifier, table, top_k, reject_rate)
            counter = _RowCounter(chunks, sorter, sheet, n_images, advance)
            if target is None:
                rows = [row.values for chunk in counter for row in chunk]
            else:
                _write(target, columns, counter)
        n_in_gallery = 0 if sheet is None else sheet.write(name, classifier.classes_, classifier.spec, runtime)
    return PredictionSummary(
        model=name,
        columns=columns,
        n_images=n_images,
        n_predicted=len(table) - counter.n_rejected,
        n_rejected=counter.n_rejected,
        n_skipped=len(table.extraction.skipped),
        n_seen=counter.n_seen,
        n_ignored=table.extraction.n_ignored,
        precision=table.spec.precision,
        output=None if target is None else target.path,
        gallery=None if gallery is None else Path(gallery),
        n_in_gallery=n_in_gallery,
        rows=tuple(rows),
        seconds=time.monotonic() - started,
        own_folders=table.extraction.own_folders,
        fault=why_none_usable(table, "given"),
        reject_rate=reject_rate,
    )


@contextmanager
def _explain_errors_of_temporary_cache() -> Iterator[None]:
    """Add the location of the temporary cache, and a remedy, to errors of this cache."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FeatxError) and not isinstance(error, StoreError):
            raise
        raise OutputError(
            "`no_cache=True`: features cannot be written to the folder for temporary files: "
            f"{reason_of(error).partition('. ')[0]}; make room there, set TMPDIR to another folder, or leave out "
            "`no_cache=True`"
        ) from None


def _stop_if_swapped(model: Path, given: Sequence[Path]) -> None:
    models = [path for path in given if path.suffix.lower() == ".featx"]
    if models and model.suffix.lower() != ".featx":
        raise ClassifierError(
            f"{model} is not a model file, but {models[0]} is; give the model first: featx predict {models[0]} {model}"
        )


def _columns(classes: Sequence[str], top_k: int) -> tuple[str, ...]:
    further = [column for k in range(2, top_k + 1) for column in (f"label_{k}", f"confidence_{k}")]
    return (*_COLUMNS, *(f"p_{name}" for name in classes), *further)


def _write(target: OutputFile, columns: Sequence[str], chunks: Iterator[list[Row]]) -> None:
    def write(temporary: Path) -> None:
        writer = open_table(temporary, target.suffix, columns)
        try:
            for rows in chunks:
                writer.write([row.values for row in rows])
        finally:
            writer.close()

    target.write(write)


class _RowCounter(Iterator[list[Row]]):
    """Iterate over chunks of rows; count the rows, sort the images into folders and add the images to the gallery."""

    def __init__(
        self,
        chunks: Iterator[list[Row]],
        sorter: Sorter | None,
        sheet: Gallery | None,
        n_images: int,
        advance: Callable[[int, int], None],
    ) -> None:
        self._chunks = chunks
        self._n_images = n_images
        self._advance = advance
        self._n_done = 0
        self._sorter = sorter
        self._sheet = sheet
        self.n_seen = 0
        self.n_rejected = 0

    def __next__(self) -> list[Row]:
        rows = next(self._chunks)
        if self._sheet is not None:
            self._sheet.add([Tile(*row[:-1]) for row in rows])
        for row in rows:
            self.n_seen += bool(row.seen)
            self.n_rejected += row.status == "rejected"
            if self._sorter is not None and row.status == "ok":
                self._sorter.place(Path(row.path), row.label)
                self._advance(self._n_done, self._n_images)
            self._n_done += 1
        self._advance(
            self._n_done - 1, self._n_images
        )  # the caller writes these rows before it requests the next chunk
        return rows


def _chunks(classifier: Classifier, table: FeatureTable, top_k: int, reject_rate: float | None) -> Iterator[list[Row]]:
    """Yield the rows of a table in chunks, including skipped images, in the order of the inputs."""
    empty = (None,) * (len(classifier.classes_) + 2 * (top_k - 1))
    skipped = [
        (image.position, Row(image.path, "", None, "skipped", None, image.reason, empty))
        for image in table.extraction.skipped
    ]
    skipped.reverse()
    position = 0
    for start, X in table.chunks():
        rows: list[Row] = []
        for row in _rows(classifier, table, start, X, top_k, reject_rate):
            while skipped and skipped[-1][0] == position:
                rows.append(skipped.pop()[1])
                position += 1
            rows.append(row)
            position += 1
        yield rows
    if skipped:
        yield [row for _, row in reversed(skipped)]


def _rows(
    classifier: Classifier, table: FeatureTable, start: int, X: Any, top_k: int, reject_rate: float | None
) -> Iterator[Row]:
    probabilities = classifier.probabilities(X)
    order = classifier.targets.ranked(probabilities, top_k)
    seen = classifier.seen(table.content_hashes[start : start + len(X)]).tolist()
    rejected = [False] * len(X)
    if reject_rate is not None:
        rejected = classifier.rejected(X, probabilities, reject_rate).tolist()
    samples = table.samples[start : start + len(X)]
    columns = zip(samples, probabilities.tolist(), order.tolist(), seen, rejected, strict=True)
    for sample, p, best, known, out in columns:
        further = [value for k in best[1:] for value in (classifier.classes_[k], p[k])]
        status: Status = "rejected" if out else "ok"
        label = "" if out else classifier.classes_[best[0]]
        reason = (
            f"not similar to the training images; the most probable class is {classifier.classes_[best[0]]}"
            if out
            else ""
        )
        yield Row(sample.sample_id, label, p[best[0]], status, known, reason, (*p, *further))
