"""Decode the bytes of an image file to an upright RGB image, or state the reason for a failure."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError, NotDecodableHereError
from featx.images.colour import has_deep_colour, srgb_transform, to_rgb
from featx.images.complete import is_complete
from featx.images.formats import image_format, is_tga, pnm_maxval
from featx.images.jpeg import decode_jpeg, jpeg_bits
from featx.images.pages import count_pages
from featx.images.png import without_metadata
from featx.images.tiff import Tiff
from featx.options import RuntimeOptions
from featx.source import LARGE_FILE

MAX_PIXELS: int = RuntimeOptions.max_pixels
"""Maximum number of pixels of an image that is decoded; this number of pixels takes about 400 MB of memory."""

_FORMATS = {"PNM": "PPM"} | {kind: kind for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "QOI", "TGA")}
"""Names of the formats in featx, and the corresponding names in Pillow."""

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
"""Number of pixels above which decoding an image other than a JPEG takes much memory."""

_LARGE_JPEG_PIXELS = 60_000_000
_MEGABYTES = 1000
_BYTES_A_PIXEL = 10
"""Memory allowed for decoding, in bytes per pixel; compositing over white needs nine bytes per pixel."""

_MOST_COUNTED = 1_000
"""Largest number of pages or frames that is reported exactly."""

_DRY = {
    "": "the content is inconsistent",
    "decoder error -2": "the pixels cannot be decoded",
    "broken data stream when reading image file": "the pixels cannot be decoded",
    "unrecognized data stream contents when reading image file": "the pixels cannot be decoded",
    "cannot load this image": "the parts of the file are inconsistent",
}
"""Error messages of Pillow that are unclear to users, with their replacements."""

# Pillow warns about harmless metadata, and about defects that featx reports as the reason why an image is skipped. The
# filter is set once for the process, because a filter for a single call would apply to all threads during this call.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image.

    Parameters
    ----------
    upright : PIL.Image.Image, or ndarray of shape (height, width, 3), uint8
        RGB image with the EXIF orientation applied. It is smaller than the stored image if a reduced scale was
        sufficient. Most JPEG files are decoded to an array.
    width, height : int
        Size of the stored image in upright orientation, in pixels.
    note : str
        Remark for the user on how the image was read; empty if there is none.
    """

    upright: Image.Image | NDArray[np.uint8]
    width: int
    height: int
    note: str = ""

    @property
    def image(self) -> Image.Image:
        """The upright RGB image, as an image of Pillow."""
        return self.upright if isinstance(self.upright, Image.Image) else Image.fromarray(self.upright)


class CostlyError(Exception):
    """Decoding a file takes much memory, which is not allowed."""


class ShortOfMemoryError(NotDecodableHereError):
    """There is not enough memory to decode a file."""


