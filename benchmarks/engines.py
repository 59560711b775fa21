"""Compare engines without files: ``python -m benchmarks.engines [--backbones a,b]``.

The table contains the images per second of featx's openvino engine, of PyTorch (the network of the same architecture in
timm, channels last, float32 and bfloat16) and of ONNX Runtime (the same network, exported), if they are installed. Each
engine runs in a separate process, in turn; for PyTorch and ONNX Runtime, the faster of the batch sizes 8 and 32 counts.
All engines compute the mean over the last feature map of the network. (With timm's own pooling, vgg16 would include two
layers of 4,096 units.) Only featx also scales the pixels. Weights are random, which does not change the speed. Print a
Markdown table of medians and the ratio of ``openvino auto`` to the fastest column of the other libraries, then JSON.
Three rounds of one network take 2 to 4 minutes on two cores without other work.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.networks import SECONDS, SIDE, engine_rate, random_pixels, random_spec
from benchmarks.processes import median, print_head, print_json, print_row, run_worker, take_turns

if TYPE_CHECKING:
    import torch

_IN_TIMM = {
    "efficientnet-lite0": "tf_efficientnet_lite0",
    "mobilenetv2": "mobilenetv2_100",
    "resnet50": "resnet50",
    "efficientnet-b0": "tf_efficientnet_b0",
    "vgg16": "vgg16",
}
_SIDES = ("openvino auto", "openvino float32", "torch float32", "torch bfloat16", "onnxruntime float32")
_NEEDS = {"openvino": (), "torch": ("torch", "timm"), "onnxruntime": ("torch", "timm", "onnxscript", "onnxruntime")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default=",".join(_IN_TIMM))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_measure(arguments.backbones, *arguments.worker.split())))
        return
    sides = [side for side in _SIDES if all(map(importlib.util.find_spec, _NEEDS[side.split()[0]]))]
    print_head("backbone", *sides, "ratio to the fastest of the others")
    results = []
    for backbone in arguments.backbones.split(","):
        rounds = take_turns(
            arguments.rounds,
            sides,
            lambda side, backbone=backbone: run_worker("benchmarks.engines", "--backbones", backbone, "--worker", side),
        )
        rates = {side: median(one[side]["rate"] for one in rounds) for side in sides}
        peers = [side for side in sides if not side.startswith("openvino")]
        ratio = median(one[sides[0]]["rate"] / max(one[p]["rate"] for p in peers) for one in rounds) if peers else "-"
        print_row(backbone, *rates.values(), ratio)
        results.append({"network": backbone, **rates, "ratio": ratio, "chosen": rounds[0][sides[0]]["precision"]})
    print_json(results)


def _measure(backbone: str, engine: str, precision: str) -> dict:
    if engine == "openvino":
        return _openvino(backbone, precision)
    make = _torch if engine == "torch" else _onnxruntime
    return {"rate": max(_rate(make(backbone, precision, batch), batch) for batch in (8, 32)), "precision": precision}


def _rate(run: Callable[[], object], n: int) -> float:
    run()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        run()
        done += n
    return done / (time.perf_counter() - started)


def _openvino(backbone: str, precision: str) -> dict:
    from featx.execution import start
    from featx.execution.choice import choose_precision
    from featx.runtime import Runtime

    spec = random_spec(backbone)
    with tempfile.TemporaryDirectory() as cache:
        runtime = Runtime(Path(cache))
        chosen = choose_precision(spec, precision, lambda: None, runtime)
        engine = start(replace(spec, precision=chosen), lambda: None, runtime)
    return {"rate": engine_rate(engine, random_pixels(32)), "precision": chosen}


def _features(backbone: str) -> torch.nn.Module:
    """Return the network of timm, with the mean of the last feature map as output, like ``pooling="avg"`` in Keras."""
    import timm
    import torch

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = timm.create_model(_IN_TIMM[backbone], num_classes=0)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.network.forward_features(pixels).mean((2, 3))

    return Features().eval()


def _torch(backbone: str, precision: str, batch: int) -> Callable[[], object]:
    import torch

    kind = getattr(torch, precision)
    model = _features(backbone).to(kind, memory_format=torch.channels_last)
    pixels = torch.randn(batch, 3, SIDE, SIDE).to(kind, memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            return model(pixels)

    return run


def _onnxruntime(backbone: str, precision: str, batch: int) -> Callable[[], object]:
    import contextlib

    import numpy as np
    import onnxruntime
    import torch

    model = _features(backbone)
    pixels = torch.randn(batch, 3, SIDE, SIDE)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(model, (pixels,), f"{folder}/net.onnx", external_data=False)
        session = onnxruntime.InferenceSession(f"{folder}/net.onnx", providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: pixels.numpy().astype(np.float32)}
    return lambda: session.run(None, feed)


if __name__ == "__main__":
    main()
