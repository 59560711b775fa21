"""File bytes to an upright RGB picture, or the reason why not."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from featx.errors import ImageError
from featx.images.jpeg import decode_jpeg

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded, in pixels: about 400 MB in memory."""

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
_EXTENSIONS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
    ".heic", ".heif", ".avif", ".jp2", ".mpo", ".apng",
}  # fmt: skip
_EXPORT_FIRST = {
    "HEIC": "a HEIC or AVIF picture, which featx does not read; export it as JPEG or PNG",
    "JPEG 2000": "a JPEG 2000 picture, which featx does not read; export it as JPEG, PNG or TIFF",
}
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

# What Pillow warns of is harmless metadata, or becomes a reason here. Once for the process, because decoding runs in
# threads, where warnings cannot be put aside one call at a time.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Decoded:
    """An upright RGB picture.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, EXIF orientation applied; smaller than the file's picture where less was enough.
    width, height : int
        Size of the file's picture, upright, in pixels.
    note : str
        What a person should know about how it was read; empty if nothing.
    """

    image: Image.Image
    width: int
    height: int
    note: str = ""


def whole_picture(width: int, height: int) -> float:
    """Ask for every pixel; see :func:`decode`."""
    return 1.0


def image_format(head: bytes) -> str | None:
    """Name the image format that a file's first 16 bytes announce, or None.

    Besides the formats that are decoded it knows ``HEIC`` and ``JPEG 2000``, to give a better reason.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"BM") and (len(head) < 10 or head[6:10] == b"\0\0\0\0"):
        return "BMP"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif", b"avis"):
        return "HEIC"
    if head.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")):
        return "JPEG 2000"
    return None


def looks_like_image(name: str, head: bytes) -> bool:
    """Tell whether a file counts as an image: by its first bytes, or by a name that promises one."""
    return image_format(head) is not None or PurePosixPath(name).suffix.lower() in _EXTENSIONS


def decode(data: bytes, max_pixels: int = MAX_PIXELS, enough: Callable[[int, int], float] = whole_picture) -> Decoded:
    """Decode the bytes of an image file.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG, BMP, GIF, TIFF or WebP file; the content decides, not a name.
    max_pixels : int
        Pictures with more pixels are refused before they are decoded.
    enough : callable
        Given width and height, returns the scale (at most 1) below which the picture must not be decoded; a JPEG
        is decoded at 1/2, 3/8, 1/4 or 1/8 where that is not less.

    Returns
    -------
    Decoded
        Upright RGB; transparency over white; the first frame of an animation.

    Raises
    ------
    ImageError
        No usable picture; the message is the reason, for a person to read.
    """
    if not data:
        raise ImageError("empty file (0 bytes)")
    kind = image_format(data[:16])
    if kind in _EXPORT_FIRST:
        raise ImageError(_EXPORT_FIRST[kind])
    if kind is None:
        raise ImageError("not an image: the content is none of JPEG, PNG, BMP, GIF, TIFF, WebP")
    # Pillow reports bad files with at least eight exception types, IndexError and SyntaxError among them.
    try:
        return _decode(data, kind, max_pixels, enough)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"more than {max_pixels:,} pixels") from None
    except MemoryError:
        raise ImageError("not enough memory to decode it") from None
    except Exception as error:
        raise ImageError(_reason(kind, error)) from None


def _decode(data: bytes, kind: str, max_pixels: int, enough: Callable[[int, int], float]) -> Decoded:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(f"{width} x {height} is more than {max_pixels:,} pixels")
        rgb = None
        if kind == "JPEG" and image.mode in ("L", "RGB"):
            rgb = decode_jpeg(data, width, height, enough(width, height))
        if rgb is None:
            # load() comes before getexif(): on PNG the latter decodes too, and hides what went wrong.
            image.load()
            rgb = _to_rgb(image)
        orientation, note = _orientation(image)
        n_frames = _n_frames(image)
    if n_frames > 1:
        note = f"first of {n_frames} frames"
    if orientation in _TRANSPOSE:
        rgb = rgb.transpose(_TRANSPOSE[orientation])
        if orientation >= _FIRST_ON_ITS_SIDE:
            width, height = height, width
    return Decoded(rgb, width, height, note)


def _orientation(image: Image.Image) -> tuple[int, str]:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1)), ""
    except Exception:  # the pixels are whole; broken metadata is what every viewer ignores
        return 1, "unreadable EXIF data, taken as upright"


def _n_frames(image: Image.Image) -> int:
    if image.format == "MPO":  # a photograph with a preview or a second view: its first picture is the picture
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # the first frame is whole; the count is a courtesy
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.mode == "F":
        return _from_float(image)
    if image.mode == "I":
        raise ImageError("32-bit whole numbers have no agreed white; export it with 8 or 16 bits")
    if image.has_transparency_data:
        return _over_white(image)
    if image.mode not in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"):
        raise ImageError(f"pixels of type {image.mode} are not supported; export it as RGB")
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint16, copy=False)
    grey = (values >> 8).astype(np.uint8)  # the high byte, as Pillow does for 16-bit colour
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _from_float(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ImageError("floating-point pixels outside 0 to 1 have no agreed white; export it with 8 or 16 bits")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")


def _reason(kind: str, error: Exception) -> str:
    text = re.sub(r"<_io\.BytesIO[^>]*>", "the file", str(error)).strip().rstrip(".")
    if "truncated" in text.lower() or "not enough image data" in text.lower():
        return f"truncated {kind}: the file ends before the picture does"
    if "cannot identify image file" in text:
        return f"damaged {kind}: its header cannot be read"
    return f"damaged {kind}: {text or type(error).__name__}"
