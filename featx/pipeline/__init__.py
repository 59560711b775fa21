"""The pipeline from image files to stored features: read, decode, run the backbone, write."""

from featx.pipeline.images import fill
from featx.pipeline.views import fill_views

__all__ = ["fill", "fill_views"]
