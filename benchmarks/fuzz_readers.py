"""The file readers that ``benchmarks.fuzz`` tests: valid files, and checks of every accepted input."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from featx.spec import FeatureSpec

Mutate = Callable[[bytes], bytes]
Read = Callable[[random.Random, Mutate], str]

_DIM = 4
_SPEC = FeatureSpec("vgg16", "ab" * 32, "none", 32, "1-000000000000", "tensorflow", "float32")


def make_reader(name: str, folder: Path) -> Read:
    """Return a function that mutates a valid file, reads it, and returns "accepted" or "wrong: ...", or raises."""
    return {
        "store": _store,
        "journal": _journal,
        "snapshot": _snapshot,
        "model": _model,
        "manifest": _manifest,
        "weights": _weights,
        "image": _image,
    }[name](folder)


def _rows(n: int):
    from featx.store import Rows, keys_of

    hashes = np.frombuffer(b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n)), np.uint8).reshape(-1, 32)
    rng = np.random.default_rng(0)
    signatures = rng.integers(0, 256, (n, 64, 64)).astype(np.uint8)
    return Rows(keys_of(hashes), signatures, rng.normal(size=(n, _DIM)).astype(np.float32))


def _filled_store(folder: Path, finish: bool):
    from featx.store import FeatureStore

    store = FeatureStore(folder / "cache", _SPEC)
    with store.writer(lambda text: None) as writer:
        writer.begin(np.ones((2, _DIM), np.float32), {"engine": "test"})
        writer.append(_rows(12))
        if finish:
            writer.finish()
    return store


def _check_rows(store) -> str:
    """Check that every row of a store was written."""
    rows = _rows(12)
    known = {key.tobytes(): row for key, row in zip(rows.keys, rows.features, strict=True)}
    found = store.snapshot()
    keys = np.frombuffer(found.keys().tobytes(), np.uint8).reshape(-1, 36)
    for key, features in zip(keys, found.rows(keys).features, strict=True):
        if key.tobytes() not in known or not np.array_equal(known[key.tobytes()], features):
            return "wrong: a row that was never written"
    return "accepted"


def _store(folder: Path) -> Read:
    store = _filled_store(folder, finish=True)
    path = next(store.path.glob("*.h5"))
    valid = path.read_bytes()

    def read(rng: random.Random, mutate: Mutate) -> str:
        path.write_bytes(mutate(valid))
        return _check_rows(store)

    return read


def _journal(folder: Path) -> Read:
    store = _filled_store(folder, finish=False)
    path = store.path / "journal"
    valid = path.read_bytes()

    def read(rng: random.Random, mutate: Mutate) -> str:
        path.write_bytes(mutate(valid))
        return _check_rows(store)

    return read


def _snapshot(folder: Path) -> Read:
    from featx.store import read_snapshot, write_snapshot
    from featx.table import FileState, Sample

    samples = [Sample(f"a/{i}.png", "a", None, "train") for i in range(9)]
    states = [FileState(9, 9, hashlib.sha256(b"%d" % i).digest()) for i in range(9)]
    write_snapshot(folder, "0123456789abcdef", Path("root"), "1-0", samples, states)
    path = folder / "datasets" / "0123456789abcdef.h5"
    valid = path.read_bytes()

    def read(rng: random.Random, mutate: Mutate) -> str:
        path.write_bytes(mutate(valid))
        found = read_snapshot(folder, "0123456789abcdef", "1-0")
        good = all(
            isinstance(name, str) and isinstance(state, FileState) and isinstance(state.size, int)
            for name, state in found.items()
        )
        return "accepted" if good else "wrong: states of another type"

    return read


def _model(folder: Path) -> Read:
    from featx.prediction import load

    heads = [_small_model(folder, head) for head in ("logreg", "svm-rbf", "knn")]
    path = folder / "mutated.featx"

    def read(rng: random.Random, mutate: Mutate) -> str:
        valid = rng.choice(heads)
        path.write_bytes(mutate(valid) if rng.random() < 0.5 else _repacked(valid, rng, mutate))
        model = load(path)
        X = np.zeros((2, model.probes.shape[1]), np.float32)
        scores = model.scores(X)
        good = scores.shape == (2, len(model.classes_)) and np.isfinite(scores).all()
        return "accepted" if good else "wrong: scores that are not one number for each class"

    return read


def _small_model(folder: Path, head: str) -> bytes:
    from featx.fitting import fit
    from featx.runtime import Runtime
    from featx.table import Extraction, FeatureTable, Sample

    rng = np.random.default_rng(0)
    labels = ["a", "b"] * 10
    X = rng.normal(size=(20, _DIM)).astype(np.float32) + np.array([[0], [3]] * 10, np.float32)
    hashes = np.frombuffer(b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(20)), np.uint8).reshape(-1, 32)
    signatures = rng.integers(0, 256, (20, 64, 64)).astype(np.uint8)
    from featx.images import probe_files

    table = FeatureTable(
        name="small",
        spec=_SPEC,
        samples=[Sample(f"{i}.png", label) for i, label in enumerate(labels)],
        content_hashes=hashes,
        opened=lambda view: lambda at: X[at],
        read_signatures=lambda at: signatures[at],
        probes=rng.normal(size=(len(probe_files()), _DIM)).astype(np.float32),
        extraction=Extraction(
            "0" * 16, Path("store"), "vgg16", "tensorflow", "", "float32", _DIM, 20, 20, 0, 0, (), (), None, {}, 0.0
        ),
    )
    path = folder / "valid.featx"
    params = {"n_neighbors": 3} if head == "knn" else {"C": 1.0}
    fit(table, head, params=params, cv=2, runtime=Runtime(workers=1)).save(path, overwrite=True)
    return path.read_bytes()


def _repacked(valid: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """Return a zip file with correct checksums and one member mutated, removed, repeated or renamed."""
    with zipfile.ZipFile(io.BytesIO(valid)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    heads = [i for i, (name, _) in enumerate(members) if name.endswith(".skops")]
    at = rng.choice(heads) if heads and rng.random() < 0.3 else rng.randrange(len(members))
    name, content = members[at]
    change = rng.randrange(8)
    if change == 0:
        del members[at]
    elif change == 1:
        members.append((name, mutate(content)))
    elif change == 2:
        members[at] = (mutate(name.encode()).decode("utf-8", "replace") or "x", content)
    elif name.endswith(".skops") and rng.random() < 0.9:
        members[at] = (name, _repacked(content, rng, mutate))
    elif name.endswith(".json"):
        members[at] = (name, _odd_json(content, rng))
    else:
        members[at] = (name, mutate(content))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member, data in members:
            archive.writestr(zipfile.ZipInfo(member), data)
    return stream.getvalue()


def _odd_json(content: bytes, rng: random.Random) -> bytes:
    """Return JSON in which one value, at any depth, is replaced by an unusual value."""
    value = json.loads(content)
    place, key = value, None
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        holder, key = place, rng.choice(keys)
        place = place[key]
        if rng.random() < 0.4:
            break
    odd = (None, True, -1, 0, 2**70, 1e400, float("nan"), "", "x" * 5000, [], {}, [[]], {"a": 1}, "\x1b[2J", [None])
    if key is not None:
        holder[key] = rng.choice(odd)
    return json.dumps(value).encode()


def _manifest(folder: Path) -> Read:
    from featx.dataset import scan

    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name)
    path = folder / "list.csv"
    tables = (
        'path,label,group,split\na/1.png,"x, y",g,train\na/2.png,z,,test\nb/3.png,=1+1,g,\n',
        "\ufeffpath;label\r\na/1.png;x\r\n../b/3.png;y\r\nb\\3.png;y\r\n",
        "path\tlabel\n/etc/passwd\tx\na/1.png\ty\n",
    )

    def read(rng: random.Random, mutate: Mutate) -> str:
        path.write_bytes(mutate(rng.choice(tables).encode()))
        found = scan(path)
        root = folder.resolve()
        paths = [Path(image.address) for image in found.images]
        inside = all(root in (path.parent.resolve() / path.name).parents for path in paths)
        return "accepted" if inside else "wrong: a path outside the manifest's folder"

    return read


def _weights(folder: Path) -> Read:
    from featx.backbones.pth import read_pth

    valid = _small_pth()

    def read(rng: random.Random, mutate: Mutate) -> str:
        tensors = read_pth(mutate(valid))
        good = all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
        return "accepted" if good else "wrong: a value that is not an array"

    return read


def _small_pth() -> bytes:
    """Return a PyTorch file with one tensor, made of the same opcodes as a file that PyTorch writes."""

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    def whole(*values: int) -> bytes:
        return b"(" + b"".join(b"J" + value.to_bytes(4, "little") for value in values) + b"t"

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("s0") + text("cpu") + b"K\x18NtQ"
    tensor = b"(" + storage + b"K\x00" + whole(2, 3) + whole(3, 1) + b"\x89}tR"
    tensors = b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + tensor + b"s."
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    values = np.arange(24, dtype=np.float32)
    return head + tensors + pickle.dumps(["s0"], 2) + len(values).to_bytes(8, "little") + values.tobytes()


def _image(folder: Path) -> Read:
    from featx.errors import ImageError
    from featx.readers import Task, read_images
    from featx.runtime import Runtime
    from featx.source import image_at

    valid = _small_images()
    path, runtime = folder / "image", Runtime(folder / "cache", workers=1)

    def read(rng: random.Random, mutate: Mutate) -> str:
        kind, content = rng.choice(valid)
        data = mutate(content)
        if kind == "PNG" and rng.random() < 0.7:
            data = _with_checksums(data)
        path.write_bytes(data)
        (reading,) = read_images(Task("decode", 16), [image_at(path)], runtime)
        made = reading.prepared
        if made is None:
            raise ImageError(reading.state.reason)
        good = made.pixels.shape == (16, 16, 3) and made.signature.shape == (64, 64)
        return "accepted" if good else "wrong: pixels of another shape"

    return read


def _small_images() -> list[tuple[str, bytes]]:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 4)).astype(np.uint8)
    colour = Image.fromarray(noise[:, :, :3])
    frames = {"save_all": True, "append_images": [colour.rotate(90), colour.rotate(180)]}
    made = [
        ("JPEG", colour, {"quality": 80}),
        ("JPEG", colour, {"progressive": True, "icc_profile": b"no profile"}),
        ("JPEG", colour.convert("CMYK"), {}),
        ("PNG", Image.fromarray(noise), {}),
        ("PNG", colour.quantize(16), {"transparency": 3}),
        ("PNG", Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257), {}),
        ("BMP", colour, {}),
        ("GIF", colour.quantize(32), frames),
        ("TIFF", colour, {"compression": "tiff_lzw"}),
        ("TIFF", colour, frames),
        ("WEBP", colour, {"quality": 80}),
        ("AVIF", colour, {"quality": 50}),
        ("PPM", colour, {}),
        ("PPM", Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257), {}),
        ("QOI", colour, {}),
        ("TGA", colour, {"compression": "tga_rle"}),
        ("TGA", colour.quantize(16), {}),
    ]
    return [(kind, _encoded(image, kind, options)) for kind, image, options in made]


def _encoded(image: Image.Image, kind: str, options: dict) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _with_checksums(data: bytes) -> bytes:
    """Return a mutated PNG file with correct checksums of its chunks."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return bytes(out + data[at:])
