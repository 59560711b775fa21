"""Stop if 16-bit images would become nearly black when 65,535 is taken as white."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from featx.errors import DatasetError
from featx.images import Brightest
from featx.readers import ReaderPool, Task
from featx.runtime import Runtime
from featx.source import ImageFile

_DARK = 8
"""An image is too dark if no value exceeds white divided by this number."""

_FEW = 20
"""The extraction continues with a warning if the fraction of images that are too dark is at most 1 divided by this
number, or if only one of several images is too dark."""

_NEVER_DEEP = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp")


class TooDarkError(DatasetError):
    """16-bit images would become nearly black.

    Parameters
    ----------
    text : str
        Error message.
    white : int or None
        Value of ``white`` with which the images are not too dark; None if any of them is a colour image, to which
        ``white`` does not apply.
    """

    def __init__(self, text: str, white: int | None) -> None:
        super().__init__(text)
        self.white = white


def stop_if_too_dark(images: Sequence[ImageFile], runtime: Runtime) -> None:
    """Check that the pixel values of 16-bit images, if there are any, are not all far below white.

    Cameras with 10 or 12 bits per pixel often write 16-bit files whose values do not exceed 1,023 or 4,095, so that
    white objects are nearly black. Images that are entirely black are not considered. The search ends at the first
    16-bit image that is bright enough.

    Raises
    ------
    TooDarkError
        If no 16-bit image is bright enough and the dark images are many: all images of the data set, or at least two
        images and more than 5 % of the data set. The message states what to do. If the dark images are fewer, a
        warning is reported instead.
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
            f"{len(dark):,} 16-bit {'image' if len(dark) == 1 else 'images'} would be nearly black: no pixel value "
            f"exceeds {bound:,}. {advice}",
            bound if is_grey else None,
        )
    first = dark[0][0]
    which = f"{first} and {len(dark) - 1:,} more 16-bit images" if len(dark) > 1 else f"the 16-bit image {first}"
    runtime.notice(f"warning: {which} will be nearly black, because no pixel value exceeds {bound:,}. {advice}")


def _deep(images: Sequence[ImageFile], runtime: Runtime) -> Iterator[tuple[str, Brightest]]:
    """Yield the sample id and the largest pixel value of each 16-bit image."""
    with ReaderPool(Task("brightness", max_pixels=runtime.max_pixels), images, runtime) as pool:
        for chunk in pool.read():
            for image, outcome in zip(chunk.images, chunk.outcomes, strict=True):
                if outcome.brightness:
                    yield image.sample.sample_id, Brightest(**outcome.brightness)
            chunk.release()
