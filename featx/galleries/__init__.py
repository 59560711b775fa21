"""Contact sheets and galleries: images in rows with a few words below each, as one image or a page."""

from featx.galleries.gallery import Gallery
from featx.galleries.preview import draw_sheet
from featx.galleries.selection import Tile

__all__ = ["Gallery", "Tile", "draw_sheet"]
