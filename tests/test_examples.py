"""Run the examples in docs/examples: the Slurm array and the Kubernetes jobs, as their schedulers would run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import make_classes

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="not run: there is no bash")


@pytest.fixture
def place(tmp_path):
    """Return a folder with images, and with a command ``featx`` of this Python."""
    make_classes(tmp_path / "my images", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 6)
    command = tmp_path / "bin" / "featx"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m featx "$@"\n')
    command.chmod(0o700)
    return tmp_path


def run(place: Path, command: list[str], **variables: object) -> str:
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **{name: str(value) for name, value in variables.items()}}
    environment.pop("FEATX_CACHE", None)
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def merged_like_one_run(place: Path, merged: Path) -> None:
    """Check that a merged cache is complete, and that its rows are those of one run."""
    images, exports = place / "my images", []
    run(place, ["featx", "extract", str(images), "--precision", "float32", "--cache", "whole"])
    for cache in (merged, place / "whole"):
        output = place / f"{cache.name}.h5"
        run(place, ["featx", "cache", "export", "-o", str(output), "--whole-store", "--cache", str(cache)])
        exports.append(output.read_bytes())
    assert exports[0] == exports[1]
    again = run(place, ["featx", "extract", str(images), "--precision", "float32", "--json", "--cache", str(merged)])
    assert json.loads(again)["n_computed"] == 0


def test_the_slurm_array(place):
    script = EXAMPLES / "slurm.sh"
    text = script.read_text()
    assert re.search(r"^#SBATCH --array=1-16$", text, re.M)
    merge = re.search(r'sbatch --dependency=afterok:JOB_ID --wrap "(.*)"$', text, re.M)[1]
    variables = {"DATA": place / "my images", "SHARDS": place / "shards", "MERGED": place / "merged"}
    for first, last in ((1, 2), (0, 1)):  # an array may also begin at 0
        for number in range(first, last + 1):
            own = {"SLURM_ARRAY_TASK_ID": number, "SLURM_ARRAY_TASK_MIN": first, "SLURM_ARRAY_TASK_COUNT": 2}
            run(place, ["bash", str(script)], **variables, **own)
    assert sorted(path.name for path in (place / "shards").iterdir()) == ["1", "2"]
    assert "2 merged, none is missing" in run(place, ["bash", "-ec", merge], **variables)
    merged_like_one_run(place, place / "merged")


def container(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="not run: PyYAML is not installed")
    spec = yaml.safe_load((EXAMPLES / name).read_text())["spec"]
    (found,) = spec["template"]["spec"]["containers"]
    return spec, found


def test_the_kubernetes_jobs(place):
    spec, found = container("kubernetes.yaml")
    variables = {one["name"]: one["value"] for one in found["env"]}
    assert spec["completionMode"] == "Indexed"
    assert variables["COUNT"] == str(spec["completions"])
    _, merge = container("kubernetes-merge.yaml")
    for one in (found, merge):
        mounts = {mount["mountPath"] for mount in one["volumeMounts"]}
        assert {entry["value"] for entry in one["env"] if entry["value"].startswith("/")} <= mounts
    variables |= {"COUNT": "2", "DATA": str(place / "my images"), "SHARDS": str(place / "shards")}
    for index in range(2):
        run(place, [*found["command"], *found["args"]], **variables, JOB_COMPLETION_INDEX=index)
    assert "2 merged, none is missing" in run(place, [*merge["command"], *merge["args"]], **variables)
    merged_like_one_run(place, place / "shards" / "merged")
