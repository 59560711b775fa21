"""Return the cached features of the data set extracted last or of another data set, without computation."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featx.arguments import checked
from featx.backbones import FILE_BACKBONE
from featx.dataset import Dataset
from featx.errors import DatasetError, StoreError
from featx.lookup.listing import list_images
from featx.lookup.memo import PassResult, look_up, reading_key
from featx.lookup.table import dataset_table
from featx.lookup.views import look_up_views, views_policy, views_store
from featx.options import DEFAULT_BACKBONE, DEFAULT_HEAD, DatasetOptions, ExtractOptions, LabelBy
from featx.runtime import Runtime
from featx.source import Place, place_of
from featx.spec import FeatureSpec
from featx.store import FeatureStore, check_cache, has_store, open_store, read_latest, write_latest
from featx.table import FeatureTable


@dataclass(frozen=True)
class _Latest:
    """The last extraction: path of the data set, feature spec, title of the backbone, and options."""

    path: Place
    spec: FeatureSpec
    title: str
    backbone: str
    options: ExtractOptions


def note_latest(
    cache: Path, path: Place, spec: FeatureSpec, title: str, backbone: str, options: ExtractOptions
) -> None:
    """Record an extraction in ``latest.json`` as the last one: the data set, the feature spec and the options."""
    given = {"backbone": backbone, **options.select(ExtractOptions)}
    kept = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    write_latest(cache, {"data": str(path.resolve()), "spec": spec.to_json(), "title": title, "options": kept})


def extract_call(path: Place, backbone: str = DEFAULT_BACKBONE, options: ExtractOptions | None = None) -> str:
    """Return a call of :func:`featx.extract` as text in backticks, without options at their defaults."""
    given = {} if backbone == DEFAULT_BACKBONE else {"backbone": backbone}
    return _call("extract", path, given | (options or ExtractOptions()).changed())


def fit_call(path: Place, head: str, spec: FeatureSpec) -> str:
    """Return a call of :func:`featx.fit` as text in backticks, with options that give features of the given kind.

    The decoder is that of this machine, whatever the decoder of the feature spec.
    """
    given = {} if head == DEFAULT_HEAD else {"head": head}
    return _call("fit", path, given | fit_options(spec))


def fit_options(spec: FeatureSpec) -> dict[str, Any]:
    """Return the options of :func:`featx.fit` that give features of a kind, without options at their defaults."""
    backbone, options = _options(spec)
    return ({} if backbone == DEFAULT_BACKBONE else {"backbone": backbone}) | options.changed()


def _call(function: str, path: Place, given: dict[str, Any]) -> str:
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    words = [repr(str(path)), *(f"{name}={value!r}" for name, value in plain.items())]
    inside = ", ".join(words).replace("`", r"\x60")
    return f"`featx.{function}({inside})`"


@checked()
def latest(runtime: Runtime | None = None, *, augment: str | None = None, views: int | None = None) -> FeatureTable:
    """Return the features of the data set that was extracted last into a cache, with its current labels.

    Parameters
    ----------
    runtime : Runtime, optional
    augment : str, optional
        Augmentation policy of the views, see :func:`featx.extract`; by default the policy of the last extraction.
    views : int, optional
        Number of views of each image. By default the number of the last extraction, or 0 if some of these views are
        missing.

    Returns
    -------
    FeatureTable

    Raises
    ------
    StoreError
        If no data set has been extracted yet.
    DatasetError
        If images have no features yet, or requested views are missing.

    Examples
    --------
    >>> import featx
    >>> len(featx.latest())
    300
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_cache(runtime.cache)
    last = _read_latest(runtime.cache)
    options = last.options if views is None else replace(last.options, views=views)
    if augment is not None or not options.views:
        options = replace(options, augment=augment)
    policy = views_policy(options.augment, options.views)
    store = FeatureStore(runtime.cache, last.spec)
    dataset, filled = _found(last.path, store, last.backbone, options, "data set extracted last: ", runtime)
    augmented = None
    if policy is not None:
        of_views = views_store(store, policy, options.seed)
        augmented = look_up_views(dataset.images, filled.states, of_views, options.views)
        if augmented is None:
            lacking = f"some images do not have all of their {options.views} augmented views"
            call = extract_call(last.path, last.backbone, options)
            if views is not None:
                raise DatasetError(f"{lacking}; extract the views first: {call}")
            runtime.notice(f"{lacking}; therefore no views are used. To extract the views: {call}")
    return dataset_table(dataset, filled, store, last.title, started, augmented)


