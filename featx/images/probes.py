"""Probe images, which show whether this machine decodes and computes the same values as another machine."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files

from featx.images.prepare import prepare

DECODE_VERSION = 5
"""Version of the decoding rules, increased by hand; changes of libraries are detected from the probe pixels."""

_PROBE_SIDE = 96


@functools.cache
def probe_files() -> dict[str, bytes]:
    """Return the probe images as a sorted mapping from file name to file bytes."""
    folder = files("featx.images") / "probes"
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.endswith((".py", ".md")))
    return {name: (folder / name).read_bytes() for name in names}


@functools.cache
def decode_version() -> str:
    """Return the decode version: an integer and a digest of the decoded probe images.

    If a build of an image library decodes to other pixels, the version differs, because the features differ as well.
    """
    digest = hashlib.sha256()
    for data in probe_files().values():
        for rule in ("crop", "squash", "pad"):
            prepared = prepare(data, _PROBE_SIDE, rule)
            digest.update(prepared.pixels.tobytes())
            digest.update(prepared.signature.tobytes())
    return f"{DECODE_VERSION}-{digest.hexdigest()[:12]}"
