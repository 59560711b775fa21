"""Runs of ``featx extract`` for fault tests: caches, output, and content of the stores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from featx.spec import FeatureSpec
from featx.store import FeatureStore


@dataclass
class FaultCounts:
    """Outcome of the tries of one fault; the fields are the columns of the table of ``benchmarks.faults``."""

    tries: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    remark: str = ""


@dataclass(frozen=True)
class Ended:
    """Outcome of a run: exit code, JSON result (empty if there is none), and standard error."""

    code: int
    result: dict
    stderr: str

    @property
    def is_clean(self) -> bool:
        """Return whether the run succeeded, or ended with an error of featx or with the message of a stopped run."""
        if self.result:  # a signal may arrive after the result is printed, when Python no longer handles it
            return True
        last = self.stderr.strip().splitlines()[-1:] or [""]
        return self.code == 1 and last[0].startswith(("error: ", "stopped; ")) and "unexpected error" not in last[0]


class Place:
    """A folder with images, and the result of an extraction without faults.

    Parameters
    ----------
    root : path
        Empty folder for the images and caches.
    data : path
        Folder of images, which are copied.
    """

    def __init__(self, root: Path, data: Path) -> None:
        self.root = root
        self.data = root / "data"
        shutil.copytree(data, self.data)
        self.whole = root / "whole"
        self.run(self.whole)  # builds the graph of the backbone
        shutil.rmtree(self.whole / "features")
        started = time.monotonic()
        self.result = self.run(self.whole).result
        self.seconds = time.monotonic() - started
        self.n_images = self.result["n_images"]
        self.store = self.exported(self.whole)
        self._next = 0

    def fresh_cache(self, at: Path | None = None) -> Path:
        """Return a cache that contains the graph of the backbone and no features."""
        self._next += 1
        cache = at or self.root / f"cache{self._next}"
        shutil.copytree(self.whole / "graphs", cache / "graphs")
        shutil.copy(self.whole / "CACHEDIR.TAG", cache)
        return cache

    def full_cache(self) -> Path:
        """Return a copy of the cache of the extraction without faults."""
        self._next += 1
        return Path(shutil.copytree(self.whole, self.root / f"cache{self._next}"))

    def start(self, cache: Path, data: Path | None = None, *options: str) -> subprocess.Popen[str]:
        """Start an extraction."""
        command = [sys.executable, "-m", "featx", "extract", str(data or self.data), "--cache", str(cache), "--json"]
        command += options
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=self.root)

    def run(self, cache: Path, data: Path | None = None, *options: str) -> Ended:
        """Run an extraction, and wait for its end."""
        return end(self.start(cache, data, *options))

    def n_rows(self, cache: Path) -> int:
        """Return the number of rows in the store and the journal of a cache."""
        return len(self.opened(cache).snapshot().keys())

    def opened(self, cache: Path) -> FeatureStore:
        """Return the store of a cache."""
        spec = json.loads((self.whole / "latest.json").read_text())["spec"]
        return FeatureStore(cache, FeatureSpec.from_json(spec))

    def is_same(self, cache: Path) -> bool:
        """Return whether the store of a cache has the same rows as after the extraction without faults."""
        return self.exported(cache) == self.store

    def exported(self, cache: Path) -> bytes:
        """Return the bytes of the export of the store of a cache."""
        path = self.root / "exported.h5"
        self.opened(cache).snapshot().export(path, lambda done, total: None)
        return path.read_bytes()


def end(running: subprocess.Popen[str]) -> Ended:
    """Wait for a run to end."""
    stdout, stderr = running.communicate()
    lines = stdout.splitlines()
    return Ended(running.returncode, json.loads(lines[-1]) if lines else {}, stderr)
