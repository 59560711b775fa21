"""Convert pixels of any type to 8-bit sRGB, applying colour profiles, transparency and the value of white."""

from __future__ import annotations

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from featx.errors import ImageError
from featx.images.tiff import BITS_PER_SAMPLE

_MAX_SAMPLE_VALUE = 281  # TIFF 6.0, section 8
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SAMPLE_FORMAT, _UNSIGNED, _SIGNED = 339, 1, 2
FULL_SCALE = 65535
"""Value of white in 16 bits."""

_SAME = 3
"""Largest difference between the colours of a profile and sRGB, in levels from 0 to 255, for which the pixels are not
converted."""

_LONGEST_KEPT = 1_000_000
"""Maximum size, in bytes, of a colour profile whose transform is cached; larger profiles are read for each image."""

_SUPPORTED = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")


def to_rgb(image: Image.Image, white: int | None = None) -> tuple[Image.Image, str]:
    """Convert a loaded image to RGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Image of any mode.
    white : int, optional
        Value of white for grey pixels with more than 8 bits. The default is the value that the file states, or else the
        largest value with this number of bits, or 1 for floating-point numbers. 32-bit integers have no default.

    Returns
    -------
    PIL.Image.Image
        RGB image in sRGB. Transparent pixels are composited over white.
    note : str
        Remark for the user, or an empty string.

    Raises
    ------
    ImageError
        If the pixel type is not supported, values are negative, infinite or NaN, or the value of white is unknown.
    """
    if is_deep_grey(image) or image.mode in ("I", "F"):
        grey = _deep_grey(image, white)
        return Image.fromarray(255 - grey if _is_inverted(image) else grey).convert("RGB"), ""
    if image.mode == "L" and _SIGNED in _tiff_values(image, _SAMPLE_FORMAT):
        _stop_if_negative(np.asarray(image).view(np.int8))
    transparent = ""
    if image.has_transparency_data:
        image, transparent = _over_white(image)
    if image.mode not in _SUPPORTED:
        raise ImageError(f"pixels of type {image.mode} are not supported; export the image as RGB")
    rgb, note = _in_srgb(image)
    return rgb, "; ".join(filter(None, (transparent, note)))


