"""Who answers a query: one file each, one line each in this table."""

from bal.annotation.annotators.label_studio import LabelStudio
from bal.annotation.annotators.oracle import Oracle
from bal.annotation.annotators.people import People

ANNOTATORS = {"oracle": Oracle, "people": People, "label_studio": LabelStudio}
