"""Fit logistic regression on features that are read in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import OptimizeResult, minimize
from scipy.special import expit, log_softmax
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from featx.heads.training_parts import Fitted, TrainingParts, fitted_pipeline

_SAMPLED = 20_000
"""Number of rows from which the covariance matrix is estimated; a multiple of the number of features is enough."""

_MOST_COVARIANCES = 4096
"""Number of features up to which their covariance matrix is used; with more, it would need over 130 MB."""

_FLOOR = 1e-4
"""Smallest curvature that is compensated, relative to the mean curvature: float32 gradients are not more accurate."""


class LogisticBlocks:
    """Fits of logistic regression to several training parts, which share each pass over the features.

    L-BFGS minimises the objective of scikit-learn's ``LogisticRegression``, with loss and gradient summed over the
    blocks, to the same tolerance of the gradient. The objectives of all parts are minimised as one sum, which has the
    same minimum, because no coefficient belongs to two parts. As each pass over the features takes long, the
    coefficients are transformed by a Cholesky factor of approximate second derivatives (from the covariance matrix of
    some rows), so that fewer iterations are needed, and each fit starts from the previous one.

    Parameters
    ----------
    parts : TrainingParts
    looser : float
        Factor by which the tolerance is increased, for fits that are only compared with each other.
    """

    def __init__(self, parts: TrainingParts, looser: float) -> None:
        self._parts = parts
        self._looser = looser
        self._start: NDArray[np.float64] | None = None

    def fit(self, pipelines: Sequence[Pipeline]) -> Iterator[list[Fitted]]:
        """Fit pipelines of scaler and head one after the other, and yield the fitted pipelines of the parts of each."""
        for pipeline in pipelines:
            yield self._fit(pipeline)

    def _fit(self, pipeline: Pipeline) -> list[Fitted]:
        head, parts = pipeline[-1], self._parts
        objective = _Objective(parts, parts.class_weights(head.class_weight), head.C, self._curvature)
        found = objective.minimize(self._start, self._looser * head.tol, head.max_iter)
        self._start = found.coefficients
        fitted = []
        for scaler, own in zip(parts.scalers, found.coefficients, strict=True):
            one = clone(head)
            one.classes_, one.n_features_in_ = np.arange(parts.n_classes), parts.X.n_features
            one.coef_, one.intercept_ = own[:-1].T.astype(np.float32, order="C"), own[-1].astype(np.float32)
            one.n_iter_ = np.array([found.n_iterations], np.int32)
            fitted.append(Fitted(fitted_pipeline(pipeline, scaler, one), found.has_converged))
        return fitted

    @cached_property
    def _curvature(self) -> NDArray[np.float64]:
        """Covariance matrix of the scaled features, from some rows of the first part; variances if it is large."""
        parts, scaler = self._parts, self._parts.scalers[0]
        train = np.flatnonzero(parts.inside[:, 0])
        n = min(len(train), max(_SAMPLED, 5 * parts.X.n_features))
        some = parts.X[train[np.linspace(0, len(train) - 1, n).astype(np.int64)]]
        is_small = parts.X.n_features <= _MOST_COVARIANCES

        def product(at: NDArray[np.int64], block: NDArray[np.float32]) -> NDArray[np.float64]:
            scaled = scaler.transform(block)
            return np.asarray(scaled.T @ scaled if is_small else np.square(scaled).sum(axis=0), np.float64)

        return np.asarray(sum(some.map(product)) / n)


class _Minimum(NamedTuple):
    """Coefficients of shape (n_parts, n_features + 1, n_outputs), with the intercepts in the last row."""

    coefficients: NDArray[np.float64]
    n_iterations: int
    has_converged: bool


class _Sums(NamedTuple):
    """Sums over the rows of a block: losses (n_parts,), residuals (n_parts, n_outputs), and their products with X."""

    losses: NDArray[np.float64]
    residuals: NDArray[np.float64]
    products: NDArray[np.float32]


class _Objective:
    """Sum over the training parts of mean loss and penalty, as a function of the transformed coefficients."""

    def __init__(
        self, parts: TrainingParts, class_weights: NDArray[np.float64], C: float, covariances: NDArray[np.float64]
    ) -> None:
        n_classes = parts.n_classes
        self._parts, self._class_weights = parts, class_weights
        self._shape = (parts.n_parts, parts.X.n_features + 1, 1 if n_classes == 2 else n_classes)
        counts = np.array([np.bincount(parts.y[member], minlength=n_classes) for member in parts.inside.T])
        self._totals = (counts * class_weights).sum(axis=1)
        self._penalties = 1 / (C * self._totals)
        self._scales = np.array([scaler.scale_ for scaler in parts.scalers])
        self._means = np.array([scaler.mean_ for scaler in parts.scalers])
        # Second derivative for an output whose probability is 1 / n_classes, as in the first iteration.
        self._curvature = (1 - 1 / n_classes) / n_classes
        floor = max(float(self._penalties[0]), _FLOOR * self._curvature)
        expected = self._curvature * covariances
        self._factor = (
            cholesky(np.diag(np.full(len(expected), floor)) + expected, lower=True)
            if expected.ndim == 2
            else np.sqrt(expected + floor)
        )
        self._point = np.empty(0)
        self._value, self._gradient, self._steepest = np.inf, np.empty(0), np.inf

    def minimize(self, start: NDArray[np.float64] | None, tol: float, max_iter: int) -> _Minimum:
        """Minimise by L-BFGS until no component of the gradient exceeds ``tol``, as scikit-learn does.

        Parameters
        ----------
        start : ndarray of shape (n_parts, n_features + 1, n_outputs), float64, or None
            Initial coefficients; zeros if None.
        tol : float
        max_iter : int
        """

        def stop_if_flat(intermediate_result: OptimizeResult) -> None:
            if np.array_equal(intermediate_result.x, self._point) and self._steepest <= tol:
                raise StopIteration

        point = self._transformed(np.zeros(self._shape) if start is None else start)
        self._evaluate(point)
        if self._steepest <= tol:
            return _Minimum(self._coefficients(point), 0, True)
        result = minimize(
            self._evaluate,
            point,
            method="L-BFGS-B",
            jac=True,
            callback=stop_if_flat,
            options={"maxiter": max_iter, "maxls": 50, "gtol": 0.0, "ftol": 64 * np.finfo(float).eps},
        )
        is_flat = np.array_equal(result.x, self._point) and self._steepest <= tol
        return _Minimum(self._coefficients(result.x), int(result.nit), bool(is_flat or result.status == 0))

    def _evaluate(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if not np.array_equal(point, self._point):
            coefficients = self._coefficients(point)
            value, gradient = self._value_and_gradient(coefficients)
            self._point, self._value, self._steepest = point.copy(), value, float(np.abs(gradient).max())
            self._gradient = self._solved(gradient, transposed=False)
        return self._value, self._gradient.copy()

    def _value_and_gradient(self, coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parts, (n_parts, _, n_outputs) = self._parts, self._shape
        # The scaler of each part is part of its coefficients, so that all parts share one matrix product.
        weights = coefficients[:, :-1] / self._scales[:, None, None]
        centre = self._means[0].astype(np.float32)
        shifts = centre - self._means
        offsets = coefficients[:, -1] + np.einsum("pd,pdk->pk", shifts, weights)
        side_by_side = np.concatenate(list(weights), axis=1).astype(np.float32)

        def sums_of(at: NDArray[np.int64], block: NDArray[np.float32]) -> _Sums:
            block = block - centre
            outputs = (block @ side_by_side).reshape(len(at), n_parts, n_outputs) + offsets
            y = parts.y[at]
            losses, residuals = _losses(outputs, y)
            row_weights = np.where(parts.inside[at], self._class_weights[:, y].T, 0.0)
            residuals *= row_weights[:, :, None]
            products = block.T @ residuals.reshape(len(at), -1).astype(np.float32)
            return _Sums((losses * row_weights).sum(axis=0), residuals.sum(axis=0), products)

        losses, residuals = np.zeros(n_parts), np.zeros((n_parts, n_outputs))
        products = np.zeros((parts.X.n_features, n_parts * n_outputs))
        for sums in parts.X.map(sums_of, n_values=n_parts * n_outputs):
            losses += sums.losses
            residuals += sums.residuals
            products += sums.products
        gradient = np.empty(self._shape)
        gradient[:, :-1] = products.reshape(-1, n_parts, n_outputs).transpose(1, 0, 2)
        gradient[:, :-1] += shifts[:, :, None] * residuals[:, None, :]
        gradient[:, :-1] /= self._scales[:, None, None]
        gradient[:, -1] = residuals
        gradient /= self._totals[:, None, None]
        gradient[:, :-1] += self._penalties[:, None, None] * coefficients[:, :-1]
        penalty = self._penalties @ np.square(coefficients[:, :-1]).sum(axis=(1, 2)) / 2
        return float((losses / self._totals).sum() + penalty), gradient

    def _coefficients(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._solved(point.reshape(self._shape), transposed=True).reshape(self._shape)

    def _transformed(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        point = np.empty(self._shape)
        factor = self._factor
        point[:, :-1] = factor.T @ coefficients[:, :-1] if factor.ndim == 2 else factor[:, None] * coefficients[:, :-1]
        point[:, -1] = coefficients[:, -1] * np.sqrt(self._curvature)
        return point.reshape(-1)

    def _solved(self, values: NDArray[np.float64], *, transposed: bool) -> NDArray[np.float64]:
        """Multiply by the inverse of the factor (or of its transpose), and flatten."""
        solved = np.empty(self._shape)
        for number, own in enumerate(values[:, :-1]):
            solved[number, :-1] = (
                solve_triangular(self._factor, own, trans=int(transposed), lower=True, check_finite=False)
                if self._factor.ndim == 2
                else own / self._factor[:, None]
            )
        solved[:, -1] = values[:, -1] / np.sqrt(self._curvature)
        return solved.reshape(-1)


def _losses(outputs: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the loss (n_rows, n_parts), and its derivative by each output (n_rows, n_parts, n_outputs)."""
    if outputs.shape[2] == 1:
        losses = np.logaddexp(0, outputs[:, :, 0]) - y[:, None] * outputs[:, :, 0]
        return losses, expit(outputs) - y[:, None, None]
    logarithms = log_softmax(outputs, axis=2)
    rows = np.arange(len(y))
    losses = -logarithms[rows, :, y]
    residuals = np.exp(logarithms)
    residuals[rows, :, y] -= 1
    return losses, residuals
