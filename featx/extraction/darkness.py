"""Stop before pictures with 16 bits become nearly black ones."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from featx.dataset import Found
from featx.errors import DatasetError
from featx.images import brightest
from featx.runtime import Runtime

_DARK = 8
"""A data set is too dark if nothing in it reaches this part of white: a half, a quarter, ... an eighth."""

_NEVER_DEEP = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp")
_AT_ONCE = 64


def stop_if_too_dark(pictures: Sequence[Found], runtime: Runtime) -> None:
    """Make sure that pictures with 16 bits, if there are any, use them.

    Cameras with 10 or 12 bits write files with 16, where their white is nearly black. One picture that is bright
    enough ends the search.

    Raises
    ------
    DatasetError
        They do not; the message says which ``--white`` would do.
    """
    deep: list[int] = []
    candidates = [found.path for found in pictures if not found.sample.sample_id.lower().endswith(_NEVER_DEEP)]
    with ThreadPoolExecutor(runtime.n_workers) as pool:
        for start in range(0, len(candidates), _AT_ONCE):
            for known in pool.map(brightest, candidates[start : start + _AT_ONCE]):
                if known is None:
                    continue
                value, white = known
                if value * _DARK > white:
                    return
                deep.append(value)
    if deep:
        bound = 2 ** max(deep).bit_length() - 1
        raise DatasetError(
            f"{len(deep):,} pictures are 16-bit but no value exceeds {bound:,}; they would be nearly black. "
            f"Add --white {bound}"
        )
