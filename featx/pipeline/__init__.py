"""Compute features from image files: read, decode, run the backbone, and write to the store."""

from featx.pipeline.images import fill
from featx.pipeline.views import fill_views

__all__ = ["fill", "fill_views"]
