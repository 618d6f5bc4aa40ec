"""Files of other annotation programs: one file each, one line each in this table."""

from bal.annotation.formats.base import Format
from bal.annotation.formats.coco import COCO
from bal.annotation.formats.cvat import CVAT
from bal.annotation.formats.label_studio import LabelStudio
from bal.annotation.formats.png import PNG

FORMATS: dict[str, Format] = {"png": PNG(), "label-studio": LabelStudio(), "coco": COCO(), "cvat": CVAT()}
