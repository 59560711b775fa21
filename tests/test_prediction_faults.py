"""Kill runs that write and extend tables of predictions: a few repetitions of ``benchmarks.prediction_faults``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that another process reads")
def test_no_prediction_is_lost_doubled_or_wrong():
    pytest.importorskip("pyarrow")
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.prediction_faults", "--tries", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["results"]
    assert len(rows) == 7
    for row in rows:
        assert row["tries"] > 0
        assert (row["lost"], row["doubled"], row["wrong"]) == (0, 0, 0), row
