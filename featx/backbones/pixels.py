"""Pixel scaling: the mean and standard deviation of each mode, and the text format for user-defined values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featx.errors import SpecError
from featx.spec import PREPROCESS_MODES

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PixelScaling:
    """Scaling of pixels from 0 to 255 to (pixel - mean) / std, for each channel.

    Parameters
    ----------
    mean, std : tuple of 3 floats
        In the channel order of the network.
    bgr : bool
        Whether the channel order of the network is blue, green, red.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False


_MODES = {
    "caffe": PixelScaling((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True),
    "tf": PixelScaling((127.5,) * 3, (127.5,) * 3),
    "torch": PixelScaling(tuple(255 * m for m in IMAGENET_MEAN), tuple(255 * s for s in IMAGENET_STD)),
    "lite": PixelScaling((127.0,) * 3, (128.0,) * 3),
    "none": PixelScaling((0.0,) * 3, (1.0,) * 3),
}


def pixel_scaling(preprocess: str) -> PixelScaling:
    """Return the scaling of a mode, or of a text in the format of :func:`spell_scaling`."""
    if preprocess in _MODES:
        return _MODES[preprocess]
    mean, std = (part.partition("=")[2].split(",") for part in preprocess.split(";"))
    return PixelScaling(tuple(255 * float(m) for m in mean), tuple(255 * float(s) for s in std))


def spell_scaling(mean: Sequence[float], std: Sequence[float]) -> str:
    """Return the text in the feature spec for a mean and a standard deviation of pixels from 0 to 1.

    Raises
    ------
    SpecError
        If ``mean`` or ``std`` does not have three numbers, or a standard deviation is not positive.
    """
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise SpecError(
            f"mean is {list(mean)} and std is {list(std)}; expected three numbers each, for red, green and blue from 0 "
            f"to 1, with std above 0; or {', '.join(PREPROCESS_MODES[:-1])} or {PREPROCESS_MODES[-1]}"
        )
    return ";".join(
        f"{name}={','.join(repr(float(v)) for v in values)}" for name, values in (("mean", mean), ("std", std))
    )


def canonical_scaling(text: str) -> str:
    """Return the canonical text of a scaling that a user wrote.

    Parameters
    ----------
    text : str
        A mode, which is returned unchanged, or for example ``mean=0.5,0.5,0.5;std=0.5,0.5,0.5``.

    Raises
    ------
    SpecError
        If the text has neither form, or the values are not allowed.
    """
    if text in PREPROCESS_MODES:
        return text
    parts = dict(part.strip().partition("=")[::2] for part in text.split(";"))
    try:
        mean, std = ([float(value) for value in parts[name].split(",")] for name in ("mean", "std"))
    except (KeyError, ValueError):
        raise SpecError(
            f"`preprocess={text}`: expected {', '.join(PREPROCESS_MODES)} or mean=R,G,B;std=R,G,B, for "
            "pixels from 0 to 1"
        ) from None
    return spell_scaling(mean, std)
