"""Jobs in threads: results in order, plans in steps, errors at once, and no thread in C++ code when Python exits."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from featx.errors import HeadError
from featx.evaluation.procedures import quiet_single_threads
from featx.evaluation.procedures.threads import Plan, in_threads, run_plans, stop_if_unwanted

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


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_plans_receive_the_results_of_each_step_in_order(n_workers):
    def plan(number: int) -> Plan[tuple[int, list[int]]]:
        first = yield [lambda n=n: n * number for n in range(number)]
        assert (yield []) == []
        second = yield [lambda: sum(first)]
        return number, first + second

    done: list[tuple[int, int]] = []
    results = run_plans([lambda n=n: plan(n) for n in range(4)], n_workers, lambda *counts: done.append(counts))
    assert results == [(0, [0]), (1, [0, 0]), (2, [0, 2, 2]), (3, [0, 3, 6, 9])]
    assert done == [(n, 4) for n in range(5)]


def test_jobs_of_all_plans_share_the_threads_and_few_plans_are_in_progress():
    lock, running, most, started, finished = threading.Lock(), [0], [0], [0], [0]
    in_progress: list[int] = []

    def job() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.03)
        with lock:
            running[0] -= 1

    def plan() -> Plan[None]:
        started[0] += 1
        in_progress.append(started[0] - finished[0])
        yield [job] * 3
        yield [job]
        finished[0] += 1

    run_plans([plan] * 9, 6)
    assert most == [6]  # more than the jobs of one plan, and never more than threads
    assert max(in_progress) <= 6  # of 9


def test_an_error_between_steps_is_raised():
    def plan() -> Plan[None]:
        yield [lambda: None]
        raise HeadError("between")

    for n_workers in (1, 3):
        with pytest.raises(HeadError, match="between"):
            run_plans([plan, plan], n_workers)


def test_openmp_uses_one_thread_in_every_job():
    """The limit of OpenMP applies to the thread that sets it: without a limit of its own, a fit would use all CPUs."""

    def openmp_threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp"]

    with threadpool_limits(3, user_api="openmp"):
        assert set(openmp_threads()) == {3}
        with quiet_single_threads():
            found = in_threads([openmp_threads] * 4, 2)
        assert {n for counts in found for n in counts} == {1}
        assert set(openmp_threads()) == {3}
