"""Every public function, called in each way that its signature allows; a way that no call covers fails."""

from __future__ import annotations

import collections.abc
import inspect
import tempfile
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from conftest import make_classes
from sklearn.naive_bayes import GaussianNB
from test_backbones_onnx import SIZE, save

import featx
from featx.options import DatasetOptions, ExtractOptions, RunOptions
from featx.output import OutputFile

ELSEWHERE = {
    ("extract", "precision", "bfloat16"): "test_precision.py; not every CPU supports it",
    ("capture", "source", int): "test_capturing.py, with a simulated camera",
    ("capture", "preview", True): "test_capturing.py, with a simulated window",
    ("compare", "scratch", True): "test_finetuning.py; such a network is slow to train",
    ("finetune", "epochs", None): "test_finetuning.py; ten epochs are slow",
}
"""Ways that cannot be called here, and the tests that cover them."""


PASSING_ON = (featx.fit, featx.finetune, featx.compare)
"""Functions that pass the options of extract on as one object (tests/test_options.py)."""


@dataclass
class Place:
    """Values for the arguments of calls."""

    data: Path
    manifest: Path
    weights: Path
    table: featx.FeatureTable
    model: featx.Classifier
    how: dict[str, Any]

    def new(self, name: str) -> Path:
        """Return a path in a new folder."""
        return Path(tempfile.mkdtemp(dir=self.data.parent)) / name

    def new_list(self) -> Path:
        """Return a list of the paths of all images, one a line."""
        path = self.new("lines")
        path.write_text("".join(f"{image.absolute()}\n" for image in sorted(self.data.rglob("*.png"))))
        return path


@pytest.fixture
def at(fake, tmp_path, monkeypatch):
    """Return a working folder with images, features and a model; the default cache is that of the fake backbone."""
    monkeypatch.chdir(tmp_path)
    data = make_classes(tmp_path / "data", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 12)
    files = enumerate(sorted(data.rglob("*.png")))
    rows = [f"{path.relative_to(data).as_posix()},{path.parent.name},P{i % 6}" for i, path in files]
    (tmp_path / "list.csv").write_text("\n".join(["file,kind,plate", *(f"data/{row}" for row in rows)]))
    how = {"runtime": fake.runtime}
    table = featx.extract(data, "quadrants", augment="light", views=1, **how)
    model = featx.fit(table, params={"C": 1.0}, cv=2, **how)
    model.save("m.featx")
    weights = tmp_path / "keras" / "models" / "quadrants.h5"
    return Place(data, tmp_path / "list.csv", weights, table, model, how)


COLUMNS = {"path_column": "file", "label_column": "kind"}
Calls = list[dict[str, Any]]


def calls_of_extract(at: Place) -> Calls:
    base = {"data": at.data, "backbone": "quadrants", **at.how}
    drawn, net = at.new("p.png"), save(at.new("net.onnx"))
    turned = save(at.new("turned.onnx"), (1, SIZE, SIZE, 3))
    local = {**base, "backbone": str(net), "preprocess": "tf", "layout": "nchw", "precision": "int8"}
    return [
        {"backbone": "quadrants"},
        {**base, "data": str(at.data), "layer": "top", "pooling": "max", "resize": "pad", "size": 16, "white": 255},
        {**base, "pooling": "flatten", "resize": "squash", "page": 1, "label_by": "top", "strict": True},
        {**base, **COLUMNS, "data": at.manifest, "engine": "openvino", "precision": "float32"},
        {**base, "engine": "tensorflow", "weights": str(at.weights), "label_by": "parent"},
        {**local, "backbone": str(turned), "layout": "nhwc", "precision": "float32", "engine": "auto"},
        {**base, "weights": at.weights, "augment": "medium", "views": 2, "seed": 1},
        {**base, "preview": str(drawn), "shard": "1/2"},
        {**base, "preview": drawn, "overwrite": True},
        local,
        {**local, "recalibrate": True},
    ]


def calls_of_inspect(at: Place) -> Calls:
    return [
        {},
        {"data": str(at.data), "white": 255, "page": 1, "label_by": "top", **at.how},
        {"data": at.manifest, **COLUMNS, **at.how},
    ]