def recall_table(
    data: str | Path | None = None,
    features: str | None = None,
    *,
    label_by: LabelBy | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Return the cached features of a data set, with its current labels.

    Parameters
    ----------
    data : path, optional
        Folder or manifest, as for :func:`featx.extract`; by default the data set extracted last.
    features : str, optional
        Id of a feature store; by default the store of the data set extracted last.
    label_by, path_column, label_column : str, optional
        As for :func:`featx.extract`. By default the values of the last extraction; if both ``data`` and ``features``
        are given, the defaults of :func:`featx.extract`.
    runtime : Runtime, optional

    Returns
    -------
    FeatureTable

    Raises
    ------
    StoreError
        If there is no such feature store, if it cannot be read, or if no data set has been extracted yet.
    DatasetError
        If images have no features, or if ``data`` is not the data set extracted last and ``features`` is not given.
    """
    runtime = runtime or Runtime()
    check_cache(runtime.cache)
    chosen = {"label_by": label_by, "path_column": path_column, "label_column": label_column}
    given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if data is not None and features is not None:
        path, noted, prefix = place_of(data), ExtractOptions(), ""
    else:
        last = _read_latest(runtime.cache)
        if data is not None and place_of(data).resolve() != last.path:
            raise DatasetError(
                f"the data set extracted last is {last.path}, not {data}. Choose features with `features=ID` "
                f"(`featx cache ls` lists the ids), or extract {data}: {extract_call(place_of(data))}"
            )
        path, noted, prefix = last.path, last.options, "data set extracted last: "
        if features is None or features == last.spec.id:
            store = FeatureStore(runtime.cache, last.spec)
            return _table(path, store, last.title, last.backbone, replace(noted, **given), prefix, runtime)
    store = _store(runtime.cache, features)
    backbone, options = _options(store.spec)
    options = replace(options, **{**noted.select(DatasetOptions), **given})
    return _table(path, store, store.spec.backbone, backbone, options, prefix, runtime)


def recall_store(features: str | None, runtime: Runtime) -> FeatureStore:
    """Return a feature store of the cache.

    Parameters
    ----------
    features : str or None
        Id of the store; None for the store of the data set extracted last.
    runtime : Runtime

    Raises
    ------
    StoreError
        If there is no such feature store, or no data set has been extracted yet.
    """
    check_cache(runtime.cache)
    features_id = _read_latest(runtime.cache).spec.id if features is None else features
    return open_store(_store_path(runtime.cache, features_id))


def _table(
    path: Place,
    store: FeatureStore,
    title: str,
    backbone: str,
    options: ExtractOptions,
    prefix: str,
    runtime: Runtime,
) -> FeatureTable:
    """Return the feature table of a data set and a store; ``options`` are stated if features are missing."""
    started = time.monotonic()
    dataset, filled = _found(path, store, backbone, options, prefix, runtime)
    return dataset_table(dataset, filled, store, title, started)


def _found(
    path: Place, store: FeatureStore, backbone: str, options: ExtractOptions, prefix: str, runtime: Runtime
) -> tuple[Dataset, PassResult]:
    """Scan a data set, and look up the features of its images in a store."""
    spec = store.spec
    how = reading_key(spec.decode, spec.white, spec.page, runtime)
    dataset, memo = list_images(path, how, options, runtime, prefix)
    filled = look_up(dataset.images, memo, store, runtime)
    lacking = int(filled.states.are("lacking").sum())
    if lacking:
        raise DatasetError(
            f"{lacking:,} of {len(dataset.images):,} images of {path} have no features yet; "
            f"extract the features first: {extract_call(path, backbone, options)}"
        )
    return dataset, filled


def _read_latest(cache: Path) -> _Latest:
    noted = read_latest(cache)
    if noted is None:
        raise StoreError(f"no data set has been extracted into {cache} yet; give the data set: featx fit DATA")
    try:
        spec = FeatureSpec.from_json(noted["spec"])
        if b"\0" in os.fsencode(noted["data"]):
            raise ValueError("not a path")
        given = dict(noted["options"])
        backbone = given.pop("backbone")
        if not isinstance(backbone, str):
            raise TypeError("backbone")
        options = ExtractOptions.read(given)
        views_policy(options.augment, options.views)
        return _Latest(place_of(noted["data"]), spec, str(noted["title"]), backbone, options)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise StoreError(f"{cache / 'latest.json'} is damaged; give the data set: featx fit DATA") from None


def _store_path(cache: Path, features_id: str) -> Path:
    path = cache / "features" / features_id
    if not re.fullmatch("[0-9a-f]{16}", features_id) or not has_store(path):
        raise StoreError(f"{cache} has no feature store {features_id!r}; `featx cache ls` lists the feature stores")
    return path


def _store(cache: Path, features_id: str) -> FeatureStore:
    store = open_store(_store_path(cache, features_id))
    if store.spec.augment is not None:
        plain = replace(store.spec, augment=None, augment_seed=0)
        raise StoreError(
            f"`features={features_id}`: this store contains augmented views; the features of the images are in "
            f"`features={plain.id}`"
        )
    return store


def _options(spec: FeatureSpec) -> tuple[str, ExtractOptions]:
    """Return the backbone and the options of ``featx extract`` that can be derived from a feature spec."""
    names = ("size", "layer", "pooling", "resize", "white", "page", "layout", "engine", "precision")
    options = ExtractOptions(**{name: getattr(spec, name) for name in names})
    if spec.weights.startswith("random-"):
        options = replace(options, weights=f"random:{spec.weights.split('-')[1]}")
    if spec.backbone == FILE_BACKBONE:
        return "FILE", replace(options, preprocess=spec.preprocess)
    return spec.backbone, options
