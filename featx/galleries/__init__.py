"""Draw contact sheets and galleries: images in rows with captions, as one image file or an HTML page."""

from featx.galleries.gallery import Gallery
from featx.galleries.selection import Status, Tile
from featx.galleries.sheets import draw_preview

__all__ = ["Gallery", "Status", "Tile", "draw_preview"]