def calls_of_fit(at: Place) -> Calls:
    data = {"backbone": "quadrants", "resize": "pad", **COLUMNS, **at.how}
    return [
        {},
        {"features": at.table, "head": GaussianNB(), "cv": 3, "repeats": 2, "class_weight": None, **at.how},
        {"features": at.table, "head": "knn", "params": {"n_neighbors": [1, 3]}, "views": 1, "seed": 3, **at.how},
        {"features": str(at.data), "backbone": "quadrants", "class_weight": "balanced", **at.how},
        {"features": at.manifest, "head": "mlp", "hidden": [4], "group_by": "plate", "group_versions": False, **data},
        {
            "features": at.data,
            "backbone": str(save(at.new("net.onnx"))),
            "preprocess": "tf",
            "bundle": True,
            **at.how,
        },
    ]


def calls_of_compare(at: Place) -> Calls:
    base = {"data": at.data, "backbones": ["quadrants"], "heads": ("centroid", "knn"), "cv": 2, **at.how}
    return [
        {"backbones": ["quadrants"]},
        {**base, "data": str(at.data), "poolings": ["avg", "max", "flatten"], "repeats": 2},
        {**base, "heads": ["ridge"], "class_weight": "balanced"},
        {**base, "heads": [GaussianNB()], "resizes": ["pad", "crop", "squash"], "sizes": [None, 16], "seed": 1},
        {**base, **COLUMNS, "data": at.manifest, "group_by": "plate", "group_versions": False},
    ]


def calls_of_predict(at: Place) -> Calls:
    base = {"model": at.model, "paths": at.data, **at.how}
    table, sheet = at.new("s.csv"), at.new("g.html")
    return [
        {"model": "m.featx", "paths": [str(at.data / "red"), at.data / "blue"]},
        {**base, "model": Path("m.featx"), "paths": str(at.data), "output": str(table), "top_k": 2, "exact": True},
        {**base, "output": table, "overwrite": True, "no_cache": True, "strict": True, "reject_rate": 0.05},
        {**base, "sort_into": str(at.new("sorted")), "link": True, "gallery": str(sheet)},
        {**base, "sort_into": at.new("sorted"), "gallery": sheet, "overwrite": True, "weights": str(at.weights)},
        {**base, "paths": at.manifest, "path_column": "file", "weights": at.weights},
        {**base, "paths": [], "files_from": at.new_list(), "output": at.new("parts"), "only_new": True},
        {**base, "files_from": str(at.new_list())},
    ]


def calls_of_report(at: Place) -> Calls:
    page, list_ = at.new("r.html"), at.new("s.csv")
    columns = {**COLUMNS, "group_by": "plate"}
    return [
        {"model": at.model},
        {"model": "m.featx", "on": str(at.data), "label_by": "parent", "html": str(page), "suspects": str(list_)},
        {"model": at.model, "on": at.manifest, **columns, "html": page, "suspects": list_, "overwrite": True, **at.how},
        {"model": Path("m.featx"), "html": at.new("r.html"), "data": at.data, **at.how},
        {"model": at.model, "on": at.data, "weights": at.weights, **at.how},
        {"model": at.model, "on": at.data, "weights": str(at.weights), **at.how},
        {"model": at.model, "html": at.new("r.html"), "data": str(at.data), **at.how},
    ]


def calls_of_export_features(at: Place) -> Calls:
    featx.extract(at.manifest, "quadrants", **COLUMNS, **at.how)
    features = {"features": at.table.spec.id, **at.how}
    file = at.new("f.npz")
    return [
        {"output": str(at.new("f.npy"))},
        {"output": file, "data": str(at.data), "label_by": "parent", **features},
        {"output": str(at.new("f.h5")), "whole_store": True, **features},
        {"output": file, "data": at.manifest, **COLUMNS, "overwrite": True, **features},
    ]


