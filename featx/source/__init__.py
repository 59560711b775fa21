"""Where the bytes of images come from: list the files of a source, ask for their status, open them."""

from featx.source.source import most_bytes, open_image, read_image
from featx.source.walk import OUTPUT_TAG, Entry, folders_in, walk

__all__ = [
    "OUTPUT_TAG",
    "Entry",
    "folders_in",
    "most_bytes",
    "open_image",
    "read_image",
    "walk",
]
