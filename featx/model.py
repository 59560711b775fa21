"""A classifier for whoever has images: the slow half computes their features, the fast half predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.arguments import checked
from featx.classifier import FeatureClassifier, Predictions
from featx.runtime import Runtime
from featx.table import FeatureTable


@dataclass(frozen=True, repr=False)
class Classifier(FeatureClassifier):
    """A fitted head, its feature spec and its class names: what is saved and what predicts.

    :func:`featx.fit` and :func:`featx.finetune` make one, :func:`featx.load` reads one. The fields are those of
    :class:`featx.classifier.FeatureClassifier`.
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
        """Predict images, all in memory; see :func:`featx.predict` for any number of them.

        Parameters
        ----------
        images : FeatureTable, path or sequence of paths
            A table of features, or files, folders and lists.
        reject_rate : float, optional
            Mark images as rejected that are less like the training images than all but this share of these; their
            label is empty.
        weights, exact, strict, path_column, runtime
            As for :func:`featx.predict`.

        Raises
        ------
        ClassifierError
            The features are of another spec, or are not reproduced here; or this model cannot reject.
        FeatxError
            Images cannot be found or features not computed.
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
        """Return the features of files, folders and lists by the model's own spec.

        Parameters
        ----------
        images : path or sequence of paths
        weights, exact, strict, path_column, runtime
            As for :func:`featx.predict`.

        Raises
        ------
        FeatxError
            Images cannot be found or features not computed.
        """
        from featx.extraction import featurize  # not where features are given

        paths = [images] if isinstance(images, str | Path) else list(images)
        return featurize(
            paths,
            self.spec,
            graph=self.graph,
            weights=weights,
            exact=exact,
            strict=strict,
            path_column=path_column,
            runtime=runtime,
        )
