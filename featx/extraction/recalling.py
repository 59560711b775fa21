"""Feature tables of what is in the cache already: the set extracted last, or another one; nothing is computed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featx.arguments import checked
from featx.backbones import FILE_BACKBONE
from featx.dataset import Dataset, dataset_id, scan
from featx.errors import DatasetError, StoreError
from featx.extraction.augmenting import check_views, look_up_views, views_store
from featx.extraction.extracting import check_options, extract_command
from featx.extraction.filling import Filled, look_up
from featx.extraction.joining import dataset_table
from featx.extraction.recipes import how_read
from featx.extraction.settling import notice_odd
from featx.output import shell_word
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import FeatureStore, check_cache, open_store, read_latest, read_snapshot
from featx.table import FeatureTable

_READING = ("label_by", "path_column", "label_column")


@dataclass(frozen=True)
class _Latest:
    """The set that was extracted last: its path, recipe, network for people, and options of ``featx extract``."""

    path: Path
    spec: FeatureSpec
    title: str
    options: dict[str, Any]


@checked()
def latest(runtime: Runtime | None = None, *, augment: str | None = None, views: int | None = None) -> FeatureTable:
    """Return the set that was extracted last into a cache, with its labels as they are now.

    Parameters
    ----------
    runtime : Runtime, optional
    augment : str, optional
        How its augmented views were made, see :func:`featx.extract`; as it was extracted last if not given.
    views : int, optional
        How many of them; if not given, as many as were extracted with it, or none if some are lacking now.

    Raises
    ------
    StoreError
        Nothing was extracted yet.
    DatasetError
        Pictures have come since, and have no features; or there are not the views that are asked for.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_cache(runtime.cache)
    last = _read_latest(runtime.cache)
    options = {**last.options, **({} if views is None else {"views": views})}
    if augment is not None or not options.get("views"):
        options["augment"] = augment
    policy = check_views(options.get("augment"), options.get("views", 0))
    store = FeatureStore(runtime.cache, last.spec)
    dataset, filled = _found(last.path, store, options, " (extracted last)", runtime)
    augmented = None
    if policy is not None:
        of_views = views_store(store, policy, options.get("seed", 0))
        augmented = look_up_views(dataset.pictures, filled.states, of_views, options["views"])
        if augmented is None:
            lacking = f"not all pictures have their {options['views']} augmented views"
            command = extract_command(last.path, options)
            if views is not None:
                raise DatasetError(f"{lacking}; extract them first: {command}")
            runtime.notice(f"{lacking}, so none are used; to extract them: {command}")
    return dataset_table(dataset, filled, store, last.title, started, augmented)


def recall_table(
    data: str | Path | None = None,
    features: str | None = None,
    *,
    label_by: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Return the features of a data set that are in the cache, with its labels as they are now.

    Parameters
    ----------
    data : path, optional
        Folder or manifest, as :func:`featx.extract` takes it; the set extracted last if not given.
    features : str, optional
        Id of a feature store; that of the set extracted last if not given.
    label_by, path_column, label_column : str, optional
        As :func:`featx.extract` takes them. If not given: what was said when the set was extracted last, or where
        both ``data`` and ``features`` are given the defaults.
    runtime : Runtime, optional

    Raises
    ------
    StoreError
        No such feature store, or it cannot be read; or nothing was extracted yet.
    DatasetError
        Pictures without features, or another set than the one extracted last and no ``features``.
    """
    runtime = runtime or Runtime()
    check_cache(runtime.cache)
    given = {"label_by": label_by, "path_column": path_column, "label_column": label_column}
    given = {name: value for name, value in given.items() if value is not None}
    if data is not None and features is not None:
        path, noted, told = Path(data), {}, ""
    else:
        last = _read_latest(runtime.cache)
        if data is not None and Path(os.path.realpath(data)) != last.path:
            raise DatasetError(
                f"{data} was not extracted last, but {last.path}; name the features with --features ID, as "
                f"`featx cache ls` shows it, or extract it: featx extract {shell_word(Path(data))}"
            )
        path, noted, told = last.path, last.options, " (extracted last)"
        if features is None or features == last.spec.id:
            store = FeatureStore(runtime.cache, last.spec)
            return _table(path, store, last.title, {**noted, **given}, told, runtime)
    store = _store(runtime.cache, features)
    reading = {name: noted[name] for name in _READING if name in noted}
    return _table(path, store, store.spec.backbone, {**_options(store.spec), **reading, **given}, told, runtime)


def _table(
    path: Path, store: FeatureStore, title: str, options: Mapping[str, Any], told: str, runtime: Runtime
) -> FeatureTable:
    """Join a data set with a store; ``options`` are those of the ``featx extract`` that computes what is lacking."""
    started = time.monotonic()
    dataset, filled = _found(path, store, options, told, runtime)
    return dataset_table(dataset, filled, store, title, started)


def _found(
    path: Path, store: FeatureStore, options: Mapping[str, Any], told: str, runtime: Runtime
) -> tuple[Dataset, Filled]:
    """Scan a data set and find its features in a store."""
    spec = store.spec
    memo = read_snapshot(runtime.cache, dataset_id(path), how_read(spec.decode, spec.white, spec.page, runtime))
    dataset = scan(path, memo=memo, **{name: options[name] for name in _READING if name in options})
    runtime.notice(f"{path}: {dataset.description}{told}")
    notice_odd(dataset, path, runtime)
    filled = look_up(dataset.pictures, memo, store, runtime)
    lacking = sum(state.status == "lacking" for state in filled.states)
    if lacking:
        raise DatasetError(
            f"{lacking:,} of {len(dataset.pictures):,} pictures of {path} have no features yet; "
            f"extract them first: {extract_command(path, options)}"
        )
    return dataset, filled


def _read_latest(cache: Path) -> _Latest:
    noted = read_latest(cache)
    if noted is None:
        raise StoreError(f"nothing was extracted into {cache} yet; name the pictures: featx fit DATA")
    try:
        spec = FeatureSpec.from_json(noted["spec"])
        if b"\0" in os.fsencode(noted["data"]):
            raise ValueError("no path")
        check_options(noted["options"])
        check_views(noted["options"].get("augment"), noted["options"].get("views", 0))
        return _Latest(Path(noted["data"]), spec, str(noted["title"]), dict(noted["options"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise StoreError(f"{cache / 'latest.json'} is damaged; name the pictures: featx fit DATA") from None


def _store(cache: Path, features_id: str) -> FeatureStore:
    path = cache / "features" / f"{features_id}.h5"
    if not re.fullmatch("[0-9a-f]{16}", features_id) or not path.exists():
        raise StoreError(f"no feature store in {cache} is named {features_id!r}; `featx cache ls` lists them")
    store = open_store(path)
    if store.spec.augment is not None:
        plain = replace(store.spec, augment=None, augment_seed=0)
        raise StoreError(f"{features_id} holds augmented views; the pictures themselves are in {plain.id}")
    return store


def _options(spec: FeatureSpec) -> dict[str, Any]:
    """Return the options of ``featx extract`` that lead to a recipe, as far as it tells."""
    names = ("size", "layer", "pooling", "resize", "white", "page", "layout", "engine", "precision")
    options: dict[str, Any] = {"backbone": spec.backbone, **{name: getattr(spec, name) for name in names}}
    if spec.backbone == FILE_BACKBONE:
        options |= {"backbone": "FILE", "preprocess": spec.preprocess}
    if spec.weights.startswith("random-"):
        options["weights"] = f"random:{spec.weights.split('-')[1]}"
    return options