def is_deep_grey(image: Image.Image) -> bool:
    """Return whether an image is grey with 9 to 16 unsigned bits."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def has_deep_colour(image: Image.Image) -> bool:
    """Return whether an opened, not yet loaded image has 16 bits per channel, of which Pillow keeps the upper eight."""
    return image.mode in ("LA", "RGB", "RGBA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def white_of(image: Image.Image) -> int:
    """Return the value of white of a file with more than 8 bits.

    It is the value of the tag ``MaxSampleValue``, or else the largest value with the number of bits of the file.
    """
    tags = [value for value in _tiff_values(image, _MAX_SAMPLE_VALUE) if 255 < value <= FULL_SCALE]
    bits = [value for value in _tiff_values(image, BITS_PER_SAMPLE) if 8 < value < 16]
    return tags[0] if tags else 2 ** bits[0] - 1 if bits else FULL_SCALE


def _tiff_values(image: Image.Image, tag: int) -> tuple[int, ...]:
    value = getattr(image, "tag_v2", {}).get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    return tuple(int(v) for v in values)


def _is_inverted(image: Image.Image) -> bool:
    """Return whether 0 is white in a TIFF file with more than 8 bits; Pillow does not invert these values."""
    return image.format == "TIFF" and _tiff_values(image, _PHOTOMETRIC) == (_WHITE_IS_ZERO,)


def _deep_grey(image: Image.Image, white: int | None) -> NDArray[np.uint8]:
    """Convert grey values with more than 8 bits to 8 bits."""
    values = np.asarray(image)
    if image.format == "PPM" and image.mode == "I":  # Pillow scales the values to a maximum value of 65,535
        return _from_values(values, FULL_SCALE if white is None else white * FULL_SCALE / image.info["maxval"])
    if is_deep_grey(image):
        return _from_values(values, white or white_of(image), image.info.get("transparency"))
    if image.mode == "F":
        return _from_float(values, white)
    bits = next(iter(_tiff_values(image, BITS_PER_SAMPLE)), 32)
    if bits == 32 and _SIGNED not in _tiff_values(image, _SAMPLE_FORMAT):
        values = values.view(np.uint32)
    _stop_if_negative(values)
    if white is None:
        signed = "" if values.dtype == np.uint32 else "signed "
        raise ImageError(
            f"{bits}-bit {signed}integers have no standard value of white; set `white=N` in extract or fit, or export "
            "the image with 8 or 16 unsigned bits"
        )
    return _from_values(values, white)


def _from_values(values: NDArray[np.generic], white: float, transparent: object = None) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8]
    if white == FULL_SCALE:
        grey = (np.clip(values, 0, FULL_SCALE).astype(np.uint16) >> 8).astype(np.uint8)  # as Pillow does for colour
    else:
        grey = np.clip(np.rint(values.astype(np.float32) * (255 / white)), 0, 255).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return grey


def _from_float(values: NDArray[np.float32], white: int | None) -> NDArray[np.uint8]:
    if np.isnan(values).any():
        raise ImageError(
            "contains NaN (no data); replace NaN with a value, or export the image with 8 or 16 unsigned bits"
        )
    if np.isinf(values).any():
        raise ImageError("contains infinite values; replace them, or export the image with 8 or 16 unsigned bits")
    _stop_if_negative(values)
    if white is None and values.max() > 1:
        raise ImageError(
            "floating-point values above 1 have no standard value of white; set `white=N` in extract or fit, or export "
            "the image with 8 or 16 unsigned bits"
        )
    grey: NDArray[np.uint8] = np.rint(np.minimum(values / (white or 1), 1) * 255).astype(np.uint8)
    return grey


def _stop_if_negative(values: NDArray[np.generic]) -> None:
    if values.min() < 0:
        raise ImageError(
            "contains negative values; shift them so that black is 0 (`white` does not do this), or export the image "
            "with 8 or 16 unsigned bits"
        )


def _over_white(image: Image.Image) -> tuple[Image.Image, str]:
    profile = image.info.get("icc_profile")
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=rgba)
    if profile and image.mode not in ("LA", "La"):  # a grey profile does not apply to RGB
        white.info["icc_profile"] = profile
    return white, "" if rgba.getbbox() else "fully transparent, shown as white"


def srgb_transform(image: Image.Image) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """Return the transform of the colours of an opened image to sRGB.

    Returns
    -------
    PIL.ImageCms.ImageCmsTransform or None
        None if the colours need no transform, or the profile is unusable.
    note : str
        Remark for the user, or an empty string.
    """
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("L", "RGB", "CMYK"):
        return None, ""
    try:
        return _transform(bytes(profile), image.mode), ""
    except (ImageCms.PyCMSError, OSError):
        return None, "unusable colour profile, sRGB assumed"


def _in_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    if image.mode == "P":
        image = image.convert("RGB")
    transform, note = srgb_transform(image)
    if transform is not None:
        image = ImageCms.applyTransform(image, transform) or image
    return (image if image.mode == "RGB" else image.convert("RGB")), note  # convert() always copies


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if the profile is equivalent to sRGB."""
    return (_kept_transform if len(profile) <= _LONGEST_KEPT else _make_transform)(profile, mode)


def _make_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB"
    )
    if mode == "CMYK":
        return transform
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    sample = Image.fromarray(cube if mode == "RGB" else cube[:, :, 0])
    shown = ImageCms.applyTransform(sample, transform)
    difference = np.abs(np.asarray(shown, np.int16) - np.asarray(sample.convert("RGB"), np.int16))
    return None if difference.max() <= _SAME else transform


_kept_transform = functools.lru_cache(maxsize=64)(_make_transform)
