"""What the desk says: its pages, what a browser may do with them, and arrays on their way there."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image

SCRIPTS = ("main", "inputs", "canvas", "trace", "api")
PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/desk.css": ("desk.css", "text/css; charset=utf-8"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in SCRIPTS},
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def as_json(value: Any) -> tuple[bytes, str]:
    """A value and its media type."""
    return json.dumps(value).encode(), "application/json"


def as_text(array: np.ndarray) -> str:
    """An array uint8 of any shape as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def as_png(picture: np.ndarray) -> bytes:
    """A picture uint8 [h, w, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
