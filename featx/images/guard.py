"""Decode images that may take much time or memory in child processes that can be stopped."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.children import reserve_stdout, start_child
from featx.errors import ImageError, NotDecodableHereError
from featx.images.decode import MAX_PIXELS, CostLimit, CostlyError, ShortOfMemoryError
from featx.images.deep import Brightest, brightest
from featx.images.prepare import Prepared, prepare

if sys.platform != "win32":
    import resource

_SECONDS = 60.0
_MEGABYTES = 1000
_BYTES_A_PIXEL = 10
"""Memory allowed for decoding, in bytes per pixel; compositing over white needs nine bytes per pixel."""

_COUNTS_CPU_TIME = sys.platform != "win32"
_STUCK_SECONDS = 900.0
"""Wall time, in seconds, after which a process that uses no CPU time, such as a suspended process, is killed."""

_END_SECONDS = 1.0
_NEXT_RUN = "the next run tries again"

_CRASHES = {
    -getattr(signal, name) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL") if hasattr(signal, name)
}
_TOO_LONG = -signal.SIGXCPU if hasattr(signal, "SIGXCPU") else None

_LENGTH = struct.Struct("<Q")


def memory_for(max_pixels: int) -> int:
    """Return the memory limit, in megabytes, for decoding an image of up to ``max_pixels`` pixels."""
    return max(_MEGABYTES, max_pixels * _BYTES_A_PIXEL // 1_000_000)


class Guard:
    """Prepare images within limits of time and memory.

    Files of plain structure are decoded in this process, all other files in child processes with limits. Large images
    are decoded one at a time. A child process is started when an image needs it, at most one for each calling thread.
    The child process runs the same code, so that the pixels are the same. When the context is left, the processes are
    stopped, and calls in other threads raise an exception at once.

    If the time limit is exceeded, this counts as a defect of the image. A crash, or more memory than allowed, counts as
    a defect only in a new process. After a process that has decoded other images before, or that ended for another
    reason, the image is tried again in a new process.

    Parameters
    ----------
    seconds : float
        Maximum CPU time for one image, in seconds; on Windows, wall time.
    megabytes : int
        Maximum memory for one image, in megabytes, in addition to the memory of the process itself. The limit is
        enforced only on Linux.
    """

    def __init__(self, seconds: float = _SECONDS, megabytes: int = _MEGABYTES) -> None:
        self._seconds = seconds
        self._megabytes = megabytes
        self._one_at_a_time = threading.Lock()
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._closed = True
            decoders = list(self._all)
        for decoder in decoders:
            decoder.process.kill()
        for decoder in decoders:  # the thread that waits for a reply of the process closes the pipes
            with contextlib.suppress(subprocess.TimeoutExpired):
                decoder.process.wait(_END_SECONDS)
        for decoder in self._idle:
            decoder.close()

    def prepare(self, data: bytes, **options: Any) -> Prepared:
        """Decode an image file and resize it to a square; see :func:`featx.images.prepare`.

        Raises
        ------
        ImageError
            If the file contains no usable image, or decoding takes too much time or memory.
        NotDecodableHereError
            If decoding failed for a reason outside the image.
        """
        if self._closed:
            raise NotDecodableHereError(f"the run was stopped; {_NEXT_RUN}")
        try:
            return prepare(data, most=CostLimit.PLAIN, **options)
        except CostlyError:
            made, pixels, signature = self._ask("prepare", data, options)
        shapes = made.pop("shapes")
        return Prepared(_array(pixels, shapes[0]), _array(signature, shapes[1]), **made)

    def brightest(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Brightest | None:
        """Return the brightness of an image with more than 8 bits; see :func:`featx.images.brightest`.

        The result is also None if the image cannot be decoded.
        """
        try:
            made, *_ = self._ask("brightest", data, {"max_pixels": max_pixels})
        except ImageError:
            return None
        return None if made["value"] is None else Brightest(**made)

    def _ask(self, job: str, data: bytes, options: dict[str, Any]) -> tuple[dict[str, Any], bytes, bytes]:
        try:
            return self._try(json.dumps({**options, "job": job, "most": CostLimit.SMALL}).encode(), data)
        except CostlyError:
            with self._one_at_a_time:
                return self._try(json.dumps({**options, "job": job, "most": CostLimit.ANY}).encode(), data)

    def _try(self, request: bytes, data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
        for is_last in (False, True):
            decoder = self._decoder(new=is_last)
            try:
                content, pixels, signature = decoder.ask(request, data)
            except (OSError, EOFError):
                self._blame(decoder)
                continue
            reply = json.loads(content)
            if reply.get("short") and not decoder.is_new:
                self._drop(decoder)
                continue
            # A process that refused a costly image has decoded nothing.
            decoder.is_new = decoder.is_new and bool(reply.get("costly"))
            self._put_back(decoder)
            _raise(reply)
            return reply, pixels, signature
        raise NotDecodableHereError(f"the decoding process was stopped from outside; {_NEXT_RUN}")

    def _decoder(self, new: bool) -> _Decoder:
        if not new:
            with contextlib.suppress(IndexError):
                return self._idle.pop()
        with self._lock:
            if self._closed:
                raise NotDecodableHereError(f"the run was stopped; {_NEXT_RUN}")
            try:
                decoder = _Decoder(self._start(), self._seconds)
            except OSError as error:
                reason = f"no process can be started to decode the image: {error.strerror or error}"
                raise NotDecodableHereError(f"{reason}; {_NEXT_RUN}") from None
            self._all.add(decoder)
        return decoder

    def _start(self) -> subprocess.Popen[bytes]:
        return start_child("featx.images.guard", "serve", str(self._megabytes), str(self._seconds))

    def _put_back(self, decoder: _Decoder) -> None:
        if self._closed or decoder.is_late:
            self._drop(decoder)
        else:
            self._idle.append(decoder)

    def _drop(self, decoder: _Decoder) -> None:
        with self._lock:
            self._all.discard(decoder)
        decoder.process.kill()
        decoder.close()

    def _blame(self, decoder: _Decoder) -> None:
        """Raise ImageError if the image caused the end of a process."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # pipes close shortly before the exit code is set
            decoder.process.wait(_END_SECONDS)
        code = decoder.process.returncode
        self._drop(decoder)
        if self._closed:
            raise NotDecodableHereError(f"the run was stopped; {_NEXT_RUN}")
        if code == _TOO_LONG or (decoder.is_late and not _COUNTS_CPU_TIME):
            raise ImageError(f"decoding takes more than {self._seconds:g} s")
        if code in _CRASHES and decoder.is_new:
            raise ImageError("the decoder crashed on this image")


