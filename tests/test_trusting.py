"""Heads that can be saved: scikit-learn classifiers, searches and user classes, with a check before fitting."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils import all_estimators

import featx
from featx.classifier.estimators import check_estimator, dump_estimator, load_estimator, types_to_trust
from featx.errors import ClassifierError, HeadError
from featx.extraction import extract
from featx.fitting.trusting import try_saving, try_saving_on
from featx.heads import make_head, scores_of

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = (RNG.random((60, 12)) + Y[:, None] / 3).astype(np.float32)

CHECKED = {
    *("BernoulliNB", "CategoricalNB", "ComplementNB", "DummyClassifier", "GaussianNB", "MultinomialNB"),
    *("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis", "NearestCentroid", "MLPClassifier"),
    *("LinearSVC", "NuSVC", "SVC", "LogisticRegression", "LogisticRegressionCV", "RidgeClassifier"),
    *("RidgeClassifierCV", "SGDClassifier", "Perceptron", "PassiveAggressiveClassifier"),
    *("OneVsOneClassifier", "OneVsRestClassifier"),
}
"""Classifiers that are loaded without trust; also KNeighborsClassifier if it searches by brute force."""

SEVERAL_TARGETS = {"ClassifierChain", "MultiOutputClassifier"}
FEW = {"n_estimators": 3, "max_iter": 50, "cv": 2}


def made(kind):
    """Return a small estimator of a class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.__name__ in ("StackingClassifier", "VotingClassifier"):
            return kind([("one", LogisticRegression()), ("other", LogisticRegression(C=9))])
        needs = kind.__name__ in SEVERAL_TARGETS or "Threshold" in kind.__name__
        needs = needs or kind.__name__ in ("OneVsOneClassifier", "OneVsRestClassifier", "OutputCodeClassifier")
        estimator = kind(LogisticRegression()) if needs or kind.__name__ == "SelfTrainingClassifier" else kind()
    own = estimator.get_params(deep=False)
    few = {name: value for name, value in FEW.items() if name in own and not isinstance(own[name], str)}
    return estimator.set_params(**few | ({"random_state": 0} if "random_state" in own else {}))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [kind for _, kind in all_estimators("classifier")], ids=lambda kind: kind.__name__)
def test_every_scikit_learn_classifier_is_saved_or_refused_before_it_is_fitted(kind):
    binary = "Threshold" in kind.__name__
    y = Y % 2 if binary else Y
    n_classes = int(y.max()) + 1
    estimator = made(kind)
    if kind.__name__ in SEVERAL_TARGETS:
        assert try_saving(make_head(estimator)) is None  # it needs several labels for each image
        return
    estimator.fit(X, y)
    content = dump_estimator(estimator, lambda one, **how: check_estimator(one, X[:3], n_classes, **how))
    assert dump_estimator(estimator) == content
    trusted = types_to_trust(content)
    np.testing.assert_array_equal(
        scores_of(load_estimator(content, trusted), X, n_classes), scores_of(estimator, X, n_classes)
    )
    if kind.__name__ in CHECKED:
        assert trusted == set()
    elif trusted:
        for too_few in (set(), {"another.Type"}, set(sorted(trusted)[1:])):
            with pytest.raises(ClassifierError, match=r"does not load from a file: .*trusted=\["):
                load_estimator(content, too_few)
    to_trust = try_saving_on(make_head(made(kind)), X, y)
    assert to_trust is not None
    assert (to_trust == []) == (trusted == set())


class Nearest(ClassifierMixin, BaseEstimator):
    """A user-defined head: predicts the class with the nearest mean."""

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def decision_function(self, X):
        distances = (np.abs(X[:, None] - self.means_) ** self.power).sum(axis=2)
        return distances[:, 0] - distances[:, 1] if len(self.classes_) == 2 else -distances

    def predict(self, X):
        return self.decision_function(X).argmax(axis=1)


class Locked(Nearest):
    """A head with an attribute that cannot be saved."""

    fits = 0

    def fit(self, X, y):
        Locked.fits += 1
        self.lock_ = threading.Lock()
        return super().fit(X, y)


class Forgetful(Nearest):
    """A head whose saved state differs from the state that it predicts with."""

    def __getstate__(self):
        return {"power": self.power, "classes_": self.classes_, "means_": 0 * self.means_}


