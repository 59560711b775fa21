"""Attacks with model files and network files: crafted heads, graphs and evaluations, and weights in other files."""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scene import Attack, Ended, Scene, require

Members = dict[str, bytes]


def read_members(path: Path | io.BytesIO) -> Members:
    """Return the members of a zip file by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path: Path | io.BytesIO, members: Mapping[str, bytes]) -> None:
    """Write a zip file in the same way as featx."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


def npy(array: np.ndarray) -> bytes:
    """Return an array as the bytes of a NPY file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def _with_header(path: Path, base: Path, change: Callable[[dict[str, Any]], object]) -> None:
    members = read_members(base)
    header = json.loads(members["model.json"])
    change(header)
    write_members(path, members | {"model.json": json.dumps(header).encode()})


def _with_head(path: Path, base: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Write a model file with a changed head; ``change`` gets the attributes of the head by name."""
    import skops.io

    members = read_members(base)
    trusted = skops.io.get_untrusted_types(data=members["estimator.skops"])
    estimator = skops.io.loads(members["estimator.skops"], trusted=trusted)
    change(vars(estimator[-1]))
    write_members(path, members | {"estimator.skops": skops.io.dumps(estimator)})


def _refused(scene: Scene, ended: Ended, *texts: str) -> str:
    ended.expect(1, "error: ", *texts)
    require(not list(scene.root.glob("out*")), "an output was written")
    return ended.last.partition("error: ")[2][:120]


def _sample_ids(scene: Scene) -> str:
    for lead in ("/etc/passwd", "../secret.png", "/dev/zero"):
        _with_header(
            scene.root / "e.featx", scene.root / "m.featx", lambda h, to=lead: h["sample_ids"].__setitem__(0, to)
        )
        words = ("report", "e.featx", "--html", "out.html", "--data", "set")
        message = _refused(scene, scene.featx(*words, seconds=60, megabytes=8000), "sample id")
    return message


_MANY = 10**7
_SVC: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "vectors of no numbers": lambda a: {
        "support_vectors_": np.zeros((_MANY, 0)),
        "_n_support": np.array([_MANY // 2] * 2, np.int32),
        "_dual_coef_": np.zeros((1, 1)),
        "support_": np.zeros(1, np.int32),
    },
    "one coefficient": lambda a: {"_dual_coef_": a["_dual_coef_"][:, :1]},
    "too many": lambda a: {"_n_support": np.array([_MANY, len(a["support_"]) - _MANY], np.int32)},
    "no intercept": lambda a: {"_intercept_": np.zeros(0)},
    "sparse": lambda a: {"_sparse": True},
    "another machine": lambda a: {"_impl": "epsilon_svr"},
}
_KNN: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a billion neighbours": lambda a: {"n_neighbors": 10**9, "n_samples_fit_": 10**10, "weights": "uniform"},
    "labels beyond": lambda a: {"_y": a["_y"] + 10**8, "weights": "uniform"},
    "too few labels": lambda a: {"_y": a["_y"][:1], "weights": "uniform"},
    "a billion jobs": lambda a: {"n_jobs": 10**9, "effective_metric_": "canberra", "metric": "canberra"},
}


def _heads(scene: Scene) -> str:
    scene.featx("fit", "set", "--head", "knn", "-o", "k.featx").expect(0)
    for base, changes in (("rbf.featx", _SVC), ("k.featx", _KNN)):
        for change in changes.values():
            _with_head(scene.root / "e.featx", scene.root / base, lambda a, make=change: a.update(make(a)))
            ended = scene.featx("predict", "e.featx", "set", "-o", "out.csv", seconds=60, megabytes=16000)
            message = _refused(scene, ended, "head")
    return message


def _graph_of(members: Members) -> tuple[str, bytes]:
    graph = np.load(io.BytesIO(members["arrays/graph.npy"])).tobytes()
    length = int.from_bytes(graph[:8], "little")
    return graph[8 : 8 + length].decode(), graph[8 + length :]


def _with_graph(path: Path, base: Path, xml: bytes, weights: bytes) -> None:
    graph = len(xml).to_bytes(8, "little") + xml + weights
    members = read_members(base)
    header = json.loads(members["model.json"])
    spec = json.loads(header["spec"]) | {"graph": hashlib.sha256(graph).hexdigest()[:16]}
    header["spec"] = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    members |= {"model.json": json.dumps(header).encode(), "arrays/graph.npy": npy(np.frombuffer(graph, np.uint8))}
    write_members(path, members)


