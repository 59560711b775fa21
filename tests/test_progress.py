"""Progress: every stage that takes long is named and moves, on a terminal and in a log."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest

from featx.cli import progress
from featx.cli.progress import Display

COMMAND = """
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
import typer
from featx.cli import progress
from featx.cli.console import Console, guarded
from featx.options import RuntimeOptions

now, shown = 0.0, threading.Event()
progress.time = SimpleNamespace(monotonic=lambda: now)
progress._LOG_SECONDS = 1.0
name = "text" if sys.stderr.isatty() else "_show"
show = getattr(progress.Display, name)

def show_and_count(self):
    try:
        return show(self)
    finally:
        shown.set()

setattr(progress.Display, name, show_and_count)

def wait(seconds):
    "Let the clock go on, second by second, each of which the display shows, however long that takes."
    global now
    for second in range(seconds + 1):
        for _ in range(2):  # the first may have begun before
            shown.clear()
            shown.wait()
        now += second < seconds

@guarded
def command():
    console = Console()
    runtime = console.runtime(RuntimeOptions())
    with runtime.stage("converting net to OpenVINO"):
        wait(3)
    with runtime.stage("cross-validating") as advance:
        for done in range(1, 6):
            wait(1)
            advance(done, 5)
    wait(2)
    console.line("result")

try:
    command()
except typer.Exit as ended:
    raise SystemExit(ended.exit_code) from None
"""


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_now_and_then(capfd, clock):
    display = Display()
    for done in range(0, 1001, 10):
        clock[0] = done / 25
        display.update("extracting features", done, 1000)
    assert capfd.readouterr().err.splitlines() == [
        "extracting features 40 of 1,000 (25.0 a second, 38 s left)",
        "extracting features 290 of 1,000 (25.0 a second, 28 s left)",
        "extracting features 540 of 1,000 (25.0 a second, 18 s left)",
        "extracting features 790 of 1,000 (25.0 a second, 8 s left)",
    ]


def test_what_is_done_already_does_not_count_as_speed(clock):
    display = Display()
    display.update("extracting features", 900, 1000)
    clock[0] = 5.0
    display.update("extracting features", 910, 1000)
    assert display.text() == "extracting features 910 of 1,000 (2.0 a second, 45 s left)"


def test_time_left_is_never_0_while_work_goes_on(clock):
    display = Display()
    display.update("cross-validating", 0, 5)
    assert display.text() == "cross-validating 0 of 5 (0 s so far)"
    clock[0] = 40.0
    display.update("cross-validating", 4, 5)
    assert display.text() == "cross-validating 4 of 5 (10.0 s each, 10 s left)"
    clock[0] = 44.0
    assert display.text() == "cross-validating 4 of 5 (10.0 s each, 6 s left)"
    clock[0] = 90.0  # the last one takes longer
    assert display.text() == "cross-validating 4 of 5 (10.0 s each, 90 s so far)"
    display.update("cross-validating", 5, 5)
    assert display.text() == "cross-validating: done, going on: 0 s so far"


def test_a_stage_of_unknown_length_shows_what_is_done(clock):
    display = Display()
    display.update("listing the images", 0, 0)
    clock[0] = 2.0
    assert display.text() == "listing the images: 2 s so far"
    display.update("listing the images", 120_000, 0)
    assert display.text() == "listing the images: 120,000 in 2 s"


def test_stages_lie_within_each_other(clock):
    display = Display()
    display.update("extracting features", 0, 10)
    display.update("converting net to OpenVINO", 0, 0)
    clock[0] = 60.0
    assert display.text() == "converting net to OpenVINO: 60 s so far"
    display.update("converting net to OpenVINO", 1, 1)
    clock[0] = 61.0
    display.update("extracting features", 1, 10)  # the conversion does not count as time of an image
    assert display.text() == "extracting features 1 of 10 (1.0 s each, 9 s left)"
    display.update("training", 0, 4)
    display.update("validating", 0, 0)  # never reported as ended: an error ended it
    display.update("training", 1, 4)
    assert display.text().startswith("training 1 of 4")


def test_a_stage_that_ends_at_once_leaves_no_line(capfd, clock):
    display = Display()
    for stage in ("listing the images", "reading the cache"):
        display.update(stage, 0, 0)
        clock[0] += 0.5
        display.update(stage, 1, 1)
    assert capfd.readouterr().err == ""


def test_many_short_stages_are_no_silence_in_a_log(capfd, clock):
    display = Display()
    for number in range(60):
        display.update(f"step {number}", 0, 0)
        clock[0] += 0.5
        display.update(f"step {number}", 1, 1)
    told = capfd.readouterr().err.splitlines()
    assert told == ["step 3: 0 s so far", "step 23: 0 s so far", "step 43: 0 s so far"]
    with display.paused():
        pass  # a line of the command
    for number in range(4):
        display.update(f"step {number}", 0, 0)
        clock[0] += 0.5
        display.update(f"step {number}", 1, 1)
    assert capfd.readouterr().err.splitlines() == ["step 3: 0 s so far"]


def test_a_bar_leaves_the_standard_streams_as_they_are(monkeypatch):
    """Keras's own bar is put aside while weights are downloaded; what follows is printed."""
    terminal, out = io.StringIO(), sys.stdout
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    display = Display()
    with contextlib.redirect_stdout(io.StringIO()) as aside:
        display.update("downloading w.h5 (MB)", 0, 6)
        print("Keras's own bar")
    display.stop()
    assert sys.stdout is out
    assert aside.getvalue() == "Keras's own bar\n"
    assert "downloading w.h5 (MB) 0 of 6" in terminal.getvalue()
    assert "Keras" not in terminal.getvalue()