def calls_of_finetune(at: Place, network: Path) -> Calls:
    base = {"data": at.data, "backbone": str(network), "unfreeze": 1, "epochs": 1, "preprocess": "tf", **at.how}
    output = at.new("t.featx")
    return [
        {"backbone": str(network), "epochs": 1, "preprocess": "tf"},
        {
            **base, "data": str(at.data), "unfreeze": "all", "head": "mlp", "hidden": [4], "top": "gmp", "dropout": 0.1,
            "optimizer": "sgd", "learning_rate": 1e-3, "class_weight": "balanced", "batch_norm": "train",
            "output": str(output),
        },
        {
            **base, "top": "flatten", "augment": "light", "views": 1, "batch_size": 8, "layer_decay": 0.5,
            "warmup": 0.2, "weight_decay": 0.1, "label_smoothing": 0.0, "patience": 2, "seed": 1,
            "output": output, "overwrite": True,
        },
        {**base, **COLUMNS, "data": at.manifest, "group_by": "plate", "trunk_cache": False, "optimizer": "adam"},
        {**base, "optimizer": "rmsprop", "group_versions": False},
    ]  # fmt: skip


def calls_of_trained_comparison(at: Place, network: Path) -> Calls:
    curves = at.new("c.png")
    base = {"data": at.data, "backbones": [str(network)], "heads": ["logreg"], "preprocess": "tf", **at.how}
    return [
        {**base, "unfreeze": 1, "augment": "light", "views": 1, "curves": str(curves)},
        {**base, "unfreeze": "all", "curves": curves, "overwrite": True},
    ]


def calls_of_capture(at: Place) -> Calls:
    from test_capturing import moving, scene_with, write_video

    video = write_video(at.new("v.avi"), moving(6))
    faces = write_video(at.new("f.avi"), [scene_with((40 + 9 * i, 50, 110)) for i in range(6)])
    base = {"label": "red", "source": video, "full_frame": True, "preview": False}
    return [
        base,
        {**base, "source": str(video), "output": str(at.new("d")), "count": 2, "every": 2, **at.how},
        {**base, "output": at.new("d"), "min_sharpness": 0.1, "min_difference": 1.0, **at.how},
        {**base, "source": faces, "output": at.new("d"), "full_frame": False, "margin": 0.1, **at.how},
    ]


def calls_of_merge_caches(at: Place) -> Calls:
    part, target = at.new("part"), {"runtime": featx.Runtime(cache=at.new("merged"))}
    featx.extract(at.data, "quadrants", shard="1/2", runtime=featx.Runtime(cache=part))
    return [{"folders": [str(part)]}, {"folders": (part,), **target}]


def calls_of_clean_cache(at: Place) -> Calls:
    return [{}, {"gone": True, "dry_run": True, **at.how}]


def calls_of_latest(at: Place) -> Calls:
    return [{}, {"augment": "light", "views": 1, **at.how}]


SIMPLE: dict[str, Callable[[Place], Calls]] = {
    "list_backbones": lambda at: [{}],
    "list_cache": lambda at: [{}, at.how],
    "verify_cache": lambda at: [{}, at.how],
    "make_sample": lambda at: [{"folder": at.new("a")}, {"folder": str(at.new("a"))}],
    "load": lambda at: [{"path": "m.featx"}, {"path": Path("m.featx"), "trusted": ["some.Type"]}],
    "clean_cache": calls_of_clean_cache,
    "latest": calls_of_latest,
    "extract": calls_of_extract,
    "inspect": calls_of_inspect,
    "fit": calls_of_fit,
    "predict": calls_of_predict,
    "report": calls_of_report,
    "export_features": calls_of_export_features,
    "merge_caches": calls_of_merge_caches,
}


