"""Tune the hyper-parameters of a head on training samples, and fit the head on these samples."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight

from featx.blocks import FeatureBlocks, Features
from featx.evaluation.procedures.convergence import FitCounter, count_convergence_warnings
from featx.evaluation.procedures.folds import TooFewGroups, make_folds
from featx.evaluation.procedures.search import (
    LOOSER,
    MOST_TO_THE_LAST,
    CandidateResult,
    Split,
    estimator_errors,
    shares_work,
    try_candidates,
)
from featx.evaluation.procedures.threads import Plan, run_plans, stop_if_unwanted
from featx.evaluation.procedures.training_set import TrainingSet
from featx.heads import BlockFits, Fitted, GridEnd, Head, converged, scores_of

_INNER_FOLDS = 3
_ONE_SPLIT_PARTS = 4
_MOST_FOR_ALL = 10_000
"""Maximum number of samples for which every value of a grid is tried."""
_LEAST_SAMPLES = 2
"""Number of samples that a value at or beyond an end of a grid must predict better, so that a chance difference of one
sample is no reason to go on."""


@dataclass(frozen=True)
class Tuned:
    """A fitted head.

    Parameters
    ----------
    estimator : fitted scikit-learn estimator
    params : dict
        Hyper-parameters chosen from the grid.
    converged : bool
        Whether the final fit converged.
    was_tuned : bool
        Whether the grid was searched; False if there is a grid, but too few groups to tune.
    notes : tuple of str
        Remarks on chosen values at or beyond an end of the grid.
    """

    estimator: Any
    params: dict[str, Any]
    converged: bool
    was_tuned: bool
    notes: tuple[str, ...] = ()


def tune_and_fit(
    head: Head,
    data: TrainingSet,
    seed: int,
    tally: FitCounter | None = None,
    stage: str = "",
    n_workers: int = 1,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tuned:
    """Choose the best candidate on inner folds of the given samples, then fit this candidate on all samples.

    Only the given samples are used: scalers and hyper-parameters are fitted on the training part. If the accuracy still
    increases at an end of a grid of featx, values beyond this end are tried.

    Parameters
    ----------
    head : Head
    data : TrainingSet
    seed : int
        Random seed of the inner folds.
    tally : FitCounter, optional
        Counts the fits on inner folds in the stage ``tuning``, and the final fit in ``stage``.
    stage : str
        Stage of the final fit, for ``tally``.
    n_workers : int
        Number of inner folds processed at a time; the result does not depend on this number.
    progress : callable
        Called with (fits done, total fits), from one thread at a time.

    Returns
    -------
    Tuned

    Raises
    ------
    HeadError
        If the estimator rejects the data or a parameter.
    """
    (tuned,) = run_plans([partial(tuning_plan, head, lambda: data, seed, tally, stage, progress)], n_workers)
    return tuned


def tuning_plan(
    head: Head,
    read: Callable[[], TrainingSet],
    seed: int,
    tally: FitCounter | None = None,
    stage: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Plan[Tuned]:
    """Return the plan of :func:`tune_and_fit`, whose inner folds are independent jobs.

    Parameters
    ----------
    head, seed, tally, stage, progress
        As for :func:`tune_and_fit`.
    read : callable
        Returns the samples.
    """
    tally = tally or FitCounter()
    data: TrainingSet
    search: _Search
    ((data, search),) = yield [partial(_prepare, head, read, seed)]
    params = search.default
    notes: tuple[str, ...] = ()
    if search.splits:
        results = yield from _try_all(head, search, len(data.y) > _MOST_FOR_ALL, progress)
        params, notes = yield from _try_beyond(head, search, _means(results, tally), tally)
    last = FitCounter()
    (estimator,) = yield [lambda: fit_head(head, params, *data.rows(), last)]
    has_converged = not last.notes()
    tally.add(stage, has_converged)
    return Tuned(estimator, params, has_converged, search.is_possible, notes)


def _means(results: Sequence[Sequence[tuple[float, bool]]], tally: FitCounter) -> list[float]:
    """Return the mean accuracy of each candidate over the splits, and count the fits."""
    for _, has_converged in itertools.chain.from_iterable(results):
        tally.add("tuning", has_converged)
    return [float(np.mean([accuracy for accuracy, _ in result])) for result in results]


@dataclass(frozen=True)
class _Search:
    """Candidates and the splits to score them on; without splits, ``default`` is used."""

    default: dict[str, Any]
    candidates: Sequence[dict[str, Any]] = ()
    splits: Sequence[Split] = ()
    is_possible: bool = True


def _prepare(head: Head, read: Callable[[], TrainingSet], seed: int) -> tuple[TrainingSet, _Search]:
    data = read()
    n = len(data.y)
    try:
        folds = make_folds(
            data.y, data.groups, data.classes, _ONE_SPLIT_PARTS if head.one_split else _INNER_FOLDS, seed
        )
    except TooFewGroups:
        return data, _Search(head.default(n), is_possible=not head.grid)
    pairs = folds.pairs[:1] if head.one_split else folds.pairs
    candidates = head.candidates(min(len(train) for train, _ in pairs))
    if len(candidates) == 1:
        return data, _Search(candidates[0])
    X, y = data.rows()
    splits = [
        Split(X, y, np.concatenate([train + n * view for view in range(1 + data.n_views)]), test, data.targets)
        for train, test in pairs
    ]
    return data, _Search(candidates[0], candidates, splits)


def _try_all(
    head: Head, search: _Search, is_large: bool, progress: Callable[[int, int], None]
) -> Plan[list[list[tuple[float, bool]]]]:
    """Return accuracy and convergence of each candidate on each split; if ``is_large``, up to the first decrease.

    From the most regularised value on, accuracy increases to a single maximum and then decreases, except for noise, and
    the fits beyond the maximum take the longest. With many samples the noise is small, so that the search in a grid
    with one parameter can end at the first decrease.
    """
    candidates, splits = search.candidates, search.splits
    ends_early = is_large and len(head.grid) == 1
    if isinstance(splits[0].X, FeatureBlocks):
        (in_blocks,) = yield [partial(_try_in_blocks, head, search, splits[0].X, ends_early, progress)]
        return in_blocks  # type: ignore[no-any-return]
    n_fits = len(candidates) * len(splits) + 1  # the final fit on all samples is the last one
    n_done, lock = itertools.count(1), threading.Lock()

    def counted(outcomes: Iterator[tuple[float, bool]]) -> Iterator[tuple[float, bool]]:
        for outcome in outcomes:
            with lock:
                progress(next(n_done), n_fits)
            yield outcome

    if not ends_early:
        # Candidates of slow heads that share little or nothing are separate jobs.
        are_apart = head.one_split or not shares_work(head, candidates)
        shares = [[params] for params in candidates] if are_apart else [candidates]
        parts = yield [partial(list, counted(_tries(head, share, split))) for split in splits for share in shares]
        n = len(shares)
        by_split = [itertools.chain.from_iterable(parts[start : start + n]) for start in range(0, len(parts), n)]
        return [list(of_candidate) for of_candidate in zip(*by_split, strict=True)]
    searches = [counted(_tries(head, candidates, split)) for split in splits]
    results: list[list[tuple[float, bool]]] = []
    best = -1.0
    for _ in candidates:
        results.append((yield [partial(next, search) for search in searches]))
        mean = float(np.mean([accuracy for accuracy, _ in results[-1]]))
        if mean < best:
            break
        best = mean
    return results


def _try_beyond(
    head: Head, search: _Search, means: Sequence[float], tally: FitCounter
) -> Plan[tuple[dict[str, Any], tuple[str, ...]]]:
    """Return the best candidate, after trying values beyond the ends of the grid, and remarks on these ends.

    A value counts as better than the next value inside only if it predicts more than two samples better. If both are as
    good, there is nothing to gain beyond the end.
    """
    tried = [tuple(params.values()) for params in search.candidates[: len(means)]]
    best = int(np.argmax(means))  # ties: the first candidate, which is the most regularised
    params, accuracy = dict(search.candidates[best]), means[best]
    n_train = min(len(split.train) for split in search.splits)
    least = _LEAST_SAMPLES / sum(len(split.test) for split in search.splits)
    notes: list[str] = []
    for name in head.grid:
        end = head.end_of(name, params[name], n_train)
        if end is None:
            continue
        inner = tuple({**params, name: end.inner}.values())
        if inner in tried and accuracy <= means[tried.index(inner)] + least:
            continue
        last, increases = params[name], True
        for value in end.further:
            one = replace(search, candidates=[{**params, name: value}])
            results = yield from _try_all(head, one, False, lambda done, total: None)
            (mean,) = _means(results, tally)
            increases = mean > accuracy + least
            if not increases:
                break
            params, accuracy = {**params, name: value}, mean
        notes += _note_end(name, last, params[name], end, increases)
    return params, tuple(notes)


def _note_end(name: str, last: float, chosen: float, end: GridEnd, increases: bool) -> list[str]:
    short = name.rpartition("__")[2]
    kind = "largest" if end.is_largest else "smallest"
    if increases and end.further:
        return [f"{short}={chosen:g} is the {kind} value that is tried, and the accuracy of the tuning still increases"]
    if increases:
        return [
            f"{short}={chosen:g} is the {kind} of the given values, and has the highest accuracy of the tuning; give "
            f"{'larger' if end.is_largest else 'smaller'} values too"
        ]
    if chosen == last:
        return []
    return [
        f"{short}={chosen:g} lies beyond the usual values, which end at {last:g}: the accuracy of the tuning still "
        "increased there"
    ]


def _try_in_blocks(
    head: Head, search: _Search, X: FeatureBlocks, ends_early: bool, progress: Callable[[int, int], None]
) -> list[list[tuple[float, bool]]]:
    """Return the results of :func:`_try_all` if the features are read in blocks; all splits share the passes."""
    candidates, splits = search.candidates, search.splits
    trains = [split.train for split in splits]
    is_large = min(map(len, trains)) > MOST_TO_THE_LAST
    # The candidates of slow heads are fitted in the same passes, the others one after the other.
    groups = [candidates] if head.one_split else [[params] for params in candidates]
    results: list[list[tuple[float, bool]]] = []
    best = -1.0
    with estimator_errors(head, candidates[0]):
        fits = BlockFits(head, X, splits[0].y, trains, LOOSER if is_large else 1)
        for fitted in itertools.chain.from_iterable(map(fits.fit, groups)):
            results.append([_score(head, *one) for one in zip(splits, fitted, strict=True)])
            progress(len(results) * len(splits), len(candidates) * len(splits) + 1)
            mean = float(np.mean([accuracy for accuracy, _ in results[-1]]))
            if ends_early and mean < best:
                break
            best = mean
    return results


def _score(head: Head, split: Split, fitted: Fitted) -> tuple[float, bool]:
    scores = scores_of(fitted.estimator, split.X[split.test], split.targets.n_classes)
    return _accuracy(head, split, scores), fitted.has_converged


def _tries(head: Head, candidates: Sequence[dict[str, Any]], split: Split) -> Iterator[tuple[float, bool]]:
    run = try_candidates if shares_work(head, candidates) else _try_apart
    for result in run(head, candidates, split):
        yield _accuracy(head, split, result.scores), result.converged


def _try_apart(head: Head, candidates: Sequence[dict[str, Any]], split: Split) -> Iterator[CandidateResult]:
    for params in candidates:
        tally = FitCounter()
        fitted = fit_head(head, params, split.X[split.train], split.y[split.train], tally)
        yield CandidateResult(scores_of(fitted, split.X[split.test], split.targets.n_classes), not tally.notes())


def _accuracy(head: Head, split: Split, scores: NDArray[np.float64]) -> float:
    y, predicted = split.y[split.test], split.targets.predicted(scores)
    if head.weighs_classes:
        return float(balanced_accuracy_score(y, predicted))
    return float(split.targets.hits(predicted, y).mean())


def fit_head(
    head: Head,
    params: dict[str, Any],
    X: Features,
    y: NDArray[np.int64],
    tally: FitCounter | None = None,
    stage: str = "",
) -> Any:
    """Fit a clone of a head's estimator with the given hyper-parameters.

    Parameters
    ----------
    head : Head
    params : dict
        Hyper-parameters of ``head.estimator``.
    X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.
    tally : FitCounter, optional
        Counts the fit in ``stage``.
    stage : str

    Returns
    -------
    fitted scikit-learn estimator

    Raises
    ------
    HeadError
        If the estimator rejects the data or a parameter.
    """
    stop_if_unwanted()
    if isinstance(X, FeatureBlocks):
        with estimator_errors(head, params):
            ((fitted,),) = BlockFits(head, X, y, [np.arange(len(y))]).fit([params])
        if tally is not None:
            tally.add(stage, fitted.has_converged)
        return fitted.estimator
    with estimator_errors(head, params):
        estimator = clone(head.estimator).set_params(**params)
        X = X.astype(head.dtype, copy=False)
        weights = {}
        if head.sample_weight is not None:
            name = "head__sample_weight" if isinstance(estimator, Pipeline) else "sample_weight"
            weights[name] = compute_sample_weight(head.sample_weight, y)
        with count_convergence_warnings() as warned:
            estimator.fit(X, y, **weights)
    if tally is not None:
        tally.add(stage, converged(estimator) and not warned[0])
    return estimator
