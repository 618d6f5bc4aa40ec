"""Bayesian active learning for image segmentation: which regions should a person label next, and how far to trust it.

Whatever the command line does is a function call away, with the same names and no global state:

- `run_loop(Config(…))` yields a record a round;
- `score_pool(head, net, params, source, acquisition="bald")` scores any pool with any trained network;
- `select(scores, costs, budget)` turns scores into a purchase.

What an extension must satisfy, and what travels between the parts, is here too; paths below `bal` are private.

Names are imported when they are first asked for, so that a command can hear signals before JAX is there; which they are
says `__init__.pyi`.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

_WHERE = {
    alias.name: node.module or ""
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}

__all__ = sorted(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bal' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_WHERE[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
