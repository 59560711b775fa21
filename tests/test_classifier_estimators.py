"""Heads in skops format: a file is refused by name, or scores features without reading beyond its arrays."""

from __future__ import annotations

import copy
import io
import json
import random
import time
import warnings
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegressionCV, Perceptron, RidgeClassifierCV, SGDClassifier
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

from featx.classifier.estimators import check_estimator, check_estimator_file, dump_estimator, load_estimator
from featx.errors import ClassifierError
from featx.heads import HEAD_NAMES, make_head, scores_of

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], 20)
X = (RNG.normal(size=(60, 6)) + 3 * Y[:, None]).astype(np.float32)

OTHERS = {
    "logreg cv": LogisticRegressionCV(Cs=2, cv=2),
    "ridge cv": RidgeClassifierCV(),
    "svm of pairs": OneVsOneClassifier(SGDClassifier(average=True)),
    "svm of rests": OneVsRestClassifier(LinearSVC()),
    "log loss": SGDClassifier(loss="log_loss"),
    "perceptron": Perceptron(),
    "nu": NuSVC(probability=False),
    "poly": SVC(kernel="poly", decision_function_shape="ovr"),
    "bayes": GaussianNB(),
    "lda": LinearDiscriminantAnalysis(),
    "qda": QuadraticDiscriminantAnalysis(),
    "uniform knn": KNeighborsClassifier(algorithm="brute", metric="cosine"),
    "landmarks": make_pipeline(StandardScaler(), Nystroem(n_components=5), SGDClassifier()),
    "quantiles": make_pipeline(QuantileTransformer(n_quantiles=10), LinearSVC()),
}


def fitted(name):
    estimator = OTHERS[name] if name in OTHERS else make_head(name).estimator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return copy.deepcopy(estimator).fit(X, Y)


