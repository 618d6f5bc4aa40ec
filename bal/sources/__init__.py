"""Where images and masks come from. One file and one line here adds another."""

from bal.sources._masks import Masks as Masks
from bal.sources.folder import Folder
from bal.sources.vintages import Vintages
from bal.sources.well_log import WellLog

SOURCES = {"well_log": WellLog, "folder": Folder, "vintages": Vintages}