def ways_of(hint: Any) -> list[Any]:
    """Return the ways to give an argument: None, a literal value, a type, or (type of sequence, way of its items)."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return [way for one in inner for way in ways_of(one)]
    if hint is bool:
        return [False, True]
    if origin is Literal:
        return list(inner)
    if hint is type(None):
        return [None]
    if origin in (collections.abc.Sequence, collections.abc.Collection):
        return [(origin, way) for way in ways_of(inner[0])]
    return [origin or hint]


def is_given(way: Any, value: Any) -> bool:
    """Return whether a value is given in a way."""
    if isinstance(way, tuple):
        return isinstance(value, way[0]) and not isinstance(value, str) and any(is_given(way[1], one) for one in value)
    if isinstance(way, type):
        return isinstance(value, way) and not isinstance(value, bool)
    return type(value) is type(way) and value == way


def left_out(function: Callable[..., Any], calls: Calls) -> list[tuple[str, str, Any]]:
    """Return the ways of a signature that no call covers, without options of extract, which its own calls cover."""
    shared = set() if function is featx.extract else set(DatasetOptions.names())
    shared |= {*ExtractOptions.names(), *RunOptions.names()} if function in PASSING_ON else set()
    hints = typing.get_type_hints(function)
    missing = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in shared:
            values = [call.get(name, parameter.default) for call in calls]
            left = [way for way in ways_of(hints[name]) if not any(is_given(way, value) for value in values)]
            missing += [(function.__name__, name, way) for way in left]
    return [way for way in missing if way not in ELSEWHERE]


def call(function: Callable[..., Any], calls: Calls) -> list[Any]:
    """Call a function in each way, with positional arguments where possible, and check the type that it returns."""
    results = []
    for arguments in calls:
        bound = inspect.signature(function).bind(**arguments)
        results.append(function(*bound.args, **bound.kwargs))
        returned = typing.get_type_hints(function)["return"]
        kind = featx.Classifier if returned is typing.Self else get_origin(returned) or returned
        assert results[-1] is None if returned is type(None) else isinstance(results[-1], kind)
    return results


@pytest.mark.parametrize("name", SIMPLE)
def test_each_way(at, name):
    calls = SIMPLE[name](at)
    assert left_out(getattr(featx, name), calls) == []
    call(getattr(featx, name), calls)


def test_each_way_to_use_a_model(at):
    paths = [at.data, str(at.data), [at.data / "red"], [str(at.data / "blue")]]
    given: Calls = [{"images": one, **at.how} for one in paths]
    more = {"exact": True, "strict": True, "path_column": "file"}
    given += [{"images": at.data, **at.how, **more, "weights": one} for one in (at.weights, str(at.weights))]
    given += [{"images": at.data}]
    files = [at.new("m.featx"), str(at.new("m.featx")), OutputFile(at.new("m.featx"), (".featx",))]
    ways: list[tuple[Callable[..., Any], Calls]] = [
        (at.model.predict, [*given, {"images": at.table}, {"images": at.table, "reject_rate": 0.05}]),
        (at.model.features_of, given),
        (at.model.save, [*({"path": path} for path in files), {"path": files[0], "overwrite": True}]),
        (
            featx.Classifier.load,
            [{"path": "m.featx"}, {"path": Path("m.featx"), "trusted": ["some.Type"]}],
        ),
        (at.model.check, [{"table": at.table}]),
        (at.model.check_reject_rate, [{"rate": 0.1}]),
    ]
    for method, calls in ways:
        assert left_out(method, calls) == []
        call(method, calls)


def test_each_way_to_capture(at):
    pytest.importorskip("cv2", reason="the extra capture is not installed")
    calls = calls_of_capture(at)
    assert left_out(featx.capture, calls) == []
    call(featx.capture, calls)


def test_each_way_to_fine_tune(at, network):
    calls = calls_of_finetune(at, network)
    assert left_out(featx.finetune, calls) == []
    call(featx.finetune, calls)


def test_each_way_to_compare(at, network):
    calls = calls_of_compare(at) + calls_of_trained_comparison(at, network)
    assert left_out(featx.compare, calls) == []
    call(featx.compare, calls)


def test_every_public_function_is_called_here():
    functions = {name for name in featx.__all__ if inspect.isfunction(getattr(featx, name))}
    assert functions == {*SIMPLE, "capture", "finetune", "compare"}


def test_a_way_that_no_call_covers_is_found():
    def function(data: str | Path, sizes: Sequence[int | None] = (), how: Literal["a", "b"] = "a", on: bool = False):
        pass

    assert left_out(function, [{"data": "x"}, {"data": "y", "sizes": [1]}]) == [
        ("function", "data", Path),
        ("function", "sizes", (collections.abc.Sequence, None)),
        ("function", "how", "b"),
        ("function", "on", True),
    ]
