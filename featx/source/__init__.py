"""Sources of images: the only package that lists, queries and opens image files."""

from featx.source.choosing import dataset_source, image_at, source_at, source_beside, source_from
from featx.source.entries import Entries, Entry, EntryList
from featx.source.image_file import ImageFile, ImageFiles
from featx.source.local import LocalFolder
from featx.source.source import LARGE_FILE, BrokenLinkError, OpenFile, Source, read_image
from featx.source.walk import OUTPUT_TAG

__all__ = [
    "LARGE_FILE",
    "OUTPUT_TAG",
    "BrokenLinkError",
    "Entries",
    "Entry",
    "EntryList",
    "ImageFile",
    "ImageFiles",
    "LocalFolder",
    "OpenFile",
    "Source",
    "dataset_source",
    "image_at",
    "read_image",
    "source_at",
    "source_beside",
    "source_from",
]
