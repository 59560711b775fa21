"""Score every candidate of a head's grid on one split, and share the computation between candidates."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.sparse import eye_array
from sklearn.base import BaseEstimator, clone
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight

from featx.blocks import Features, in_memory
from featx.errors import HeadError
from featx.evaluation.procedures.convergence import count_convergence_warnings
from featx.evaluation.procedures.threads import stop_if_unwanted
from featx.heads import Head, converged, scores_of
from featx.targets import SingleLabel

_PREFIX = "head__"

MOST_TO_THE_LAST = 5_000
LOOSER = 10
"""Factor by which the tolerance of the fits of a path is increased above MOST_TO_THE_LAST samples, because these fits
only have to be ranked. On 33,000 images, they ended after a third of the iterations, and accuracies differed by less
than 0.001."""


@dataclass(frozen=True)
class Split:
    """Samples, divided into training and test samples.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.
    train, test : ndarray of int64
        Positions of the training and test samples.
    targets : SingleLabel
    """

    X: Features
    y: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    targets: SingleLabel


@dataclass(frozen=True)
class CandidateResult:
    """Result of one candidate on one split.

    Parameters
    ----------
    scores : ndarray of shape (n_test, n_classes), float64
        Scores of the test samples.
    converged : bool
        Whether the fit converged.
    """

    scores: NDArray[np.float64]
    converged: bool


@dataclass(frozen=True)
class _Parts:
    """A split transformed by all steps of a pipeline except the last, fitted on the training samples."""

    X_train: Any
    X_test: Any
    y_train: NDArray[np.int64]
    n_classes: int


Params = dict[str, Any]
_Way = Callable[[Head, Sequence[Params], _Parts], Iterator[CandidateResult]]


def shares_work(head: Head, candidates: Sequence[Params]) -> bool:
    """Return whether the candidates differ only in parameters of the last step of a featx pipeline."""
    names = {name for params in candidates for name in params}
    return isinstance(head.estimator, Pipeline) and all(name.startswith(_PREFIX) for name in names)


def try_candidates(head: Head, candidates: Sequence[Params], split: Split) -> Iterator[CandidateResult]:
    """Yield the result of each candidate on a split; each candidate is fitted when its result is requested.

    The steps before the last are fitted once, on the training samples. ``head.search`` states what else is shared:

    - ``path``: each fit starts from the previous solution, the most regularised first. With far fewer samples than
      features, the samples are transformed by :func:`rotated`. With many samples, the tolerance is just small enough
      to rank the candidates.
    - ``kernel``: one kernel matrix is used for every value of C.
    - ``alphas``: one matrix of normal equations is used for every penalty.
    - ``neighbours``: nearest neighbours are searched once, for the largest number of neighbours.
    - ``each``: nothing else.

    Parameters
    ----------
    head : Head
        A head for which :func:`shares_work` is true with these candidates.
    candidates : sequence of dict
        Hyper-parameters, the most regularised first.
    split : Split

    Yields
    ------
    CandidateResult
        Results in the order of the candidates.

    Raises
    ------
    HeadError
        If the estimator rejects the data or a parameter.
    """
    X = in_memory(split.X, slice(None))
    way = _WAYS[head.search] if _FITS[head.search](head, candidates) else _each
    with estimator_errors(head, candidates[0]):
        front = clone(head.estimator[:-1])
        X_train = front.fit_transform(X[split.train].astype(head.dtype, copy=False))
        X_test = front.transform(X[split.test].astype(head.dtype, copy=False))
    yield from way(head, candidates, _Parts(X_train, X_test, split.y[split.train], split.targets.n_classes))


def rotated(X_train: NDArray[Any], X_test: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate samples into the space spanned by the training samples, if these are at most half as many as the features.

    The rotation preserves inner products with training samples. L2-regularised linear models depend on these alone, so
    decision values are equal up to rounding, with n instead of n_features numbers per sample.

    Parameters
    ----------
    X_train : ndarray of shape (n, n_features)
        Centred training samples.
    X_test : ndarray of shape (n_test, n_features)
        Test samples, centred with the means of the training samples.

    Returns
    -------
    (ndarray of shape (n, m), ndarray of shape (n_test, m))
        Rotated training and test samples; m is n, or n_features if the samples are returned unchanged.
    """
    # With ten classes, the path of logreg takes a third of the time on 100 samples of 1,280 features, and the same
    # time on 900 samples.
    if 2 * len(X_train) > X_train.shape[1]:
        return X_train, X_test
    # QR, because the eigenvectors of X X' would require a division by small eigenvalues.
    basis, triangle = qr(X_train.T, mode="economic", check_finite=False)
    return np.ascontiguousarray(triangle.T), X_test @ basis


