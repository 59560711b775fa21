"""Measure the time of tuned heads: ``python -m benchmarks.heads DIR [--large DIR] [--heads a,b] [--rounds 3]``.

For each head on the images of DIR: the seconds of `featx fit` (nested 5-fold cross-validation and all other figures
that it reports), and the seconds of one tuning and fit, compared with scikit-learn's GridSearchCV of the same pipeline
over the same grid and folds. For the images of --large, a folder with train/ and test/ folders: tuning and fitting on
train/, and the accuracy on test/, compared with GridSearchCV of logistic regression after a StandardScaler, as it is
commonly written, and after the scaler of featx. Each fit uses one thread, and on both sides as many fits run in
parallel as there are CPUs. Times are wall time and CPU time; if the machine is busy, only the CPU times are comparable.
Print Markdown tables, then JSON.

``python -m benchmarks.heads --cores [--heads logreg] [--samples 50000] [--rounds 1]`` measures how a nested
cross-validation on synthetic features (1,280 of each sample, ten classes) scales: the wall seconds on 2 CPUs and on all
CPUs of this process, each in a process of its own with that CPU affinity, their ratio, and whether the out-of-fold
scores have the same bits. It needs neither images nor a network. With --rounds 1, 50,000 samples and
logreg, it should take about a minute on 16 CPUs (not measured); 20,000 samples take less than half of that.

``--simulate 2,16`` runs each job of the same cross-validation alone, and computes the wall seconds for these numbers of
CPUs from the CPU seconds of the jobs. The simulation assumes that jobs do not slow each other down.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
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
from featx.evaluation.procedures import (
    DataSplit,
    TrainingSet,
    cross_validate,
    quiet_single_threads,
    split_table,
    tune_and_fit,
)
from featx.evaluation.procedures.folds import make_folds, make_outer_folds
from featx.evaluation.procedures.tuning import tuning_plan
from featx.extraction import extract
from featx.fitting import fit
from featx.heads import HEAD_NAMES, for_large, make_head, scores_of
from featx.runtime import Runtime, n_processors
from featx.scaling import CommonScaler
from featx.targets import SingleLabel

_BASELINES = {"GridSearchCV, StandardScaler": StandardScaler(), "GridSearchCV, one scale": CommonScaler()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--large", type=Path)
    parser.add_argument("--heads", default=",".join(HEAD_NAMES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", default="cache", type=Path)
    parser.add_argument("--cores", action="store_true")
    parser.add_argument("--simulate", metavar="N,N")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--on-cpus", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.on_cpus:
        print(json.dumps(_nested(arguments.heads, arguments.samples, arguments.on_cpus)))
        return
    if arguments.cores or arguments.simulate:
        names = ["logreg"] if arguments.heads == parser.get_default("heads") else arguments.heads.split(",")
        numbers = [int(number) for number in (arguments.simulate or "").split(",") if number]
        measured = _cores(names, arguments.samples, arguments.rounds) if arguments.cores else []
        print_json({"cores": measured, "simulated": [_simulated(name, arguments.samples, numbers) for name in names]})
        return
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


def _cores(heads: list[str], n: int, rounds: int) -> list[dict[str, Any]]:
    rows = []
    every = n_processors()
    print_head(f"nested cross-validation of {n:,} samples", "2 CPUs, s", f"{every} CPUs, s", "ratio", "same bits")
    for name in heads:
        few, many = ([_in_process(name, n, cpus) for _ in range(rounds)] for cpus in (2, every))
        same = len({one["digest"] for one in (*few, *many)}) == 1
        two, all_of_them = (median([one["seconds"] for one in some]) for some in (few, many))
        rows.append({"head": name, "samples": n, "on_2": few, "on_all": many, "same_bits": same})
        print_row(name, two, all_of_them, two / all_of_them, "yes" if same else "NO")
    return rows


def _in_process(head: str, n: int, cpus: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.heads", "--on-cpus", str(cpus), "--heads", head, "--samples", str(n)]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def _nested(head: str, n: int, cpus: int) -> dict[str, Any]:
    """Return time and out-of-fold scores of a nested cross-validation on some of the CPUs of this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    data = _synthetic(n)
    chosen, _ = for_large(make_head(head), n, len(data.classes))
    clock, processor, crossed = _timed(lambda: cross_validate(chosen, data, 5, 1, 0, cpus))
    digest = hashlib.sha256(crossed.scores.tobytes()).hexdigest()
    accuracy = crossed.summary.accuracy.mean
    return {"cpus": cpus, "seconds": clock, "processor": processor, "accuracy": accuracy, "digest": digest}


