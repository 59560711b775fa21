"""Shared code of the benchmarks: separate processes, alternating measurements, tables, description of the machine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from featx.engines.processor import processor_kind
from featx.runtime import n_processors

_LIBRARIES = (
    "tensorflow", "keras", "openvino", "nncf", "numpy", "pillow", "simplejpeg", "scikit-learn", "torch", "timm",
    "onnxruntime",
)  # fmt: skip


def run_worker(module: str, *words: object, **environment: str) -> dict[str, Any]:
    """Run ``python -m module words`` and return the JSON object of its last line; stop if it fails."""
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, words)]
    done = subprocess.run(
        command,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def take_turns(rounds: int, sides: Iterable[str], measure: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure every side once per round, so that other work affects all sides; return a dictionary for each round."""
    names = list(sides)
    return [{side: measure(side) for side in names} for _ in range(rounds)]


def peak_megabytes() -> float:
    """Return the peak resident memory of this process so far, in MB."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def median(values: Iterable[float]) -> float:
    """Return the median of figures."""
    return statistics.median(values)


def print_row(*cells: object) -> None:
    """Print one row of a Markdown table, with three significant digits."""
    print("| " + " | ".join(map(_cell, cells)) + " |", flush=True)


def print_head(*names: str) -> None:
    """Print the header of a Markdown table."""
    print_row(*names)
    print("|" + "---|" * len(names), flush=True)


def print_json(result: Mapping[str, Any] | list[Any]) -> None:
    """Print the figures of a table, and the machine, as JSON."""
    print(json.dumps({"machine": machine(), "results": result}))


def machine() -> dict[str, Any]:
    """Return the CPU with its instruction sets, the number of CPUs, and the versions of the relevant libraries."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {"processor": processor_kind(), "processors": n_processors(), "system": platform.system()} | versions


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
