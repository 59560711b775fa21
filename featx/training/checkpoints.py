"""What a training run needs to go on after a kill: arrays and plain values in one file, replaced in one step."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.store import write_whole


def write_checkpoint(path: Path, arrays: Sequence[NDArray[Any]], state: dict[str, Any]) -> None:
    """Write a checkpoint; whatever the file was, it is whole at any instant.

    Parameters
    ----------
    path : path
        Its folder exists.
    arrays : sequence of ndarray
    state : dict
        JSON values.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    named = {f"a{i}": array for i, array in enumerate(arrays)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, state=text, **named)  # type: ignore[arg-type]

    write_whole(path, write)


def read_checkpoint(path: Path, like: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], dict[str, Any]] | None:
    """Return arrays and state; None if there is no such file, it is damaged, or its arrays have other shapes."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = [file[f"a{i}"] for i in range(len(like))]
            state = json.loads(file["state"].tobytes())
    except (OSError, EOFError, TypeError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    fits = all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(arrays, like, strict=True))
    return (arrays, state) if fits and isinstance(state, dict) else None
