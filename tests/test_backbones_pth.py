"""The reader of PyTorch files builds only tensors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from featx.backbones import BACKBONES
from featx.backbones.pth import read_pth
from featx.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C


def assemble(tensors: bytes, keys: list[str], storages: list[np.ndarray], magic: int = MAGIC) -> bytes:
    head = b"".join(pickle.dumps(value, 2) for value in (magic, 1001, {"little_endian": True}))
    tail = b"".join(len(s).to_bytes(8, "little") + s.tobytes() for s in storages)
    return head + tensors + pickle.dumps(keys, 2) + tail


def tensor_pickle(
    name: str, count: int, offset: int, shape: tuple, strides: tuple, kind: str = "FloatStorage"
) -> bytes:
    """Return the pickle of {name: tensor}, opcode by opcode, as PyTorch writes it."""

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    def ints(values: tuple) -> bytes:
        return b"(" + b"".join(b"J" + v.to_bytes(4, "little", signed=True) for v in values) + b"t"

    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text("s0") + text("cpu")
    storage += b"J" + count.to_bytes(4, "little") + b"Nt" + b"Q"
    arguments = b"(" + storage + b"J" + offset.to_bytes(4, "little", signed=True) + ints(shape) + ints(strides)
    arguments += b"\x89" + b"}" + b"t"
    return b"\x80\x02" + b"}" + text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R" + b"s."


VALUES = np.arange(24, dtype=np.float32)


def test_tensors_with_their_strides():
    data = assemble(tensor_pickle("w", 24, 4, (2, 3), (1, 2)), ["s0"], [VALUES])
    np.testing.assert_array_equal(read_pth(data)["w"], [[4, 6, 8], [5, 7, 9]])


def test_scalars_and_whole_numbers():
    longs = np.array([7], np.int64)
    data = assemble(tensor_pickle("n", 1, 0, (), (), "LongStorage"), ["s0"], [longs])
    assert read_pth(data)["n"] == 7


def test_the_installed_weights():
    path = BACKBONES["efficientnet-lite0"].weights.path(224)
    tensors = read_pth(path.read_bytes())
    assert len(tensors) == 296
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(values).all() for values in tensors.values())


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", range(5))
def test_code_is_refused_in_every_part_of_the_file(tmp_path, place):
    parts = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {}, {}, [])]
    parts[place] = pickle.dumps(Bomb(tmp_path / "exploded"), 2)
    with pytest.raises(WeightsError, match=r"it contains .*, which is not a tensor; refused"):
        read_pth(b"".join(parts))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["torch.load", "torch.hub.load", "builtins.eval", "os.system", "collections.deque"])
def test_objects_other_than_tensors_are_refused(name):
    module, attribute = name.rsplit(".", 1)
    code = b"\x80\x02c" + module.encode() + b"\n" + attribute.encode() + b"\n."
    with pytest.raises(WeightsError, match=f"it contains {name}, which is not a tensor; refused"):
        read_pth(pickle.dumps(MAGIC, 2) + code)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged PyTorch file"),
        (b"PK\x03\x04 a zip of the new format", "damaged PyTorch file"),
        (
            assemble(tensor_pickle("w", 24, 0, (4, 6), (6, 1)), ["s0"], [VALUES], magic=1),
            "not a PyTorch file of the",
        ),
        (assemble(tensor_pickle("w", 24, 0, (4, 6), (6, 1)), ["s0"], [VALUES])[:-9], "truncated PyTorch file"),
        (assemble(tensor_pickle("w", 20, 0, (4, 5), (5, 1)), ["s0"], [VALUES]), "truncated PyTorch file"),
        (assemble(tensor_pickle("w", 24, 1, (4, 6), (6, 1)), ["s0"], [VALUES]), "lies outside its storage"),
        (assemble(tensor_pickle("w", 24, 0, (4, 6), (60, 1)), ["s0"], [VALUES]), "lies outside its storage"),
        (assemble(tensor_pickle("w", 24, -1, (2, 2), (2, 1)), ["s0"], [VALUES]), "lies outside its storage"),
        (assemble(tensor_pickle("w", 24, 9, (2, 2), (-2, 1)), ["s0"], [VALUES]), "lies outside its storage"),
        (assemble(tensor_pickle("w", 24, 0, (2, 0), (1, 1)), ["s0"], [VALUES]), "lies outside its storage"),
        (assemble(tensor_pickle("w", 24, 0, (4, 6), (6, 1)), ["s1"], [VALUES]), "damaged PyTorch file"),
        (assemble(pickle.dumps({"w": 3}, 2), [], []), "holds objects other than tensors"),
    ],
)
def test_damaged_files(data, message):
    with pytest.raises(WeightsError, match=message):
        read_pth(data)
