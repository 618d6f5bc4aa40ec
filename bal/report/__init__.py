"""The report of one run: a self-contained HTML page, and its figures for a notebook."""

from bal.report.images import Box, Panel
from bal.report.page import write
from bal.report.plots import acquisition_curve, background_curve, panel
from bal.report.reliability import reliability_diagram, reliability_png

__all__ = [
    "Box",
    "Panel",
    "acquisition_curve",
    "background_curve",
    "panel",
    "reliability_diagram",
    "reliability_png",
    "write",
]
