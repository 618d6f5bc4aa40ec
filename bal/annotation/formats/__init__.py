"""Files of other annotation programs: one file each, one line each in this table, and the name of each beside it."""

from typing import Literal

from bal.annotation.formats.base import Format
from bal.annotation.formats.coco import COCO
from bal.annotation.formats.cvat import CVAT
from bal.annotation.formats.label_studio import LabelStudio
from bal.annotation.formats.png import PNG

FormatName = Literal["png", "label-studio", "coco", "cvat"]
FORMATS: dict[FormatName, Format] = {"png": PNG(), "label-studio": LabelStudio(), "coco": COCO(), "cvat": CVAT()}
