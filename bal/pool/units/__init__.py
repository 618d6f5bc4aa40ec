"""Query units: one file each, one line each in this table."""

from bal.pool.units.image import Image
from bal.pool.units.pixel import Pixel
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile

UNITS = {"tile": Tile, "image": Image, "superpixel": Superpixel, "pixel": Pixel}
