"""Sources of images: the only package that lists, queries and opens image files."""

from featx.source.addresses import Addresses
from featx.source.archive import Archive
from featx.source.choosing import dataset_source, image_at, is_local, source_at, source_beside, source_from
from featx.source.entries import Entries, Entry, EntryList
from featx.source.image_file import ImageFile, ImageFiles
from featx.source.local import LocalFolder
from featx.source.place import Member, Place, Url, place_from_id, place_of, relative_id, without_query
from featx.source.remote import RemoteFolder
from featx.source.source import LARGE_FILE, BrokenLinkError, OpenFile, Source, most_bytes, read_image
from featx.source.walk import OUTPUT_TAG

__all__ = [
    "LARGE_FILE",
    "OUTPUT_TAG",
    "Addresses",
    "Archive",
    "BrokenLinkError",
    "Entries",
    "Entry",
    "EntryList",
    "ImageFile",
    "ImageFiles",
    "LocalFolder",
    "Member",
    "OpenFile",
    "Place",
    "RemoteFolder",
    "Source",
    "Url",
    "dataset_source",
    "image_at",
    "is_local",
    "most_bytes",
    "place_from_id",
    "place_of",
    "read_image",
    "relative_id",
    "source_at",
    "source_beside",
    "source_from",
    "without_query",
]
