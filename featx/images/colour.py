"""Pixels of every kind to 8-bit sRGB: colour profiles, transparency, 16 bits and more."""

from __future__ import annotations

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from featx.errors import ImageError

_MAX_SAMPLE_VALUE = 281  # TIFF 6.0, section 8
_BITS_PER_SAMPLE = 258
_FULL_SCALE = 65535
_SAME = 3
"""Largest difference, of 255, between a profile and sRGB that is not worth converting."""

_LONGEST_KEPT = 1_000_000
"""Bytes of a colour profile above which it is read again for each image."""

_SUPPORTED = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")


def to_rgb(image: Image.Image, white: int | None = None) -> tuple[Image.Image, str]:
    """Turn a loaded picture into RGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Of any mode.
    white : int, optional
        Value of white where pixels have 16 or 32 bits; if not given, what the file says, else full scale.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, in sRGB, transparency over white.
    note : str
        What a person should know; empty if nothing.

    Raises
    ------
    ImageError
        Pixels whose meaning is not known.
    """
    if is_deep(image):
        return _from_values(np.asarray(image), white or white_of(image), image.info.get("transparency")), ""
    if image.mode == "F":
        return _from_float(np.asarray(image), white), ""
    if image.mode == "I":
        if white is None:
            raise ImageError(
                "32-bit whole numbers have no agreed white; extract and fit take --white N, or export it with 8 or 16 "
                "bits"
            )
        return _from_values(np.asarray(image), white, None), ""
    if image.has_transparency_data:
        image = _over_white(image)
    if image.mode not in _SUPPORTED:
        raise ImageError(f"pixels of type {image.mode} are not supported; export it as RGB")
    return _in_srgb(image)


def is_deep(image: Image.Image) -> bool:
    """Tell whether a picture is grey with 9 to 16 bits."""
    return image.mode.startswith("I;16")


def deep_colour(image: Image.Image) -> bool:
    """Tell whether a picture, opened but not loaded, has 16 bits a colour, of which Pillow keeps the higher eight."""
    return image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def white_of(image: Image.Image) -> int:
    """Return what a file with more than 8 bits says is white: its tag, else the full scale of its bits."""
    tags = [value for value in _tiff_values(image, _MAX_SAMPLE_VALUE) if 255 < value <= _FULL_SCALE]
    bits = [value for value in _tiff_values(image, _BITS_PER_SAMPLE) if 8 < value < 16]
    return tags[0] if tags else 2 ** bits[0] - 1 if bits else _FULL_SCALE


def _tiff_values(image: Image.Image, tag: int) -> tuple[int, ...]:
    value = getattr(image, "tag_v2", {}).get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    return tuple(int(v) for v in values)


def _from_values(values: NDArray[np.generic], white: int, transparent: object) -> Image.Image:
    if white == _FULL_SCALE:
        grey = (values.astype(np.uint16, copy=False) >> 8).astype(np.uint8)  # as Pillow does for 16-bit colour
    else:
        grey = np.clip(np.rint(values.astype(np.float32) * (255 / white)), 0, 255).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _from_float(values: NDArray[np.float32], white: int | None) -> Image.Image:
    top = white or 1
    if not np.isfinite(values).all() or values.min() < 0 or (white is None and values.max() > 1):
        raise ImageError(
            "floating-point pixels outside 0 to 1 have no agreed white; extract and fit take --white N, or export it "
            "with 8 or 16 bits"
        )
    return Image.fromarray(np.rint(np.minimum(values / top, 1) * 255).astype(np.uint8)).convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=rgba)
    if profile and image.mode not in ("LA", "La"):  # a profile of greys says nothing of colours
        white.info["icc_profile"] = profile
    return white


def _in_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    profile = image.info.get("icc_profile")
    if image.mode == "P":
        image = image.convert("RGB")
    note = ""
    if profile and image.mode in ("L", "RGB", "CMYK"):
        try:
            transform = _transform(bytes(profile), image.mode)
        except (ImageCms.PyCMSError, OSError):
            note = "unusable colour profile, taken as sRGB"
        else:
            if transform is not None:
                image = ImageCms.applyTransform(image, transform) or image
    return (image if image.mode == "RGB" else image.convert("RGB")), note  # converting would copy


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what brings pixels of a profile to sRGB; None if the profile is sRGB, by whatever name."""
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
