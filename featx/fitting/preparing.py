"""The features that a fit needs: of a folder or manifest, of what was extracted last, or as they are given."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from featx.errors import ArgumentError
from featx.evaluate import check_samples
from featx.extraction import extract_checked, latest
from featx.runtime import Runtime
from featx.table import FeatureTable


def extract_to_fit(
    data: str | Path, backbone: str | None = None, *, group_by: str | None = None, runtime: Runtime, **options: Any
) -> FeatureTable:
    """Do what :func:`featx.extract` does; labels and groups that cannot be fitted are an error before any work.

    Parameters
    ----------
    data : path
    backbone : str, optional
    group_by : str, optional
        As for :func:`featx.fit`.
    runtime : Runtime
    **options
        Further options of :func:`featx.extract`.

    Raises
    ------
    EvaluationError
        No labels, one class, or a class that only a test part has.
    FeatxError
        As for :func:`featx.extract`.
    """
    chosen = () if backbone is None else (backbone,)
    return extract_checked(data, *chosen, check=partial(check_samples, group_by=group_by), runtime=runtime, **options)


def features_to_fit(
    given: FeatureTable | str | Path | None,
    group_by: str | None,
    views: int,
    seed: int,
    runtime: Runtime,
    **options: Any,
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
        return extract_to_fit(given, group_by=group_by, runtime=runtime, views=views, seed=seed, **options)
    if given is None:
        augment = options.pop("augment", None)
        if not options:
            return latest(runtime, augment=augment, views=views)
    if options or given is None:
        raise ArgumentError(
            f"fit: {', '.join(sorted(options))} goes with a folder or manifest: give one instead of features, or leave "
            "it out"
        )
    return given
