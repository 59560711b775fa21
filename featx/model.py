"""The classifier that predicts from images: it extracts features and passes them to the feature classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featx.arguments import checked
from featx.classifier import FeatureClassifier, Predictions
from featx.runtime import Runtime
from featx.source import place_of
from featx.table import FeatureTable

if TYPE_CHECKING:
    from featx.extraction import Featurizer


@dataclass(frozen=True, repr=False)
class Classifier(FeatureClassifier):
    """A fitted head with its feature spec and class names, which can be saved and predicts from images.

    :func:`featx.fit` and :func:`featx.finetune` return a classifier; :func:`featx.load` reads one from a file. The
    fields are those of :class:`featx.classifier.FeatureClassifier`.

    Examples
    --------
    >>> import featx
    >>> model = featx.load("digits.featx")
    >>> model.classes_[:3]
    ('0', '1', '2')
    >>> predictions = model.predict("data/7")
    >>> len(predictions.labels)
    30
    """

    @checked()
    def predict(
        self,
        images: FeatureTable | str | Path | Sequence[str | Path],
        *,
        reject_rate: float | None = None,
        weights: str | Path | None = None,
        exact: bool = False,
        strict: bool = False,
        path_column: str = "path",
        runtime: Runtime | None = None,
    ) -> Predictions:
        """Predict images in memory; see :func:`featx.predict` for any number of images.

        Parameters
        ----------
        images : FeatureTable, path or sequence of paths
            A table of features, or image files, folders and lists of paths.
        reject_rate : float, optional
            Fraction of images of the known classes that may be rejected by mistake. Images that differ too much from
            the training images are marked as rejected, and their label is empty.
        weights, exact, strict, path_column, runtime
            As for :func:`featx.predict`.

        Raises
        ------
        ClassifierError
            If the features have another feature spec, this machine does not reproduce the features of the model, or the
            model cannot reject images.
        FeatxError
            If images cannot be found or features cannot be computed.
        """
        if reject_rate is not None:
            self.check_reject_rate(reject_rate)
        if isinstance(images, FeatureTable):
            return self.predict_features(images, reject_rate=reject_rate)
        table = self.features_of(
            images, weights=weights, exact=exact, strict=strict, path_column=path_column, runtime=runtime
        )
        return self.predict_features(table, reject_rate=reject_rate)

    def features_of(
        self,
        images: str | Path | Sequence[str | Path],
        *,
        weights: str | Path | None = None,
        exact: bool = False,
        strict: bool = False,
        path_column: str = "path",
        runtime: Runtime | None = None,
    ) -> FeatureTable:
        """Return the features of image files, folders and lists of paths, extracted with the model's feature spec.

        Parameters
        ----------
        images : path or sequence of paths
            Image files, folders and lists of paths.
        weights, exact, strict, path_column, runtime
            As for :func:`featx.predict`.

        Raises
        ------
        FeatxError
            If images cannot be found or features cannot be computed.
        """
        from featx.extraction import featurize  # imported only if features must be extracted

        paths = [images] if isinstance(images, str | Path) else list(images)
        return featurize(
            paths,
            self.spec,
            graph=self.graph,
            weights=weights,
            exact=exact,
            strict=strict,
            path_column=path_column,
            refit=self._refit,
            runtime=runtime,
        )

    def featurizer(
        self, *, weights: str | Path | None = None, exact: bool = False, runtime: Runtime | None = None
    ) -> Featurizer:
        """Return an object that computes features with the model's feature spec, one block of images after another.

        Parameters
        ----------
        weights, exact, runtime
            As for :func:`featx.predict`.
        """
        from featx.extraction import Featurizer  # imported only if features must be extracted

        return Featurizer(
            self.spec,
            graph=self.graph,
            weights=weights,
            exact=exact,
            refit=self._refit,
            runtime=runtime or Runtime(),
        )

    def _refit(self) -> str:
        """Return how to fit the same head again; without a call if featx cannot state it."""
        from featx.heads import HEAD_NAMES
        from featx.lookup import fit_call

        data, head = self.evaluation.made.get("data"), self.evaluation.head
        if not isinstance(data, str) or head not in HEAD_NAMES:
            return ", or fit the model again"
        return f", or fit the model again: {fit_call(place_of(data), head, self.spec)}"
