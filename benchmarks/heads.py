"""Measure the time of tuned heads: ``python -m benchmarks.heads DIR [--large DIR] [--heads a,b] [--rounds 3]``.

For each head on the images of DIR: the seconds of `featx fit` (nested 5-fold cross-validation and all other figures
that it reports), and the seconds of one tuning and fit, compared with scikit-learn's GridSearchCV of the same pipeline
over the same grid and folds. For the images of --large, a folder with train/ and test/ folders: tuning and fitting on
train/, and the accuracy on test/, compared with GridSearchCV of logistic regression after a StandardScaler, as it is
commonly written, and after the scaler of featx. Each fit uses one thread, and on both sides as many fits run in
parallel as there are CPUs. Times are wall time and CPU time; if the machine is busy, only the CPU times are comparable.
Print Markdown tables, then JSON.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from joblib import parallel_config
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.processes import median, print_head, print_json, print_row
from featx.evaluation.procedures import DataSplit, TrainingSet, quiet_single_threads, split_table, tune_and_fit
from featx.evaluation.procedures.folds import make_folds
from featx.extraction import extract
from featx.fitting import fit
from featx.heads import HEAD_NAMES, for_large, make_head, scores_of
from featx.runtime import Runtime
from featx.scaling import CommonScaler

_BASELINES = {"GridSearchCV, StandardScaler": StandardScaler(), "GridSearchCV, one scale": CommonScaler()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--large", type=Path)
    parser.add_argument("--heads", default=",".join(HEAD_NAMES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", default="cache", type=Path)
    arguments = parser.parse_args()
    runtime, heads = Runtime(arguments.cache), arguments.heads.split(",")
    results: dict[str, Any] = {}
    if arguments.folder is not None:
        results["small"] = _small(arguments.folder, heads, arguments.rounds, runtime)
    if arguments.large is not None:
        results["large"] = _large(arguments.large, heads, runtime)
    print_json(results)


def _small(folder: Path, heads: list[str], rounds: int, runtime: Runtime) -> list[dict[str, Any]]:
    table = extract(folder, runtime=runtime)
    train = split_table(table, np.arange(len(table))).train
    rows = []
    print_head("head", "`fit`, s", "CPU, s", "tuning and fitting", "GridSearchCV", "ratio")
    for name in heads:
        found = []
        for _ in range(rounds):
            whole = _timed(lambda name=name: fit(table, name, runtime=runtime))
            ours = _timed(lambda name=name: _tuned(name, train, runtime))
            theirs = _timed(lambda name=name: _searched(make_head(name).estimator, name, train, runtime))
            found.append((*whole[:2], ours[1], theirs[1], theirs[1] / ours[1]))
        rows.append({"head": name, "rounds": found})
        print_row(name, *(median(column) for column in zip(*found, strict=True)))
    return rows


def _large(folder: Path, heads: list[str], runtime: Runtime) -> list[dict[str, Any]]:
    table = extract(folder, runtime=runtime)
    parts = split_table(table, np.arange(len(table)))
    rows = []
    print_head("fitted on train, evaluated on test", "chosen", "accuracy", "seconds", "CPU, s", "ratio")
    for name in heads:
        clock, processor, (tuned, plan) = _timed(lambda name=name: _tuned(name, parts.train, runtime))
        row = {"name": name, "plan": plan, "params": tuned.params, "accuracy": _accuracy(tuned.estimator, parts)}
        rows.append(row | {"seconds": clock, "processor": processor, "converged": tuned.converged})
        print_row(name, _chosen(tuned.params), f"{row['accuracy']:.4f}", clock, processor, "")
    ours = next((row for row in rows if row["name"] == "logreg"), None)
    for name, scaler in _BASELINES.items() if ours else ():
        baseline = Pipeline([("scale", scaler), ("head", LogisticRegression())])
        clock, processor, search = _timed(lambda one=baseline: _searched(one, "logreg", parts.train, runtime))
        chosen, accuracy, ratio = search.best_params_, _accuracy(search, parts), processor / ours["processor"]
        rows.append({"name": name, "params": chosen, "accuracy": accuracy, "seconds": clock, "processor": processor})
        print_row(name, _chosen(chosen), f"{accuracy:.4f}", clock, processor, ratio)
    return rows


def _tuned(name: str, train: TrainingSet, runtime: Runtime) -> tuple[Any, str]:
    head, plan = for_large(make_head(name), len(train.y), len(train.classes))
    with quiet_single_threads():
        tuned = tune_and_fit(head, train, 0, n_workers=runtime.n_workers)
    return tuned, plan


def _searched(estimator: BaseEstimator, name: str, train: TrainingSet, runtime: Runtime) -> GridSearchCV:
    head = make_head(name)
    folds = make_folds(train.y, train.groups, train.classes, 4 if head.one_split else 3, 0).pairs
    grid = {key: list(values) for key, values in head.grid.items()}
    with quiet_single_threads(), parallel_config("threading", n_jobs=runtime.n_workers):
        search = GridSearchCV(clone(estimator), grid, cv=folds[:1] if head.one_split else folds)
        return search.fit(train.X.astype(head.dtype, copy=False), train.y)


def _timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - clock, time.process_time() - processor, result


def _accuracy(estimator: Any, parts: DataSplit) -> float:
    scores = scores_of(estimator, parts.test.X, len(parts.test.classes))
    return float((scores.argmax(axis=1) == parts.test.y).mean())


def _chosen(params: dict[str, Any]) -> str:
    return ", ".join(f"{name.removeprefix('head__')} = {value:g}" for name, value in params.items())


if __name__ == "__main__":
    main()
