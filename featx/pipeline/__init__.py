"""Compute features from image files: read, decode, run the backbone, and write to the store."""

from featx.pipeline.images import STAGE, fill
from featx.pipeline.views import fill_views

__all__ = ["STAGE", "fill", "fill_views"]
