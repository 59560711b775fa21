"""Compare scalers for the heads: ``python -m benchmarks.scaling DIR...``.

For each folder of class folders, print the accuracy over five random folds for the best value of the grid of each head,
and the out-of-fold log loss after temperature scaling, with a separate standard deviation for each feature
(StandardScaler) and with one scale for all features (CommonScaler). The figures are used in
docs/decisions/one-scale.md.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.processes import print_json
from featx.classifier import softmax
from featx.evaluation.procedures import find_temperature
from featx.extraction import extract
from featx.heads import Head, make_head, scores_of
from featx.runtime import Runtime
from featx.scaling import CommonScaler

_MOST = 900
_HEADS = ("logreg", "svm-rbf", "knn")
_SCALERS = {"one deviation each": StandardScaler(), "one scale": CommonScaler()}


def main(folders: list[str]) -> None:
    results = []
    for folder in folders:
        table = extract(folder, runtime=Runtime())
        y = np.unique(table.y.astype(str), return_inverse=True)[1]
        chosen = np.random.default_rng(0).permutation(len(y))[:_MOST]
        X, y = table.X[chosen], y[chosen]
        for name in _HEADS:
            for scaler in _SCALERS:
                accuracy, loss = _best(make_head(name), scaler, X, y)
                results.append({"set": Path(folder).name, "n": len(y), "head": name, "scaler": scaler})
                results[-1] |= {"accuracy": accuracy, "log_loss": loss}
                print(f"{Path(folder).name:<12} {len(y):>4}  {name:<8} {scaler:<19} {accuracy:.3f}  {loss:.3f}")
    print_json(results)


def _best(head: Head, scaler: str, X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    folds = list(StratifiedKFold(5, shuffle=True, random_state=1).split(X, y))
    found = []
    for params in head.candidates(len(y) * 4 // 5):
        scores = np.empty((len(y), y.max() + 1))
        jobs = (delayed(_scores)(head, scaler, params, X, y, train, test) for train, test in folds)
        for (_, test), part in zip(folds, Parallel(-1, backend="threading")(jobs), strict=True):
            scores[test] = part
        probabilities = softmax(scores / find_temperature(scores, y))
        found.append((float((scores.argmax(1) == y).mean()), float(log_loss(y, probabilities))))
    return max(found, key=lambda pair: pair[0])


def _scores(
    head: Head, scaler: str, params: dict, X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    pipeline = Pipeline([("scale", clone(_SCALERS[scaler])), ("head", clone(head.estimator[-1]))])
    return scores_of(pipeline.set_params(**params).fit(X[train], y[train]), X[test], y.max() + 1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        main(sys.argv[1:])
