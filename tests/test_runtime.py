"""How many processors and how much memory a run may use."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from featx import runtime
from featx.runtime import Runtime, available_memory, n_processors, require_threads


def test_a_run_takes_the_processors_that_it_may_use(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    monkeypatch.setattr(runtime, "_quota", lambda cgroup: None)
    assert n_processors() == Runtime().n_workers == 3
    assert Runtime(workers=7).n_workers == 7
    monkeypatch.setattr(runtime, "_quota", lambda cgroup: 1.5)
    assert n_processors() == Runtime().n_workers == 2
    monkeypatch.setattr(runtime, "_quota", lambda cgroup: 0.2)
    assert n_processors() == 1
    monkeypatch.setattr(runtime, "_quota", lambda cgroup: 64.0)
    assert n_processors() == 3


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
    ],
)
def test_the_quota_of_a_container(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert runtime._quota(tmp_path) == quota


@pytest.mark.parametrize("name", ["workers", "batch_size", "max_pixels"])
def test_there_is_at_least_one_of_each(name):
    with pytest.raises(ValueError, match=f"`{name}=0`: expected 1 or more"):
        Runtime(**{name: 0})


def test_threads_that_can_be_started_leave_none_behind():
    before = threading.active_count()
    require_threads(20)
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process")
def test_too_few_threads_are_an_error_before_a_library_aborts():
    code = """
import resource, threading
from featx.errors import EngineError
from featx.runtime import require_threads
threading.stack_size(64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    require_threads(100)
except EngineError as error:
    print(error, threading.active_count())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    start, _, rest = told.stdout.partition(" more threads; expected at least 100. End other programs, or raise the ")
    assert 0 < int(start.removeprefix("the system allows only ")) < 16, told
    assert rest.endswith("run the same command again 1\n")


def test_available_memory_is_the_smallest_limit(monkeypatch):
    monkeypatch.setattr(runtime, "_system_memory", lambda root: 8_000)
    monkeypatch.setattr(runtime, "_container_memory", lambda cgroup: 5_000)
    monkeypatch.setattr(runtime, "_address_space", lambda root: None)
    assert available_memory() == 5_000
    assert (Runtime().memory_limit, Runtime(memory=7).memory_limit) == (3_750, 7)
    monkeypatch.setattr(runtime, "_address_space", lambda root: -1)
    assert available_memory() == 0


def test_the_memory_of_this_machine_is_known():
    assert 1e6 < available_memory() < 1e15


def test_the_memory_of_the_system(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    3 kB\n")
    assert runtime._system_memory(tmp_path) == 3 * 1024
    physical = runtime._system_memory(tmp_path / "elsewhere")  # as on macOS
    assert physical >= runtime._system_memory(Path("/"))


@pytest.mark.parametrize(
    ("files", "rest"),
    [
        ({}, None),
        ({"memory.max": "max\n", "memory.current": "5\n", "memory.stat": ""}, None),
        ({"memory.max": "100\n", "memory.current": "70\n", "memory.stat": "anon 1\ninactive_file 20\n"}, 50),
        (
            {
                "memory/memory.limit_in_bytes": "100\n",
                "memory/memory.usage_in_bytes": "70\n",
                "memory/memory.stat": "inactive_file 5\ntotal_inactive_file 6\n",
            },
            36,
        ),
    ],
)
def test_the_memory_of_a_container(tmp_path, files, rest):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert runtime._container_memory(tmp_path) == rest


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v")
def test_the_limit_of_the_address_space():
    code = "from featx.runtime import available_memory; print(available_memory())"
    command = f"ulimit -v 3000000; exec '{sys.executable}' -c '{code}'"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 3_000_000 * 1024
