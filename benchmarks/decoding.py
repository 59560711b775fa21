"""Compare decoding with an earlier revision: ``python -m benchmarks.decoding OLD DIR... [--seeds N]``.

OLD is a checkout of the earlier revision (``git worktree add OLD REVISION``). Its process and one of this revision
take turns, so that other work on the machine affects both. For the JPEG files of each data set whose longer side has
about 500 pixels, print milliseconds of CPU time of one thread per image; the ratio is the median of the ratios of the
rounds. Then print, for each data set, the mean and the smallest cosine between the features of the two revisions, the
largest difference of the signatures, and the accuracy of ``featx.fit`` with default settings, as the mean over seeds,
with the standard error of the difference; the last number is the larger of the differences of grouped and ungrouped
accuracy. Print a Markdown table, then JSON. This takes ten minutes for cats-dogs, flowers and satellite.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

_SIZE = 224
_USUAL = range(480, 521)
_HERE = Path(__file__).parents[1]
_KINDS = {"grouped": "cv", "ungrouped": "ungrouped_cv"}
_FAULTS = "page faults"
_PARTS = ("decode", "resize and signature", "prepare", _FAULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    print("| data set | measure | old | new | new against old |\n|---|---|---|---|---|")
    for folder in arguments.folders:
        with _process(arguments.old) as old, _process(_HERE) as new:
            found[folder.name] = _compared((old, new), folder, arguments)
    print(json.dumps(found))


def _compared(pair: tuple[_Process, _Process], folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    name, found = folder.name, {}
    if all(process.ask("choose", str(folder.absolute())) for process in pair):
        rounds = [[process.ask("time") for process in pair] for _ in range(arguments.rounds)]
        for part in _PARTS:
            old, new = (median(both[i][part] for both in rounds) for i in (0, 1))
            found[part] = [old, new]
            if part != _FAULTS:
                found[part] += [median(both[0][part] / both[1][part] for both in rounds)]
            ratio = "".join(f"{value:.2f}x" for value in found[part][2:])
            print(f"| {name} | {part} | {old:.3f} | {new:.3f} | {ratio} |")
    files = [Path(process.ask("extract", str(folder.absolute()), arguments.backbone)) for process in pair]
    (X, signatures), (new_X, new_signatures) = ((data["X"], data["signatures"]) for data in map(np.load, files))
    cosine = (X * new_X).sum(axis=1) / np.linalg.norm(X, axis=1) / np.linalg.norm(new_X, axis=1)
    found["cosine"] = [float(cosine.mean()), float(cosine.min())]
    print(f"| {name} | cosine of features, mean; smallest | | | {cosine.mean():.5f}; {cosine.min():.5f} |")
    found["signature"] = int(np.abs(signatures.astype(int) - new_signatures).max())
    print(f"| {name} | largest difference of signatures | | | {found['signature']} |")
    fits = [[process.ask("fit", seed) for process in pair] for seed in range(arguments.seeds)]
    for kind in _KINDS:
        old, new = (np.array([100 * both[i][kind] for both in fits]) for i in (0, 1))
        difference = new - old
        error = difference.std(ddof=1) / np.sqrt(len(fits)) if len(fits) > 1 else float("nan")
        found[kind] = [old.mean(), new.mean(), difference.mean(), error, difference[0]]
        text = f"{difference.mean():+.2f} (standard error {error:.2f}; seed 0: {difference[0]:+.2f})"
        print(f"| {name} | {kind} accuracy, points | {old.mean():.2f} | {new.mean():.2f} | {text} |")
    found["larger difference"] = max(abs(found[kind][2]) for kind in _KINDS)
    print(f"| {name} | larger difference, points | | | {found['larger difference']:.2f} |", flush=True)
    return found


class _Process:
    """A process that answers requests with the featx of one checkout."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *words: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def _process(root: Path) -> Iterator[_Process]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "serve", str(root.absolute()), folder]
        environment = os.environ | {"PYTHONPATH": str(root.absolute())}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
        ) as process:
            yield _Process(process)


def _serve(root: str, folder: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    jobs = _Jobs(root, Path(folder))
    for line in sys.stdin:
        job, *words = json.loads(line)
        print(json.dumps(getattr(jobs, job)(*words)), file=answers, flush=True)


class _Jobs:
    def __init__(self, root: str, folder: Path) -> None:
        import featx

        assert Path(featx.__file__).is_relative_to(root), featx.__file__
        self._folder = folder
        self._files: list[bytes] = []

    def choose(self, folder: str) -> int:
        from PIL import Image

        found = (path.read_bytes() for path in sorted(Path(folder).rglob("*.jp*g")))
        self._files = [data for data in found if max(Image.open(io.BytesIO(data)).size) in _USUAL][:200]
        return len(self._files)

    def time(self) -> dict[str, float]:
        from featx.images import decode, prepare

        if sys.platform == "win32":
            raise SystemExit("the benchmark counts page faults and needs Linux or macOS")
        import resource

        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        rows = {"prepare": self._timed(lambda data: prepare(data, _SIZE))}
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        rows["decode"] = self._timed(lambda data: decode(data, lambda w, h: _SIZE / (0.875 * min(w, h))))
        rows["resize and signature"] = rows["prepare"] - rows["decode"]
        return {**rows, _FAULTS: faults / len(self._files)}

    def _timed(self, work: Any) -> float:
        started = time.thread_time()
        for data in self._files:
            work(data)
        return 1000 * (time.thread_time() - started) / len(self._files)

    def extract(self, folder: str, backbone: str) -> str:
        import featx
        from featx.runtime import Runtime

        self._table = table = featx.extract(folder, backbone, runtime=Runtime(self._folder / "cache"))
        path = self._folder / "features.npz"
        np.savez(path, X=np.asarray(table.X), signatures=table.read_signatures(np.arange(len(table))))
        return str(path)

    def fit(self, seed: int) -> dict[str, float]:
        import featx

        evaluation = featx.fit(self._table, seed=seed).evaluation.to_dict()
        return {kind: evaluation[key]["accuracy"]["mean"] for kind, key in _KINDS.items()}


if __name__ == "__main__":
    _serve(*sys.argv[2:]) if sys.argv[1:2] == ["serve"] else main()