def _as_ir(build: Callable[[Any, Any], Any]) -> tuple[bytes, bytes]:
    """Return XML and weights of a graph with the shapes of the default backbone; ``build`` changes its outputs."""
    import tempfile

    import openvino as ov

    ops = ov.opset13
    pixels = ops.parameter([4, 224, 224, 3], np.uint8)
    mean = ops.tile(ops.reduce_mean(ops.convert(pixels, "f32"), [1, 2], False), np.array([1, 427]))
    features = build(ops, ops.pad(mean, [0, 0], [0, -1], "constant", np.float32(0)))
    with tempfile.TemporaryDirectory() as folder:
        ov.save_model(ov.Model([features], [pixels], "net"), f"{folder}/g.xml", compress_to_fp16=False)
        return Path(f"{folder}/g.xml").read_bytes(), Path(f"{folder}/g.bin").read_bytes()


def _endless(ops: Any, mean: Any) -> Any:
    import openvino as ov

    taken = ops.parameter(list(mean.output(0).shape), np.float32)
    given = ops.add(ops.tanh(taken), ops.constant(np.float32(1)))
    loop = ops.loop(ops.constant(np.int64(2**62)), ops.constant(True))
    loop.set_function(ov.Model([ops.constant(True), given], [taken], "body"))
    loop.set_special_body_ports([-1, 0])
    loop.set_merged_input(taken, mean.output(0), given.output(0))
    return loop.get_iter_value(given.output(0), -1)


def _huge(ops: Any, mean: Any) -> Any:
    return ops.add(mean, ops.reduce_sum(ops.broadcast(np.float32(1), [200000, 1000000]), [0, 1], True))


def _graphs(scene: Scene) -> str:
    scene.featx("fit", "set", "--bundle", "-o", "b.featx").expect(0)
    base = scene.root / "b.featx"
    xml, weights = _graph_of(read_members(base))
    (scene.root / "secret.bin").write_bytes(bytes(432))
    crafted = {
        "a loop": _as_ir(_endless),
        "huge constants": _as_ir(_huge),
        "ONNX": (_onnx_outside("secret.bin"), b""),
        "an entity": (
            xml.replace("<net ", '<!DOCTYPE n [<!ENTITY x SYSTEM "file:///etc/passwd">]><net ').encode(),
            weights,
        ),
        "an offset": (re.sub(r'offset="\d+"', 'offset="18446744073709551600"', xml, count=1).encode(), weights),
        "a length": (xml.encode() + bytes(9), b""),
    }
    for text, content in crafted.values():
        _with_graph(scene.root / "e.featx", base, text, content)
        ended = scene.featx("predict", "e.featx", "set", "--cache", "c2", "-o", "out.csv", seconds=60, megabytes=16000)
        message = _refused(scene, ended, "graph")
        require(not list((scene.root / "c2").glob("graphs/*")), "the graph reached the cache")
    return message


_EVALUATIONS: tuple[Callable[[dict[str, Any]], object], ...] = (
    lambda e: e["cv"].update(confusion=[[1, 2], [3]]),
    lambda e: e["cv"].update(per_class=[]),
    lambda e: e["cv"]["accuracy"].update(mean="x"),
    lambda e: e["cv"]["accuracy"].update(low=0.99, high=0.1),
    lambda e: e["cv"].update(per_fold=[]),
    lambda e: e.update(classes=["cat"]),
    lambda e: e.update(n_images=-5),
    lambda e: e["reliability"].update(bins=[]),
    lambda e: e["learning_curve"]["points"][0].update(n=0),
    lambda e: e.update(
        group_hints=[{"name": "name", "group_by": "x", "n_values": 1, "examples": [], "accuracy": None}]
    ),
    lambda e: e["groups"].update(duplicate_conflicts=[7]),
    lambda e: e.update(contradictions=[{"kind": "test"}]),
    lambda e: e.update(fits={"x": {}}),
    lambda e: e.update(head="\ud800"),
)


def _evaluations(scene: Scene) -> str:
    for change in _EVALUATIONS:
        _with_header(scene.root / "e.featx", scene.root / "m.featx", lambda h, make=change: make(h["evaluation"]))
        message = _refused(scene, scene.featx("report", "e.featx", "--html", "out.html"), "e.featx")
    return message


