"""Attacks on the process of a command: signals, streams, folders of the user, files in the working folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from benchmarks.attack_outputs import small_disk
from benchmarks.scene import Attack, AttackSucceededError, Scene, featx_command, require

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS = 2.5
"""Time within which a command must end: two seconds, and half a second because the machine may be busy."""

_NATIVE = """
import ctypes, sys, threading, time
sys.argv = ["featx", "wait"]
from featx.cli.app import app
from featx.cli.console import guarded
from featx.cli import main
def wait():
    if sys.stdin.read(1) == "t":
        threading.Thread(target=time.sleep, args=(60,)).start()
    print("ready", flush=True)
    time.sleep(0.2)
    while True:
        WAITING
app.command("wait")(guarded(wait))
main()
"""


def _stopped(scene: Scene) -> str:
    rng = random.Random(0)
    commands = {
        ("extract", "set", "--size", "160", "--cache", "new"): 5.0,
        ("fit", "set", "--head", "mlp", "-o", "x.featx"): 6.0,
        ("finetune", "set", "--unfreeze", "1", "--epochs", "200", "-o", "ft.featx"): 14.0,
        ("predict", "m.featx", "set", "--no-cache", "-o", "s.csv"): 4.0,
    }
    slowest = 0.0
    for words, most in commands.items():
        for number in _SIGNALS:
            process = scene.start(*words[:-1], f"{number}{words[-1]}")
            time.sleep(rng.uniform(0.1, most))
            slowest = max(slowest, _stop(process, number))
    return f"12 times, ended within {slowest:.1f} s"


def _stop(process: subprocess.Popen[str], *numbers: int) -> float:
    started = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.02)
    try:
        _, errors = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AttackSucceededError("still running 30 s after the first signal") from None
    took = time.monotonic() - started
    require(process.returncode in (0, 1), f"exit code {process.returncode}: {errors[-200:]!r}")
    require(
        process.returncode == 0 or errors.rstrip().endswith(("to continue", "before any work")), f"{errors[-300:]!r}"
    )
    require("Traceback" not in errors and "Exception ignored" not in errors, f"a traceback: {errors[-300:]!r}")
    require(took <= _SECONDS, f"ended {took:.1f} s after the first signal")
    return took


def _native(scene: Scene) -> str:
    ways = {
        "native code": "ctypes.CDLL(None).sleep(60)",
        "a thread that keeps running": "time.sleep(1)",
        "a library that catches the interrupt": "\n        try: time.sleep(60)\n        except BaseException: pass",
    }
    for name, waiting in ways.items():
        process = subprocess.Popen(
            [Path(featx_command()[0]).with_name("python"), "-P", "-c", _NATIVE.replace("WAITING", waiting)],
            cwd=scene.root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_usual_signals,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("t" if "thread" in name else "n")
        process.stdin.flush()
        process.stdout.readline()
        time.sleep(0.5)
        _stop(process, signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    return f"each ended within {_SECONDS} s, four signals, no traceback"


def _usual_signals() -> None:
    for number in (*_SIGNALS, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def _streams(scene: Scene) -> str:
    cases = {
        "extract set --cache c1 2>&-": 0,
        "predict m.featx set -o s1.csv >&- 2>&- <&-": 0,
        "predict m.featx set -o s2.csv > /dev/full": 1,
        "predict m.featx set -o s3.csv 2> /dev/full": 0,
        "predict m.featx set -o s4.csv --json | true": 1,
        "predict m.featx set -o s5.csv | true": 0,
        "predict m.featx nothing 2>&-": 1,
    }
    for words, code in cases.items():
        done = _shell(scene, words)
        require(done.returncode == code, f"{words}: exit code {done.returncode}: {done.stderr[-200:]!r}")
        require("Traceback" not in done.stderr and "Exception ignored" not in done.stderr, f"{words}: a traceback")
    made = sorted(path.name for path in scene.root.glob("s?.csv"))
    require(made == [f"s{i}.csv" for i in range(1, 6)], f"only {made} were written")
    return "the work was done, the exit codes are correct"


def _shell(scene: Scene, words: str) -> subprocess.CompletedProcess[str]:
    command = f"set -o pipefail; {featx_command()[0]} {words}"
    return subprocess.run(
        ["bash", "-c", command], cwd=scene.root, capture_output=True, text=True, timeout=200, check=False
    )


def _temporary(scene: Scene) -> str:
    with small_disk(scene.root / "tiny", "64k") as tiny:
        scene.featx("extract", "set", "--cache", "c5", "--size", "96", TMPDIR=str(tiny)).expect(0)
        ended = scene.featx("predict", "m.featx", "set", "--no-cache", TMPDIR=str(tiny)).expect(1, "TMPDIR")
        require(list(tiny.iterdir()) == [], f"left: {list(tiny.iterdir())}")
    return ended.last[:80]


def _homeless(scene: Scene) -> str:
    scene.let_in()
    for path in (scene.root, *scene.root.rglob("*")):
        os.chown(path, 54321, 54321)
    user = ["env", "-i", "PATH=/usr/bin:/bin", "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    keras = Path("/tmp/.keras")
    was_there = keras.exists()
    for words in (
        "backbones",
        "extract set --cache c2 --size 96",
        "fit set --cache c2 -o h.featx",
        "report h.featx --html h.html",
        "finetune set --unfreeze 1 --epochs 1 -o ft.featx --cache c2",
    ):
        done = subprocess.run(
            [*user, *featx_command(), *words.split()], cwd=scene.root, capture_output=True, text=True, check=False
        )
        require(done.returncode == 0, f"{words}: {done.stderr[-200:]!r}")
    require(keras.exists() == was_there, "Keras made a folder in /tmp, where any user can write")
    return "five commands work as usual"


def _decoys(scene: Scene) -> str:
    marker = scene.root / "marker"
    work = scene.root / "work"
    work.mkdir()
    text = f"open({str(marker)!r}, 'a').write(__name__ + ' ')\n"
    names = ("numpy", "typing", "json", "PIL", "sklearn", "scipy", "h5py", "keras", "tensorflow", "openvino", "jinja2")
    for name in (*names, "matplotlib", "typer", "rich", "filelock", "simplejpeg", "pathlib", "csv", "sitecustomize"):
        (work / f"{name}.py").write_text(text)
    for name in ("keras.json", "plugins.xml", "efficientnet-lite0", "imagenet", ".bin", "DejaVuSans.ttf"):
        (work / name).write_text("decoy: [")
    os.mkfifo(work / "matplotlibrc")
    cache = ("--cache", scene.root / "c3")
    commands = (
        ("extract", scene.root / "set", *cache),
        ("extract", scene.root / "set", *cache, "--resize", "pad"),
        ("predict", scene.root / "m.featx", scene.root / "set", "--gallery", scene.root / "g.png", *cache),
        ("finetune", scene.root / "set", "--unfreeze", "1", "--epochs", "1", "-o", scene.root / "ft.featx", *cache),
    )
    for words in commands:
        ended = scene.featx(*words, folder=work)
        require(not marker.exists(), f"{words[0]} ran {marker.read_text() if marker.exists() else ''}")
        ended.expect(0)
    done = subprocess.run(
        [Path(featx_command()[0]).with_name("python"), "-m", "featx", "inspect", scene.root / "set"],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    require(not marker.exists(), f"python -m featx ran {marker.read_text() if marker.exists() else ''}")
    require(done.returncode == 0, f"python -m featx: {done.stderr[-200:]!r}")
    return "five commands used nothing from it"


def _settings(scene: Scene) -> str:
    (scene.root / "matplotlibrc").write_text("text.usetex: True\n")
    scene.featx("finetune", "set", "--unfreeze", "1", "--epochs", "1", "-o", "ft.featx").expect(0)
    made = sorted(path.suffix for path in scene.root.glob("ft.*"))
    require(made == [".csv", ".featx", ".json", ".keras", ".png"], f"only {made} were written")
    return "the model and its curves were written"


def _dashes(scene: Scene) -> str:
    ended = scene.featx("fit", "set", "-o", "-m.featx").expect(0)
    todo = ended.stdout.strip().splitlines()[-1].removeprefix("next       featx ").replace("NEW", "set")
    done = _shell(scene, todo)
    require(done.returncode == 0, f"{todo}: {done.stderr[-200:]!r}")
    return todo


def _paths(scene: Scene) -> str:
    shut = scene.root / "shut"
    (shut / "in").mkdir(parents=True)
    shut.chmod(0)
    scene.let_in()
    long, loop = "n" * 300, scene.root / "loop"
    loop.symlink_to("loop")
    user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    n = 0
    for place in (shut / "in" / "x", scene.root / long, loop / "x"):
        for words in (
            ("extract", place),
            ("extract", "set", "--cache", place),
            ("extract", "set", "--weights", place),
            ("fit", "set", "-o", f"{place}.featx"),
            ("predict", place, "set"),
            ("predict", "m.featx", place),
            ("predict", "m.featx", "set", "-o", f"{place}.csv"),
            ("predict", "m.featx", "set", "--sort-into", place),
            ("report", place),
            ("inspect", place),
            ("cache", "export", "-o", f"{place}.npz"),
        ):
            done = subprocess.run(
                [*user, *featx_command(), *map(str, words)], cwd=scene.root, capture_output=True, text=True, check=False
            )
            output = done.stdout + done.stderr
            what = " ".join(map(str, words))[:60]
            require(done.returncode == 1, f"{what}: exit code {done.returncode}")
            require("Traceback" not in output and "unexpected error" not in output, f"{what}: {output[-200:]!r}")
            n += 1
    shut.chmod(0o755)
    return f"{n} commands, one clear line each"


ATTACKS: tuple[Attack, ...] = (
    Attack("SIGINT, SIGTERM and SIGHUP at random times during four commands", _stopped),
    Attack("repeated signals while native code, a thread or a library keeps running", _native),
    Attack("standard streams closed, full, or left by their reader", _streams),
    Attack("a full folder for temporary files", _temporary, needs_root=True),
    Attack("a user without a home folder or an entry in passwd", _homeless, needs_root=True),
    Attack("modules, settings, weights and fonts in the working folder", _decoys),
    Attack("matplotlib settings in the working folder, at the end of a training", _settings),
    Attack("a next command with a file name that begins with a dash", _dashes),
    Attack("folders without search permission, names of 300 bytes, circular links", _paths, needs_root=True),
)
