"""Jobs in threads: results in order, errors at once, and no thread in C++ code when Python exits."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from featx.errors import HeadError
from featx.evaluation.procedures.threads import in_threads, stop_if_unwanted

STOPPED = """
import os, signal, sys, threading, time
import numpy as np
from featx.evaluation.procedures import TrainingSet, cross_validate
from featx.targets import SingleLabel
from featx.heads import make_head

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores SIGINT in background processes
rng = np.random.default_rng(0)
X = rng.normal(size=(6000, 400)).astype(np.float32)
data = TrainingSet(X, rng.integers(0, 8, 6000), np.arange(6000), SingleLabel(tuple("abcdefgh")))
if sys.argv[1] == "signal":
    threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGINT)).start()
    head = make_head("svm-rbf", {"C": [1.0, 10.0]})
else:
    head = make_head("logreg", {"C": -1.0})
cross_validate(head, data, 5, 1, 0, n_workers=4)
"""


@pytest.mark.parametrize("trigger", [("error",), ("signal", "0.6"), ("signal", "0.9")])
def test_no_thread_is_in_a_fit_when_python_exits(trigger):
    """A thread in C++ code when Python exits may abort the process (SIGABRT), so Python waits for the threads."""
    done = subprocess.run([sys.executable, "-c", STOPPED, *trigger], capture_output=True, text=True, check=False)
    expected = "HeadError" if trigger == ("error",) else "KeyboardInterrupt"
    assert done.stderr.strip().splitlines()[-1].startswith((expected, f"featx.errors.{expected}")), done.stderr
    assert done.returncode in (1, -signal.SIGINT)


def test_results_come_in_order_and_an_error_stops_the_other_threads():
    assert in_threads([lambda n=n: n * n for n in range(7)], 3) == [n * n for n in range(7)]
    fits: list[str] = []

    def many_fits() -> None:
        for _ in range(100):
            time.sleep(0.02)
            stop_if_unwanted()
            fits.append("fit")

    def failing() -> None:
        raise HeadError("no")

    with pytest.raises(HeadError, match="no"):
        in_threads([failing, many_fits, *[many_fits] * 20], 2)
    for thread in threading.enumerate():
        if thread.name.startswith("featx-fit"):
            thread.join()
    assert len(fits) < 100  # the other thread stops before its next fit, and no other job starts