def _archives(scene: Scene) -> str:
    base = read_members(scene.root / "rbf.featx")
    inner = read_members(io.BytesIO(base["estimator.skops"]))
    huge = npy(np.zeros((4, 4))).replace(b"(4, 4), }", b"(4, 4000000000), }")
    array = next(name for name in inner if name.endswith(".npy"))
    stream = io.BytesIO()
    write_members(stream, inner | {array: huge})
    crafted = {
        "a huge array": base | {"arrays/probes.npy": huge},
        "a huge array of the head": base | {"estimator.skops": stream.getvalue()},
        "an unknown member": base | {"arrays/../../x.npy": npy(np.zeros(1))},
        "nested JSON": base | {"model.json": b"[" * 200_000},
        "a folder": base | {"arrays/": b""},
    }
    for members in crafted.values():
        write_members(scene.root / "e.featx", members)
        ended = scene.featx("predict", "e.featx", "set", "-o", "out.csv", seconds=60, megabytes=16000)
        message = _refused(scene, ended, "e.featx")
    write_members(scene.root / "e.featx", base)
    with zipfile.ZipFile(scene.root / "e.featx", "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns about the repeated member
        archive.writestr("model.json", base["model.json"])
    _refused(scene, scene.featx("report", "e.featx"), "e.featx")
    return message


def _onnx_outside(location: str, reordered: bool = True) -> bytes:
    import onnx

    helper, TensorProto = onnx.helper, onnx.TensorProto
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3, 3, 3], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "432")):
        weights.external_data.add(key=key, value=value)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, 30, 30])
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    key, value = b"\x0a\x08location", b"\x12" + bytes([len(location)]) + location.encode()
    require(key + value in content, "the entry is encoded differently")
    return content.replace(key + value, value + key) if reordered else content


def _outside_weights(scene: Scene) -> str:
    (scene.root / "w.bin").write_bytes(np.random.default_rng(0).normal(size=108).astype("<f4").tobytes())
    for reordered in (False, True):
        (scene.root / "n.onnx").write_bytes(_onnx_outside("w.bin", reordered))
        words = ("extract", "set", "--backbone", "n.onnx", "--preprocess", "none", "--cache", "c2")
        message = _refused(scene, scene.featx(*words), "keeps its weights in another file")
    require(not list((scene.root / "c2").glob("features/*/*.h5")), "features were kept")
    return message


_LINKED = """
import h5py, keras
layers = [keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
keras.Sequential(layers).save("n.h5")
with h5py.File("n.h5", "a") as file:
    names = []
    file.visititems(lambda name, found: names.append(name) if getattr(found, "ndim", 0) == 4 else None)
    kept = file[names[0]][()]
    del file[names[0]]
    with h5py.File("other.h5", "w") as other:
        other["kernel"] = kept
    file[names[0]] = h5py.ExternalLink("other.h5", "kernel")
"""


def _linked_weights(scene: Scene) -> str:
    scene.python(_LINKED).expect(0)
    words = ("extract", "set", "--backbone", "n.h5", "--preprocess", "none", "--cache", "c2")
    return _refused(scene, scene.featx(*words), "n.h5", "a link to another place")


def _numbered_objects(scene: Scene) -> str:
    import pickle

    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    # Stores an object under this number, for which an unpickler would reserve a table of 32 GB.
    reserve = b"\x80\x02}r" + (2**31 - 1).to_bytes(4, "little") + b"."
    (scene.root / "w.pth").write_bytes(head + reserve + pickle.dumps([], 2))
    words = ("extract", "set", "--weights", "w.pth", "--cache", "c2")
    return _refused(scene, scene.featx(*words, megabytes=16000), "more memo entries")


_OLD_CLOCK = """
import hashlib, time, featx
shift = time.time() - 86400
real = time.time
time.time = lambda: real() - shift
for name in "ab":
    featx.fit(featx.extract("set"), head="svm-rbf").save(f"{name}.featx")
import zipfile
print([hashlib.sha256(zipfile.ZipFile(f"{n}.featx").read("estimator.skops")).hexdigest() for n in "ab"])
"""


def _old_clock(scene: Scene) -> str:
    ended = scene.python(_OLD_CLOCK).expect(0)
    first, second = re.findall("[0-9a-f]{64}", ended.stdout)
    require(first == second, "equal fits give different bytes")
    return "the heads of two models have the same bytes"


ATTACKS: tuple[Attack, ...] = (
    Attack("sample ids of a model that are paths of system files", _sample_ids),
    Attack("heads whose compiled code would read beyond their arrays", _heads),
    Attack("graphs of a model that loop, allocate memory or open files", _graphs),
    Attack("evaluations that contradict themselves", _evaluations),
    Attack("model archives with huge arrays, repeated or unknown members", _archives),
    Attack("an ONNX file with weights in another file, fields in any order", _outside_weights),
    Attack("a Keras file with weights in another file", _linked_weights),
    Attack("a PyTorch file that numbers its objects to reserve memory", _numbered_objects),
    Attack("a clock of 1970 when a model is saved; equal fits give equal bytes", _old_clock),
)