def test_a_silent_stage_is_named_within_2_s_and_moves_in_a_log():
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        texts = [line.strip() for line in process.stderr]
        assert process.stdout.read() == "result\n"
    assert process.returncode == 0
    conversion = [text for text in texts if text.startswith("converting net to OpenVINO: ")]
    assert len(conversion) >= 2
    assert re.fullmatch(r"converting net to OpenVINO: \d s so far", conversion[0])
    assert len(set(conversion)) == len(conversion)
    folds = [text for text in texts if text.startswith("cross-validating")]
    assert any(re.fullmatch(r"cross-validating [1-4] of 5 \(.* s left\)", text) for text in folds)
    assert any(re.fullmatch(r"cross-validating: done, going on: \d s so far", text) for text in folds)
    assert not any(" 0 s left" in text for text in texts)


def test_a_terminal_shows_a_bar_that_moves_and_goes():
    pty = pytest.importorskip("pty", reason="no pseudo terminals here")
    told: list[bytes] = []

    def read(descriptor: int) -> bytes:
        told.append(os.read(descriptor, 4096))
        return told[-1]

    saved = os.dup(1)
    with open(os.devnull, "w") as sink:
        os.dup2(sink.fileno(), 1)
        try:
            pty.spawn([sys.executable, "-c", COMMAND], read)
        finally:
            os.dup2(saved, 1)
            os.close(saved)
    text = b"".join(told).decode()
    for shown in (
        *(f"converting net to OpenVINO: {seconds} s so far" for seconds in (0, 1, 2, 3)),
        "cross-validating 3 of 5 (",
        "cross-validating: done, going on: 2 s so far",
    ):
        assert shown in text, shown
    assert "━" in text
    assert " 0 s left" not in text
    assert text.rstrip().endswith("result")
    assert text.count("\x1b[?25h") >= text.count("\x1b[?25l")  # the cursor is there again


def test_an_error_takes_the_bar_away():
    script = COMMAND.replace("wait(3)", "raise MemoryError('none left')")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: there is not enough memory (none left)." in done.stderr
    assert not any(thread in done.stderr for thread in ("Traceback", "Exception in thread"))


def test_a_closed_stderr_stops_nothing():
    script = COMMAND.replace("@guarded", "import sys; sys.stderr.close()\n\n@guarded")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "result\n", "")
