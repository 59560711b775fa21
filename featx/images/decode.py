"""File bytes to an upright RGB image, or the reason why not."""

from __future__ import annotations

import contextlib
import enum
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from featx.errors import ImageError, NotDecodableHereError
from featx.images.colour import has_deep_colour, to_rgb
from featx.images.complete import is_complete
from featx.images.formats import image_format, is_tga, pnm_maxval
from featx.images.jpeg import decode_jpeg, jpeg_bits
from featx.images.pages import count_pages
from featx.images.png import without_text
from featx.images.structure import has_plain_structure
from featx.images.tiff import Tiff
from featx.options import RuntimeOptions
from featx.source import LARGE_FILE

MAX_PIXELS: int = RuntimeOptions.max_pixels
"""Largest image that is decoded, in pixels: about 400 MB in memory."""

_FORMATS = {"PNM": "PPM"} | {kind: kind for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "QOI", "TGA")}
"""Names of formats, here and in Pillow."""

_READ = "JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF, HEIC, PNM (PBM, PGM, PPM), QOI, TGA"
_TGA_FLAGS, _TGA_OPACITY_BITS = 17, 0x0F
_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_ON_ITS_SIDE = 5

LARGE_PIXELS = 16_000_000
"""Pixels above which an image that is no JPEG takes much memory."""

_LARGE_JPEG_PIXELS = 60_000_000
_MOST_COUNTED = 1_000
"""Pages or frames that are counted to be told."""

_DRY = {
    "": "its content contradicts itself",
    "decoder error -2": "its pixels cannot be decoded",
    "broken data stream when reading image file": "its pixels cannot be decoded",
    "unrecognized data stream contents when reading image file": "its pixels cannot be decoded",
    "cannot load this image": "its parts do not fit together",
}
"""What Pillow says of files, and what it means."""

# What Pillow warns of is harmless metadata, or becomes a reason here. Once for the process, because decoding runs in
# threads, where warnings cannot be put aside one call at a time.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, EXIF orientation applied; smaller than the file's image where less was enough.
    width, height : int
        Size of the file's image, upright, in pixels.
    note : str
        What a person should know about how it was read; empty if nothing.
    """

    image: Image.Image
    width: int
    height: int
    note: str = ""


class Cost(enum.IntEnum):
    """What decoding a file may cost.

    ``PLAIN`` files take about a second at most and little memory, as their structure shows; ``SMALL`` ones take little
    memory for their pixels, and perhaps long.
    """

    PLAIN = 0
    SMALL = 1
    ANY = 2


class CostlyError(Exception):
    """A file that may cost more than was allowed."""


class ShortOfMemoryError(NotDecodableHereError):
    """A file that more memory would decode."""


def whole_image(width: int, height: int) -> float:
    """Ask for every pixel; see :func:`decode`."""
    return 1.0


def decode(
    data: bytes,
    enough: Callable[[int, int], float] = whole_image,
    *,
    white: int | None = None,
    page: int = 1,
    max_pixels: int = MAX_PIXELS,
    most: Cost = Cost.ANY,
) -> Decoded:
    """Decode the bytes of an image file.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF, PBM, PGM, PPM, QOI, TGA or, with the extra ``heif``, HEIC
        file; the content decides, not a name.
    enough : callable
        Given width and height, returns the scale (at most 1) below which the image must not be decoded; a JPEG
        is decoded at 1/2, 3/8, 1/4 or 1/8 where that is not less.
    white : int, optional
        Value of white where pixels have 16 or 32 bits; if not given, what the file says, else full scale.
    page : int
        Page of a TIFF, frame of an animation, from 1.
    max_pixels : int
        Images with more pixels are refused before they are decoded.
    most : Cost
        What it may cost; a decoder of what is not plain may also write to the terminal.

    Returns
    -------
    Decoded
        Upright RGB in sRGB; transparency over white.

    Raises
    ------
    ImageError
        No usable image; the message is the reason, for a person to read.
    CostlyError
        It may cost more.
    """
    kind = _kind(data)
    if kind == "HEIC":
        _heif_reader()  # without it no process is started
    if most == Cost.PLAIN and not has_plain_structure(data, kind):
        raise CostlyError
    reason = ""
    for content, profile in _readings(data, kind):
        # Pillow reports bad files with at least eight exception types, IndexError and SyntaxError among them.
        try:
            with _opened(content, kind) as image:
                if profile:
                    image.info["icc_profile"] = profile
                _stop_if_large(image, data, kind, max_pixels, most)
                return _decode(image, content, kind, enough(*image.size), white, page)
        except (ImageError, CostlyError):
            raise
        except Image.DecompressionBombError:
            raise ImageError(f"more than {max_pixels:,} pixels; `max_pixels` allows more") from None
        except MemoryError:
            raise ShortOfMemoryError("not enough memory to decode it") from None
        except Exception as error:
            reason = reason or _reason(data, kind, error)
    raise ImageError(reason)


def _readings(data: bytes, kind: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield a file, and, should that fail, a PNG without its text; each with a profile that it has beside it."""
    yield data, b""
    if kind == "PNG":
        lean, profile = without_text(data)
        if len(lean) < len(data):
            yield lean, profile


def _kind(data: bytes) -> str:
    if not data:
        raise ImageError("empty file (0 bytes)")
    kind = image_format(data[:16]) or ("TGA" if is_tga(data) else None)
    if kind is None:
        raise ImageError(f"not an image{_what_else(data[:100])}")
    if kind == "JPEG 2000":
        raise ImageError("a JPEG 2000 image, which featx does not read; export it as JPEG, PNG or TIFF")
    return kind


