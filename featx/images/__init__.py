"""Convert an image file to square RGB uint8 pixels, identically for training and prediction."""

from featx.images.decode import MAX_PIXELS, CostlyError, ShortOfMemoryError, decode, memory_for
from featx.images.deep import Brightest, brightest, may_be_deep
from featx.images.formats import image_format, looks_like_image
from featx.images.origin import read_origin
from featx.images.prepare import CROP_FRACTION, Fitting, Prepared, prepare
from featx.images.probes import decode_version, probe_files
from featx.images.thumbnail import encode_thumbnail

__all__ = [
    "CROP_FRACTION",
    "MAX_PIXELS",
    "Brightest",
    "CostlyError",
    "Fitting",
    "Prepared",
    "ShortOfMemoryError",
    "brightest",
    "decode",
    "decode_version",
    "encode_thumbnail",
    "image_format",
    "looks_like_image",
    "may_be_deep",
    "memory_for",
    "prepare",
    "probe_files",
    "read_origin",
]
