"""The report of one run: a self-contained HTML page, and its figures for a notebook; imported when asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bal.report.images import Box as Box, Panel as Panel
    from bal.report.page import write as write
    from bal.report.plots import (
        acquisition_curve as acquisition_curve,
        background_curve as background_curve,
        panel as panel,
    )
    from bal.report.reliability import (
        reliability_diagram as reliability_diagram,
        reliability_png as reliability_png,
    )

_WHERE = {
    "Box": "images",
    "Panel": "images",
    "acquisition_curve": "plots",
    "background_curve": "plots",
    "panel": "plots",
    "reliability_diagram": "reliability",
    "reliability_png": "reliability",
    "write": "page",
}

__all__ = list(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bal.report' has no attribute {name!r}")
    return getattr(import_module(f"bal.report.{_WHERE[name]}"), name)