@contextlib.contextmanager
def estimator_errors(head: Head, params: Params) -> Iterator[None]:
    """Convert the ValueError or TypeError of an estimator into a HeadError that names the head and its parameters.

    Raises
    ------
    HeadError
        If the estimator rejects the data or a parameter.
    """
    try:
        yield
    except HeadError:
        raise
    except (ValueError, TypeError) as error:
        first_line = str(error).strip().splitlines()[0]
        chosen = ", ".join(f"{name.removeprefix(_PREFIX)}={value}" for name, value in params.items())
        raise HeadError(
            f'{head.name}{" with " if chosen else ""}{chosen} cannot be fitted; the estimator reports: "{first_line}"'
        ) from None


def _each(head: Head, candidates: Sequence[Params], parts: _Parts) -> Iterator[CandidateResult]:
    weights = {}
    if head.sample_weight is not None:
        weights["sample_weight"] = compute_sample_weight(head.sample_weight, parts.y_train)
    for params in candidates:
        yield _fit_and_score(_last(head), head, params, parts, **weights)


def _path(head: Head, candidates: Sequence[Params], parts: _Parts) -> Iterator[CandidateResult]:
    X_train, X_test = rotated(parts.X_train, parts.X_test)
    estimator = clone(head.estimator[-1]).set_params(warm_start=True)
    if len(X_train) > MOST_TO_THE_LAST:
        estimator.set_params(tol=LOOSER * estimator.tol)
    rotated_parts = replace(parts, X_train=X_train, X_test=X_test)
    for params in candidates:
        yield _fit_and_score(estimator, head, params, rotated_parts)


def _kernel(head: Head, candidates: Sequence[Params], parts: _Parts) -> Iterator[CandidateResult]:
    given = head.estimator[-1]
    options = {"gamma": _gamma(given, parts.X_train), "degree": given.degree, "coef0": given.coef0}

    def kernel(X: NDArray[Any]) -> NDArray[np.float64]:
        X, Y = X.astype(np.float64), parts.X_train.astype(np.float64)  # SVC computes in float64
        return np.asarray(pairwise_kernels(X, Y, given.kernel, filter_params=True, **options))

    with estimator_errors(head, candidates[0]):
        inside, across = kernel(parts.X_train), kernel(parts.X_test)
    kernels = replace(parts, X_train=inside, X_test=across)
    for params in candidates:
        yield _fit_and_score(_last(head).set_params(kernel="precomputed"), head, params, kernels)


def _alphas(head: Head, candidates: Sequence[Params], parts: _Parts) -> Iterator[CandidateResult]:
    given = head.estimator[-1]
    targets = LabelBinarizer(pos_label=1, neg_label=-1).fit_transform(parts.y_train).astype(head.dtype)
    weights = None if given.class_weight is None else compute_sample_weight(given.class_weight, parts.y_train)
    penalties = [float(params["head__alpha"]) for params in candidates]
    with estimator_errors(head, candidates[0]):
        for coef, intercept in _ridge(parts.X_train, targets, penalties, weights, given.fit_intercept):
            stop_if_unwanted()
            own = parts.X_test @ coef + intercept
            yield CandidateResult(np.hstack([-own / 2, own / 2]) if targets.shape[1] == 1 else own, True)


