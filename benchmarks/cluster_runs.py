"""Dask clusters of worker processes, and extractions on them, for fault tests."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featx.errors import DamagedStoreError, FeatxError
from featx.extraction import extract
from featx.runtime import Runtime
from featx.store import list_segments, open_store
from featx.table import FeatureTable

SIDE = 8
_START_SECONDS = 60.0

WITHOUT_BFLOAT16 = """
from dataclasses import dataclass
from featx.engines import ENGINES
from featx.engines.openvino import OpenVINO

class OlderCPU(OpenVINO):
    def has_precision(self, precision):
        return precision != "bfloat16" and super().has_precision(precision)

ENGINES["openvino"] = OlderCPU(**vars(ENGINES["openvino"]))
"""
"""A module that a worker imports at its start: its CPU seems not to support bfloat16."""

ENDED_BY_IMAGE = """
import os
from featx.engines import ENGINES
from featx.engines.openvino import OpenVINO

class Fragile(OpenVINO):
    def start(self, loader, device, precision):
        runner = super().start(loader, device, precision)
        run = runner.run
        def checked(batches):
            for pixels in batches:
                if (pixels == 201).all(axis=(1, 2, 3)).any():
                    os._exit(9)
                yield pixels
        runner.run = lambda batches: run(checked(batches))
        return runner