class _Decoder:
    """Child process that decodes one image at a time.

    Parameters
    ----------
    process : subprocess.Popen
    seconds : float
        Maximum CPU time for one image, in seconds.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.is_new = True
        self.is_late = False
        self._patience = max(_STUCK_SECONDS, 2 * seconds) if _COUNTS_CPU_TIME else seconds

    def ask(self, *parts: bytes) -> list[bytes]:
        """Send a request, and return the three parts of the reply.

        Raises
        ------
        OSError, EOFError
            If the process ends.
        """
        timer = threading.Timer(self._patience, self._give_up)
        timer.start()
        try:
            _send(self.process.stdin, *parts)
            return [_receive(self.process.stdout) for _ in range(3)]
        finally:
            timer.cancel()
            timer.join()

    def _give_up(self) -> None:
        self.is_late = True
        self.process.kill()

    def close(self) -> None:
        """Close the pipes of a process that has been stopped."""
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)


def _raise(reply: dict[str, Any]) -> None:
    """Raise the error that the reply of a process reports, if any."""
    if reply.pop("costly", False):
        raise CostlyError
    if "reason" in reply:
        raise (NotDecodableHereError if reply.get("passing") else ImageError)(reply["reason"])


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


def serve(megabytes: str, seconds: str) -> None:
    """Answer requests from standard input, in the child process, until the input is closed."""
    source, target = sys.stdin.buffer, reserve_stdout()
    is_limited = _limit_memory(int(megabytes))
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # the request contains the limit
    with contextlib.suppress(EOFError):
        while True:
            request, data = json.loads(_receive(source)), _receive(source)
            _limit_time(float(seconds))
            for part in _answer(request, data, megabytes if is_limited else ""):
                _send(target, part)
            del data  # frees the memory before the next image is received


def _answer(request: dict[str, Any], data: bytes, megabytes: str) -> tuple[bytes, bytes, bytes]:
    pixels = signature = b""
    reply: dict[str, Any]
    try:
        job, most = request.pop("job"), CostLimit(request.pop("most"))
        if job == "brightest":
            known = brightest(data, most=most, **request)
            reply = {"value": None} if known is None else known._asdict()
        else:
            made = prepare(data, most=most, **request)
            pixels, signature = made.pixels.tobytes(), made.signature.tobytes()
            reply = {"shapes": [made.pixels.shape, made.signature.shape]}
            reply |= {"width": made.width, "height": made.height, "note": made.note}
    except CostlyError:
        reply = {"costly": True}
    except (ShortOfMemoryError, MemoryError):
        reply = {"reason": f"not enough memory to decode the image; {_NEXT_RUN}", "short": True, "passing": True}
        if megabytes:
            reply = {"reason": f"decoding needs more than {int(megabytes):,} MB of memory", "short": True}
    except NotDecodableHereError as error:
        reply = {"reason": str(error), "passing": True}
    except ImageError as error:
        reply = {"reason": str(error)}
    except Exception as error:
        reply = {"reason": f"the pixels cannot be used: {error}"}
    return json.dumps(reply).encode(), pixels, signature


def _limit_memory(megabytes: int) -> bool:
    """Limit the memory of this process to its present size plus ``megabytes``; return whether the limit is set."""
    if sys.platform != "linux":  # macOS accepts the limit but does not enforce it
        return False
    with contextlib.suppress(OSError, ValueError):  # fails where the user's own limit is lower
        with open("/proc/self/statm", encoding="ascii") as stream:
            now = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = now + megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return True
    return False


def _limit_time(seconds: float) -> None:
    """Limit the CPU time that this process may still use; beyond the limit, the process ends with SIGXCPU."""
    if sys.platform != "win32":
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = math.ceil(time.process_time() + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