def _synthetic(n: int, n_features: int = 1280, n_classes: int = 10, rank: int = 128) -> TrainingSet:
    """Return samples with non-negative features of low effective rank, as of a backbone after a ReLU."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    decrease = (np.arange(1, rank + 1) ** -0.5).astype(np.float32)
    centres = 0.3 * decrease * rng.standard_normal((n_classes, rank), np.float32)
    weights = rng.standard_normal((rank, n_features), np.float32)
    X = np.empty((n, n_features), np.float32)
    for start in range(0, n, 5000):
        labels = y[start : start + 5000]
        latent = decrease * rng.standard_normal((len(labels), rank), np.float32) + centres[labels]
        noise = 0.3 * rng.standard_normal((len(labels), n_features), np.float32)
        X[start : start + 5000] = np.maximum(latent @ weights + noise - 0.5, 0)
    return TrainingSet(X, y, np.arange(n), SingleLabel(tuple(f"class {number}" for number in range(n_classes))))


def _simulated(name: str, n: int, numbers: list[int]) -> dict[str, Any]:
    if not numbers:
        return {}
    data = _synthetic(n)
    head, _ = for_large(make_head(name), n, len(data.classes))
    with quiet_single_threads():
        pairs = make_outer_folds(data.y, data.groups, data.classes, 5, 0).pairs
        plans = [_job_seconds(tuning_plan(head, partial(data.part, train), 0)) for train, _ in pairs]
    total = sum(sum(jobs) for plan in plans for jobs in plan)
    longest = max(sum(max(jobs) for jobs in plan) for plan in plans)
    walls = {number: _simulated_wall(plans, number) for number in numbers}
    print_head(
        f"{name}, {n:,} samples, simulated", "CPU, s", "longest chain", *(f"{number} CPUs, s" for number in walls)
    )
    print_row(name, total, longest, *walls.values())
    return {"head": name, "samples": n, "jobs": plans, "walls": walls}


def _job_seconds(plan: Any) -> list[list[float]]:
    """Run a plan; return the CPU seconds of the jobs of each of its steps."""
    steps, jobs = [], next(plan)
    try:
        while True:
            measured = [_timed(job) for job in jobs]
            steps.append([processor for _, processor, _ in measured])
            jobs = plan.send([result for _, _, result in measured])
    except StopIteration:
        return steps


def _simulated_wall(plans: list[list[list[float]]], n_cpus: int) -> float:
    """Return the wall seconds of plans that run as :func:`featx.evaluation.procedures.threads.run_plans` does."""
    waiting: list[tuple[int, int, float]] = []
    running: list[tuple[float, int, int]] = []
    lacking: dict[int, int] = {}
    now, n_started = 0.0, 0

    def begin(plan: int, step: int) -> None:
        if step < len(plans[plan]):
            lacking[plan] = len(plans[plan][step])
            for seconds in plans[plan][step]:
                heapq.heappush(waiting, (plan, step, seconds))

    while True:
        while len(running) < n_cpus and (waiting or n_started < len(plans)):
            if not waiting:
                n_started += 1
                begin(n_started - 1, 0)
                continue
            plan, step, seconds = heapq.heappop(waiting)
            heapq.heappush(running, (now + seconds, plan, step))
        if not running:
            return now
        now, plan, step = heapq.heappop(running)
        lacking[plan] -= 1
        if not lacking[plan]:
            begin(plan, step + 1)


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
