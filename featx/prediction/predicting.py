"""Predict the classes of images with a fitted classifier, and write the predictions to a table in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from featx.arguments import checked
from featx.errors import ClassifierError, FeatxError, OptionError, OutputError, StoreError, as_usage
from featx.files import temporary_folder
from featx.galleries import Gallery
from featx.model import Classifier
from featx.options import PredictOptions, check_ranges
from featx.output import OutputFile, reason_of
from featx.prediction.job import Job
from featx.prediction.parts import PartsFolder, is_folder_of_parts
from featx.prediction.record import TableRecord
from featx.prediction.rows import RowMaker
from featx.prediction.sorting import Sorter
from featx.prediction.table_file import TableFile
from featx.prediction.writing import WRITERS, Values
from featx.runtime import Runtime
from featx.source import Place, is_local, place_of
from featx.table import OwnFolder


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
        Number of predicted, rejected and skipped images together, whether their rows are new or kept.
    n_new : int
        Number of images whose rows this run made.
    n_kept : int
        Number of images whose rows were kept: those of a stopped run that this run continued or, with ``only_new``,
        those that the table had already.
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
    n_parts : int or None
        Number of files of a folder of Parquet parts; None for other outputs.
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
    n_new: int
    n_kept: int
    n_predicted: int
    n_rejected: int
    n_skipped: int
    n_seen: int
    n_ignored: int
    precision: str
    output: Path | None
    n_parts: int | None
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
            "n_new": self.n_new,
            "n_kept": self.n_kept,
            "n_predicted": self.n_predicted,
            "n_rejected": self.n_rejected,
            "reject_rate": self.reject_rate,
            "n_skipped": self.n_skipped,
            "n_seen": self.n_seen,
            "n_ignored": self.n_ignored,
            "own_folders": [folder.to_dict() for folder in self.own_folders],
            "precision": self.precision,
            "output": None if self.output is None else str(self.output),
            "n_parts": self.n_parts,
            "gallery": None if self.gallery is None else str(self.gallery),
            "n_in_gallery": self.n_in_gallery,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.n_new / self.seconds, 1) if self.seconds > 0 else None,
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
    paths: Sequence[str | Path] | str | Path = (),
    output: str | Path | None = None,
    *,
    files_from: str | Path | None = None,
    only_new: bool = False,
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
        Images, folders and archives of images, and lists of images (``.csv``, ``.txt`` or ``.parquet`` files with a
        column of paths). All may lie in object storage.
    output : path, optional
        Table to write: ``.csv``, ``.jsonl``, ``.ndjson`` or ``.parquet``; or, without such an ending, a folder of
        Parquet files, which is complete only when it contains the file ``_SUCCESS``, and which a stopped run continues.
        If not given, the rows are returned.
    files_from : path, optional
        List of further images, one path a line, or ``-`` for the standard input. The paths are relative to the folder
        of the list, or to the working folder.
    only_new : bool
        Predict only images that the table lacks, and append their rows; a row is replaced if the content of its file
        has changed. The table must have been started with ``only_new``, or be a folder of Parquet files.
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
    _check_combination(output, only_new, sort_into, gallery, link)
    runtime = runtime or Runtime()
    started = time.monotonic()
    name = str(model) if isinstance(model, str | Path) else model.title
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given and files_from is None:
        raise as_usage(OptionError("no images are given; give paths, or a list of paths with `files_from`"))
    if link:
        _check_links(given)
    if isinstance(model, str | Path):
        _stop_if_swapped(Path(model), [place_of(path) for path in given])
    classifier = load(model) if isinstance(model, str | Path) else model
    _check_options(classifier, top_k, reject_rate)
    read = [path for path in (*given, model, weights, files_from) if isinstance(path, str | Path)]
    maker = RowMaker(classifier, top_k, reject_rate, has_hashes=only_new or is_folder_of_parts(output))
    with ExitStack() as stack:
        target = _opened(stack, output, read, runtime, only_new=only_new, overwrite=overwrite, keeps=not no_cache)
        sheet = None if gallery is None else Gallery(Path(gallery), given, overwrite)
        sorter = None
        if sort_into is not None:
            sorter = Sorter(Path(sort_into), classifier.classes_, given, link, overwrite)
        if no_cache:
            stack.enter_context(_explain_errors_of_temporary_cache())
            runtime = replace(runtime, cache=stack.enter_context(temporary_folder()))
        featurizer = classifier.featurizer(weights=weights, exact=exact, runtime=runtime)
        inputs = [str(path) for path in (*given, files_from) if path is not None]
        record = TableRecord.of(classifier, name, featurizer.spec, maker.columns, (top_k, reject_rate), inputs)
        job = Job(classifier, featurizer, maker, record, strict=strict, discards=no_cache)
        has_rows = only_new and isinstance(target, PartsFolder | TableFile) and target.is_complete
        blocks = featurizer.blocks(given, files_from, path_column, may_be_empty=has_rows and not overwrite)
        rows: list[Values] = []
        if isinstance(target, PartsFolder):
            job.write_parts(blocks, target, only_new=only_new, overwrite=overwrite)
        elif isinstance(target, TableFile):
            job.extend_file(blocks, target)
        else:
            rows = job.write_rows(blocks, target, sheet, sorter)
        tally = job.tally
        n_in_gallery = 0 if sheet is None else sheet.write(name, classifier.classes_, classifier.spec, runtime)
        return PredictionSummary(
            model=name,
            columns=maker.columns,
            n_images=tally.counts.n_images,
            n_new=tally.counts.n_images - tally.n_kept,
            n_kept=tally.n_kept,
            n_predicted=tally.counts.n_predicted,
            n_rejected=tally.counts.n_rejected,
            n_skipped=tally.counts.n_skipped,
            n_seen=tally.counts.n_seen,
            n_ignored=tally.n_ignored,
            precision=featurizer.spec.precision,
            output=None if target is None else target.path,
            n_parts=len(target.numbers) if isinstance(target, PartsFolder) else None,
            gallery=None if gallery is None else Path(gallery),
            n_in_gallery=n_in_gallery,
            rows=tuple(rows),
            seconds=time.monotonic() - started,
            own_folders=tuple(tally.own_folders),
            fault=tally.fault,
            reject_rate=reject_rate,
        )


def _check_options(classifier: Classifier, top_k: int, reject_rate: float | None) -> None:
    n_classes = len(classifier.classes_)
    if top_k > n_classes:
        raise as_usage(
            OutputError(f"`top_k={top_k}`: the model has {n_classes} classes; expected a number from 1 to {n_classes}")
        )
    if reject_rate is not None:
        classifier.check_reject_rate(reject_rate)


def _opened(
    stack: ExitStack,
    output: str | Path | None,
    read: Sequence[str | Path],
    runtime: Runtime,
    *,
    only_new: bool,
    overwrite: bool,
    keeps: bool,
) -> OutputFile | PartsFolder | TableFile | None:
    """Check the table, and lock it if later runs may extend it."""
    if output is None:
        return None
    if is_folder_of_parts(output):
        folder = PartsFolder(Path(output))
        stack.enter_context(folder.locked(runtime.notice))
        return folder
    if only_new:
        return stack.enter_context(TableFile.opened(Path(output), overwrite, read, keeps, runtime.notice))
    return OutputFile(output, WRITERS, overwrite, inputs=read, keeps=keeps)


def _check_links(given: Sequence[str | Path]) -> None:
    """Check that no input is an address or an archive, whose images cannot be linked."""
    for path in given:
        if not is_local(path):
            raise as_usage(OutputError(f"`link`: {place_of(path)} is no local folder or image; leave out `link`"))


def _check_combination(
    output: str | Path | None,
    only_new: bool,
    sort_into: str | Path | None,
    gallery: str | Path | None,
    link: bool,
) -> None:
    """Check that the outputs can be combined."""
    if link and sort_into is None:
        raise as_usage(OutputError("`link` requires `sort_into`; add `sort_into=FOLDER`, or leave out `link`"))
    if only_new and output is None:
        raise as_usage(OutputError("`only_new` requires `output`, the table that is extended; add `output=FILE`"))
    further = "sort_into" if sort_into is not None else "gallery" if gallery is not None else ""
    for parameter, given in (("output", output), ("sort_into", sort_into), ("gallery", gallery)):
        if given is not None and not isinstance(place_of(given), Path):
            raise as_usage(
                OutputError(
                    f"`{parameter}={place_of(given)}` is an address, but outputs are written to local folders; give "
                    "a path, and copy the output afterwards"
                )
            )
    if further and (only_new or is_folder_of_parts(output)):
        why = "`only_new`" if only_new else f"a folder of Parquet files (`output={output}`)"
        raise as_usage(
            OutputError(
                f"`{further}` cannot be combined with {why}, because rows that are kept would be missing in it; leave "
                f"out `{further}`, or write it in a run of its own"
            )
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


def _stop_if_swapped(model: Path, given: Sequence[Place]) -> None:
    models = [path for path in given if path.suffix.lower() == ".featx"]
    if models and model.suffix.lower() != ".featx":
        raise ClassifierError(
            f"{model} is not a model file, but {models[0]} is; give the model first: featx predict {models[0]} {model}"
        )
