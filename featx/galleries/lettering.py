"""Names as letters in an image: harmless, in a font that has them, and no wider than their place."""

from __future__ import annotations

import bisect
import functools
import math
import os
import unicodedata
from dataclasses import dataclass

from PIL import ImageFont, features

from featx.output import shown_text

_INSTALLED = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial.ttf",
    "arial.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "msgothic.ttc",
)
"""Where installed, for what Pillow's own font lacks, which has the letters of English alone."""

_MISSING = "\uffff"
"""No font has a glyph for it."""


@dataclass(frozen=True)
class Lettering:
    """Text to draw.

    Parameters
    ----------
    text : str
        What no font here has is written out as ``\\u4e2d``.
    font : PIL.ImageFont.FreeTypeFont
    """

    text: str
    font: ImageFont.FreeTypeFont

    @property
    def width(self) -> int:
        """Width in pixels."""
        return math.ceil(self.font.getlength(self.text))


def letter(text: str, size: int) -> Lettering:
    """Return text in letters of some size."""
    text = unicodedata.normalize("NFC", shown_text(text))
    own, *others = _fonts(size)
    for font in (own, *others):
        if all(_has_glyph(font, character) for character in set(text)):
            return Lettering(text, font)
    known = (c if _has_glyph(own, c) else c.encode("unicode_escape").decode() for c in text)
    return Lettering("".join(known), own)


def letter_within(text: str, size: int, width: int) -> Lettering:
    """Return text that is no wider than some pixels, with its middle left out where it would be."""
    whole = letter(text, size)
    if whole.width <= width:
        return whole
    text = whole.text

    def cut(kept: int) -> Lettering:
        return letter(f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}", size)

    kept = bisect.bisect_right(range(len(text)), width, key=lambda kept: cut(kept).width) - 1
    while kept > 0 and cut(kept).width > width:  # what is left may be in another font
        kept -= 1
    return cut(max(kept, 0))


def letter_lines(text: str, size: int, width: int, most: int = 10) -> list[Lettering]:
    """Return text as lines of words, at most some, none wider than some pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(lines) < most and letter(longer, size).width > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [letter_within(line, size, width) for line in lines]


@functools.cache
def _fonts(size: int) -> tuple[ImageFont.FreeTypeFont, ...]:
    own = ImageFont.load_default(size)
    assert isinstance(own, ImageFont.FreeTypeFont)
    fonts = [own]
    for name in _INSTALLED:
        try:
            # In a folder that cannot be: Pillow then looks for the name where fonts are installed, and nowhere else.
            fonts.append(ImageFont.truetype(os.path.join(os.devnull, name), size))
        except OSError:
            continue
    return tuple(fonts)


@functools.cache
def _has_glyph(font: ImageFont.FreeTypeFont, character: str) -> bool:
    if unicodedata.bidirectional(character) in ("R", "AL") and not features.check("raqm"):
        return False  # it would stand there in the wrong order, unjoined
    mask, missing = font.getmask(character), font.getmask(_MISSING)
    return mask.size != missing.size or bytes(mask) != bytes(missing)
