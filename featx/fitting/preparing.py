"""The features that a fit needs: of a folder or manifest, of what was extracted last, or as they are given."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

from featx.evaluate import check_samples
from featx.extraction import extract, extract_checked, latest
from featx.runtime import Runtime
from featx.table import FeatureTable

_OF_FIT = ("views", "seed")
"""Options that extract and fit both have: of fit they are its own."""


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
    TypeError
        Options that extract has not, or that go with a folder or manifest only.
    FeatxError
        As for :func:`featx.extract`.
    """
    allowed = [name for name in inspect.signature(extract).parameters if name not in ("data", "runtime", *_OF_FIT)]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise TypeError(f"fit has no argument {unknown[0]!r}; of extract it takes {', '.join(allowed)}")
    if isinstance(given, str | Path):
        return extract_to_fit(given, group_by=group_by, runtime=runtime, views=views, seed=seed, **options)
    if given is None:
        augment = options.pop("augment", None)
        if not options:
            return latest(runtime, augment=augment, views=views)
    if options:
        raise TypeError(f"{', '.join(sorted(options))}: an option of extract, which goes with a folder or manifest")
    if not isinstance(given, FeatureTable):
        raise TypeError(f"features are {type(given).__name__}; needed is what extract returns, or a folder or manifest")
    return given
