"""Lay out text for images: escape control characters, choose a font with all glyphs, and limit the width."""

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
"""Fonts that are used, if installed, for characters missing from Pillow's own font, which has only English letters."""

_MISSING = "\uffff"
"""Character without a glyph in any font."""


@dataclass(frozen=True)
class TextLayout:
    """Text to draw.

    Parameters
    ----------
    text : str
        Text; characters missing from all fonts are escaped, for example as ``\\u4e2d``.
    font : PIL.ImageFont.FreeTypeFont
    """

    text: str
    font: ImageFont.FreeTypeFont

    @property
    def width(self) -> int:
        """Width in pixels."""
        return math.ceil(self.font.getlength(self.text))


def layout_text(text: str, size: int) -> TextLayout:
    """Return text with a font that contains all its glyphs.

    Parameters
    ----------
    text : str
    size : int
        Font size in pixels.
    """
    text = unicodedata.normalize("NFC", shown_text(text))
    own, *others = _fonts(size)
    for font in (own, *others):
        if all(_has_glyph(font, character) for character in set(text)):
            return TextLayout(text, font)
    known = (c if _has_glyph(own, c) else c.encode("unicode_escape").decode() for c in text)
    return TextLayout("".join(known), own)


def truncate_text(text: str, size: int, width: int) -> TextLayout:
    """Return text of at most ``width`` pixels; the middle of longer text is replaced by an ellipsis."""
    whole = layout_text(text, size)
    if whole.width <= width:
        return whole
    text = whole.text

    def cut(kept: int) -> TextLayout:
        return layout_text(f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}", size)

    kept = bisect.bisect_right(range(len(text)), width, key=lambda kept: cut(kept).width) - 1
    while kept > 0 and cut(kept).width > width:  # the shortened text may use another font
        kept -= 1
    return cut(max(kept, 0))


def wrap_text(text: str, size: int, width: int, most: int = 10) -> list[TextLayout]:
    """Wrap text into at most ``most`` lines of at most ``width`` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(lines) < most and layout_text(longer, size).width > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [truncate_text(line, size, width) for line in lines]


@functools.cache
def _fonts(size: int) -> tuple[ImageFont.FreeTypeFont, ...]:
    own = ImageFont.load_default(size)
    assert isinstance(own, ImageFont.FreeTypeFont)
    fonts = [own]
    for name in _INSTALLED:
        try:
            # A folder that cannot exist makes Pillow search for the name in the installed fonts only.
            fonts.append(ImageFont.truetype(os.path.join(os.devnull, name), size))
        except OSError:
            continue
    return tuple(fonts)


@functools.cache
def _has_glyph(font: ImageFont.FreeTypeFont, character: str) -> bool:
    if unicodedata.bidirectional(character) in ("R", "AL") and not features.check("raqm"):
        return False  # the letters would be in the wrong order and not joined
    mask, missing = font.getmask(character), font.getmask(_MISSING)
    return mask.size != missing.size or bytes(mask) != bytes(missing)
