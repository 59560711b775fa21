"""The features that a fit needs: of a folder or manifest, of what was extracted last, or as they are given."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from featx.errors import ArgumentError
from featx.evaluation.procedures import check_samples
from featx.extraction import extract_checked
from featx.lookup import latest
from featx.options import DEFAULT_BACKBONE, AugmentOptions, ExtractOptions, RunOptions
from featx.runtime import Runtime
from featx.table import FeatureTable


def extract_to_fit(
    data: str | Path, backbone: str, options: ExtractOptions, run: RunOptions, group_by: str | None, runtime: Runtime
) -> FeatureTable:
    """Do what :func:`featx.extract` does; labels and groups that cannot be fitted are an error before any work.

    Parameters
    ----------
    data : path
    backbone : str
    options : ExtractOptions
    run : RunOptions
    group_by : str or None
        As for :func:`featx.fit`.
    runtime : Runtime

    Raises
    ------
    EvaluationError
        No labels, one class, or a class that only a test part has.
    FeatxError
        As for :func:`featx.extract`.
    """
    return extract_checked(
        data, backbone, options, run, check=partial(check_samples, group_by=group_by), runtime=runtime
    )


def features_to_fit(
    given: FeatureTable | str | Path | None,
    backbone: str,
    options: ExtractOptions,
    run: RunOptions,
    group_by: str | None,
    runtime: Runtime,
) -> FeatureTable:
    """Return the features to fit on; see :func:`featx.fit`.

    Raises
    ------
    ArgumentError
        Options that go with a folder or manifest only.
    FeatxError
        As for :func:`featx.extract`.
    """
    if isinstance(given, str | Path):
        return extract_to_fit(given, backbone, options, run, group_by, runtime)
    idle = {*options.changed(), *run.changed()} - set(AugmentOptions.names())
    idle |= {"backbone"} if backbone != DEFAULT_BACKBONE else set()
    idle |= {"augment"} if given is not None and options.augment is not None else set()
    if idle:
        raise ArgumentError(
            f"fit: {', '.join(sorted(idle))} goes with a folder or manifest: give one instead of features, or leave it "
            "out"
        )
    return latest(runtime, augment=options.augment, views=options.views) if given is None else given
