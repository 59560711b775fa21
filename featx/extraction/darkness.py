"""Stop before images with 16 bits become nearly black ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from featx.errors import DatasetError
from featx.images import Brightest, Guard, may_be_deep, memory_for
from featx.runtime import Runtime
from featx.source import ImageFile, read_image

_DARK = 8
"""An image is too dark if nothing in it reaches this part of white: a half, a quarter, ... an eighth."""

_FEW = 20
"""Dark images that are at most this part of a data set are named, but do not stop it."""

_NEVER_DEEP = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp")
_AT_ONCE = 64


class TooDarkError(DatasetError):
    """Images with 16 bits that would be nearly black.

    Parameters
    ----------
    text : str
    white : int or None
        The value of white that they need; None where that does not help.
    """

    def __init__(self, text: str, white: int | None) -> None:
        super().__init__(text)
        self.white = white


def stop_if_too_dark(images: Sequence[ImageFile], runtime: Runtime) -> None:
    """Make sure that images with 16 bits, if there are any, use them.

    Cameras with 10 or 12 bits write files with 16, where their white is nearly black. Only images with 16 bits tell,
    and among them not those that are all black; one that is bright enough ends the search.

    Raises
    ------
    TooDarkError
        None of them is bright enough, and they are more than one and more than a twentieth of the set, or all of it;
        the message says what to do. If they are fewer, that is a notice.
    """
    candidates = [found for found in images if not found.sample.sample_id.lower().endswith(_NEVER_DEEP)]
    dark: list[tuple[str, Brightest]] = []
    for name, known in _deep(candidates, runtime):
        if known.value * _DARK > known.white:
            return
        if known.value:
            dark.append((name, known))
    if not dark:
        return
    bound = 2 ** max(known.value for _, known in dark).bit_length() - 1
    is_grey = all(known.is_grey for _, known in dark)
    advice = f"Add `white={bound}`" if is_grey else "Export them with 8 bits: `white` is for grey images"
    if len(dark) == len(images) or len(dark) > max(1, len(images) // _FEW):
        raise TooDarkError(
            f"{len(dark):,} images are 16-bit but no value exceeds {bound:,}; they would be nearly black. {advice}",
            bound if is_grey else None,
        )
    others = f" and {len(dark) - 1:,} more" if len(dark) > 1 else ""
    runtime.notice(f"warning: {dark[0][0]}{others}: 16-bit, but no value exceeds {bound:,}: nearly black. {advice}")


def _deep(images: Sequence[ImageFile], runtime: Runtime) -> Iterator[tuple[str, Brightest]]:
    """Yield the name and the brightness of each image with 16 bits."""
    with ThreadPoolExecutor(runtime.n_workers) as pool, Guard(megabytes=memory_for(runtime.max_pixels)) as guard:

        def look(found: ImageFile) -> Brightest | None:
            if found.reason:
                return None
            try:
                with found.open() as file:
                    if not may_be_deep(file.stream):
                        return None
                    file.stream.seek(0)
                    return guard.brightest(read_image(file, runtime.max_pixels), runtime.max_pixels)
            except OSError:  # it gets its reason when it is read
                return None

        for start in range(0, len(images), _AT_ONCE):
            some = images[start : start + _AT_ONCE]
            for found, known in zip(some, pool.map(look, some), strict=True):
                if known is not None:
                    yield found.sample.sample_id, known
