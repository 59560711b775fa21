"""A command ends soon after the first signal, whatever runs, and says once what is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import without_progress

from featx.cli.stopping import STOPPED

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

COMMAND = """
import ctypes, os, signal, sys, threading, time
from pathlib import Path
from featx.cli import main
from featx.cli.app import app
from featx.cli.console import guarded

def ready():
    print("ready", flush=True)

def python():
    ready()
    while True:
        time.sleep(0.01)

def native():
    ready()
    ctypes.CDLL(None).sleep(60)
    while True:  # sleep() is ended by a signal, other native code is not
        ctypes.CDLL(None).sleep(60)

def held():  # by native code that lets no other thread run: it waits until somebody reads all of a large output
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    threading.Thread(target=unblock, daemon=True).start()
    unblocked.wait()
    text = b"ready\\n" + bytes(1_000_000)
    ctypes.PyDLL(None).write(1, text, len(text))

def unblock():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    unblocked.set()
    time.sleep(60)

unblocked = threading.Event()

signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

def swallowed():
    ready()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def changed():
    try:
        python()
    except KeyboardInterrupt:
        raise ImportError("Failed to load the native runtime") from None

def thread():
    threading.Thread(target=time.sleep, args=(60,)).start()
    python()

def writing():
    from featx.files import write_atomically
    def write(path):
        path.write_bytes(b"half")
        swallowed()
    write_atomically(Path("out.csv"), write)

def collected():
    class Slow:
        def __del__(self):
            python()
    Slow()
    python()

for function in (python, native, held, swallowed, changed, thread, writing, collected):
    app.command(function.__name__)(guarded(function))
main()
"""


def start(kind, tmp_path, ignored=()):
    def prepare():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, kind],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("python", "SIGINT"),
        ("python", "SIGTERM"),
        ("python", "SIGHUP"),
        ("native", "SIGINT"),
        ("swallowed", "SIGTERM"),
        ("changed", "SIGHUP"),
        ("thread", "SIGINT"),
        ("writing", "SIGTERM"),
        ("collected", "SIGINT"),
    ],
)
def test_the_first_signal_ends_a_command_and_more_change_nothing(tmp_path, kind, name):
    process = start(kind, tmp_path)
    process.send_signal(getattr(signal, name))
    for _ in range(3):
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, without_progress(told)) == (1, STOPPED + "\n")
    assert os.listdir(tmp_path) == []


def test_native_code_that_lets_no_thread_run_is_ended_too(tmp_path):
    process = start("held", tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == -signal.SIGKILL
    _, told = process.communicate()
    assert without_progress(told) == STOPPED + "\n"


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    process = start("python", tmp_path, ignored=[signal.SIGHUP])
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1].splitlines()[-1] == STOPPED
    assert process.returncode == 1
