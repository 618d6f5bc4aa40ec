"""Query units: one file each, one line each in this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from bal.pool.units.image import Image
from bal.pool.units.pixel import Pixel
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile
from bal.types import Array, BadInput

UNITS = {"tile": Tile, "image": Image, "superpixel": Superpixel, "pixel": Pixel}
