"""Read, check and write fitted estimators in skops format; equal content gives equal bytes.

skops ensures that only objects of known types are built from a file. skops does not check the content of these objects,
which the compiled code of scikit-learn trusts. This module therefore lists every allowed type. Most of these types
compute with NumPy, which checks shapes itself; for the others, this module checks the content. All other types are
refused, and the error names them.
"""

from __future__ import annotations

import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier.arrays import check_array
from featx.errors import ClassifierError

_SCHEMA = "schema.json"
_TRUSTED = ["featx.heads.centroid.ShrunkenCentroid", "featx.scaling.CommonScaler"]
"""Types of featx that are loaded in addition to the types that skops considers safe."""

_ARITHMETIC = {
    *("LogisticRegression", "LogisticRegressionCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier"),
    *("Perceptron", "PassiveAggressiveClassifier", "LinearSVC", "MLPClassifier", "NearestCentroid"),
    *("GaussianNB", "BernoulliNB", "ComplementNB", "MultinomialNB", "CategoricalNB", "DummyClassifier"),
    *("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis", "LabelBinarizer"),
    *("OneVsOneClassifier", "OneVsRestClassifier", "OutputCodeClassifier", "Pipeline"),
    *("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer", "PowerTransformer"),
    *("QuantileTransformer", "Binarizer", "VarianceThreshold", "PCA", "IncrementalPCA", "TruncatedSVD"),
    *("FactorAnalysis", "FastICA", "Nystroem", "RBFSampler"),
}
"""scikit-learn estimators that predict with NumPy, which checks every shape and index itself."""

