"""Who answers a query: one file each, one line each in this table."""

from bal.annotation.annotators.oracle import Oracle

ANNOTATORS = {"oracle": Oracle}
