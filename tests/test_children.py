"""Child processes import code from the same places as their parent and end when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from featx import children
from featx.children import ChildError, run_in_child, start_child
from featx.images.resize import HAS_WHEEL

FEATX = Path(__file__).parents[1]
DECOYS = (
    "numpy",
    "PIL",
    "featx",
    "json",
    "simplejpeg",
    "cykooz_resizer",
    "struct",
    "re",
    "sitecustomize",
    "usercustomize",
    "io",
)
USE = """
import os, sys, tempfile
from pathlib import Path
from PIL import Image
from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import image_at
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "image.tif"
    Image.new("RGB", (40, 30), (9, 9, 9)).save(path, "TIFF", compression="tiff_lzw")
    (reading,) = read_images(Task("decode", 16), [image_at(path)], Runtime(Path("unused")))
    print(reading.prepared.width)
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a folder with decoy modules, each of which writes a mark when it is imported."""
    folder = tmp_path / "planted"
    folder.mkdir()
    for name in DECOYS:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r})\n")
    return folder


def loaded_from() -> str:
    """Return a value of PYTHONPATH with only featx and the packages that it needs."""
    import numpy
    import PIL
    import simplejpeg

    needed = [numpy, PIL, simplejpeg]
    if HAS_WHEEL:
        import cykooz_resizer

        needed += [cykooz_resizer]
    folders = dict.fromkeys(str(Path(module.__file__).parents[1]) for module in needed)
    return os.pathsep.join([str(FEATX), *folders])


@pytest.mark.parametrize("how", ["-P -c", "script", "PYTHONPATH", "standard input"])
def test_no_code_of_the_working_folder_runs(how, planted, tmp_path):
    script = tmp_path / "elsewhere" / "use.py"
    script.parent.mkdir()
    script.write_text(USE)
    environment = {**os.environ, "PYTHONSTARTUP": str(planted / "json.py")}
    words = {"-P -c": ["-P", "-c", USE], "script": [script], "PYTHONPATH": ["-S", "-P", script]}.get(how, ["-P", "-"])
    if how == "PYTHONPATH":
        environment["PYTHONPATH"] = loaded_from()
    ran = subprocess.run(
        [sys.executable, *words], cwd=planted, env=environment, input=USE, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("40\n", "")
    assert not (tmp_path / "mark").exists()


def test_a_working_folder_that_was_deleted(tmp_path):
    code = "import os, sys; os.rmdir(os.getcwd())\n" + USE
    gone = tmp_path / "gone"
    gone.mkdir()
    ran = subprocess.run([sys.executable, "-P", "-c", code], cwd=gone, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("40\n", "")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("what", ["sleeps", "holds the lock of the interpreter", "is stopped"])
def test_a_child_ends_with_its_parent_in_every_state(what, tmp_path):
    begun = tmp_path / "begun"
    job = "sum(range(10**11))" if what == "holds the lock of the interpreter" else "__import__('time').sleep(99)"
    job = f"(open({str(begun)!r}, 'w').close(), {job})"
    code = (
        "import sys; from featx.children import start_child\n"
        f"child = start_child('builtins', 'eval', {job!r})\n"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as parent:
        child = int(parent.stdout.readline())
        while not begun.exists():
            assert alive(child)
            time.sleep(0.05)
        if what == "is stopped":
            os.kill(child, signal.SIGSTOP)
        assert alive(child)
        parent.kill()
        parent.wait()
        while alive(child):
            time.sleep(0.05)


def test_a_job():
    assert run_in_child("zlib", "compress", b"x" * 1_000_000) == zlib.compress(b"x" * 1_000_000)
    noisy = b"print('on the terminal') or __import__('os').system('echo and more') or b'the answer'"
    assert run_in_child("builtins", "eval", noisy) == b"the answer"
    where = b"__import__('os').getcwd().encode()"
    assert run_in_child("builtins", "eval", where) == os.fsencode(os.path.abspath(os.sep))


def test_a_job_that_fails():
    with pytest.raises(ChildError, match="Non-hexadecimal digit found"):
        run_in_child("binascii", "unhexlify", b"xy")
    with pytest.raises(ChildError, match="os.abort ended with code -6|builtins.eval ended with code -6"):
        run_in_child("builtins", "eval", b"__import__('os').abort()")
    with pytest.raises(ChildError, match="builtins.eval takes more than 0.5 s"):
        run_in_child("builtins", "eval", b"__import__('time').sleep(60)", seconds=0.5)


def test_no_process_can_be_started(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ChildError, match="sys.executable is empty"):
        run_in_child("zlib", "compress", b"")
    with pytest.raises(OSError, match="sys.executable is empty"):
        start_child("zlib", "compress")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal at the end of the parent")
def test_a_child_starts_without_a_thread(monkeypatch):
    """A user with a limit of processes may start a process, but then no thread."""

    def fail(thread):
        raise RuntimeError("can't start new thread")

    alive_end, ours = os.pipe()
    monkeypatch.setattr(children.threading.Thread, "start", fail)
    monkeypatch.setattr(children.fcntl, "fcntl", lambda *arguments: 0)
    children._end_with(os.getppid(), alive_end)
    monkeypatch.delattr(children.fcntl, "F_SETSIG")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        children._end_with(os.getppid(), alive_end)
    os.close(alive_end)
    os.close(ours)