_PRIMITIVES = {f"builtins.{name}" for name in ("str", "int", "float", "bool")}
_NUMBERS = {f"numpy.{name}" for name in ("bool", "bool_", "int32", "int64", "float32", "float64")}
_CONTAINERS = {
    "DictNode": {"builtins.dict", "collections.OrderedDict"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "SetNode": {"builtins.set"},
}
_LOSS = re.compile(r"sklearn\.(linear_model\._sgd_fast|_loss\._loss)\.\w+")
_VERSION = re.compile(r"[\w.+!-]{1,40}")
_MOST_WHOLE = 2**63
_MOST_REPEATED = 4
"""Maximum total size of the arrays, as a multiple of the file size; an array that is named twice is counted twice."""

_LEAST_REPEATED = 4 << 20
_MOST_JOBS = 1024


def dump_estimator(estimator: Any, check: Callable[..., None] = lambda loaded, is_trusted=False: None) -> bytes:
    """Return a fitted estimator in skops format; the bytes depend only on its content.

    Types that featx cannot check are written as well; to load the file, the user must declare them as trusted.

    Parameters
    ----------
    estimator : fitted scikit-learn estimator
    check : callable
        Function called with the estimator loaded from these bytes, and with ``is_trusted=True`` if types must be
        trusted.

    Raises
    ------
    ClassifierError
        If skops cannot write the estimator, or the written estimator cannot be loaded.
    """
    import skops
    import skops.io  # registers the writers of types
    from skops.io._utils import SaveContext, get_state

    members = _Members()
    try:
        context = SaveContext(zip_file=members)
        schema = json.loads(json.dumps(get_state(_to_predict(estimator), context)))
    except Exception as error:  # skops raises UnsupportedTypeException, TypeError, AttributeError, ...
        raise ClassifierError(f"the head cannot be saved: {error}") from None
    schema |= {"protocol": context.protocol, "_skops_version": skops.__version__}
    if _unknown_types(schema):
        content = _written(*_renumbered(schema, members))
        check(load_estimator(content, types_to_trust(content)), is_trusted=True)
    else:
        content = _written(*_checked(schema, members, math.inf))
        check(load_estimator(content))
    return content


def load_estimator(content: bytes, trusted: Collection[str] = ()) -> Any:
    """Load an estimator in skops format; refuse types that are not known to be safe.

    Parameters
    ----------
    content : bytes
    trusted : collection of str
        Further types that may be built. Their content is not checked, and their code runs.

    Raises
    ------
    ClassifierError
        If a type is not allowed, or the content is not a skops file.
    """
    from skops.io import loads

    known = content if trusted else check_estimator_file(content)
    unknown = types_to_trust(known) - set(trusted)
    if unknown:
        raise _not_loaded(unknown)
    try:
        return loads(known, trusted=[*_TRUSTED, *trusted])
    except Exception as error:  # skops and scikit-learn raise errors of all kinds on invalid content
        raise ClassifierError(f"the fitted head cannot be read: {error}") from None


def types_to_trust(content: bytes) -> set[str]:
    """Return the types in a skops file that a user must declare as trusted to load the file.

    Raises
    ------
    ClassifierError
        If the content is not a skops file.
    """
    from skops.io import get_untrusted_types

    schema, _ = _opened(content)
    try:
        names = _unknown_types(schema) | set(get_untrusted_types(data=content))
    except Exception as error:  # skops raises errors of all kinds on invalid content
        raise ClassifierError(f"the fitted head cannot be read: {error}") from None
    return names - set(_TRUSTED)


def check_estimator_file(content: bytes) -> bytes:
    """Check that a skops file holds only known types and numeric arrays; neither skops nor scikit-learn is imported.

    Returns
    -------
    bytes
        The same content rewritten without object identities, which could make one object stand for another.

    Raises
    ------
    ClassifierError
        If the file contains other types or arrays, or is not a skops file.
    """
    return _written(*_checked(*_opened(content), len(content)))


def _opened(content: bytes) -> tuple[Any, dict[str, bytes]]:
    """Return the schema and the members of a skops file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in check_members(archive, len(content), "the head")}
        return json.loads(members.pop(_SCHEMA)), members
    except ClassifierError:
        raise
    except Exception as error:  # zipfile and json raise BadZipFile, KeyError, ValueError, RecursionError, ...
        raise ClassifierError(f"the fitted head cannot be read: {error}") from None


def check_members(archive: zipfile.ZipFile, n_bytes: int, name: str) -> dict[str, int]:
    """Return the size in bytes of each member of a zip file, by name.

    Raises
    ------
    ClassifierError
        If a member is compressed, encrypted, a folder or repeated, or if all members together are larger than the file.
    """
    sizes: dict[str, int] = {}
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ClassifierError(f"{name} holds {entry.filename!r} compressed; expected uncompressed members")
        if entry.flag_bits & 1 or entry.is_dir() or entry.file_size != entry.compress_size:
            raise ClassifierError(f"{name} holds {entry.filename!r} encrypted or as a folder; expected plain files")
        sizes[entry.filename] = entry.file_size
    if sum(entry.file_size for entry in archive.infolist()) > n_bytes:
        raise ClassifierError(f"the members of {name} are larger than the file")
    if len(sizes) != len(archive.infolist()):
        raise ClassifierError(f"{name} holds a member twice")
    return sizes


def check_estimator(estimator: Any, X: NDArray[np.float32], n_classes: int, is_trusted: bool = False) -> None:
    """Check the content of an estimator, and that the estimator returns a finite score for each class.

    Parameters
    ----------
    estimator : object
        The loaded estimator.
    X : ndarray of shape (n_samples, n_features), float32
        Features to score after the content has been checked.
    n_classes : int
    is_trusted : bool
        Whether to skip the check of the content, which featx cannot do for unknown types.

    Raises
    ------
    ClassifierError
        If the content is inconsistent, or does not match the features or the classes.
    """
    from featx.heads import scores_of

    if not is_trusted:
        _check_objects(estimator)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            known = np.asarray(estimator.classes_)
            scores = scores_of(estimator, X, n_classes)
    except Exception as error:  # scikit-learn and NumPy raise errors of all kinds on arrays that do not match
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ClassifierError(f"the fitted head does not score the model's own probe images: {reason}") from None
    if known.shape != (n_classes,) or known.dtype.kind not in "iu" or not np.array_equal(known, np.arange(n_classes)):
        raise ClassifierError(f"the classes of the fitted head differ from the {n_classes} classes of the model")
    if scores.shape != (len(X), n_classes) or not np.isfinite(scores).all():
        raise ClassifierError("the fitted head does not give a finite score for each class")


class _Members(dict[str, bytes]):
    """Stand-in for the zip file that skops writes to; without times, which a zip file cannot store before 1980."""

    def writestr(self, name: str, content: Any) -> None:
        self[name] = bytes(content)

    def namelist(self) -> list[str]:
        return list(self)


def _written(schema: dict[str, Any], members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in {**members, _SCHEMA: json.dumps(schema).encode()}.items():
            add_member(archive, name, content)
    return stream.getvalue()


def add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add an uncompressed member to a zip file; the bytes of the member depend only on its name and content."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_STORED
    archive.writestr(entry, content)


def _not_loaded(names: Iterable[str]) -> ClassifierError:
    types = sorted(set(names))
    return ClassifierError(
        f"the head holds types that featx does not load from a file: {', '.join(types)}. Allowed are scikit-learn "
        "types that run no code when loaded and whose content featx can check. If you trust the author of this file "
        f"to run code on this machine: featx.load(FILE, trusted={types})"
    )


def _unknown_types(schema: Any) -> set[str]:
    """Return the types in a schema that a user must declare as trusted."""
    unknown: set[str] = set()
    parts = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            parts += part.values()
            name, module, loader = (part.get(key) for key in _KEYS)
            if isinstance(name, str) and isinstance(module, str) and isinstance(loader, str):
                full = f"{module}.{name}"
                if loader not in _READERS or not _is_allowed(loader, full):
                    unknown.add(full)
    return unknown


def _renumbered(schema: dict[str, Any], members: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return schema and members with identities numbered in order of appearance instead of by memory address."""
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}

    def renumber(part: Any) -> Any:
        if isinstance(part, list):
            return [renumber(item) for item in part]
        if not isinstance(part, dict):
            return part
        made = {key: renumber(value) for key, value in part.items()}
        if isinstance(part.get("__id__"), int):
            made["__id__"] = numbers.setdefault(part["__id__"], len(numbers) + 1)
        if part.get("file") in members:
            made["file"] = files.setdefault(part["file"], f"{len(files)}.{part['file'].rpartition('.')[2]}")
        return made

    made = renumber(schema)
    return made, {new: members[old] for old, new in files.items()}


