"""Quote words for shell commands."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

_ESCAPED = {ord("'"): "\\'", ord("\\"): "\\\\"}


def shell_word(word: str | Path) -> str:
    """Return a word quoted for a shell; a leading ``./`` prevents that a path such as ``-x`` is read as an option.

    >>> shell_word(Path("my set"))
    "'my set'"
    >>> shell_word("a\\nb")
    "$'a\\\\x0ab'"
    """
    text = f".{os.sep}{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_ESCAPED.get(byte) or _escaped(byte) for byte in os.fsencode(text)) + "'"


def _escaped(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"
