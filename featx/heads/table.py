"""The table of heads: unfitted scikit-learn pipelines with the grids of their hyper-parameters."""

from __future__ import annotations

import contextlib
import difflib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.utils import get_tags

from featx.blocks import FeatureBlocks, Features
from featx.errors import HeadError
from featx.heads.centroid import ShrunkenCentroid
from featx.heads.grids import Beyond, GridEnd, grid_end
from featx.scaling import CommonScaler

# The best C differs by five orders of magnitude between data sets.
_C = tuple(10.0**exponent for exponent in range(-4, 5))
_BEYOND_C = Beyond((1e-5, 1e-6, 1e-7), (1e5, 1e6))

# If classes overlap, SVC can run for hours at a large C. On real data sets of 1,400 to 3,300 images it converged within
# 2,400 iterations at every C. A fit that reaches the limit is reported as not converged.
_SVC_ITERATIONS = 100_000


@dataclass(frozen=True)
class Head:
    """An unfitted estimator with its grid.

    Parameters
    ----------
    name : str
        Name in the table of heads, or the lower-case class name of an estimator given by the user.
    estimator : scikit-learn estimator
        Unfitted estimator; only clones are fitted.
    grid : mapping of str to sequence
        Values to choose from for each parameter of ``estimator``, the most regularised first.
    one_split : bool
        Whether to tune on one inner split instead of inner folds, for heads that are slow to fit.
    balance : {"class_weight", "sample_weight", "priors", "none", "own"}
        Way in which ``class_weight="balanced"`` is applied; ``own`` for an estimator given by the user, which has its
        own setting.
    sample_weight : {None, "balanced"}
        Weights passed to ``fit``.
    weighs_classes : bool
        Whether all classes have equal weight, also in tuning.
    dtype : type
        Data type of the features on which the estimator is fitted.
    search : {"each", "path", "kernel", "alphas", "neighbours"}
        Way in which the candidates of the grid share computation on one split; see
        :mod:`featx.evaluation.procedures.search`.
    beyond : mapping of str to Beyond
        Values to try beyond an end of the grid if the accuracy still increases there. Parameters whose values the user
        gave are missing.
    """

    name: str
    estimator: BaseEstimator
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    one_split: bool = False
    balance: str = "own"
    sample_weight: str | None = None
    weighs_classes: bool = False
    dtype: type = np.float32
    search: str = "each"
    beyond: Mapping[str, Beyond] = field(default_factory=dict)

    def candidates(self, n_train: int) -> list[dict[str, Any]]:
        """Return every combination of the grid that is valid for ``n_train`` samples, the most regularised first."""
        combinations: list[dict[str, Any]] = [{}]
        for name, values in self._grid(n_train).items():
            combinations = [{**chosen, name: value} for chosen in combinations for value in values]
        return combinations

    def default(self, n_train: int) -> dict[str, Any]:
        """Return the middle value of each parameter in the grid, for data sets that are too small for tuning."""
        return {name: values[len(values) // 2] for name, values in self._grid(n_train).items()}

    def end_of(self, name: str, chosen: Any, n_train: int) -> GridEnd | None:
        """Return the end of the grid of a parameter that was chosen; None if the value is not an end.

        Parameters
        ----------
        name : str
            Parameter of the grid.
        chosen : object
            Value of the parameter.
        n_train : int
            Number of training samples.
        """
        end = grid_end(self.grid[name], chosen, self.beyond.get(name))
        if end is None or not end.further or not name.endswith("n_neighbors"):
            return end
        possible = tuple(k for k in end.further if k <= n_train)  # cannot exceed the number of samples
        return end._replace(further=possible) if possible else None

    def _grid(self, n_train: int) -> dict[str, Sequence[Any]]:
        grid = dict(self.grid)
        for name in grid:
            if name.endswith("n_neighbors"):  # cannot exceed the number of samples
                grid[name] = [k for k in grid[name] if k <= n_train] or [1]
        return grid


def _scaled(estimator: BaseEstimator) -> Pipeline:
    return Pipeline([("scale", CommonScaler()), ("head", estimator)])


# Each entry makes its head from a random seed; parameters in the grid have the prefix of the pipeline step.
_HEADS: dict[str, Callable[[int], Head]] = {
    "logreg": lambda seed: Head(
        "logreg",
        _scaled(LogisticRegression(max_iter=2000)),
        {"head__C": _C},
        balance="class_weight",
        search="path",
        beyond={"head__C": _BEYOND_C},
    ),
    # Not LinearSVC: on a few thousand images with C above 0.1 it is 10 to 200 times slower, and not more accurate.
    "svm": lambda seed: Head(
        "svm",
        _scaled(SVC(kernel="linear", max_iter=_SVC_ITERATIONS, random_state=seed)),
        {"head__C": _C},
        balance="class_weight",
        search="kernel",
        beyond={"head__C": _BEYOND_C},
    ),
    "svm-rbf": lambda seed: Head(
        "svm-rbf",
        _scaled(SVC(max_iter=_SVC_ITERATIONS, random_state=seed)),
        {"head__C": _C},
        balance="class_weight",
        search="kernel",
        beyond={"head__C": _BEYOND_C},
    ),
    "mlp": lambda seed: Head(
        "mlp",
        # On seven data sets, a wider layer or a smaller tol was not more accurate, and up to three times slower.
        _scaled(MLPClassifier((128,), max_iter=300, tol=1e-3, random_state=seed)),
        {"head__alpha": (10.0, 1.0, 1e-2, 1e-4)},
        one_split=True,
        balance="sample_weight",
        beyond={"head__alpha": Beyond(above=(100.0, 1000.0))},
    ),
    "knn": lambda seed: Head(
        "knn",
        _scaled(KNeighborsClassifier(algorithm="brute", weights="distance")),
        {"head__n_neighbors": (31, 15, 7, 5, 3, 1)},
        balance="none",
        search="neighbours",
        beyond={"head__n_neighbors": Beyond(above=(63, 127))},
    ),
    # Ridge solves normal equations, whose condition number is the square of that of the features: float64.
    "ridge": lambda seed: Head(
        "ridge",
        _scaled(RidgeClassifier()),
        {"head__alpha": tuple(10.0**exponent for exponent in range(6, -3, -1))},
        balance="class_weight",
        dtype=np.float64,
        search="alphas",
        beyond={"head__alpha": Beyond((1e-3, 1e-4), (1e7, 1e8))},
    ),
    "centroid": lambda seed: Head(
        "centroid",
        _scaled(ShrunkenCentroid(priors="empirical")),
        {"head__shrink_threshold": (2.0, 1.0, 0.5, 0.2, None)},
        balance="priors",
        beyond={"head__shrink_threshold": Beyond(above=(4.0, 8.0))},
    ),
}

HEAD_NAMES = tuple(_HEADS)
"""Names of all heads."""


def make_head(
    head: str | BaseEstimator,
    params: Mapping[str, Any] | None = None,
    class_weight: str | None = None,
    seed: int = 0,
    option: str = "head",
) -> Head:
    """Return a head of the table, or wrap an estimator, with the given parameters.

    Parameters
    ----------
    head : str or scikit-learn estimator
        A name of :data:`HEAD_NAMES`, or any unfitted classifier, which is used unchanged.
    params : mapping, optional
        Parameters of the final estimator. A single value fixes a parameter, which is then not tuned; a list replaces
        the values to choose from.
    class_weight : {"balanced"}, optional
        Weight classes by the inverse of their size.
    seed : int
        Random seed of the estimator.
    option : str
        Name of the parameter that contains the head, for error messages.

    Returns
    -------
    Head

    Raises
    ------
    HeadError
        If the head or a parameter is unknown, a value is not allowed, or the head does not support class weights.
    """
    if isinstance(head, str):
        if head not in _HEADS:
            near = difflib.get_close_matches(head, HEAD_NAMES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            names = f"{', '.join(HEAD_NAMES[:-1])} or {HEAD_NAMES[-1]}"
            raise HeadError(f"`{option}={head}`: {hint}expected {names}")
        new = _HEADS[head](seed)
    elif isinstance(head, BaseEstimator) and _classifies(head):
        new = Head(type(head).__name__.lower(), clone(head))
    else:
        raise HeadError(
            f"{_shown(head)} is not a head; expected a name ({', '.join(HEAD_NAMES)}) or a scikit-learn classifier"
        )
    for name, value in (params or {}).items():
        new = _with_param(new, name, value)
    new = _balanced(new, class_weight)
    _check_values(new, params or {})
    if params and isinstance(head, str):
        _try_out(new, params)
    return new


def _shown(given: Any) -> str:
    if isinstance(given, type):
        return f"the class {given.__name__}, not {given.__name__}(),"
    return f"{given!r}" if isinstance(given, BaseEstimator) else f"head is of type {type(given).__name__}, which"


def _classifies(estimator: BaseEstimator) -> bool:
    """Return whether an estimator is a classifier; some, such as a stack, have no ``predict`` before fitting."""
    if get_tags(estimator).estimator_type is not None or not hasattr(estimator, "fit"):
        return bool(is_classifier(estimator))
    return hasattr(estimator, "predict")  # a user-defined class without an estimator type


def scores_of(estimator: Any, X: Features, n_classes: int) -> NDArray[np.float64]:
    """Return one score per class; the class with the largest score is predicted, and the softmax gives probabilities.

    Parameters
    ----------
    estimator : fitted classifier
        Classifier with the classes 0 to n_classes - 1.
    X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
    n_classes : int

    Returns
    -------
    ndarray of shape (n_samples, n_classes), float64
        Decision values; for two classes, a single decision value s becomes (-s/2, s/2). For estimators without
        decision values, log probabilities; for estimators without probabilities, 1 for the predicted class and 0
        otherwise.
    """
    if isinstance(X, FeatureBlocks):
        return X.apply(lambda block: scores_of(estimator, block, n_classes))
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(X), np.float64)
        return np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores
    if hasattr(estimator, "predict_proba"):
        return np.log(np.maximum(np.asarray(estimator.predict_proba(X), np.float64), 1e-6))
    return np.eye(n_classes)[np.asarray(estimator.predict(X), np.int64)]


def converged(estimator: Any) -> bool:
    """Return whether a fitted estimator stopped before its iteration limit; True for estimators without iterations."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    limit, iterations = getattr(last, "max_iter", None), getattr(last, "n_iter_", None)
    if limit is None or iterations is None or limit < 0:
        return True
    return bool(np.max(iterations) < limit)


def _prefix(head: Head) -> str:
    return "head__" if isinstance(head.estimator, Pipeline) and "head" in head.estimator.named_steps else ""


def _with_param(head: Head, name: str, value: Any) -> Head:
    full = _prefix(head) + name
    known = head.estimator.get_params()
    if full not in known:
        last = head.estimator.named_steps["head"] if _prefix(head) else head.estimator
        raise HeadError(
            f"{head.name} has no parameter {name!r}; its parameters are {', '.join(sorted(last.get_params()))}"
        )
    beyond = {key: values for key, values in head.beyond.items() if key != full}
    if isinstance(value, list):
        return replace(head, grid={**head.grid, full: tuple(value)}, beyond=beyond)
    grid = {key: values for key, values in head.grid.items() if key != full}
    return replace(head, estimator=clone(head.estimator).set_params(**{full: value}), grid=grid, beyond=beyond)


def _check_values(head: Head, params: Mapping[str, Any]) -> None:
    """Check, before any images are read, that scikit-learn accepts each parameter value."""
    single = [{}, *({name: value} for name, values in head.grid.items() for value in values)]
    fixed = {name: value for name, value in params.items() if not isinstance(value, list)}
    for changed in single:
        tried = {name.removeprefix(_prefix(head)): value for name, value in changed.items()}
        with _refused(head, {**fixed, **tried}):
            estimator = clone(head.estimator).set_params(**changed)
            for part in (estimator, *estimator.get_params().values()):
                if isinstance(part, BaseEstimator) and hasattr(part, "_parameter_constraints"):
                    part._validate_params()


def _try_out(head: Head, params: Mapping[str, Any]) -> None:
    """Check, before any images are read, that the parameters are compatible, by a short fit on random numbers."""
    X: NDArray[Any] = np.random.default_rng(0).normal(size=(40, 4)).astype(head.dtype)
    y = np.arange(40) % 2
    chosen = head.default(len(y))
    short = {name: 1 for name in ("head__max_iter",) if name in head.estimator.get_params()}
    with warnings.catch_warnings(), _refused(head, params):
        warnings.simplefilter("ignore")
        clone(head.estimator).set_params(**chosen, **short).fit(X, y)


@contextlib.contextmanager
def _refused(head: Head, params: Mapping[str, Any]) -> Iterator[None]:
    """Convert an error of scikit-learn into a HeadError that names the refused parameter, or all given parameters."""
    try:
        yield
    except (ValueError, TypeError) as error:
        first_line = str(error).strip().splitlines()[0]
        named = [
            f"`params={{{name!r}: {json.dumps(value) if isinstance(value, str) else repr(value)}}}`: "
            for name, value in params.items()
            if f"'{name}'" in first_line
        ]
        given = "" if named else ", ".join(f"{name}={value!r}" for name, value in params.items())
        raise HeadError(
            f"{named[0] if named else ''}{head.name}{' with ' if given else ''}{given} cannot be fitted; scikit-learn "
            f'reports: "{first_line}"'
        ) from None


_BALANCE_PARAMS = {"class_weight": {"head__class_weight": "balanced"}, "priors": {"head__priors": "uniform"}}


def _balanced(head: Head, class_weight: str | None) -> Head:
    if class_weight is None:
        return head
    if class_weight != "balanced":
        raise HeadError(f"`class_weight={class_weight}`: expected balanced")
    if head.balance in _BALANCE_PARAMS:
        estimator = clone(head.estimator).set_params(**_BALANCE_PARAMS[head.balance])
        return replace(head, estimator=estimator, weighs_classes=True)
    if head.balance == "sample_weight":
        return replace(head, sample_weight="balanced", weighs_classes=True)
    if head.balance == "own":
        raise HeadError("`class_weight` does not apply to an estimator object; set class weights on the estimator")
    raise HeadError(
        f"{head.name} does not support class weights; leave out `class_weight`, or choose another head such as logreg"
    )
