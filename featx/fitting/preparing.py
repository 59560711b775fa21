"""Get the features for a fit: a given table, or the features of a folder, a manifest or the last extraction."""

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
    """Extract features as :func:`featx.extract` does, after checking that the labels and groups allow a fit.

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
        If there are no labels or only one class, or a class occurs only in the validation or test part.
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
        If options are given that apply only to a folder or manifest.
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
            f"fit: {', '.join(sorted(idle))} {'applies' if len(idle) == 1 else 'apply'} only to a folder or manifest; "
            f"give a folder or manifest, or leave out {', '.join(sorted(idle))}"
        )
    return latest(runtime, augment=options.augment, views=options.views) if given is None else given
