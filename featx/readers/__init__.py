"""Read, hash and decode images in processes, in order, in bounded memory, and within limits for each image."""

from featx.readers.chunk import Chunk, Outcome
from featx.readers.job import IsKnown
from featx.readers.messages import Task
from featx.readers.pool import ReaderPool, start_first_reader
from featx.readers.reading import Reading, Thumbnail, draw_thumbnails, read_images
from featx.readers.worker import BROKEN_LINK, NOT_FOUND

__all__ = [
    "BROKEN_LINK",
    "NOT_FOUND",
    "Chunk",
    "IsKnown",
    "Outcome",
    "ReaderPool",
    "Reading",
    "Task",
    "Thumbnail",
    "draw_thumbnails",
    "read_images",
    "start_first_reader",
]
