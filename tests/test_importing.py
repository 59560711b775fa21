"""No code and no settings are read from the working folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_classes

DECOY = "open({marker!r}, 'a').write({name!r} + ' ')\nraise ImportError('a decoy was imported: {name}')\n"
LOADED = "import sys, runpy; print(*{name.split('.')[0] for name in sys.modules})"
"""With ``python -m``, Python itself imports these from the working folder before featx starts."""

LIBRARY = """
import os, sys, featx
runtime = featx.Runtime(sys.argv[2])
model = featx.fit(featx.extract(sys.argv[1], weights="random:0", size=64, runtime=runtime), runtime=runtime)
from featx.libraries import start_keras
start_keras()
assert "matplotlib" not in sys.modules
os.remove("matplotlibrc")
import matplotlib  # importable again for other code
print("done")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a decoy of every module and with files that libraries read settings from."""
    folder = make_classes(tmp_path / "set", {"red": (200, 50, 40), "blue": (30, 60, 200)}, 6)
    third: set[str] = set()
    for place in map(Path, sys.path):
        if place.name == "site-packages":
            third |= {path.stem for path in place.iterdir() if path.stem.isidentifier()}
    loaded = subprocess.run([sys.executable, "-I", "-c", LOADED], capture_output=True, text=True, check=True)
    for name in ({*sys.stdlib_module_names} | third) - {"featx", *loaded.stdout.split()}:
        if name.isidentifier():
            (folder / f"{name}.py").write_text(DECOY.format(marker=str(tmp_path / "marker"), name=name))
    for name in ("keras.json", "plugins.xml", "pyvenv.cfg", ".env", "x.pth", "DejaVuSans.ttf", "efficientnet-lite0"):
        (folder / name).write_text("decoy: [")
    return folder


def run(words: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FEATX"))}
    process = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    marker = folder.parent / "marker"
    assert not marker.exists(), marker.read_text()
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("way", ["script", "module"])
def test_commands(folder, tmp_path, way):
    featx = [sys.executable, "-m", "featx"]
    if way == "script":
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "featx").write_text("import re, sys\nfrom featx.cli import main\nsys.exit(main())\n")
        featx = [sys.executable, str(tmp_path / "bin" / "featx")]
    cache = ["--cache", str(tmp_path / "cache")]
    run([*featx, "fit", ".", "--size", "64", "-o", "m.featx", *cache], folder)
    run([*featx, "predict", "m.featx", ".", "--gallery", str(tmp_path / "g.png"), *cache], folder)
    run([*featx, "report", "m.featx", "--html", str(tmp_path / "r.html"), *cache], folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_the_library_from_a_script_elsewhere(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere" / "script.py"
    script.write_text(LIBRARY)
    (tmp_path / "work").mkdir()
    for decoy in folder.glob("*.py"):
        decoy.rename(tmp_path / "work" / decoy.name)
    os.mkfifo(tmp_path / "work" / "matplotlibrc")
    words = [sys.executable, str(script), str(folder), str(tmp_path / "cache")]
    assert run(words, tmp_path / "work") == "done\n"


def test_relative_entries_are_removed_from_the_path(tmp_path, monkeypatch):
    from featx.importing import forget_working_folder

    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "way").symlink_to(tmp_path)
    kept = [entry for entry in sys.path if entry]
    given = ["", ".", "lib", str(tmp_path), str(tmp_path / "way"), *kept]
    monkeypatch.setattr(sys, "path", list(given))
    forget_working_folder()
    assert sys.path == kept
    home = Path(__file__).parents[1]
    monkeypatch.chdir(home)  # the folder that contains featx
    monkeypatch.setattr(sys, "path", ["", *kept])
    forget_working_folder()
    assert str(home) in sys.path
