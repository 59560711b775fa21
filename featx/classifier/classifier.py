"""The classifier that predicts from features: a fitted head with its feature spec and class names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.agreement import MIN_COSINE, MIN_MEAN_COSINE, cosines
from featx.arguments import checked
from featx.blocks import FeatureBlocks, Features, places_in_store
from featx.classifier.archive import Archive
from featx.classifier.checking import (
    check_arrays,
    check_classes,
    check_content_hashes,
    check_dense_head,
    check_model_graph,
    check_out_of_fold,
    check_probes,
    check_rejector,
    check_sample_ids,
    check_strings_by_name,
    check_temperature,
    check_texts,
)
from featx.classifier.dense import DenseHead, softmax
from featx.classifier.estimators import check_estimator, check_estimator_file, dump_estimator, load_estimator
from featx.classifier.novelty import Rejector, read_rejector, rejector_arrays
from featx.classifier.records import OutOfFold, Predictions
from featx.errors import ClassifierError, FeatxError
from featx.evaluation import CrossValidation, Evaluation, FinetuneEvaluation, ModelEvaluation, read_evaluation
from featx.evaluation.records.fields import Fields
from featx.images import probe_files
from featx.output import MODEL_SUFFIXES, OutputFile
from featx.spec import FeatureSpec
from featx.table import CHUNK, FeatureTable
from featx.targets import SingleLabel

_MOST_MATRICES = 1000
_MOST_DENSE_BYTES = 16_000_000
"""Maximum size, in bytes, of the matrices that a model file stores in addition to the estimator. A model with matrices
predicts without scikit-learn."""


@dataclass(frozen=True)
class FeatureClassifier:
    """A fitted head with its feature spec and class names, which predicts from features.

    Parameters
    ----------
    spec : FeatureSpec
        Feature spec of the features from which the classifier predicts.
    title : str
        Backbone and weights, as shown to users.
    classes_ : tuple of str
        Class names, in the order of the scores.
    evaluation : Evaluation or FinetuneEvaluation
    temperature : float
        Divisor of the scores before the softmax.
    estimator : callable
        Function without arguments that returns the fitted estimator.
    dense_head : DenseHead or None
        The estimator as matrices; None if the head is neither linear nor an MLP, or if a model file does not store
        them.
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 hashes of the bytes of the training images, sorted.
    out_of_fold : OutOfFold or None
        Out-of-fold scores, or scores of a held-out part; None if there are neither.
    rejector : Rejector or None
        Rejects images that belong to none of the classes; None if there were no images outside the training part from
        which a limit could be computed.
    probe_files : mapping of str to bytes
        Probe images by name, used to check that a machine reproduces the features.
    probes : ndarray of shape (n_probes, n_features), float32
        Features of the probe images.
    versions : mapping of str to str
        Versions of the libraries with which the classifier was made.
    graph : ndarray of shape (n_bytes,), uint8, or None
        Graph that the feature spec names: an int8 graph, which other machines cannot reproduce, or a bundled backbone;
        None if the feature spec names no graph.
    file : str, optional
        Path of the file from which the classifier was loaded.
    """

    spec: FeatureSpec
    title: str
    classes_: tuple[str, ...]
    evaluation: Evaluation | FinetuneEvaluation
    temperature: float
    estimator: Callable[[], Any] = field(repr=False)
    dense_head: DenseHead | None = field(repr=False)
    content_hashes: NDArray[np.uint8] = field(repr=False)
    out_of_fold: OutOfFold | None = field(repr=False)
    rejector: Rejector | None = field(repr=False)
    probe_files: Mapping[str, bytes] = field(repr=False)
    probes: NDArray[np.float32] = field(repr=False)
    versions: Mapping[str, str] = field(repr=False)
    graph: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    file: str | None = field(default=None, compare=False)

    @property
    def targets(self) -> SingleLabel:
        """Targets that the classifier predicts."""
        return SingleLabel(self.classes_)

    def __repr__(self) -> str:
        return f"Classifier({self.title}, {self.evaluation.head}, {len(self.classes_):,} classes: {self.evaluation})"

    def scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the score of each class, shape (n_samples, n_classes); the class with the largest score is predicted.

        Raises
        ------
        ClassifierError
            If a score is not finite, because the features or the head are damaged.
        """
        if self.dense_head is not None:
            scores = self.dense_head.scores(X)
        else:
            from featx.heads import scores_of

            scores = scores_of(self.estimator(), X, len(self.classes_))
        if not np.isfinite(scores).all():
            raise ClassifierError("the scores are not finite: the model or the features are damaged")
        return scores

    def probabilities(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n_samples, n_classes).

        Raises
        ------
        ClassifierError
            If a probability is not finite, because the features or the head are damaged.
        """
        probabilities = softmax(self.scores(X) / self.temperature)
        if not np.isfinite(probabilities).all():
            raise ClassifierError("the probabilities are not finite: the model or the features are damaged")
        return probabilities

    def out_of_fold_probabilities(self) -> NDArray[np.float64] | None:
        """Return the calibrated out-of-fold probabilities of the training images.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64, or None
            Probabilities; None without out-of-fold scores.
        """
        return None if self.out_of_fold is None else softmax(self.out_of_fold.scores / self.temperature)

    def rejected(self, X: Features, probabilities: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
        """Return whether each image is rejected, shape (n_samples,); see :meth:`Rejector.rejected`.

        Raises
        ------
        ClassifierError
            If the model cannot reject images, or the rate is too small for the number of training images.
        """
        return self.check_reject_rate(rate).rejected(X, probabilities, rate)

    def check_reject_rate(self, rate: float) -> Rejector:
        """Check that the model can reject images at a rate, and return the rejector.

        Raises
        ------
        ClassifierError
            If the model cannot reject images, or the rate is too small for the number of training images.
        """
        if self.rejector is None:
            raise ClassifierError(
                f"this model cannot reject images, because no cross-validation set a limit: {self.evaluation.cv_reason}"
            )
        self.rejector.limit(rate)
        return self.rejector

    def seen(self, content_hashes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return whether each content hash, shape (n, 32), is the hash of a training image; shape (n,)."""
        known = np.ascontiguousarray(self.content_hashes).view("V32").ravel()
        given = np.ascontiguousarray(content_hashes).view("V32").ravel()
        return np.isin(given, known)

    def predict_features(self, table: FeatureTable, *, reject_rate: float | None = None) -> Predictions:
        """Predict the classes of all rows of a feature table.

        The features of more than 4,096 images are read in blocks; the predictions are in memory.

        Parameters
        ----------
        table : FeatureTable
        reject_rate : float, optional
            Fraction of images of the known classes that may be rejected by mistake. Images that differ too much from
            the training images are marked as rejected, and their label is empty.

        Raises
        ------
        ClassifierError
            If the features have another feature spec, this machine does not reproduce the features of the model, or the
            model cannot reject images.
        """
        if reject_rate is not None:
            self.check_reject_rate(reject_rate)
        self.check(table)
        X = _features_of(table)
        probabilities = X.apply(self.probabilities) if isinstance(X, FeatureBlocks) else self.probabilities(X)
        predicted = self.targets.predicted(probabilities)
        names = self.targets.decode(predicted)
        rejected = np.zeros(len(X), np.bool_)
        if reject_rate is not None:
            rejected = self.rejected(X, probabilities, reject_rate)
        return Predictions(
            classes=self.classes_,
            paths=tuple(sample.sample_id for sample in table.samples),
            labels=tuple("" if out else name for name, out in zip(names, rejected, strict=True)),
            confidence=self.targets.confidence(probabilities, predicted),
            probabilities=probabilities,
            seen=self.seen(table.content_hashes),
            rejected=rejected,
            skipped=table.extraction.skipped,
        )

    def check(self, table: FeatureTable) -> None:
        """Check that features have the feature spec of the model, and that this machine reproduces its features.

        Raises
        ------
        ClassifierError
            If the feature specs differ, or the features are not reproduced; the message states the difference.
        """
        mine, others = self.spec.unbundled, table.spec.unbundled
        risen = mine != others and replace(others, precision=mine.precision) == mine and others.precision == "float32"
        if mine != others and not risen:
            raise ClassifierError(
                f"the feature spec of the images is {others.to_json()}; the model expects {mine.to_json()}"
            )
        if not len(table):
            return
        shared = [i for i, item in enumerate(self.probe_files.items()) if item in probe_files().items()]
        if not shared or table.probes.shape != self.probes.shape:
            raise ClassifierError(
                "the model was made by a version of featx with other probe images; fit the model again"
            )
        ours, theirs = table.probes[shared], self.probes[shared]
        agreement = cosines(ours, theirs)
        if risen:
            same_labels = self.targets.hits(*(self.targets.predicted(self.scores(X)) for X in (ours, theirs))).all()
            if float(agreement.mean()) >= MIN_MEAN_COSINE and same_labels:
                return
        elif float(agreement.min()) >= MIN_COSINE:
            return
        raise ClassifierError(
            f"this machine does not reproduce the model's features: the cosine similarity of the probe images is "
            f"{agreement.min():.4f} ({agreement.mean():.4f} on average); expected {MIN_COSINE}, or for float32 instead "
            f"of {self.spec.precision}, {MIN_MEAN_COSINE} on average and the same labels. The model was made with "
            f"{dict(self.versions)}"
        )

    @checked()
    def save(self, path: str | Path | OutputFile, overwrite: bool = False) -> None:
        """Save the classifier to one file without a pickle; docs/format.md describes the format.

        Parameters
        ----------
        path : path
            File name that ends in ``.featx``, or an :class:`OutputFile` that was checked before.
        overwrite : bool
            Whether to replace an existing model file. Files that featx did not write are never replaced.

        Raises
        ------
        ClassifierError
            If skops cannot write the estimator, or the loaded estimator differs from the saved one.
        OutputError
            If the file exists and may not be replaced, or cannot be written.
        """
        output = path if isinstance(path, OutputFile) else OutputFile(path, MODEL_SUFFIXES, overwrite, "path")
        tried = np.concatenate([np.zeros_like(self.probes[:1]), self.probes])
        n_classes = len(self.classes_)
        head = dump_estimator(self.estimator(), lambda one, **how: check_estimator(one, tried, n_classes, **how))
        check_model_graph(self.graph, self.spec, self.probes.shape[1])
        archive = Archive(self._header(), self._arrays(), self.probe_files, head)
        output.write(archive.write)

    @classmethod
    def load(cls, path: str | Path, *, trusted: Collection[str] = ()) -> Self:
        """Load a classifier from a file; only the code of trusted types is run.

        Parameters
        ----------
        path : path
        trusted : collection of str
            See :func:`featx.load`.

        Raises
        ------
        ClassifierError
            If the file is not a model file, is damaged, was written by a later featx, or has a head of types that
            are not trusted.
        """
        file = Path(path)
        archive = Archive.read(file)
        try:
            return replace(cls._from_archive(archive, trusted), file=str(path))
        except FeatxError as error:
            raise ClassifierError(f"{file}: {error}") from None
        except KeyError as error:
            raise ClassifierError(f"{file} is damaged: {error} is missing") from None
        except (AttributeError, MemoryError, OverflowError, RecursionError, TypeError, ValueError) as error:
            raise ClassifierError(f"{file} is damaged: {error!r}") from None

    @property
    def _saved_dense_head(self) -> DenseHead | None:
        """Matrices to save; None if they are large, because the estimator in the file contains the same weights."""
        n_bytes = 0 if self.dense_head is None else sum(weight.nbytes for weight in self.dense_head.weights)
        return None if n_bytes > _MOST_DENSE_BYTES else self.dense_head

    def _header(self) -> dict[str, Any]:
        return {
            "spec": self.spec.to_json(),
            "title": self.title,
            "classes": list(self.classes_),
            "evaluation": self.evaluation.to_dict(),
            "temperature": self.temperature,
            "n_dense": 0 if self._saved_dense_head is None else len(self._saved_dense_head.weights),
            "pairwise": self._saved_dense_head is not None and self._saved_dense_head.pairwise,
            "sample_ids": None if self.out_of_fold is None else list(self.out_of_fold.sample_ids),
            "probes": list(self.probe_files),
            "versions": dict(self.versions),
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {"content_hashes": self.content_hashes, "probes": self.probes}
        if self.graph is not None:
            arrays["graph"] = self.graph
        if self._saved_dense_head is not None:
            matrices = zip(self._saved_dense_head.weights, self._saved_dense_head.biases, strict=True)
            for i, (weight, bias) in enumerate(matrices):
                arrays[f"weight{i}"], arrays[f"bias{i}"] = weight, bias
        if self.out_of_fold is not None:
            arrays["oof_y"] = self.out_of_fold.y
            arrays["oof_scores"] = self.out_of_fold.scores
            arrays["oof_fold"] = self.out_of_fold.fold
            arrays["oof_predicted"] = self.out_of_fold.predicted
            if self.out_of_fold.content_hashes is not None:
                arrays["oof_content_hashes"] = self.out_of_fold.content_hashes
        if self.rejector is not None:
            arrays |= rejector_arrays(self.rejector)
        return arrays

    @classmethod
    def _from_archive(cls, archive: Archive, trusted: Collection[str]) -> Self:
        header, arrays = archive.header, archive.arrays
        check_texts(header)
        check_arrays(arrays)
        probes = arrays["probes"]
        classes = check_classes(header["classes"])
        evaluation = read_evaluation(header["evaluation"])
        if evaluation.classes != classes:
            raise ClassifierError("the classes of the evaluation differ from the classes of the model")
        temperature = check_temperature(header["temperature"])
        check_content_hashes(arrays["content_hashes"], evaluation.n_images)
        spec = FeatureSpec.from_json(header["spec"])
        check_model_graph(arrays.get("graph"), spec, probes.shape[1])
        if not trusted:
            check_estimator_file(archive.estimator)
        made = cls(
            spec=spec,
            title=Fields(header, "the model").text("title"),
            classes_=classes,
            evaluation=evaluation,
            temperature=temperature,
            estimator=cache(lambda: _checked_estimator(archive.estimator, probes, len(classes), trusted)),
            dense_head=_read_dense_head(header, arrays, len(classes)),
            content_hashes=arrays["content_hashes"],
            out_of_fold=_read_out_of_fold(header, arrays, temperature, evaluation),
            rejector=read_rejector(arrays, len(classes)) if "novelties" in arrays else None,
            probe_files=check_probes(header["probes"], archive.files, probes),
            probes=probes,
            versions=check_strings_by_name(header["versions"], "versions"),
            graph=arrays.get("graph"),
        )
        if made.rejector is not None:
            check_rejector(made.rejector)
        if made.dense_head is None:
            made.estimator()  # checks the estimator, which predicts in this case; matrices are already checked
        return made


def _features_of(table: FeatureTable) -> Features:
    """Return the features of a table: an array, or for many images blocks that are read when they are needed."""
    if len(table) <= CHUNK:
        return table.X
    places = places_in_store(table.content_hashes)
    return FeatureBlocks([table.opened(0)], places, table.extraction.n_features, np.arange(len(table)))


def _read_dense_head(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], n_classes: int) -> DenseHead | None:
    fields = Fields(header, "the model")
    n = fields.count("n_dense", 0, _MOST_MATRICES)
    if not n:
        return None
    weights, biases = ([arrays[f"{kind}{i}"] for i in range(n)] for kind in ("weight", "bias"))
    dense_head = DenseHead(weights, biases, fields.flag("pairwise"))
    check_dense_head(dense_head, arrays["probes"].shape[1], n_classes)
    return dense_head


def _read_out_of_fold(
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    temperature: float,
    evaluation: ModelEvaluation,
) -> OutOfFold | None:
    if header["sample_ids"] is None:
        if isinstance(evaluation.judged, CrossValidation):
            raise ClassifierError("the model has a cross-validation but no out-of-fold scores")
        return None
    y, scores, fold, predicted = (arrays[f"oof_{name}"] for name in ("y", "scores", "fold", "predicted"))
    sample_ids = check_sample_ids(header["sample_ids"])
    known = OutOfFold(sample_ids, y, scores, fold, predicted, arrays.get("oof_content_hashes"))
    check_out_of_fold(known, temperature, evaluation)
    return known


def _checked_estimator(content: bytes, probes: NDArray[np.float32], n_classes: int, trusted: Collection[str]) -> Any:
    estimator = load_estimator(content, trusted)
    tried = np.concatenate([np.zeros_like(probes[:1]), probes])
    check_estimator(estimator, tried, n_classes, is_trusted=bool(trusted))
    return estimator
