"""Identify the CPU, because the exact bits of features depend on it."""

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
"""Linux names of the instruction sets on which the implementation chosen by a library may depend."""


@functools.cache
def processor_name() -> str:
    """Return the name of the CPU, as reported by the operating system."""
    return _cpuinfo().get("model name") or _macos_name() or platform.processor() or platform.machine()


@functools.cache
def processor_kind() -> str:
    """Return the name of the CPU and its instruction sets.

    Virtual machines use one name, such as "AMD EPYC", for several generations, and may hide some instruction sets.
    """
    info = _cpuinfo()
    available = set((info.get("flags") or info.get("Features") or "").split())
    return " ".join([processor_name(), *(name for name in _ARITHMETIC.split() if name in available)])


def _cpuinfo() -> dict[str, str]:
    """Return the Linux description of the first core; empty on other systems."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _macos_name() -> str:
    """Return the name on macOS, such as "Apple M2"; Python itself reports only "arm"."""
    if sys.platform != "darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
