"""Closed, full and abandoned standard streams end no command, and the exit code is true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import without_progress

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell of Unix")

FEATX = [sys.executable, "-m", "featx"]
FULL = Path("/dev/full")


def run(shell: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    script = f'set -o pipefail; featx() {{ "$PYTHON" -m featx "$@"; }}; {shell}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_closed_streams(tmp_path):
    done = run("featx backbones --json 2>&- <&-", tmp_path)
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    assert len(json.loads(done.stdout)["backbones"]) > 10
    done = run("featx backbones >&-", tmp_path)
    assert (done.returncode, done.stdout, without_progress(done.stderr)) == (0, "", "")
    done = run("featx demo x >&- 2>&- <&-; echo $?; ls x", tmp_path)
    assert done.stdout.split() == ["0", "cache", "data", "digits.featx", "new", "report.html", "scores.csv"]
    done = run("featx report nothing.featx 2>&-", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_reader_that_leaves(tmp_path):
    done = run("featx backbones | head -1 > /dev/null", tmp_path)
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    done = run("(sleep 2; featx backbones --json) | true", tmp_path)
    assert done.returncode == 1
    assert (
        without_progress(done.stderr)
        == "error: standard output cannot be written: Broken pipe; all other work is done\n"
    )


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_full_devices(tmp_path):
    for words in ("backbones", "backbones --json"):
        done = run(f"featx {words} > /dev/full", tmp_path)
        assert done.returncode == 1
        assert (
            without_progress(done.stderr)
            == "error: standard output cannot be written: No space left on device; all other work is done\n"
        )
    done = run("featx inspect nothing 2> /dev/full", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    done = run("featx backbones 2> /dev/full | wc -l", tmp_path)
    assert done.returncode == 0
    assert int(done.stdout) > 10


NOISY = """
import os, sys
from featx.cli.streams import secure_streams
from featx.libraries import quiet_native_stderr
secure_streams()
with quiet_native_stderr():
    os.write(2, b"noise of native code\\n")
    print("how far it is", file=sys.stderr)
print("done", file=sys.stderr)
"""


def test_what_is_done_is_shown_while_libraries_are_kept_quiet():
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "how far it is\ndone\n")