@pytest.fixture
def table(fake, images):
    return extract(images, "quadrants", runtime=fake.runtime)


@pytest.mark.parametrize(
    ("head", "needed"),
    [
        (RandomForestClassifier(5, random_state=0), "sklearn.ensemble._forest.RandomForestClassifier"),
        (
            HistGradientBoostingClassifier(max_iter=5),
            "numpy.random._generator.Generator",
        ),
        (Nearest(), f"{__name__}.Nearest"),
        (GridSearchCV(RandomForestClassifier(3), {"max_depth": [1, 2]}, cv=2), "sklearn.tree._tree.Tree"),
    ],
)
def test_unchecked_types_are_loaded_if_they_are_trusted(fake, table, tmp_path, head, needed):
    model = featx.fit(table, head, cv=2, runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    with pytest.raises(ClassifierError, match=r"types that featx does not load from a file") as refused:
        featx.load(tmp_path / "m.featx")
    trusted = eval(str(refused.value).split("trusted=")[1].rstrip(")"))  # the list in the message is valid Python
    assert needed in trusted
    assert any(f"featx.load(FILE, trusted={trusted})" in note for note in model.evaluation.notes)
    loaded = featx.load(tmp_path / "m.featx", trusted=trusted)
    np.testing.assert_array_equal(loaded.predict(table).probabilities, model.predict(table).probabilities)
    assert featx.report(loaded).to_dict()["cv"] == model.evaluation.to_dict()["cv"]


@pytest.mark.parametrize(
    "head",
    [
        GridSearchCV(LogisticRegression(), {"C": [0.1, 10.0]}, cv=2),
        RandomizedSearchCV(SVC(), {"C": [0.1, 10.0]}, n_iter=2, cv=2),
        make_pipeline(PCA(5), GridSearchCV(LogisticRegression(), {"C": [0.1, 10.0]}, cv=2)),
    ],
)
def test_the_best_estimator_of_a_search_is_saved(fake, table, tmp_path, head):
    model = featx.fit(table, head, cv=2, runtime=fake.runtime)
    model.save(tmp_path / "m.featx")
    loaded = featx.load(tmp_path / "m.featx")
    assert not any("trusted" in note for note in model.evaluation.notes)
    np.testing.assert_array_equal(loaded.predict(table).probabilities, model.predict(table).probabilities)


@pytest.mark.parametrize("head", [Locked(), Forgetful()])
def test_heads_that_cannot_be_saved_are_not_fitted(fake, images, head):
    Locked.fits = 0
    with pytest.raises(HeadError, match=r"cannot be saved in a model file and is not fitted: "):
        featx.fit(images, head, backbone="quadrants", runtime=fake.runtime)
    assert Locked.fits <= 1  # on a few synthetic samples
    assert fake.starts == 0


def test_a_head_that_needs_more_samples_is_tried_on_the_features():
    assert try_saving(make_head(make_pipeline(PCA(50), LogisticRegression()))) is None
    wide = np.tile(X, (1, 6))
    assert try_saving_on(make_head(make_pipeline(PCA(50), LogisticRegression())), wide, Y) == []


def test_a_regressor_is_refused():
    with pytest.raises(HeadError, match="LinearRegression.* is not a head"):
        make_head(LinearRegression())


@pytest.mark.parametrize("n_features", [200, 1280])
def test_scores_of_a_loaded_head_may_differ_by_rounding(n_features):
    """PCA computes in float32; its saved arrays have another memory layout, and sums another order."""
    rng = np.random.default_rng(1)
    y = np.arange(200) % 5
    wide = (rng.random((200, n_features)) + rng.random((5, n_features))[y] / 4).astype(np.float32)
    head = make_head(make_pipeline(PCA(50), LogisticRegression()), None, None)
    assert try_saving_on(head, wide, y) == []


def test_a_loaded_head_with_other_scores_is_refused(monkeypatch):
    head = make_head(make_pipeline(PCA(5), LogisticRegression()), None, None)
    real = scores_of
    calls = iter([1.0, 1.001])
    monkeypatch.setattr(
        "featx.fitting.trusting.scores_of", lambda estimator, rows, n: real(estimator, rows, n) * next(calls)
    )
    with pytest.raises(HeadError, match="the loaded head does not give the same scores"):
        try_saving_on(head, X, Y)
