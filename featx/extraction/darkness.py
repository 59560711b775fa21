"""Stop if 16-bit images would become nearly black at full scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from featx.errors import DatasetError
from featx.images import Brightest, Guard, may_be_deep, memory_for
from featx.runtime import Runtime
from featx.source import ImageFile, read_image

_DARK = 8
"""An image is too dark if no value exceeds white divided by this number."""

_FEW = 20
"""If at most one in this many images is too dark, the extraction continues with a warning."""

_NEVER_DEEP = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp")
_AT_ONCE = 64


class TooDarkError(DatasetError):
    """16-bit images would become nearly black.

    Parameters
    ----------
    text : str
        The message.
    white : int or None
        Value of ``white`` that the images need; None if ``white`` does not apply to them.
    """

    def __init__(self, text: str, white: int | None) -> None:
        super().__init__(text)
        self.white = white


def stop_if_too_dark(images: Sequence[ImageFile], runtime: Runtime) -> None:
    """Check that the 16-bit images, if there are any, use their range of values.

    Cameras with 10 or 12 bits write 16-bit files in which white is nearly black. Only 16-bit images that are not
    entirely black are considered. The search ends at the first image that is bright enough.

    Raises
    ------
    TooDarkError
        If no 16-bit image is bright enough, and the dark images are the whole data set, or more than one image and
        more than a twentieth of the data set. The message states what to do. If they are fewer, a warning is reported
        instead.
    """
    candidates = [image for image in images if not image.sample.sample_id.lower().endswith(_NEVER_DEEP)]
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
    advice = f"Add `white={bound}`" if is_grey else "Export them with 8 bits; `white` applies only to grey images"
    if len(dark) == len(images) or len(dark) > max(1, len(images) // _FEW):
        raise TooDarkError(
            f"{len(dark):,} images are 16-bit but no value exceeds {bound:,}; they would be nearly black. {advice}",
            bound if is_grey else None,
        )
    others = f" and {len(dark) - 1:,} more" if len(dark) > 1 else ""
    runtime.notice(f"warning: {dark[0][0]}{others}: 16-bit, but no value exceeds {bound:,}: nearly black. {advice}")


def _deep(images: Sequence[ImageFile], runtime: Runtime) -> Iterator[tuple[str, Brightest]]:
    """Yield the name and the brightness of each 16-bit image."""
    with ThreadPoolExecutor(runtime.n_workers) as pool, Guard(megabytes=memory_for(runtime.max_pixels)) as guard:

        def look(image: ImageFile) -> Brightest | None:
            if image.reason:
                return None
            try:
                with image.open() as file:
                    if not may_be_deep(file.stream):
                        return None
                    file.stream.seek(0)
                    return guard.brightest(read_image(file, runtime.max_pixels), runtime.max_pixels)
            except OSError:  # the reader reports the reason later
                return None

        for start in range(0, len(images), _AT_ONCE):
            some = images[start : start + _AT_ONCE]
            for image, known in zip(some, pool.map(look, some), strict=True):
                if known is not None:
                    yield image.sample.sample_id, known
