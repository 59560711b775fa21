"""Which processor this is, to tell whose bits features are."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from pathlib import Path

_ARITHMETIC = (
    "avx fma f16c avx2 avx_vnni avx512f avx512bw avx512vl avx512_vnni avx512_bf16 avx512_fp16 "
    "amx_tile amx_bf16 amx_int8 amx_fp16 asimd asimdhp asimddp sve sve2 bf16 i8mm svebf16 svei8mm"
)
"""Instruction sets, as Linux names them, by which a library may choose how it computes."""


@functools.cache
def processor_name() -> str:
    """Return the name of the processor, as the system gives it."""
    return _cpuinfo().get("model name") or _asked_of_macos() or platform.processor() or platform.machine()


@functools.cache
def processor_kind() -> str:
    """Return the name of the processor with the instruction sets that it has.

    Virtual machines call several generations "AMD EPYC", and may hide some instructions of one.
    """
    known = _cpuinfo()
    has = set((known.get("flags") or known.get("Features") or "").split())
    return " ".join([processor_name(), *(name for name in _ARITHMETIC.split() if name in has)])


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first processor; elsewhere nothing."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _asked_of_macos() -> str:
    """Return "Apple M2", say, where Python only knows "arm"."""
    if sys.platform != "darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
