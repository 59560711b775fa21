"""Kill running extractions and damage their caches: a few repetitions of ``benchmarks.faults``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGTERM to catch nor small disks to mount")
@pytest.mark.parametrize(
    ("only", "tries", "n_faults"),
    [("kill -9 at", 1, 2), pytest.param("", 3, 16, marks=pytest.mark.integration)],
    ids=["killed", "all"],
)
def test_no_row_is_lost_duplicated_or_wrong(only, tries, n_faults):
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.faults", "--tries", str(tries), "--inputs", "0"]
    done = subprocess.run([*command, "--only", only], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["results"]
    assert len(rows) == n_faults
    for row in rows:
        assert row["tries"] > 0
        assert (row["lost"], row["doubled"], row["wrong"]) == (0, 0, 0), row
