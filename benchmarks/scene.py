"""A small data set with a cache and two models, on which ``benchmarks.attacks`` runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

N_IMAGES = 28
"""Images of a scene, in two classes."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM), signal.SIGPIPE)


class AttackSucceededError(AssertionError):
    """An attack succeeded; the message states how."""


@dataclass(frozen=True)
class Attack:
    """An attack, or an accident such as a full disk.

    Parameters
    ----------
    name : str
        Description in the table.
    run : callable
        Runs the attack in a new scene and returns the outcome; raises :class:`AttackSucceededError` if the attack
        succeeds.
    tries : int
        Number of tries.
    needs_root : bool
        Whether the attack mounts a file system or runs as another user.
    """

    name: str
    run: Callable[[Scene], str]
    tries: int = 1
    needs_root: bool = False


@dataclass(frozen=True)
class Ended:
    """Outcome of a command.

    Parameters
    ----------
    code : int
        Exit code; negative for a signal.
    stdout, stderr : str
    seconds : float
        Wall time.
    result : dict
        The JSON object that ``--json`` prints; empty without ``--json``.
    pid : int
        Number of the process that has ended; 0 if it is not known.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    result: dict[str, Any] = field(default_factory=dict)
    pid: int = 0

    @property
    def last(self) -> str:
        """The last line of standard error."""
        return (self.stderr.strip().splitlines() or [""])[-1]

    def expect(self, code: int, *texts: str) -> Ended:
        """Check the exit code, that the output contains these texts, and that it contains no traceback."""
        output = self.stdout + self.stderr
        if self.code != code:
            raise AttackSucceededError(f"exit code {self.code}, not {code}: {output[-300:]!r}")
        if "Traceback" in output or "unexpected error" in output:
            raise AttackSucceededError(f"a traceback: {output[-300:]!r}")
        for text in texts:
            if text not in output:
                raise AttackSucceededError(f"{text!r} is missing in {output[-600:]!r}")
        return self


class Scene:
    """A folder with ``set`` (two classes of 14 images of 48 x 48 pixels), ``cache``, ``m.featx`` and ``rbf.featx``.

    Parameters
    ----------
    root : path
        The folder; commands run in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def make(cls, root: Path) -> Scene:
        """Make the first scene; other scenes are copies of it."""
        scene = cls(root)
        write_images(root / "set")
        scene.featx("fit", "set", "--head", "logreg", "-o", "m.featx").expect(0)
        scene.featx("fit", "set", "--head", "svm-rbf", "-o", "rbf.featx").expect(0)
        return scene

    def copy(self) -> Scene:
        """Return a copy of this scene in a new folder."""
        root = Path(tempfile.mkdtemp(prefix="scene-", dir=self.root.parent))
        shutil.copytree(self.root, root, dirs_exist_ok=True, symlinks=True)
        return Scene(root)

    def featx(
        self,
        *words: object,
        seconds: float = 120.0,
        megabytes: int | None = None,
        limits: Mapping[str, int] | None = None,
        prefix: Sequence[str] = (),
        folder: Path | None = None,
        stdin: Any = subprocess.DEVNULL,
        **environment: str,
    ) -> Ended:
        """Run a featx command to its end.

        Parameters
        ----------
        *words : object
            Words of the command line after ``featx``.
        seconds : float
            Wall time after which the attack counts as successful.
        megabytes : int, optional
            Limit of the address space of the command.
        limits : mapping, optional
            Limits of the command by their names in the module ``resource``.
        prefix : sequence of str
            Words of the command line before ``featx``.
        folder : path, optional
            Working folder; the scene if not given.
        **environment : str
            Variables in addition to those of this process.
        """
        started = time.monotonic()
        process = self.start(
            *words, megabytes=megabytes, limits=limits, prefix=prefix, folder=folder, stdin=stdin, **environment
        )
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise AttackSucceededError(
                f"featx {words[0]} did not end within {seconds:.0f} s: {(stdout + stderr)[-200:]!r}"
            ) from None
        took = time.monotonic() - started
        result = json.loads(stdout) if "--json" in words and stdout.strip().startswith("{") else {}
        return Ended(process.returncode, stdout, stderr, took, result, process.pid)

    def start(
        self,
        *words: object,
        megabytes: int | None = None,
        limits: Mapping[str, int] | None = None,
        prefix: Sequence[str] = (),
        folder: Path | None = None,
        stdin: Any = subprocess.DEVNULL,
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Start a featx command in a new session, with default signal handlers."""
        given = dict(limits or {})
        if megabytes is not None:
            given["RLIMIT_AS"] = megabytes * 1_000_000

        def prepare() -> None:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            if given:
                import resource

                for name, most in given.items():
                    resource.setrlimit(getattr(resource, name), (most, most))

        return subprocess.Popen(
            [*prefix, *featx_command(), *map(str, words)],
            cwd=folder or self.root,
            env=_environment(environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            preexec_fn=prepare,
        )

    def python(self, code: str, *words: object, seconds: float = 120.0, **environment: str) -> Ended:
        """Run Python code in the scene."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *map(str, words)],
            cwd=self.root,
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def let_in(self) -> None:
        """Allow other users to search the folders of the scene."""
        for folder in (self.root, *self.root.parents[:2]):
            if folder.stat().st_mode & 0o777 == 0o700:
                folder.chmod(0o755)


def featx_command() -> list[str]:
    """Return the command that runs the ``featx`` that is installed for this Python."""
    return [str(Path(sys.executable).with_name("featx"))]


def write_images(folder: Path, n: int = N_IMAGES // 2, suffix: str = ".png") -> None:
    """Write two classes of noisy images, reddish and bluish, of 48 x 48 pixels."""
    rng = np.random.default_rng(0)
    for name, base in (("cat", (200, 60, 50)), ("dog", (40, 70, 210))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            blocks = rng.normal(0, 50, (6, 6, 1)).repeat(8, 0).repeat(8, 1)
            pixels = np.array(base) + rng.normal(0, 40, (48, 48, 3)) + rng.normal(0, 60, (1, 1, 3)) + blocks
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{name}{i:03d}{suffix}")


def require(is_held: bool, message: str) -> None:
    """Raise :class:`AttackSucceededError` unless a condition is true."""
    if not is_held:
        raise AttackSucceededError(message)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a command of :meth:`Scene.start` and its child processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    usual = {name: value for name, value in os.environ.items() if name not in ("FEATX_CACHE", "FEATX_TRACEBACK")}
    return usual | {"TF_CPP_MIN_LOG_LEVEL": "3"} | more
