"""Many small runs that add rows to one feature store, for tests that kill the process: ``store_runs FOLDER``.

Each run appends rows that the store lacks, in several parts. After each part and each run, print the number of rows
that must not be lost if the process is killed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from featx.spec import FeatureSpec
from featx.store import FeatureStore, Rows, keys_of

N_ROWS = 1500
_RUN = 60
_PART = 20
_FULL = 40
_N_FEATURES = 2000
_SPEC = FeatureSpec("vgg16", "ab" * 32, "none", 32, "1-000000000000", "tensorflow", "float32")


def store_in(cache: Path) -> FeatureStore:
    """Return the store to which the runs add rows."""
    return FeatureStore(cache, _SPEC)


def make_rows(first: int, last: int) -> Rows:
    """Return the rows with the numbers from ``first`` to ``last`` - 1."""
    hashes = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(first, last))
    numbers = np.arange(first, last)
    signatures = np.repeat(numbers.astype(np.uint8), 4096).reshape(-1, 64, 64)
    features = numbers[:, np.newaxis] + np.arange(_N_FEATURES) / _N_FEATURES
    return Rows(keys_of(np.frombuffer(hashes, np.uint8).reshape(-1, 32)), signatures, features.astype(np.float32))


def add_rows(cache: Path) -> Iterator[int]:
    """Add the rows that a store lacks in several runs; yield the number of rows that are safe after each step."""
    store = store_in(cache)
    for start in range(0, N_ROWS, _RUN):
        if store.snapshot().contains(make_rows(start, start + _RUN).keys).all():
            continue
        with store.writer(lambda text: None) as writer:
            stored = store.snapshot()
            writer.begin(np.ones((2, _N_FEATURES), np.float32), {"engine": "benchmark"})
            for first in range(start, start + _RUN, _PART):
                rows = make_rows(first, first + _PART)
                lacking = ~stored.contains(rows.keys)
                writer.append(Rows(rows.keys[lacking], rows.signatures[lacking], rows.features[lacking]))
                yield first + _PART
            writer.finish()
        yield start + _RUN


def main() -> None:
    with mock.patch("featx.store.journal.MOST_ROWS", _FULL):  # a run fills several journals
        for n_safe in add_rows(Path(sys.argv[1])):
            print(n_safe, flush=True)


if __name__ == "__main__":
    main()
