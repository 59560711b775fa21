"""Measure the fraction of the CPU's arithmetic that each backbone uses: ``python -m benchmarks.arithmetic``.

The highest throughput of the CPU in a number format is measured: it is the throughput of the fastest of a few chains of
dense convolutions, in the same engine as the backbones. The table compares it with the throughput of each backbone (2
operations for a multiplication and its addition, counted in the graph that is executed, times the images per second),
and contains the images per second that the highest throughput would allow. If a backbone is close to this limit, it can
only be faster on another CPU or in another number format. Depthwise convolutions and small feature maps are limited by
memory and stay below the limit. Weights and pixels are random, which does not change the speed; int8 needs the extra
`int8`. Print two Markdown tables of medians, then JSON. This takes two minutes per backbone on two cores without other
work.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import SIDE, engine_rate, random_pixels, random_spec
from benchmarks.processes import median, print_head, print_json, print_row, run_worker, take_turns
from featx.engines import convert, quantize
from featx.engines.graph import unpack
from featx.engines.openvino import OpenVINORunner, has_bfloat16
from featx.execution.network import graph_of
from featx.libraries import OPENVINO_BATCH, start_openvino
from featx.runtime import Runtime

_CHAINS = {"1x1, 512 channels, 28 x 28": (1, 512, 28), "3x3, 256 channels, 28 x 28": (3, 256, 28)}
_LINKS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default="efficientnet-lite0,mobilenetv2,resnet50,efficientnet-b0,vgg16")
    parser.add_argument(
        "--precisions", help="number formats, separated by commas; default: all that this machine supports"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_measure(arguments.worker, arguments.precisions)))
        return
    precisions = arguments.precisions.split(",") if arguments.precisions else _precisions()
    chains = [_row(name, precision, arguments.rounds) for name in _CHAINS for precision in precisions]
    most = {}
    print_head("number format", "highest GFLOP/s", "convolutions")
    for precision in precisions:
        best = max((row for row in chains if row["precision"] == precision), key=lambda row: row["gflops"])
        most[precision] = best["gflops"]
        print_row(precision, best["gflops"], best["name"])
    print()
    print_head(
        "backbone",
        "number format",
        "GFLOP per image",
        "images per second",
        "GFLOP/s",
        "fraction of the highest",
        "highest possible images per second",
    )
    networks = []
    for name in arguments.backbones.split(","):
        for precision in precisions:
            row = _row(name, precision, arguments.rounds)
            row |= {"share": row["gflops"] / most[precision], "bound": most[precision] / row["gflop"]}
            print_row(name, precision, row["gflop"], row["rate"], row["gflops"], row["share"], row["bound"])
            networks.append(row)
    print_json({"chains": chains, "networks": networks})


def _precisions() -> list[str]:
    quantizes = ["int8"] if importlib.util.find_spec("nncf") else []
    return ["float32", *(["bfloat16"] if has_bfloat16() else []), *quantizes]


def _row(name: str, precision: str, rounds: int) -> dict[str, Any]:
    found = take_turns(
        rounds, [name], lambda _: run_worker("benchmarks.arithmetic", "--worker", name, "--precisions", precision)
    )
    gflop, rate = found[0][name]["gflop"], median(one[name]["rate"] for one in found)
    return {"name": name, "precision": precision, "gflop": gflop, "rate": rate, "gflops": gflop * rate}


def _measure(name: str, precision: str) -> dict[str, float]:
    graph = _chain(*_CHAINS[name]) if name in _CHAINS else _network(name)
    pixels = random_pixels(8 * OPENVINO_BATCH, _CHAINS[name][2] if name in _CHAINS else SIDE)
    engine = OpenVINORunner(quantize(graph, pixels) if precision == "int8" else graph, precision)
    return {"gflop": _operations(graph) / OPENVINO_BATCH / 1e9, "rate": engine_rate(engine, pixels)}


def _network(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as cache:
        return graph_of(random_spec(name), lambda: None, Runtime(Path(cache)))


def _chain(kernel: int, channels: int, side: int) -> bytes:
    """Return a graph of consecutive dense convolutions on maps of one size."""
    ov = start_openvino()
    ops, rng = ov.opset13, np.random.default_rng(0)
    inputs = ops.parameter([OPENVINO_BATCH, side, side, 3], np.uint8, name="pixels")
    x = ops.transpose(ops.convert(inputs, "f32"), [0, 3, 1, 2])
    for link in range(1 + _LINKS):
        shape = (channels, channels if link else 3, kernel, kernel)
        weights = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        x = ops.relu(ops.convolution(x, weights, [1, 1], [0, 0], [0, 0], [1, 1], "same_upper"))
    return convert(ov.Model([ops.reduce_mean(x, [2, 3], False)], [inputs], "chain"))


def _operations(graph: bytes) -> int:
    """Return the number of multiplications and additions of a graph in convolutions and matrix products, per batch."""
    total = 0
    for op in unpack(start_openvino().Core(), graph).get_ops():
        kind = op.get_type_name()
        if kind in ("Convolution", "GroupConvolution"):
            seen = op.input(1).get_shape()[1 if kind == "Convolution" else 2 :]  # channels and kernel of one output
            total += 2 * int(np.prod(op.output(0).get_shape())) * int(np.prod(seen))
        elif kind == "MatMul":
            total += 2 * int(np.prod(op.output(0).get_shape())) * int(op.input(0).get_shape()[-1])
    return total


if __name__ == "__main__":
    main()