ENGINES["openvino"] = Fragile(**vars(ENGINES["openvino"]))
"""
"""A module that a worker imports at its start: an image of one colour ends the worker process."""


@dataclass
class Outcome:
    """Outcome of an extraction on a cluster."""

    table: FeatureTable | None = None
    error: Exception | None = None
    notices: list[str] = field(default_factory=list)


class DaskCluster:
    """A scheduler and workers in processes of their own.

    Parameters
    ----------
    root : path
        Folder for the files of the processes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.root.mkdir(parents=True)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # as featx does for itself
        self._n = 0
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Start a scheduler at a free port."""
        self._n += 1
        file = self.root / f"scheduler{self._n}.json"
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self.scheduler = self._start("dask_scheduler", words, {}, "")
        begun = time.monotonic()
        while not file.exists() or not file.read_text():
            if time.monotonic() - begun > _START_SECONDS:
                raise SystemExit("the scheduler does not start")
            time.sleep(0.05)
        self.place = json.loads(file.read_text())["address"].partition("://")[2]

    @property
    def address(self) -> str:
        """Address for `cluster`."""
        return f"dask://{self.place}"

    def add(
        self,
        name: str,
        *,
        preload: str = "",
        before: str = "",
        folder: Path | None = None,
        nanny: bool = False,
        wait: bool = True,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a worker of one thread.

        Parameters
        ----------
        name : str
        preload : str
            Code that the worker runs at its start.
        before : str
            Shell command that is run before, in a mount namespace of the worker.
        folder : path, optional
            Folder of the worker for temporary files.
        nanny : bool
            Start the worker again whenever it ends.
        wait : bool
            Return when the scheduler knows the worker.
        **environment : str
        """
        words = [f"tcp://{self.place}", "--nthreads", "1", "--no-dashboard", "--name", name, "--memory-limit", "0"]
        words += ["--nanny" if nanny else "--no-nanny", "--local-directory", str(folder or self.root / name)]
        if preload:
            module = self.root / f"{name}.py"
            module.write_text(preload)
            words += ["--preload", str(module)]
        self._workers[name] = self._start("dask_worker", words, environment, before)
        if wait:
            self._wait_for(name)
        return self._workers[name]

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a worker."""
        self._workers[name].send_signal(number)

    def peak_megabytes(self) -> float:
        """Return the largest peak resident memory of the workers so far, in MB; only on Linux."""
        texts = [Path(f"/proc/{process.pid}/status").read_text() for process in self._workers.values()]
        return max(int(text.partition("VmHWM:")[2].split()[0]) for text in texts) / 1e3

    def end(self, name: str) -> None:
        """Kill a worker."""
        process = self._workers.pop(name)
        process.kill()
        process.wait()

    def close(self) -> None:
        """Kill all processes."""
        for process in (*self._workers.values(), self.scheduler):
            process.send_signal(signal.SIGCONT)
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._workers.clear()

    def _wait_for(self, name: str) -> None:
        from distributed import Client

        begun = time.monotonic()
        with Client(f"tcp://{self.place}", set_as_default=False) as client:
            while all(one["name"] != name for one in client.scheduler_info()["workers"].values()):
                if time.monotonic() - begun > _START_SECONDS:
                    raise SystemExit(f"the worker {name} does not start")
                time.sleep(0.05)

    def _start(
        self, command: str, words: Sequence[str], environment: dict[str, str], before: str
    ) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", f"distributed.cli.{command}", *words]
        if before:
            line = ["unshare", "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *line]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        log = open(self.root / "log", "ab")  # noqa: SIM115
        with log:
            return subprocess.Popen(
                line,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env=os.environ | threads | environment,
                start_new_session=True,
            )


class ClusterPlace:
    """Images, a small backbone, and the result of an extraction without a cluster.

    Parameters
    ----------
    root : path
    n_images : int
    """

    def __init__(self, root: Path, n_images: int) -> None:
        self.root = root
        self.data = root / "images"
        self.n_images = n_images
        rng = np.random.default_rng(0)
        for at in range(n_images):
            path = self.data / f"class{at % 2}" / f"{at:06}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 200, (12, 12, 3), np.uint8)).save(path)
        self.backbone = save_backbone(root / "weights" / "small.onnx")
        self._n = 0
        self.whole = extract(self.data, str(self.backbone), runtime=Runtime(root / "whole"))
        self.store = self.exported(self.whole)

    def new(self, name: str) -> Path:
        """Return a path that does not exist."""
        self._n += 1
        return self.root / f"{name}{self._n}"

    def run(
        self,
        cluster: DaskCluster,
        cache: Path,
        inject: Callable[[], None] | None = None,
        at: float = 0.0,
        data: Path | str | None = None,
        **options: Any,
    ) -> Outcome:
        """Extract the features on a cluster; call ``inject`` when the fraction ``at`` of the images is done."""
        outcome = Outcome()
        injected = threading.Event()

        def progress(stage: str, done: int, total: int) -> None:
            is_due = stage.startswith("extracting") and "worker" in stage and done < total and done >= at * total
            if inject is not None and is_due and not injected.is_set():
                injected.set()
                inject()

        runtime = Runtime(cache, cluster=cluster.address, notice=outcome.notices.append, progress=progress)
        backbone = options.pop("backbone", str(self.backbone))
        try:
            outcome.table = extract(data or self.data, backbone, runtime=runtime, **options)
        except FeatxError as error:
            outcome.error = error
        return outcome

    def start_client(self, cluster: DaskCluster, cache: Path) -> subprocess.Popen[bytes]:
        """Start an extraction in a process of its own."""
        words = ["extract", self.data, "--backbone", self.backbone, "--cache", cache, "--cluster", cluster.address]
        nothing = subprocess.DEVNULL
        command = [sys.executable, "-m", "featx", *map(str, words)]
        return subprocess.Popen(command, stdout=nothing, stderr=nothing, cwd=self.root)

    def n_rows(self, cache: Path) -> int:
        """Return the number of rows in the store of a cache."""
        with contextlib.suppress(DamagedStoreError, FileNotFoundError):  # no row has been written yet
            return len(open_store(cache / "features" / self.whole.spec.id).snapshot().keys())
        return 0

    def n_stored_twice(self, table: FeatureTable) -> int:
        """Return the number of rows of a finished store that are stored more than once."""
        path = Path(table.extraction.store)
        return sum(one.n_rows for one in list_segments(path)[0]) - len(open_store(path).snapshot().keys())

    def exported(self, table: FeatureTable) -> bytes:
        """Return the bytes of the export of the store of a table."""
        path = self.root / "exported.h5"
        open_store(Path(table.extraction.store)).snapshot().export(path, lambda done, total: None)
        return path.read_bytes()


@contextlib.contextmanager
def dask_cluster(root: Path, *names: str, **how: Any) -> Iterator[DaskCluster]:
    """Provide a cluster with workers of the given names, and end it afterwards."""
    cluster = DaskCluster(root)
    try:
        for name in names:
            cluster.add(name, wait=False, **how)
        for name in names:
            cluster._wait_for(name)
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(root, ignore_errors=True)


def save_backbone(path: Path, n_bytes: int = 0) -> Path:
    """Write an ONNX file: a convolution to 5 channels, a ReLU and an average, and unused numbers of ``n_bytes``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    path.parent.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(0).normal(size=(5, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pixels", "w"], ["map"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["map"], ["relu"]),
        helper.make_node("ReduceMean", ["relu"], ["out"], axes=[2, 3], keepdims=0),
    ]
    constants = [numpy_helper.from_array(weights, "w")]
    if n_bytes:
        constants.append(numpy_helper.from_array(np.zeros(n_bytes // 4, np.float32), "unused"))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (1, 3, SIDE, SIDE))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    path.with_suffix(".json").write_text('{"preprocess": "none"}')
    return path
