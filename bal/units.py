"""Query units: how an image is cut into regions, and how a map becomes one number a region.

A unit is a frozen dataclass. Tiles, whole images and pixels follow from the size of an image alone; superpixels follow
what it shows, so they are cut from the image, always alike, whenever they are needed, and no map of them is kept.
"""

from __future__ import annotations