def memory_for(max_pixels: int) -> int:
    """Return the memory limit, in megabytes, for decoding an image of up to ``max_pixels`` pixels."""
    return max(_MEGABYTES, max_pixels * _BYTES_A_PIXEL // 1_000_000)


def full_scale(width: int, height: int) -> float:
    """Return the scale 1, so that every pixel is decoded; see :func:`decode`."""
    return 1.0


def decode(
    data: bytes,
    enough: Callable[[int, int], float] = full_scale,
    *,
    white: int | None = None,
    page: int = 1,
    max_pixels: int = MAX_PIXELS,
    allow_large: bool = True,
) -> Decoded:
    """Decode the bytes of an image file.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF, PBM, PGM, PPM, QOI, TGA or, with the extra ``heif``, HEIC
        file. The format is recognised from the content, not from a file name.
    enough : callable
        Function of width and height that returns the smallest sufficient scale, at most 1. A JPEG is decoded at the
        smallest of the scales 1, 1/2, 3/8, 1/4 and 1/8 that is not below this scale.
    white : int, optional
        Value of white for grey pixels with more than 8 bits. The default is the value that the file states, or else the
        largest value with this number of bits, or 1 for floating-point numbers. 32-bit integers have no default.
    page : int
        Number of the page of a TIFF file or of the frame of an animation; the first is 1.
    max_pixels : int
        Maximum number of pixels. An image with more pixels raises an error before it is decoded.
    allow_large : bool
        Whether an image may be decoded that takes more than about 200 MB of memory.

    Returns
    -------
    Decoded
        Upright RGB image in sRGB. Transparent pixels are composited over white.

    Raises
    ------
    ImageError
        If the file contains no usable image. The message states the reason.
    NotDecodableHereError
        If there is not enough memory, or the package for HEIC files is not installed.
    CostlyError
        If the image is large and ``allow_large`` is False.
    """
    kind = _kind(data)
    reason = ""
    for content, profile in _readings(data, kind):
        # For invalid files, Pillow raises at least eight types of exceptions, including IndexError and SyntaxError.
        try:
            with _opened(content, kind) as image:
                if profile:
                    image.info["icc_profile"] = profile
                _stop_if_large(image, data, kind, max_pixels, allow_large)
                return _decode(image, content, kind, enough(*image.size), white, page)
        except (ImageError, CostlyError):
            raise
        except Image.DecompressionBombError:
            raise ImageError(f"more than {max_pixels:,} pixels; increase `max_pixels` to read the image") from None
        except MemoryError:
            raise ShortOfMemoryError("not enough memory to decode the image") from None
        except Exception as error:
            reason = reason or _reason(data, kind, error)
    raise ImageError(reason)


def _readings(data: bytes, kind: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield a file and, for a second attempt, a PNG without metadata; each with the colour profile that was removed."""
    yield data, b""
    if kind == "PNG":
        lean, profile = without_metadata(data)
        if len(lean) < len(data):
            yield lean, profile


def _kind(data: bytes) -> str:
    if not data:
        raise ImageError("empty file (0 bytes)")
    kind = image_format(data[:16]) or ("TGA" if is_tga(data) else None)
    if kind is None:
        raise ImageError(f"not an image{_what_else(data[:100])}")
    if kind == "JPEG 2000":
        raise ImageError("a JPEG 2000 image, which featx does not read; export the image as JPEG, PNG or TIFF")
    return kind


def _what_else(head: bytes) -> str:
    """Return a description of a file that is no image and, for common replacements of an image, what to do."""
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return " but a Git LFS pointer; run git lfs pull to fetch the images"
    if head.startswith(b"/annex/objects/"):
        return " but a git-annex pointer; run git annex get to fetch the images"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return " but a web page, perhaps from a failed download; download the image again"
    return f": the content has none of the formats {_READ}"


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
        raise NotDecodableHereError(
            'a HEIC image; to read it, install the extra heif: pip install "featx[heif]"'
        ) from None
    return HeifImageFile


def _stop_if_large(image: Image.Image, data: bytes, kind: str, max_pixels: int, allow_large: bool) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{width} x {height} is more than {max_pixels:,} pixels; increase `max_pixels` to read the image"
        )
    if not allow_large and _is_large(image, data, kind):
        raise CostlyError


def _is_large(image: Image.Image, data: bytes, kind: str) -> bool:
    most = _LARGE_JPEG_PIXELS if kind == "JPEG" else LARGE_PIXELS
    return image.width * image.height > most or len(data) > LARGE_FILE


def _decode(image: Image.Image, data: bytes, kind: str, scale: float, white: int | None, page: int) -> Decoded:
    n_pages = _n_pages(image, data, max(page, _MOST_COUNTED + 1))
    if page > 1:
        if page > n_pages:
            raise ImageError(f"`page={page}`, but the image has {n_pages} page{'s' * (n_pages > 1)}")
        image.seek(page - 1)
    if white is not None and has_deep_colour(image):
        raise ImageError(
            "`white` applies only to grey images, and in 16-bit colour images white is 65,535; export the image with "
            "8 bits per channel"
        )
    width, height = image.size
    counted = f"{n_pages}" if n_pages <= _MOST_COUNTED else f"more than {_MOST_COUNTED:,}"
    notes = [f"page {page} of {counted}" if page > 1 else f"first of {counted} frames"] if n_pages > 1 else []
    pixels = None
    if kind == "JPEG" and image.mode in ("L", "RGB", "CMYK"):
        pixels, note = decode_jpeg(data, width, height, scale, image.mode)
        notes += [note]
    rgb, note = _loaded(image, data, kind, white) if pixels is None else _coloured(pixels, image)
    notes += [note]
    orientation, note = _orientation(image)
    notes += [note]
    if orientation in _TRANSPOSE:
        rgb = (rgb if isinstance(rgb, Image.Image) else Image.fromarray(rgb)).transpose(_TRANSPOSE[orientation])
        if orientation >= _FIRST_ON_ITS_SIDE:
            width, height = height, width
    return Decoded(rgb, width, height, "; ".join(filter(None, notes)))


def _loaded(image: Image.Image, data: bytes, kind: str, white: int | None) -> tuple[Image.Image, str]:
    """Return the RGB image that Pillow decodes, and a remark for the user."""
    # load() is called before getexif(), because getexif() also decodes a PNG file, and hides errors.
    image.load()
    if not is_complete(image, data):
        raise ImageError(f"truncated or damaged {kind}: part of the image is missing")
    return to_rgb(_without_alpha(image, data, kind), white)


def _coloured(pixels: NDArray[np.uint8], image: Image.Image) -> tuple[Image.Image | NDArray[np.uint8], str]:
    """Return decoded pixels of a JPEG file as an RGB image in the colours of its header, and a remark for the user."""
    transform, note = srgb_transform(image)
    if image.mode == "RGB" and transform is None:
        return pixels, note
    stored = Image.fromarray(pixels)
    stored.info.update(image.info)
    return to_rgb(stored)


def _without_alpha(image: Image.Image, data: bytes, kind: str) -> Image.Image:
    """Drop the fourth channel of a TGA file if the header declares no opacity; the channel is then usually 0."""
    is_opaque = kind == "TGA" and image.mode == "RGBA" and not data[_TGA_FLAGS] & _TGA_OPACITY_BITS
    return image.convert("RGB") if is_opaque else image


def _orientation(image: Image.Image) -> tuple[int, str]:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1)), ""
    except Exception:  # the pixels are complete, and viewers ignore broken metadata
        return 1, "unreadable EXIF data, upright orientation assumed"


def _n_pages(image: Image.Image, data: bytes, most: int) -> int:
    try:
        return count_pages(image, data, most)
    except Exception:  # the first page is complete; the count is only reported
        return 1


def _reason(data: bytes, kind: str, error: Exception) -> str:
    text = re.sub(r"<_io\.BytesIO[^>]*>", "the file", str(error)).strip().rstrip(".")
    if "truncated" in text.lower() or "not enough image data" in text.lower():
        return f"truncated {kind}: the file ends before the image does"
    if "cannot identify image file" in text:
        if kind == "JPEG" and (bits := jpeg_bits(data)) not in (None, 8):
            return f"a JPEG with {bits} bits per channel, which featx does not read; export the image with 8 bits"
        if kind == "TIFF" and (pixels := _pixels_of_tiff(data)):
            return f"a TIFF with {pixels}, which featx does not read; export the image with 8 or 16 unsigned bits"
        return f"damaged {kind}: the header cannot be read"
    if text.lower().startswith(("unsupported", "unknown")):
        return f"a variant of {kind} that featx does not read ({text}); export the image as PNG"
    return f"damaged {kind}: {_DRY.get(text, text)}"


def _pixels_of_tiff(data: bytes) -> str:
    """Return a description of the pixel type of a TIFF file; empty if the header is incomplete."""
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