def _ridge(
    X: NDArray[Any], Y: NDArray[Any], penalties: Sequence[float], weights: NDArray[Any] | None, fit_intercept: bool
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield coefficients (n_features, n_targets) and intercepts (n_targets,) of ridge regression for each penalty.

    scikit-learn's Ridge with several penalties solves each target separately and, as SciPy's solvers do, holds the
    interpreter lock; NumPy's solver releases it.
    """
    X_mean, Y_mean = np.zeros(X.shape[1], X.dtype), np.zeros(Y.shape[1], Y.dtype)
    if fit_intercept:
        X_mean, Y_mean = np.average(X, axis=0, weights=weights), np.average(Y, axis=0, weights=weights)
    root = np.ones((len(X), 1), X.dtype) if weights is None else np.sqrt(weights)[:, None]
    X, Y = (X - X_mean) * root, (Y - Y_mean) * root
    is_wide = X.shape[1] > len(X)
    matrix = X @ X.T if is_wide else X.T @ X
    targets = Y if is_wide else X.T @ Y
    for penalty in penalties:
        solution = np.linalg.solve(matrix + penalty * np.eye(len(matrix)), targets)
        coef = X.T @ solution if is_wide else solution
        yield coef, Y_mean - X_mean @ coef


def _neighbours(head: Head, candidates: Sequence[Params], parts: _Parts) -> Iterator[CandidateResult]:
    most = max(candidates, key=lambda params: int(params["head__n_neighbors"]))
    with estimator_errors(head, most):
        nearest = _last(head).set_params(**_own(most)).fit(parts.X_train, parts.y_train)
        graph = nearest.kneighbors_graph(parts.X_test, mode="distance")
    # With a precomputed metric, fitting uses only the size of the graph.
    graphs = replace(parts, X_train=eye_array(len(parts.y_train), format="csr"), X_test=graph)
    for params in candidates:
        yield _fit_and_score(_last(head).set_params(metric="precomputed"), head, params, graphs)


def _gamma(svc: BaseEstimator, X: NDArray[Any]) -> float:
    if svc.gamma == "scale":
        return float(1 / (X.shape[1] * X.var(dtype=np.float64)))
    return 1 / X.shape[1] if svc.gamma == "auto" else float(svc.gamma)


def _fit_and_score(
    estimator: BaseEstimator, head: Head, params: Params, parts: _Parts, **weights: NDArray[Any]
) -> CandidateResult:
    stop_if_unwanted()
    with estimator_errors(head, params):
        estimator.set_params(**_own(params))
        with count_convergence_warnings() as warned:
            estimator.fit(parts.X_train, parts.y_train, **weights)
        scores = scores_of(estimator, parts.X_test, parts.n_classes)
    return CandidateResult(scores, converged(estimator) and not warned[0])


def _last(head: Head) -> BaseEstimator:
    return clone(head.estimator[-1])


def _own(params: Params) -> Params:
    return {name.removeprefix(_PREFIX): value for name, value in params.items()}


def _only(name: str, **required: tuple[Any, ...]) -> Callable[[Head, Sequence[Params]], bool]:
    """Return a function that tests for candidates that differ only in ``name``, and for required parameter values."""

    def fits(head: Head, candidates: Sequence[Params]) -> bool:
        values = head.estimator[-1].get_params()
        alone = all(set(params) == {_PREFIX + name} for params in candidates)
        return alone and all(values[other] in allowed for other, allowed in required.items())

    return fits


_WAYS: dict[str, _Way] = {
    "each": _each,
    "path": _path,
    "kernel": _kernel,
    "alphas": _alphas,
    "neighbours": _neighbours,
}
_FITS: dict[str, Callable[[Head, Sequence[Params]], bool]] = {
    "each": lambda head, candidates: True,
    "path": _only("C", solver=("lbfgs", "newton-cg"), l1_ratio=(0, 0.0), fit_intercept=(True,)),
    "kernel": _only("C", kernel=("linear", "rbf", "poly", "sigmoid"), probability=(False, "deprecated")),
    "alphas": _only("alpha", solver=("auto", "cholesky"), positive=(False,)),
    "neighbours": _only("n_neighbors", algorithm=("brute", "auto")),
}