def _checked(schema: Any, members: Mapping[str, bytes], n_bytes: float) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return checked schema and members; members are numbered in the order in which the schema names them."""
    if not isinstance(schema, dict) or type(schema.get("protocol")) is not int:
        raise ClassifierError("the fitted head cannot be read: it has no schema")
    reader = _Reader(members)
    try:
        read = reader.read(schema)
    except RecursionError:
        raise ClassifierError("the fitted head cannot be read: its schema is nested too deeply") from None
    except ClassifierError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _damaged() from None
    if reader.unknown:
        raise _not_loaded(_unknown_types(schema))
    if reader.n_bytes > max(_MOST_REPEATED * n_bytes, _LEAST_REPEATED):
        raise ClassifierError("the fitted head refers to the same arrays too many times")
    version = str(schema.get("_skops_version"))
    known = {"_skops_version": version} if _VERSION.fullmatch(version) else {}
    return {**read, "protocol": schema["protocol"], **known}, reader.kept


def _damaged() -> ClassifierError:
    return ClassifierError("the fitted head cannot be read: its schema is damaged")


class _Reader:
    """Reads a skops schema node by node, and keeps only the known parts of each node."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self._members = members
        self._names: dict[bytes, str] = {}
        self.kept: dict[str, bytes] = {}
        self.unknown: list[str] = []
        self.n_bytes = 0

    def read(self, node: Any) -> dict[str, Any]:
        """Return the known parts of a node."""
        if not isinstance(node, dict) or not all(isinstance(node.get(key), str) for key in _KEYS):
            raise _damaged()
        made: dict[str, Any] = {key: node[key] for key in _KEYS}
        kind, name = node["__loader__"], f"{node['__module__']}.{node['__class__']}"
        read = _READERS.get(kind)
        if read is None or not _is_allowed(kind, name):
            self.unknown.append(name)
            return made
        return {**made, **read(self, node)}

    def read_object(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of an object."""
        return {} if node.get("content") is None else {"content": self.read(node["content"])}

    def read_dict(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the keys of a dict, their types, and the values."""
        content, types = node.get("content"), self.read(node.get("key_types"))
        if not isinstance(content, dict) or types["__loader__"] != "ListNode":
            raise _damaged()
        version = content.get("_sklearn_version")  # scikit-learn shows it in a warning if it differs
        if version is not None and not _VERSION.fullmatch(str(json.loads(version["content"]))):
            raise ClassifierError("the fitted head has an invalid scikit-learn version")
        return {"content": {key: self.read(value) for key, value in content.items()}, "key_types": types}

    def read_list(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the items of a list, tuple or set."""
        if not isinstance(node.get("content"), list):
            raise _damaged()
        return {"content": [self.read(item) for item in node["content"]]}

    def read_value(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return a number, a string, true, false or null."""
        text = node.get("content")
        value = json.loads(text) if isinstance(text, str) else []
        if isinstance(value, list | dict) or (type(value) is int and abs(value) >= _MOST_WHOLE):
            raise ClassifierError(
                "the fitted head cannot be read: a value is not a string, a number below 2**63, true, false or null"
            )
        return {"content": text, "is_json": True}

    def read_array(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return an array of numbers or of other nodes, or a NumPy scalar."""
        file = node.get("file")
        if node.get("type") == "json":
            return {"type": "json", **self.read_list(node), "shape": self.read(node.get("shape"))}
        if node.get("type") != "numpy" or not isinstance(file, str) or file not in self._members:
            raise ClassifierError("the fitted head names an array that is missing")
        content = self._members[file]
        check_array(content, file, fortran=True)
        self.n_bytes += len(content)
        name = self._names.setdefault(content, f"{len(self._names)}.npy")
        self.kept[name] = content
        return {"type": "numpy", "file": name}

    def read_nothing(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return nothing, because a type node has no content."""
        return {}

    def read_loss(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return a loss function, which has at most one numeric argument."""
        arguments, content = self.read((node.get("__reduce__") or {}).get("args")), self.read(node.get("content"))
        if len(arguments.get("content", "")) > 1 or content.get("content"):
            raise ClassifierError("the fitted head cannot be read: its loss function is damaged")
        return {"__reduce__": {"args": arguments}, "content": content}


_KEYS = ("__class__", "__module__", "__loader__")
_READERS: dict[str, Callable[[_Reader, dict[str, Any]], dict[str, Any]]] = {
    "ObjectNode": _Reader.read_object,
    "RandomStateNode": _Reader.read_object,
    "DictNode": _Reader.read_dict,
    "ListNode": _Reader.read_list,
    "TupleNode": _Reader.read_list,
    "SetNode": _Reader.read_list,
    "JsonNode": _Reader.read_value,
    "NdArrayNode": _Reader.read_array,
    "TypeNode": _Reader.read_nothing,
    "LossNode": _Reader.read_loss,
}


def _is_allowed(loader: str, name: str) -> bool:
    if loader == "ObjectNode":
        is_known = name.rpartition(".")[2] in (*_ARITHMETIC, *_CHECKS)
        return name in _TRUSTED or (name.startswith("sklearn.") and is_known)
    if loader == "LossNode":
        return _LOSS.fullmatch(name) is not None
    allowed = {
        "JsonNode": _PRIMITIVES,
        "TypeNode": _PRIMITIVES | _NUMBERS,
        "NdArrayNode": {"numpy.ndarray", *_NUMBERS},
        "RandomStateNode": {"numpy.random.mtrand.RandomState"},
    }
    return name in allowed.get(loader, _CONTAINERS.get(loader, ()))


def _check_objects(top: Any) -> None:
    for part in _objects(top):
        if isinstance(part, np.random.RandomState):
            place = part.get_state(legacy=False)["state"]["pos"]
            if not 0 <= place <= 624:
                raise ClassifierError("the fitted head has an invalid random state")
            continue
        hidden = [name for name in vars(part) if hasattr(type(part), name)]
        if hidden:
            raise ClassifierError(f"an attribute of the fitted head's {type(part).__name__} hides its {hidden[0]}")
        jobs = getattr(part, "n_jobs", None)
        if jobs is not None and not (type(jobs) is int and abs(jobs) <= _MOST_JOBS):
            raise ClassifierError(
                f"the fitted head has n_jobs {jobs!r}; expected an integer from -{_MOST_JOBS:,} to {_MOST_JOBS:,}"
            )
        check = _CHECKS.get(type(part).__name__)
        invalid = None if check is None else _invalid(part, check)
        if invalid:
            raise ClassifierError(f"the fitted head's {type(part).__name__} is damaged: {invalid} is invalid")


def _invalid(estimator: Any, check: Callable[[Any], str | None]) -> str | None:
    try:
        return check(estimator)
    except Exception:  # an attribute is missing or has the wrong type
        return "content"


def _objects(top: Any) -> Iterator[Any]:
    """Yield every object with attributes and every random state in an estimator."""
    parts = [top]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list | tuple | set) or (isinstance(part, np.ndarray) and part.dtype.hasobject):
            parts += list(part)
        elif isinstance(part, np.random.RandomState):
            yield part
        elif hasattr(part, "__dict__") and not isinstance(part, type):
            yield part
            parts += vars(part).values()


def _invalid_in_svc(svc: Any) -> str | None:
    """Return the first invalid attribute or None; libsvm trusts the sizes and would read beyond its arrays."""
    n_classes, n_features, vectors = len(svc.classes_), svc.n_features_in_, svc.support_vectors_
    n, n_pairs = len(vectors), n_classes * (n_classes - 1) // 2
    probabilities = [
        _is_array(getattr(svc, name), np.float64, shape)
        for name in ("_probA", "_probB")
        for shape in ((0,), (n_pairs,))
    ]
    fits = {
        "number of classes": n_classes >= 2,
        "support_vectors_": _is_array(vectors, np.float64, (n, n_features)) and vectors.flags.c_contiguous,
        "support_": _is_array(svc.support_, np.int32, (n,)),
        "n_support_": _is_array(svc._n_support, np.int32, (n_classes,)) and (svc._n_support >= 0).all(),
        "dual_coef_": _is_array(svc._dual_coef_, np.float64, (n_classes - 1, n)),
        "intercept_": _is_array(svc._intercept_, np.float64, (n_pairs,)),
        "probabilities": any(probabilities[:2]) and any(probabilities[2:]),
        "kernel": svc.kernel in ("linear", "poly", "rbf", "sigmoid") and svc._sparse is False,
        "gamma": _is_number(svc._gamma, 0, math.inf),
        "degree": _is_number(svc.degree, 0, 1000) and type(svc.degree) is int,
        "coef0": _is_number(svc.coef0, -math.inf, math.inf),
        "cache_size": _is_number(svc.cache_size, 0, 1e9),
        "decision_function_shape": svc.decision_function_shape in ("ovr", "ovo") and type(svc.break_ties) is bool,
    }
    return _first_invalid(fits) or (None if int(svc._n_support.sum()) == n else "n_support_")


def _invalid_in_neighbours(knn: Any) -> str | None:
    """Return the first invalid attribute or None; the compiled search trusts the labels and ``n_neighbors``."""
    n_classes, fitted, labels = len(knn.classes_), knn._fit_X, knn._y
    n = len(fitted)
    fits = {
        "algorithm": knn._fit_method == "brute" and knn._tree is None,
        "samples": any(_is_array(fitted, dtype, (n, knn.n_features_in_)) for dtype in (np.float32, np.float64)),
        "order": fitted.flags.c_contiguous and n > 0,
        "labels": _is_array(labels, np.int64, (n,)) and 0 <= labels.min(initial=0) <= labels.max(initial=0) < n_classes,
        "number of samples": knn.n_samples_fit_ == n and knn.outputs_2d_ is False,
        "n_neighbors": type(knn.n_neighbors) is int and 1 <= knn.n_neighbors <= n,
        "weights": knn.weights in ("uniform", "distance"),
        "metric": knn.metric in _METRICS and knn.effective_metric_ in _METRICS and not knn.metric_params,
        "p": knn.p is None or _is_number(knn.p, 1, math.inf),
        "metric_params": set(knn.effective_metric_params_) <= {"p"}
        and all(_is_number(value, 1, math.inf) for value in knn.effective_metric_params_.values()),
    }
    return _first_invalid(fits)


_METRICS = ("minkowski", "euclidean", "l2", "manhattan", "cityblock", "l1", "cosine", "chebyshev")
_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "SVC": _invalid_in_svc,
    "NuSVC": _invalid_in_svc,
    "KNeighborsClassifier": _invalid_in_neighbours,
}
"""Checks of the estimators whose compiled code trusts their content."""


def _first_invalid(fits: Mapping[str, Any]) -> str | None:
    return next((name for name, is_valid in fits.items() if not is_valid), None)


def _is_array(value: Any, dtype: type, shape: tuple[int, ...]) -> bool:
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
        return False
    return bool(np.isfinite(value).all())


def _is_number(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high


def _to_predict(estimator: Any) -> Any:
    """Return an estimator without parts that only fitting needs: the optimizer of an MLP, candidates of a search."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        steps = [(name, _to_predict(step)) for name, step in estimator.steps]
        return _copy_of(estimator, steps=steps)
    if hasattr(estimator, "best_estimator_") and hasattr(estimator, "best_index_"):
        return _to_predict(estimator.best_estimator_)
    if isinstance(estimator, MLPClassifier):
        left_out = ("_optimizer", "_best_coefs", "_best_intercepts")
        return _copy_of(estimator, **{name: None for name in left_out if hasattr(estimator, name)})
    return estimator


def _copy_of(estimator: Any, **changes: Any) -> Any:
    twin = object.__new__(type(estimator))
    twin.__dict__.update({**estimator.__dict__, **changes})
    return twin
