"""How many processors a run takes."""

from __future__ import annotations

import os

import pytest

from featx import runtime
from featx.runtime import Runtime, n_processors


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
