"""A fitted head with its feature recipe and class names: what is saved and what predicts."""

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
from featx.classifier.archive import Archive
from featx.classifier.checking import (
    check_arrays,
    check_classes,
    check_contents,
    check_dense_head,
    check_model_graph,
    check_out_of_fold,
    check_probes,
    check_rejector,
    check_sample_ids,
    check_temperature,
    check_texts,
    check_versions,
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
from featx.table import FeatureTable
from featx.targets import SingleLabel

_MOST_MATRICES = 1000
_MOST_FOLDED_BYTES = 16_000_000
"""Of the matrices that predict without scikit-learn, and are in a file besides the estimator."""


@dataclass(frozen=True)
class FeatureClassifier:
    """A fitted head with its feature spec and class names, which predicts from features.

    Parameters
    ----------
    spec : FeatureSpec
        The recipe of its features.
    title : str
        The backbone and its weights, for people.
    classes_ : tuple of str
        Class names, in the order of its scores.
    evaluation : Evaluation or FinetuneEvaluation
    temperature : float
        Scores are divided by it before the softmax.
    estimator : callable
        Returns the fitted estimator.
    folded : DenseHead or None
        The same as matrices, where it can be.
    content_hashes : ndarray of shape (n, 32), uint8
        Contents it was fitted on, sorted.
    out_of_fold : OutOfFold or None
        None where there was no cross-validation.
    rejector : Rejector or None
        What can say "none of these"; None where there was no cross-validation.
    probe_files : mapping of str to bytes
        Images to check that features are reproduced.
    probes : ndarray of shape (n_probes, n_features), float32
        Their features.
    versions : mapping of str to str
        Libraries it was made with.
    graph : ndarray of shape (n_bytes,), uint8, or None
        The graph that its recipe names: of int8, which no other machine could make, or one taken along.
    file : str, optional
        The file that it was loaded from.
    """

    spec: FeatureSpec
    title: str
    classes_: tuple[str, ...]
    evaluation: Evaluation | FinetuneEvaluation
    temperature: float
    estimator: Callable[[], Any] = field(repr=False)
    folded: DenseHead | None = field(repr=False)
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
        """What it predicts."""
        return SingleLabel(self.classes_)

    def __repr__(self) -> str:
        return f"Classifier({self.title}, {self.evaluation.head}, {len(self.classes_):,} classes: {self.evaluation})"

    def scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return a score for each class, shape (n_samples, n_classes); the largest one is the prediction.

        Raises
        ------
        ClassifierError
            Features or head are damaged: they give no numbers.
        """
        if self.folded is not None:
            scores = self.folded.scores(X)
        else:
            from featx.heads import scores_of

            scores = scores_of(self.estimator(), X, len(self.classes_))
        if not np.isfinite(scores).all():
            raise ClassifierError("the scores are no finite numbers: the model or the features are damaged")
        return scores

    def probabilities(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n_samples, n_classes)."""
        probabilities = softmax(self.scores(X) / self.temperature)
        if not np.isfinite(probabilities).all():
            raise ClassifierError("the probabilities are no finite numbers: the model or the features are damaged")
        return probabilities

    def out_of_fold_probabilities(self) -> NDArray[np.float64] | None:
        """Return calibrated probabilities of the training images by heads that had not seen them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64, or None
            None where there was no cross-validation.
        """
        return None if self.out_of_fold is None else softmax(self.out_of_fold.scores / self.temperature)

    def rejected(self, X: NDArray[np.float32], probabilities: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
        """Tell which images are none of the classes; see :meth:`Rejector.rejected`.

        Raises
        ------
        ClassifierError
            There was no cross-validation to set a limit by, or the rate is no possible one.
        """
        return self.check_reject_rate(rate).rejected(X, probabilities, rate)

    def check_reject_rate(self, rate: float) -> Rejector:
        """Return the rejector; see :meth:`rejected` for what is raised."""
        if self.rejector is None:
            raise ClassifierError(
                f"this model cannot reject: {self.evaluation.cv_reason}, so nothing says how novel genuine images are"
            )
        self.rejector.limit(rate)
        return self.rejector

    def seen(self, content_hashes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell for each content, shape (n, 32), whether the classifier was fitted on it; shape (n,)."""
        known = np.ascontiguousarray(self.content_hashes).view("V32").ravel()
        asked = np.ascontiguousarray(content_hashes).view("V32").ravel()
        return np.isin(asked, known)

    def predict_features(self, table: FeatureTable, *, reject_rate: float | None = None) -> Predictions:
        """Predict from features, all in memory.

        Parameters
        ----------
        table : FeatureTable
        reject_rate : float, optional
            Mark images as rejected that are less like the training images than all but this share of these; their
            label is empty.

        Raises
        ------
        ClassifierError
            The features are of another spec, or are not reproduced here; or this model cannot reject.
        """
        if reject_rate is not None:
            self.check_reject_rate(reject_rate)
        self.check(table)
        X = table.X
        probabilities = self.probabilities(X)
        answers = self.targets.answers(probabilities)
        names = self.targets.decode(answers)
        rejected = np.zeros(len(X), np.bool_)
        if reject_rate is not None:
            rejected = self.rejected(X, probabilities, reject_rate)
        return Predictions(
            classes=self.classes_,
            paths=tuple(sample.sample_id for sample in table.samples),
            labels=tuple("" if out else name for name, out in zip(names, rejected, strict=True)),
            confidence=self.targets.confidence(probabilities, answers),
            probabilities=probabilities,
            seen=self.seen(table.content_hashes),
            rejected=rejected,
            skipped=table.extraction.skipped,
        )

    def check(self, table: FeatureTable) -> None:
        """Make sure that features are of the classifier's recipe, and that this machine reproduces it.

        Raises
        ------
        ClassifierError
            They are not; the message says what differs.
        """
        mine, others = self.spec.unbundled, table.spec.unbundled
        risen = mine != others and replace(others, precision=mine.precision) == mine and others.precision == "float32"
        if mine != others and not risen:
            raise ClassifierError(
                f"the features have another recipe than the model: {others.to_json()}, needed {mine.to_json()}"
            )
        if not len(table):
            return
        shared = [i for i, item in enumerate(self.probe_files.items()) if item in probe_files().items()]
        if not shared or table.probes.shape != self.probes.shape:
            raise ClassifierError("the model was made by a featx with other probe images; fit it again with this one")
        ours, theirs = table.probes[shared], self.probes[shared]
        agreement = cosines(ours, theirs)
        if risen:
            same_labels = self.targets.hits(*(self.targets.answers(self.scores(X)) for X in (ours, theirs))).all()
            if float(agreement.mean()) >= MIN_MEAN_COSINE and same_labels:
                return
        elif float(agreement.min()) >= MIN_COSINE:
            return
        raise ClassifierError(
            f"this machine does not reproduce the model's features: its probe images agree only to cosine "
            f"{agreement.min():.4f} ({agreement.mean():.4f} on average), needed {MIN_COSINE}, or in float32 instead of "
            f"{self.spec.precision} {MIN_MEAN_COSINE} on average and the same labels. The model was made with "
            f"{dict(self.versions)}"
        )

    @checked()
    def save(self, path: str | Path | OutputFile, overwrite: bool = False) -> None:
        """Write the classifier to one file (docs/format.md); no pickle is in it.

        Parameters
        ----------
        path : path
            It ends in ``.featx``. An :class:`OutputFile` was looked at before, and knows what it may replace.
        overwrite : bool
            Replace a model file that is there; no other file is ever replaced.

        Raises
        ------
        ClassifierError
            The estimator is of a kind that skops does not write, or that does not come back as it was.
        OutputError
            A file is there that may not be replaced, or it cannot be written.
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
        """Read a classifier; nothing in the file is run, but for types that are trusted.

        Parameters
        ----------
        path : path
        trusted : collection of str
            See :func:`featx.load`.

        Raises
        ------
        ClassifierError
            Not a model file, damaged, of a later featx, or with a head of types that are not trusted.
        """
        file = Path(path)
        archive = Archive.read(file)
        try:
            return replace(cls._from_archive(archive, trusted), file=str(path))
        except FeatxError as error:
            raise ClassifierError(f"{file}: {error}") from None
        except KeyError as error:
            raise ClassifierError(f"{file} is damaged: it lacks {error}") from None
        except (AttributeError, MemoryError, OverflowError, RecursionError, TypeError, ValueError) as error:
            raise ClassifierError(f"{file} is damaged: {error!r}") from None

    @property
    def _kept_folded(self) -> DenseHead | None:
        """The matrices, unless they are large: the file holds such weights once, in the estimator."""
        n_bytes = 0 if self.folded is None else sum(weight.nbytes for weight in self.folded.weights)
        return None if n_bytes > _MOST_FOLDED_BYTES else self.folded

    def _header(self) -> dict[str, Any]:
        return {
            "spec": self.spec.to_json(),
            "title": self.title,
            "classes": list(self.classes_),
            "evaluation": self.evaluation.to_dict(),
            "temperature": self.temperature,
            "n_folded": 0 if self._kept_folded is None else len(self._kept_folded.weights),
            "pairwise": self._kept_folded is not None and self._kept_folded.pairwise,
            "sample_ids": None if self.out_of_fold is None else list(self.out_of_fold.sample_ids),
            "probes": list(self.probe_files),
            "versions": dict(self.versions),
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {"content_hashes": self.content_hashes, "probes": self.probes}
        if self.graph is not None:
            arrays["graph"] = self.graph
        if self._kept_folded is not None:
            matrices = zip(self._kept_folded.weights, self._kept_folded.biases, strict=True)
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
            raise ClassifierError("the classes of its evaluation are not those of the model")
        temperature = check_temperature(header["temperature"])
        check_contents(arrays["content_hashes"], evaluation.n_images)
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
            folded=_read_folded(header, arrays, len(classes)),
            content_hashes=arrays["content_hashes"],
            out_of_fold=_read_out_of_fold(header, arrays, temperature, evaluation),
            rejector=read_rejector(arrays, len(classes)) if "novelties" in arrays else None,
            probe_files=check_probes(header["probes"], archive.files, probes),
            probes=probes,
            versions=check_versions(header["versions"], "versions"),
            graph=arrays.get("graph"),
        )
        if made.rejector is not None:
            check_rejector(made.rejector)
        if made.folded is None:
            made.estimator()  # what predicts is checked before anything else is done; matrices are by now
        return made


def _read_folded(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], n_classes: int) -> DenseHead | None:
    fields = Fields(header, "the model")
    n = fields.count("n_folded", 0, _MOST_MATRICES)
    if not n:
        return None
    weights, biases = ([arrays[f"{kind}{i}"] for i in range(n)] for kind in ("weight", "bias"))
    folded = DenseHead(weights, biases, fields.flag("pairwise"))
    check_dense_head(folded, arrays["probes"].shape[1], n_classes)
    return folded


def _read_out_of_fold(
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    temperature: float,
    evaluation: ModelEvaluation,
) -> OutOfFold | None:
    if header["sample_ids"] is None:
        if isinstance(evaluation.judged, CrossValidation):
            raise ClassifierError("it has a cross-validation without out-of-fold scores")
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
