"""Decode what may take long or much memory in a process that can be stopped."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.children import start_child
from featx.errors import ImageError
from featx.images.decode import CostlyError
from featx.images.prepare import Prepared, prepare

_SECONDS = 60.0
_MEGABYTES = 1000
_BYTES_A_PIXEL = 10
"""Memory that decoding a picture may take: transparency over white takes nine bytes a pixel."""

_LENGTH = struct.Struct("<Q")


def memory_for(max_pixels: int) -> int:
    """Return the megabytes that decoding a picture of so many pixels may take."""
    return max(_MEGABYTES, max_pixels * _BYTES_A_PIXEL // 1_000_000)


class Guard:
    """Prepares pictures; costly ones in processes of limited time and memory, large ones one at a time.

    A process is started when such a picture comes, at most one for each calling thread. It runs the same code: the
    pixels are the same.

    Parameters
    ----------
    seconds : float
        Longest time for one picture.
    megabytes : int
        Most memory for one picture, beside what the process needs itself. Only Linux holds a process to it.
    """

    def __init__(self, seconds: float = _SECONDS, megabytes: int = _MEGABYTES) -> None:
        self._seconds = seconds
        self._megabytes = megabytes
        self._one_at_a_time = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._all:
            _end(process)

    def prepare(self, data: bytes, **options: Any) -> Prepared:
        """Decode an image file and bring it to a square; see :func:`featx.images.prepare`.

        Raises
        ------
        ImageError
            No usable picture, or one that takes too long or too much memory.
        """
        try:
            return prepare(data, costly=False, **options)
        except CostlyError as costly:
            with self._one_at_a_time if costly.large else contextlib.nullcontext():
                return self._elsewhere(data, options)

    def _elsewhere(self, data: bytes, options: dict[str, Any]) -> Prepared:
        try:
            process = self._idle.pop()
        except IndexError:
            process = self._start()
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, stop)
        timer.start()
        try:
            _send(process.stdin, json.dumps(options).encode(), data)
            answer, pixels, signature = (_receive(process.stdout) for _ in range(3))
        except (OSError, EOFError):
            _end(process)
            if late.is_set():
                raise ImageError(f"it takes more than {self._seconds:g} s to decode") from None
            raise ImageError("the decoder crashed on it") from None
        finally:
            timer.cancel()
            timer.join()
        if not late.is_set():  # else it was stopped just after its answer
            self._idle.append(process)
        return _made(json.loads(answer), pixels, signature)

    def _start(self) -> subprocess.Popen[bytes]:
        process = start_child("featx.images.guard", "serve", str(self._megabytes))
        self._all.append(process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
    process.wait()


def _made(said: dict[str, Any], pixels: bytes, signature: bytes) -> Prepared:
    if "reason" in said:
        raise ImageError(said["reason"])
    shapes = said.pop("shapes")
    return Prepared(_array(pixels, shapes[0]), _array(signature, shapes[1]), **said)


def _array(content: bytes, shape: list[int]) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(shape)


def _send(stream: IO[bytes] | None, *parts: bytes) -> None:
    assert stream is not None
    for part in parts:
        stream.write(_LENGTH.pack(len(part)) + part)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes:
    assert stream is not None
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    return _read(stream, length)


def _read(stream: IO[bytes], n: int) -> bytes:
    content = stream.read(n)
    if len(content) < n:
        raise EOFError
    return content


def _limit_memory(megabytes: int) -> None:
    """Hold this process to what it has now and some more."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on Windows; macOS knows the limit and ignores it
        import resource

        with open("/proc/self/statm", encoding="ascii") as stream:
            now = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = now + megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def serve(megabytes: str) -> None:
    """Answer requests on standard input until it closes."""
    _limit_memory(int(megabytes))
    Image.MAX_IMAGE_PIXELS = None  # the request says how many pixels are too many
    source, target = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError):
        while True:
            options, data = json.loads(_receive(source)), _receive(source)
            try:
                made = prepare(data, **options)
            except (ImageError, MemoryError) as error:
                text = str(error) or "not enough memory to decode it"
                text = text.replace("not enough memory", f"more than {int(megabytes):,} MB of memory are needed")
                _send(target, json.dumps({"reason": text}).encode(), b"", b"")
                continue
            said = {
                "shapes": [made.pixels.shape, made.signature.shape],
                "width": made.width,
                "height": made.height,
                "note": made.note,
            }
            _send(target, json.dumps(said).encode(), made.pixels.tobytes(), made.signature.tobytes())
