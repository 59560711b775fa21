"""Replace heads that are too slow on many samples by faster approximations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsOneClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from featx.heads.grids import Beyond
from featx.heads.table import Head, make_head

MOST_EXACT = 10_000
"""Maximum number of training samples for which no head is replaced. The time of an exact SVC grows at least with the
square of the number of samples: 5 s on one core for 5,000 samples of 1,280 features, 34 s for 10,000."""

LANDMARKS = 1000
"""Number of landmarks: samples that approximate the kernel (Williams and Seeger 2001)."""

_KERNELS = {"rbf": (), "poly": ("coef0", "degree"), "sigmoid": ("coef0",)}
_KERNEL_OPTIONS = ("gamma", "coef0", "degree")
_EPOCHS = 100
_TOL, _PATIENCE = 1e-2, 2
"""With the defaults of scikit-learn, 1e-3 and 5, there are 6 times as many epochs, and accuracy is higher by 0.001."""

BATCH = 512
"""Batch size of the MLP: 2.5 times the default of scikit-learn, because larger matrix products are faster."""


def for_large(head: Head, n: int, n_classes: int) -> tuple[Head, str]:
    """Return the head to use for ``n`` training samples, and a note about the choice.

    The head itself is returned up to 10,000 samples, for an estimator given by the user, for other heads, and if a
    parameter has no counterpart in the replacement. Otherwise:

    - ``svm``: the same hinge loss, one classifier per pair of classes, minimised by averaged stochastic gradient
      descent. C is converted to ``alpha = 1 / (C m)``, where m is the number of samples of a pair.
    - ``svm-rbf``: the same, applied to the kernel values of 1,000 landmarks (Nystroem).
    - ``mlp``: early stopping, when the predictions for a held-out tenth of the training samples no longer improve.

    Parameters
    ----------
    head : Head
    n : int
        Total number of training samples. Folds have fewer training samples, but use the same head.
    n_classes : int

    Returns
    -------
    (Head, str)
        Head and note; the note is empty if there is nothing to report.
    """
    last = head.estimator[-1] if isinstance(head.estimator, Pipeline) else None
    plan = _PLANS.get(head.name)
    if plan is None or last is None or head.balance == "own":
        return head, ""
    if n > MOST_EXACT:
        return plan(head, last, n, n_classes, f"on more than {MOST_EXACT:,} images")
    exact = f"svm-rbf: the kernel is exact; above {MOST_EXACT:,} images, it is approximated by {LANDMARKS:,} landmarks"
    return head, exact if head.name == "svm-rbf" else ""


IN_BLOCKS = ("logreg", "svm", "mlp")
"""Names of the heads that can be fitted on features that are read in blocks."""

_TUNABLE = {"C", "class_weight", "tol", "max_iter"}
"""Parameters of logistic regression that are supported in blocks."""


def for_blocks(head: Head, n: int, n_classes: int) -> tuple[Head, str] | None:
    """Return the head to fit on features that are read in blocks, and a note about the choice.

    ``logreg`` is not changed; ``svm`` and ``mlp`` are replaced as by :func:`for_large`, for any number of samples.

    Parameters
    ----------
    head : Head
    n : int
        Total number of training samples.
    n_classes : int

    Returns
    -------
    (Head, str) or None
        Head and note; None if the head, with its parameters, can only be fitted on features in memory.
    """
    if (
        head.name not in IN_BLOCKS
        or head.balance == "own"
        or (head.name == "mlp" and head.estimator[-1].solver == "lbfgs")
    ):
        return None
    last = head.estimator[-1]
    if head.name == "logreg":
        usual = make_head(head.name).estimator[-1].get_params()
        same = all(value == usual[name] for name, value in last.get_params().items() if name not in _TUNABLE)
        return (head, "") if same and set(head.grid) <= {f"head__{name}" for name in _TUNABLE} else None
    replaced, note = _PLANS[head.name](head, last, n, n_classes, "in blocks")
    is_possible = replaced is not head and len(replaced.estimator) == len(head.estimator)
    return (replaced, note) if is_possible else None


def _linear(head: Head, svc: SVC, n: int, n_classes: int, when: str) -> tuple[Head, str]:
    if svc.kernel != "linear":
        return _landmarks(head, svc, n, n_classes, when)
    if not _is_known(head, svc, ("C",)):
        return head, _as_given(head, n)
    pipeline = Pipeline([*clone(head.estimator).steps[:-1], ("head", _gradients(svc, n, n_classes))])
    note = (
        f"{head.name}: {when}, the head is fitted by stochastic gradient descent, with one "
        f"classifier per pair of classes and alpha = 1 / ({_of_a_pair(n, n_classes):,} C)"
    )
    return _replaced(head, pipeline, n, n_classes), note


def _landmarks(head: Head, svc: SVC, n: int, n_classes: int, when: str) -> tuple[Head, str]:
    if svc.kernel == "linear":
        return _linear(head, svc, n, n_classes, when)
    if svc.kernel not in _KERNELS or not _is_known(head, svc, ("C", *_KERNEL_OPTIONS)):
        return head, _as_given(head, n)
    # After CommonScaler the mean variance is 1, so that "scale" equals "auto", for which Nystroem expects None.
    gamma = None if isinstance(svc.gamma, str) else svc.gamma
    options = {name: getattr(svc, name) for name in _KERNELS[svc.kernel]}
    nystroem = Nystroem(
        kernel=svc.kernel, gamma=gamma, n_components=LANDMARKS, random_state=svc.random_state, **options
    )
    steps = [*clone(head.estimator).steps[:-1], ("landmarks", nystroem), ("head", _gradients(svc, n, n_classes))]
    note = (
        f"{head.name}: {when}, the kernel is approximated by {LANDMARKS:,} landmarks "
        "(Nystroem), and the head is fitted by stochastic gradient descent with "
        f"alpha = 1 / ({_of_a_pair(n, n_classes):,} C)"
    )
    return _replaced(head, Pipeline(steps), n, n_classes), note


def _early(head: Head, mlp: MLPClassifier, n: int, n_classes: int, when: str) -> tuple[Head, str]:
    given = (mlp.early_stopping, mlp.n_iter_no_change, mlp.batch_size)
    if given != (False, 10, "auto"):
        return head, _as_given(head, n)
    pipeline = clone(head.estimator).set_params(
        head__early_stopping=True, head__n_iter_no_change=3, head__batch_size=BATCH
    )
    note = f"mlp: {when}, training is stopped early, based on a held-out tenth of them"
    return replace(head, estimator=pipeline), note


def _as_given(head: Head, n: int) -> str:
    why = "not approximated, because the approximation does not support a parameter"
    return f"{head.name}: {why}; fitting on {n:,} images takes long"


def _is_known(head: Head, svc: SVC, names: tuple[str, ...]) -> bool:
    """Return whether every parameter that was set or is tuned has a counterpart in the replacement."""
    usual = make_head(head.name).estimator[-1].get_params()
    kept = {*names, *_KERNEL_OPTIONS, "kernel", "class_weight", "random_state"}
    same = all(value == usual[name] for name, value in svc.get_params().items() if name not in kept)
    return same and set(head.grid) <= {f"head__{name}" for name in names}


def _gradients(svc: SVC, n: int, n_classes: int) -> BaseEstimator:
    machine = SGDClassifier(
        loss="hinge",
        alpha=1 / (svc.C * _of_a_pair(n, n_classes)),
        max_iter=_EPOCHS,
        tol=_TOL,
        n_iter_no_change=_PATIENCE,
        average=True,
        class_weight=svc.class_weight,
        random_state=svc.random_state,
    )
    # One-versus-rest, the default of SGDClassifier, is 0.03 less accurate on the ten classes of cifar10.
    return machine if n_classes == 2 else OneVsOneClassifier(machine)


def _of_a_pair(n: int, n_classes: int) -> int:
    return round(2 * n / n_classes)


def _replaced(head: Head, pipeline: Pipeline, n: int, n_classes: int) -> Head:
    """Return a head with another pipeline, and with values of alpha instead of C."""
    alpha = "head__alpha" if n_classes == 2 else "head__estimator__alpha"

    def alphas(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(1 / (C * _of_a_pair(n, n_classes)) for C in values)

    grid: dict[str, Sequence[Any]] = {}
    for name, values in head.grid.items():
        if name == "head__C":
            grid[alpha] = alphas(values)
        else:
            grid[name.replace("head__", "landmarks__")] = values
    of_c = head.beyond.get("head__C")
    beyond = {} if of_c is None else {alpha: Beyond(alphas(of_c.above), alphas(of_c.below))}
    return replace(head, estimator=pipeline, grid=grid, search="each", beyond=beyond)


_PLANS: dict[str, Callable[[Head, BaseEstimator, int, int, str], tuple[Head, str]]] = {
    "svm": _linear,
    "svm-rbf": _landmarks,
    "mlp": _early,
}