def _what_else(head: bytes) -> str:
    """Say what commonly stands in an image's place, and how to get the image."""
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return ", but a Git LFS pointer to it: git lfs pull fetches the images"
    if head.startswith(b"/annex/objects/"):
        return ", but a git-annex pointer to it: git annex get fetches the images"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return ", but a web page, as a download that failed leaves; download the image again"
    return f": the content is none of {_READ}"


@contextlib.contextmanager
def _opened(data: bytes, kind: str) -> Iterator[Image.Image]:
    if kind == "HEIC":
        with _heif_reader()(io.BytesIO(data)) as image:
            yield image
        return
    with Image.open(io.BytesIO(data), formats=(_FORMATS[kind],)) as image:
        if kind == "PNM":
            image.info["maxval"] = pnm_maxval(data) or 65_535
        yield image


def _heif_reader() -> Any:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise NotDecodableHereError('a HEIC image; install the extra for it: pip install "featx[heif]"') from None
    return HeifImageFile


def _stop_if_large(image: Image.Image, data: bytes, kind: str, max_pixels: int, most: Cost) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} is more than {max_pixels:,} pixels; `max_pixels` allows more")
    if most == Cost.SMALL and _is_large(image, data, kind):
        raise CostlyError


def _is_large(image: Image.Image, data: bytes, kind: str) -> bool:
    most = _LARGE_JPEG_PIXELS if kind == "JPEG" else LARGE_PIXELS
    return image.width * image.height > most or len(data) > LARGE_FILE


def _decode(image: Image.Image, data: bytes, kind: str, scale: float, white: int | None, page: int) -> Decoded:
    n_pages = _n_pages(image, data, max(page, _MOST_COUNTED + 1))
    if page > 1:
        if page > n_pages:
            raise ImageError(f"it has {n_pages} page{'s' * (n_pages > 1)}, and `page={page}` was asked for")
        image.seek(page - 1)
    if white is not None and has_deep_colour(image):
        raise ImageError("16-bit colour is read at full scale, and `white` is for grey images; export it with 8 bits")
    width, height = image.size
    counted = f"{n_pages}" if n_pages <= _MOST_COUNTED else f"more than {_MOST_COUNTED:,}"
    notes = [f"page {page} of {counted}" if page > 1 else f"first of {counted} frames"] if n_pages > 1 else []
    reduced = None
    if kind == "JPEG" and image.mode in ("L", "RGB", "CMYK"):
        reduced, note = decode_jpeg(data, width, height, scale, image.mode)
        notes += [note]
    if reduced is None:
        # load() comes before getexif(): on PNG the latter decodes too, and hides what went wrong.
        image.load()
        if not is_complete(image, data):
            raise ImageError(f"truncated or damaged {kind}: part of the image is missing")
    else:
        reduced.info.update(image.info)
    rgb, note = to_rgb(_without_alpha(image, data, kind) if reduced is None else reduced, white)
    notes += [note]
    orientation, note = _orientation(image)
    notes += [note]
    if orientation in _TRANSPOSE:
        rgb = rgb.transpose(_TRANSPOSE[orientation])
        if orientation >= _FIRST_ON_ITS_SIDE:
            width, height = height, width
    return Decoded(rgb, width, height, "; ".join(filter(None, notes)))


def _without_alpha(image: Image.Image, data: bytes, kind: str) -> Image.Image:
    """Drop the fourth channel of a TGA file whose header says that it is no opacity: it is mostly 0."""
    is_opaque = kind == "TGA" and image.mode == "RGBA" and not data[_TGA_FLAGS] & _TGA_OPACITY_BITS
    return image.convert("RGB") if is_opaque else image


def _orientation(image: Image.Image) -> tuple[int, str]:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1)), ""
    except Exception:  # the pixels are whole; broken metadata is what every viewer ignores
        return 1, "unreadable EXIF data, taken as upright"


def _n_pages(image: Image.Image, data: bytes, most: int) -> int:
    try:
        return count_pages(image, data, most)
    except Exception:  # the first page is whole; the count is a courtesy
        return 1


def _reason(data: bytes, kind: str, error: Exception) -> str:
    text = re.sub(r"<_io\.BytesIO[^>]*>", "the file", str(error)).strip().rstrip(".")
    if "truncated" in text.lower() or "not enough image data" in text.lower():
        return f"truncated {kind}: the file ends before the image does"
    if "cannot identify image file" in text:
        if kind == "JPEG" and (bits := jpeg_bits(data)) not in (None, 8):
            return f"a JPEG of {bits} bits a colour, which featx does not read; export it with 8"
        if kind == "TIFF" and (pixels := _pixels_of_tiff(data)):
            return f"a TIFF of {pixels}, which featx does not read; export it with 8 or 16 unsigned bits"
        return f"damaged {kind}: its header cannot be read"
    if text.lower().startswith(("unsupported", "unknown")):
        return f"a kind of {kind} that featx does not read ({text}); export it as PNG"
    return f"damaged {kind}: {_DRY.get(text, text)}"


def _pixels_of_tiff(data: bytes) -> str:
    """Say of what kind the pixels of a TIFF file are, whose header is whole; nothing if it is not."""
    try:
        tiff = Tiff.of(data)
        tags = {tag: tiff.number(entry) for tag, entry in tiff.entries(tiff.first)}
    except ValueError:
        return ""
    bits = tags.get(258, 1)
    if not all(tags.get(tag) for tag in (256, 257)) or not bits:
        return ""
    numbers = {2: "signed integers", 3: "floating-point values", 5: "complex integers", 6: "complex numbers"}
    byte_order = "big-endian " if data.startswith(b"MM") else ""
    inverted = " where 0 is white" if tags.get(262) == 0 else ""
    return f"{bits}-bit {byte_order}{numbers.get(tags.get(339, 1), 'unsigned integers')}{inverted}"
