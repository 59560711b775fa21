"""Images made for featx that show whether this machine decodes, and computes, as another one did."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files

from featx.images.prepare import prepare

DECODE_VERSION = 4
"""Raised by hand when the rules in this room change on purpose; libraries show in the probe pixels."""

_PROBE_SIDE = 96


@functools.cache
def probe_files() -> dict[str, bytes]:
    """Return the probe images, file name to file bytes, in sorted order."""
    folder = files("featx.images") / "probes"
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.endswith((".py", ".md")))
    return {name: (folder / name).read_bytes() for name in names}


@functools.cache
def decode_version() -> str:
    """Return the decode version: an integer and a digest of what the probe images decode to here.

    Another build of an image library that gives other pixels gives another version, and so other features.
    """
    digest = hashlib.sha256()
    for data in probe_files().values():
        for rule in ("crop", "squash", "pad"):
            prepared = prepare(data, _PROBE_SIDE, rule)
            digest.update(prepared.pixels.tobytes())
            digest.update(prepared.signature.tobytes())
    return f"{DECODE_VERSION}-{digest.hexdigest()[:12]}"