def as_file(estimator):
    """Return an estimator in skops format without any check."""
    return skops.io.dumps(estimator)


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def read(content):
    """Load a head in the same way as a model, and score other features with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = load_estimator(content)
        check_estimator(estimator, X[:3], 3)
        return scores_of(estimator, 9 * X[::-1], 3)


@pytest.mark.parametrize("name", [*HEAD_NAMES, *OTHERS])
def test_heads_are_restored(name):
    estimator = fitted(name)
    content = dump_estimator(estimator, lambda loaded: check_estimator(loaded, X, 3))
    np.testing.assert_array_equal(read(content), scores_of(estimator, 9 * X[::-1], 3))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (DecisionTreeClassifier(), "DecisionTreeClassifier"),
        (RandomForestClassifier(2), "RandomForestClassifier"),
        (KNeighborsClassifier(algorithm="kd_tree"), "KDTree"),
        (RadiusNeighborsClassifier(9, algorithm="brute"), "RadiusNeighborsClassifier"),
        (make_pipeline(PolynomialFeatures(), LinearSVC()), "PolynomialFeatures"),
    ],
)
def test_heads_whose_content_is_not_checked_are_refused_by_name(estimator, message):
    content = dump_estimator(estimator.fit(X, Y))
    for read in (load_estimator, check_estimator_file):
        with pytest.raises(ClassifierError, match=f"featx does not load from a file: .*{message}.*can check"):
            read(content)


def test_the_bytes_depend_on_the_content_alone(monkeypatch):
    first = dump_estimator(fitted("svm-rbf"))
    monkeypatch.setattr(time, "time", lambda: 86400.0)  # a date of 1970, which a zip file cannot hold
    assert dump_estimator(fitted("svm-rbf")) == first
    assert sorted(members(first))[:2] == ["0.npy", "1.npy"]


def svc(**changes):
    return lambda head: vars(head).update(changes)


def knn(**changes):
    return lambda head: vars(head).update(changes)


N = len(fitted("svm-rbf")[-1].support_)
MANY = 10**7

TAMPERED = [
    ("svm-rbf", svc(_n_support=np.array([MANY] * 3, np.int32)), "n_support_"),
    ("svm-rbf", svc(_n_support=np.array([-MANY, MANY, N], np.int32)), "n_support_"),
    ("svm-rbf", svc(_n_support=np.array([N], np.int32)), "n_support_"),
    ("svm-rbf", svc(_dual_coef_=np.zeros((2, 1))), "dual_coef_"),
    ("svm-rbf", svc(_dual_coef_=np.zeros((1, N))), "dual_coef_"),
    ("svm-rbf", svc(_dual_coef_=np.full((2, N), np.nan)), "dual_coef_"),
    ("svm-rbf", svc(_intercept_=np.zeros(0)), "intercept_"),
    ("svm-rbf", svc(_intercept_=np.zeros(3, np.float32)), "intercept_"),
    ("svm-rbf", svc(support_=np.zeros(1, np.int32)), "support_"),
    ("svm-rbf", svc(support_vectors_=np.zeros((MANY, 0))), "support_vectors_"),
    ("svm-rbf", svc(support_vectors_=np.zeros((N, 1))), "support_vectors_"),
    ("svm-rbf", svc(support_vectors_=np.asfortranarray(np.ones((N, 6)))), "support_vectors_"),
    ("svm-rbf", svc(_probA=np.zeros(1)), "probabilities"),
    ("svm-rbf", svc(_probB=np.zeros(9)), "probabilities"),
    ("svm-rbf", svc(kernel="precomputed"), "kernel"),
    ("svm-rbf", svc(_sparse=True), "kernel"),
    ("svm-rbf", svc(_gamma=float("inf")), "gamma"),
    ("svm-rbf", svc(degree=2**40), "degree"),
    ("svm-rbf", svc(classes_=np.arange(2)), "n_support_|dual_coef_"),
    ("svm-rbf", svc(classes_=np.arange(1)), "number of classes|n_support_"),
    ("svm-rbf", svc(_impl="nu_svc"), "hides its _impl"),
    ("svm-rbf", svc(decision_function="x"), "hides its decision_function"),
    ("svm-rbf", svc(n_features_in_=7), "support_vectors_"),
    ("svm-rbf", svc(decision_function_shape="ovo", classes_=np.array([2, 1, 0])), "classes of the fitted head differ"),
    ("knn", knn(n_neighbors=10**9), "n_neighbors"),
    ("knn", knn(n_neighbors=0), "n_neighbors"),
    ("knn", knn(_y=np.zeros(3, np.int64)), "labels"),
    ("knn", knn(_y=np.full(60, 10**9)), "labels"),
    ("knn", knn(_y=np.full(60, -1)), "labels"),
    ("knn", knn(_y=np.zeros((60, 1), np.int64)), "labels"),
    ("knn", knn(_fit_X=np.zeros((60, 5), np.float32)), "samples"),
    ("knn", knn(_fit_X=np.zeros((2, 6), np.float32)), "labels"),
    ("knn", knn(_fit_X=np.full((60, 6), np.inf, np.float32)), "samples"),
    ("knn", knn(n_samples_fit_=10**9), "number of samples"),
    ("knn", knn(_fit_method="kd_tree"), "algorithm"),
    ("knn", knn(metric="precomputed"), "metric"),
    ("knn", knn(effective_metric_="haversine"), "metric"),
    ("knn", knn(effective_metric_params_={"V": np.ones(1)}), "metric_params"),
    ("knn", knn(weights="half"), "weights"),
    ("knn", knn(n_jobs=10**9), "has n_jobs 1000000000; expected an integer from -1,024 to 1,024"),
    ("knn", knn(classes_=np.arange(9)), "classes of the fitted head differ"),
    ("logreg", svc(coef_=np.zeros((3, 5))), "does not score the model's own probe images"),
    ("logreg", svc(coef_=np.zeros((2, 6)), intercept_=np.zeros(2)), "does not give a finite score for each class"),
    ("logreg", svc(coef_=np.full((3, 6), np.nan)), "does not give a finite score for each class"),
    ("logreg", svc(classes_=np.array(["a", "b", "c"])), "its type <U1 is not numeric"),
    ("logreg", svc(n_features_in_=5), "does not score the model's own probe images"),
    ("mlp", svc(coefs_=[np.zeros((6, 4)), np.zeros((5, 3))]), "does not score the model's own probe images"),
    ("mlp", svc(n_layers_=10**6), "does not score the model's own probe images"),
    ("mlp", svc(activation="system"), "does not score the model's own probe images"),
    ("ridge", svc(coef_=np.zeros(6)), "does not score|not give a finite score|classes of the fitted head differ"),
    ("centroid", svc(centroids_=np.zeros((3, 2))), "does not score the model's own probe images"),
]


@pytest.mark.parametrize(("name", "change", "message"), TAMPERED)
def test_inconsistent_content_is_refused(name, change, message):
    estimator = fitted(name)
    change(estimator[-1])
    if name == "mlp":
        estimator[-1]._optimizer = None
    with pytest.raises(ClassifierError, match=message):
        read(as_file(estimator))


def test_objects_that_are_not_heads_are_refused():
    for value in ({"a": 1}, [1, 2], StandardScaler().fit(X), fitted("logreg")[0], np.zeros(3)):
        with pytest.raises(ClassifierError):
            read(as_file(value))


def test_an_invalid_random_state_is_refused():
    estimator = fitted("mlp")
    estimator[-1]._optimizer = None
    inner = members(as_file(estimator))
    schema = inner["schema.json"].decode()
    place = schema.index('"pos"')
    at = schema.index('"content": "', place) + len('"content": "')
    inner["schema.json"] = (schema[:at] + "123456789" + schema[schema.index('"', at) :]).encode()
    with pytest.raises(ClassifierError, match="an invalid random state"):
        read(zipped(inner))


def nodes(value):
    if isinstance(value, dict):
        if "__loader__" in value:
            yield value
        for item in value.values():
            yield from nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from nodes(item)


def first(schema, loader):
    return next(node for node in nodes(schema) if node["__loader__"] == loader)


def as_other(loader, **more):
    def change(schema):
        node = first(schema, "JsonNode")
        node |= {"__loader__": loader, **more}

    return change


def cached(schema):
    first(schema, "JsonNode").update({"__loader__": "CachedNode"})


def circle(schema):
    for node in nodes(schema):
        node["__id__"] = 1


def repeat_arrays(schema):
    attributes = next(n["content"] for n in nodes(schema) if "support_vectors_" in (n.get("content") or ()))
    first(schema, "TupleNode")["content"] = [attributes["support_vectors_"]] * 4000


def deep(schema):
    node = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    for _ in range(400):
        node = {**node, "content": [node]}
    first(schema, "ListNode")["content"] = [node]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (as_other("PartialNode", __module__="functools", __class__="partial"), r"does not load .*functools\.partial"),
        (as_other("MethodNode"), r"does not load from a file: builtins\.str"),
        (as_other("OperatorFuncNode", __module__="operator", __class__="attrgetter"), r"operator\.attrgetter"),
        (as_other("FunctionNode", __module__="numpy", __class__="exp"), r"does not load from a file: numpy\.exp"),
        (as_other("TypeNode", __module__="os", __class__="system"), r"does not load from a file: os\.system"),
        (as_other("TreeNode", __module__="sklearn.tree._tree", __class__="Tree"), r"sklearn\.tree\._tree\.Tree"),
        (as_other("ObjectNode", __module__="os", __class__="SVC"), r"does not load from a file: os\.SVC"),
        (as_other("ObjectNode", __module__="sklearn.svm._classes", __class__="SVR"), r"sklearn\.svm\._classes\.SVR"),
        (as_other("SparseMatrixNode", __module__="scipy.sparse", __class__="csr_matrix"), "csr_matrix"),
        (as_other("BytesNode", __module__="builtins", __class__="bytes"), r"builtins\.bytes"),
        (as_other("JsonNode", content="[1]"), "a value is not a string, a number below"),
        (as_other("JsonNode", content="1" + "0" * 40), "a value is not a string, a number below"),
        (as_other("JsonNode", content="{"), "its schema is damaged"),
        (
            lambda schema: first(schema, "NdArrayNode").update(type="json", content=[], shape={}),
            "its schema is damaged",
        ),
        (lambda schema: first(schema, "NdArrayNode").update(file="../x.npy"), "names an array that is missing"),
        (lambda schema: first(schema, "DictNode").update(content=[]), "its schema is damaged"),
        (lambda schema: first(schema, "DictNode").update(key_types=None), "its schema is damaged"),
        (lambda schema: schema.update(protocol="2"), "it has no schema"),
        (lambda schema: schema.update(protocol=999), "cannot be read"),
        (cached, "does not load from a file"),
        (repeat_arrays, "refers to the same arrays too many times"),
        (deep, "nested too deeply|cannot be read"),
    ],
)
def test_schemas_that_are_refused(change, message):
    inner = members(as_file(fitted("svm-rbf")))
    schema = json.loads(inner["schema.json"])
    change(schema)
    with pytest.raises(ClassifierError, match=message):
        read(zipped(inner | {"schema.json": json.dumps(schema).encode()}))


def test_object_identities_are_ignored():
    """Identities could make an object replace another that was checked, or contain itself."""
    inner = members(as_file(fitted("svm-rbf")))
    schema = json.loads(inner["schema.json"])
    circle(schema)
    expected = read(as_file(fitted("svm-rbf")))
    np.testing.assert_array_equal(read(zipped(inner | {"schema.json": json.dumps(schema).encode()})), expected)


ODD = [None, True, -1, 0, 3, 10**9, 1e300, float("nan"), "", "x", (), (1,), {}, np.zeros(0), np.zeros((1, 1)), [[]]]


def odd_of(value, rng):
    """Return a random value, often of the same kind as ``value``."""
    if isinstance(value, np.ndarray) and rng.random() < 0.8:
        changes = [
            lambda: value[:0],
            lambda: value[..., :1],
            lambda: np.concatenate([value, value]),
            lambda: value.astype(np.float32),
            lambda: value.astype(np.int64),
            lambda: value[np.newaxis],
            lambda: value * 0 + (10**8 if value.dtype.kind in "iu" else np.inf),
            lambda: value * 0 - 1,
            lambda: np.asfortranarray(value),
        ]
        with np.errstate(all="ignore"):
            return rng.choice(changes)()
    return rng.choice(ODD)


@pytest.mark.parametrize("name", [*HEAD_NAMES, "uniform knn", "nu", "svm of pairs", "landmarks", "bayes"])
def test_random_attribute_values_are_accepted_or_refused(name):
    rng = random.Random(name)
    valid = fitted(name)
    accepted = refused = 0
    for _ in range(40):
        estimator = copy.deepcopy(valid)
        parts = [estimator, *(step for _, step in getattr(estimator, "steps", ()))]
        parts += [one for part in parts for one in getattr(part, "estimators_", ())]
        part = rng.choice(parts)
        for attribute in rng.sample(sorted(vars(part)), min(rng.choice((1, 1, 2)), len(vars(part)))):
            vars(part)[attribute] = odd_of(vars(part)[attribute], rng)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                content = as_file(estimator)
        except Exception:  # skops cannot write this object, so that it cannot occur in a file
            continue
        try:
            scores = read(content)
            assert scores.shape == (60, 3)
            accepted += 1
        except ClassifierError:
            refused += 1
    assert refused > 5
